"""A server in a process of its own: what it does with real connections and signals."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from spacy.cli._util import app
from typer.testing import CliRunner

from spacy_luke.cli.serve import serve_cli  # noqa: F401 (adds the command)
from spacy_luke.errors import LukeError
from spacy_luke.serve import serve
from spacy_luke.serve.server import _listen

from . import rules

CODE = Path(__file__).with_name("rules.py")
MIB = 2**20
PATIENCE = 60  # seconds


class Server:
    """A running server."""

    def __init__(self, process: subprocess.Popen, line: str):
        self.process = process
        self.port = int(re.search(r"http://127\.0\.0\.1:(\d+)\.", line)[1])

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def ask(self, method: str, path: str, body: object = None, connection: http.client.HTTPConnection | None = None):
        """Status, headers, content."""
        connection = connection or self.connect()
        headers = {"Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def metric(self, name: str) -> float:
        lines = self.ask("GET", "/metrics")[2].decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def wait_for(self, name: str, value: float) -> None:
        for _ in range(2000):
            if self.metric(name) == value:
                return
        raise AssertionError(f"{name} never was {value}")


@contextmanager
def started(pipeline: Path) -> Iterator[Server]:
    command = [sys.executable, "-m", "spacy", "luke", "serve", str(pipeline), "--port", "0", "--code", str(CODE)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        line = process.stdout.readline()
        assert line.startswith("Serving"), line + process.stdout.read()
        yield Server(process, line)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pipeline") / "rules"
    rules.make_pipeline().to_disk(folder)
    return folder


@pytest.fixture(scope="module")
def server(pipeline) -> Iterator[Server]:
    with started(pipeline) as server:
        yield server
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(PATIENCE) == 0


def test_it_annotates_over_one_connection_again_and_again(server):
    connection = server.connect()
    for text in ("Ada", "", "Babbage \U0001f44d"):
        status, _, content = server.ask("POST", "/annotate", {"text": text}, connection)
        assert (status, json.loads(content)["text"]) == (200, text)
    assert server.ask("GET", "/health", connection=connection)[0] == 200


def test_it_listens_on_this_machine_alone(server):
    with pytest.raises(OSError):  # noqa: PT011 (refused, or no such address)
        socket.create_connection(("127.0.0.2", server.port), timeout=PATIENCE)


def test_a_body_of_50_mb_is_refused_with_a_reason(server):
    connection = server.connect()
    connection.request("POST", "/annotate", b"x" * (50 * MIB), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["detail"].startswith("[L197]")


def test_a_body_without_a_length_is_refused_when_it_is_too_large(server):
    connection = server.connect()
    chunks = (b"x" * MIB for _ in range(9))
    connection.request("POST", "/annotate", chunks, {"Content-Type": "application/json"}, encode_chunked=True)
    assert connection.getresponse().status == 413
    assert server.metric("process_resident_memory_bytes") > 0


@pytest.mark.parametrize("sent", [b"", b"POST /annotate HT", b"\x16\x03\x01\x00\xff\xfe", b"GET / HTTP/9.9\r\n\r\n"])
def test_clients_that_send_nonsense_and_hang_up_harm_nobody(server, sent):
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        connection.sendall(sent)
    assert server.ask("POST", "/annotate", {"text": "Ada"})[0] == 200


def test_a_client_that_hangs_up_before_its_turn_is_not_annotated(server):
    before = server.metric("luke_abandoned_requests_total")
    slow = threading.Thread(target=server.ask, args=("POST", "/annotate", {"text": "SLEEP"}))
    slow.start()
    server.wait_for("luke_running_texts", 1)
    body = json.dumps({"text": "RAISE"}).encode()
    head = (
        f"POST /annotate HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        connection.sendall(head.encode() + body)
        server.wait_for("luke_waiting_texts", 1)
    slow.join()
    server.wait_for("luke_abandoned_requests_total", before + 1)
    assert server.metric("luke_waiting_texts") == 0


def test_many_connections_at_once_are_all_answered(server):
    statuses: list[int] = []
    threads = [
        threading.Thread(
            target=lambda: statuses.append(server.ask("POST", "/annotate", {"text": "Ada met Babbage."})[0])
        )
        for _ in range(100)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 100


def test_sigterm_ends_it_once_it_has_answered(pipeline):
    with started(pipeline) as server:
        answers = []
        asked = threading.Thread(target=lambda: answers.append(server.ask("POST", "/annotate", {"text": "SLEEP Ada"})))
        idle = server.connect()
        server.ask("GET", "/health", connection=idle)
        asked.start()
        server.wait_for("luke_running_texts", 1)
        server.process.terminate()
        asked.join()
        ((status, _, content),) = answers
        assert (status, json.loads(content)["entities"][0]["text"]) == (200, "Ada")
        assert server.process.wait(PATIENCE) == 0
        assert server.process.stdout.read() == "Stopped.\n"
        with pytest.raises(OSError):  # noqa: PT011 (refused, or the other end is closed)
            server.ask("GET", "/health")


def test_a_port_that_is_taken_is_an_error_in_one_line(server, pipeline):
    command = ["luke", "serve", str(pipeline), "--port", str(server.port)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"[L195] The server cannot listen on 127.0.0.1, port {server.port}: ")
    assert result.stderr.count("\n") == 1


def test_answers_are_sent_at_once():
    """The body of an answer does not wait until the client has acknowledged the head (Nagle's algorithm)."""

    async def option() -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted = writer.get_extra_info("socket")
            found.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with _listen("127.0.0.1", 0) as listener:
            async with await asyncio.start_server(accept, sock=listener):
                _, client = await asyncio.open_connection(*listener.getsockname())
                client.close()
                return await found

    assert asyncio.run(option()) != 0


def test_an_address_that_there_is_not_is_an_error(nlp):
    with pytest.raises(LukeError, match="L195"):
        serve(nlp, host="no.such.host.invalid", port=0)


def test_a_pipeline_that_there_is_not_is_an_error(tmp_path):
    result = CliRunner().invoke(app, ["luke", "serve", str(tmp_path / "none")])
    assert result.exit_code == 1
    assert result.stderr.startswith("[L170]")


def test_without_fastapi_the_command_says_how_to_get_it(pipeline, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("spacy_luke.serve")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    monkeypatch.delattr("spacy_luke.serve", raising=False)
    result = CliRunner().invoke(app, ["luke", "serve", str(pipeline)])
    assert result.exit_code == 1
    assert result.stderr.startswith("[L176] the server needs fastapi and uvicorn")
    assert "pip install 'spacy-luke[serve]'" in result.stderr
