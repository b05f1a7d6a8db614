"""What every request passes: limits of its body, and counts of its answer."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from ..errors import LukeError
from .batcher import Busy
from .metrics import Metrics
from .settings import Settings

# ASGI: https://asgi.readthedocs.io/en/latest/specs/www.html
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

OTHER = "other"  # path of what no route takes
HUNG_UP = 499  # as proxies note a client that did not wait; nobody gets it
STATUS = {"L176": 501, "L196": 503, "L197": 413, "L198": 504, "L199": 500}
BAD_REQUEST = 422
_NO_SNIFF = (b"x-content-type-options", b"nosniff")


def problem(error: LukeError) -> tuple[int, dict[str, str], dict[str, str]]:
    """Status, headers and JSON of the answer to an error."""
    headers = {"Retry-After": str(error.retry_after)} if isinstance(error, Busy) else {}
    detail = str(error).encode("utf8", "replace").decode("utf8")
    return STATUS.get(error.code, BAD_REQUEST), headers, {"detail": detail}


class Gate:
    """Reads the whole body of a request before the application sees any of it, if the limits allow it.

    A body that is too large is read and thrown away, for a client that is still sending would not see the answer. One
    that asks first (`Expect: 100-continue`) is told at once.
    """

    def __init__(self, app: App, settings: Settings, metrics: Metrics):
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._held = 0  # bytes of the bodies that are being answered

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = HUNG_UP

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), _NO_SNIFF]
            await send(message)

        try:
            await self._pass(scope, receive, note)
        except Exception:
            status = 500
            raise
        finally:
            # Without a route, the path is what the client wrote: there could be any number of them.
            path = getattr(scope.get("route"), "path", OTHER)
            self._metrics.add(path, status, time.perf_counter() - started)

    async def _pass(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        body = _Body(self._settings, self)
        try:
            try:
                is_whole = await asyncio.wait_for(body.read(scope["headers"], receive), self._settings.timeout)
            except asyncio.TimeoutError:
                late = LukeError("L198", what="To send the request", seconds=self._settings.timeout)
                await _answer(send, 408, {}, problem(late)[2])
                return
            if body.refusal is not None:
                await _answer(send, *problem(body.refusal))
            elif is_whole:
                await self._app(scope, body.replay(receive), send)
        finally:
            self._held -= body.size

    def hold(self, size: int) -> None:
        """Count bytes of a body; `Busy` if all bodies together are too large."""
        if self._held + size > self._settings.max_bodies:
            reason = f"requests of {self._held:,} bytes are being answered"
            raise Busy(1, reason=reason)
        self._held += size


class _Body:
    """The body of a request. size: bytes of it that are held. refusal: why it is not taken, if it is not."""

    def __init__(self, settings: Settings, gate: Gate):
        self._most = settings.max_body
        self._gate = gate
        self._chunks: list[bytes] = []
        self.size = 0
        self.refusal: LukeError | None = None

    async def read(self, headers: Iterable[tuple[bytes, bytes]], receive: Receive) -> bool:
        """Read it to its end; False if the client hangs up before."""
        named = dict(headers)
        declared = named.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > self._most:
            self._refuse(self._too_large())
            if named.get(b"expect", b"").lower() == b"100-continue":
                return True
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            if chunk := message.get("body", b""):
                self._take(chunk)
            if not message.get("more_body", False):
                return True

    def _take(self, chunk: bytes) -> None:
        if self.refusal is not None:
            return
        if self.size + len(chunk) > self._most:
            self._refuse(self._too_large())
            return
        try:
            self._gate.hold(len(chunk))
        except Busy as error:
            self._refuse(error)
            return
        self.size += len(chunk)
        self._chunks.append(chunk)

    def _refuse(self, error: LukeError) -> None:
        self.refusal = error
        self._chunks.clear()

    def _too_large(self) -> LukeError:
        return LukeError("L197", what="The request", most=f"{self._most:,} bytes", option="--max-body")

    def replay(self, receive: Receive) -> Receive:
        """The body for the application, and then what else the server says: that the client has hung up."""
        is_given = False

        async def replayed() -> Message:
            nonlocal is_given
            if is_given:
                return await receive()
            is_given = True
            body = b"".join(self._chunks)
            self._chunks.clear()
            return {"type": "http.request", "body": body, "more_body": False}

        return replayed


async def _answer(send: Send, status: int, headers: dict[str, str], content: dict[str, str]) -> None:
    body = json.dumps(content).encode("utf8")
    given: Headers = [(name.lower().encode("latin1"), value.encode("latin1")) for name, value in headers.items()]
    # What is left of a request that was not read would be taken for the next one.
    own: Headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode("ascii"))]
    await send({"type": "http.response.start", "status": status, "headers": [*own, (b"connection", b"close"), *given]})
    await send({"type": "http.response.body", "body": body})
