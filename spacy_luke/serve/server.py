"""A server with a pipeline, until it is told to stop."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from contextlib import closing, suppress
from types import FrameType

import uvicorn
from spacy.language import Language

from ..errors import LukeError
from .app import make_app
from .settings import Settings

BACKLOG = 2048  # connections that the system keeps until they are taken


class _Stopped(Exception):
    """A signal has ended the server."""


def serve(
    nlp: Language,
    settings: Settings | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    root_path: str = "",
    on_start: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve a pipeline; SIGTERM and Ctrl-C end it, once it has answered what it has taken.

    port: 0 = any that is free.
    root_path: the path below which a proxy shows the server.
    on_start: called with the address, once the server listens.
    L195 if it cannot listen there.
    """
    settings = settings or Settings()
    with closing(_listen(host, port)) as listener:
        on_start(_address(listener))
        config = uvicorn.Config(
            make_app(nlp, settings),
            log_level="warning",
            access_log=False,  # texts are nobody else's business, and /metrics counts
            server_header=False,
            root_path=root_path,
            timeout_graceful_shutdown=int(settings.timeout) + 1,
            lifespan="on",
            ws="none",
        )
        with suppress(_Stopped, KeyboardInterrupt):
            _run(uvicorn.Server(config), listener)


def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    """Run it. uvicorn raises the signal that stopped it once more at its end; the process is to end well."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise _Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        server.run(sockets=[listener])
    finally:
        signal.signal(signal.SIGTERM, before)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        # asyncio sends at once only where the protocol is named: else the body of each answer waits, some 40 ms, for
        # the client to acknowledge the head.
        return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=listener.detach())
    except (OSError, OverflowError, UnicodeError) as error:
        raise LukeError("L195", host=host, port=port, reason=error) from error


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
