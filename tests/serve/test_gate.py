"""Bodies that are too large, too many or too slow."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from spacy_luke.serve import Settings
from spacy_luke.serve.batcher import Batcher
from spacy_luke.serve.gate import Gate
from spacy_luke.serve.metrics import Metrics

from .conftest import served

MIB = 2**20


@pytest.fixture
def metrics(nlp) -> Metrics:
    return Metrics(Batcher(nlp, Settings()))


class App:
    """Reads its body, and answers with its length."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self, scope, receive, send) -> None:
        message = await receive()
        assert not message["more_body"]
        self.bodies.append(message["body"])
        await self.go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})


async def ask(gate: Gate, chunks: list[bytes], *, end: str = "whole", headers: dict[str, str] | None = None) -> Any:
    """Status and content of an answer, and how many chunks were read; None if there is no answer."""
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    if end == "whole":
        messages[-1]["more_body"] = False
    elif end == "hangs up":
        messages.append({"type": "http.disconnect"})
    count = len(messages)
    sent: list[dict[str, Any]] = []

    async def receive():
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    given = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    await gate({"type": "http", "path": "/x", "headers": given}, receive, send)
    if not sent:
        return None
    return sent[0]["status"], sent[1]["body"], count - len(messages)


def test_a_body_comes_whole_however_it_was_cut(metrics):
    app = App()
    gate = Gate(app, Settings(max_body=10, max_bodies=10), metrics)
    assert asyncio.run(ask(gate, [b"abc", b"", b"defghij"]))[0] == 200
    assert app.bodies == [b"abcdefghij"]


@pytest.mark.parametrize("headers", [{"content-length": "11"}, {}])
def test_a_body_that_is_too_large_is_read_to_its_end_and_refused(metrics, headers):
    app = App()
    gate = Gate(app, Settings(max_body=10, max_bodies=10), metrics)
    status, body, read = asyncio.run(ask(gate, [b"abc", b"defghijk", b"more"], headers=headers))
    assert (status, read) == (413, 3)
    assert json.loads(body)["detail"].startswith("[L197] The request is larger than 10 bytes (--max-body)")
    assert app.bodies == []
    assert asyncio.run(ask(gate, [b"abcdefghij"]))[0] == 200, "it holds nothing any more"


def test_a_client_that_asks_first_is_refused_before_it_sends(metrics):
    gate = Gate(App(), Settings(max_body=10, max_bodies=10), metrics)
    headers = {"content-length": "11", "expect": "100-continue"}
    assert asyncio.run(ask(gate, [b"abcdefghijk"], headers=headers))[::2] == (413, 0)


def test_bodies_that_are_too_large_together_are_refused_for_now(metrics):
    async def run():
        app = App()
        app.go_on.clear()
        gate = Gate(app, Settings(max_body=10, max_bodies=15), metrics)
        first = asyncio.ensure_future(ask(gate, [b"a" * 10]))
        await asyncio.sleep(0)
        while not app.bodies:
            await asyncio.sleep(0)
        refused = await ask(gate, [b"b" * 4, b"c" * 4])
        taken = asyncio.ensure_future(ask(gate, [b"d" * 5]))
        while len(app.bodies) < 2:
            await asyncio.sleep(0)
        app.go_on.set()
        return refused, await first, await taken, await ask(gate, [b"e" * 10])

    refused, *taken = asyncio.run(run())
    assert refused[0] == 503
    assert json.loads(refused[1])["detail"].startswith("[L196] The server is busy: requests of 14 bytes")
    assert [one[0] for one in taken] == [200, 200, 200]


def test_a_body_that_does_not_come_is_an_answer(metrics):
    gate = Gate(App(), Settings(timeout=0.05), metrics)
    status, body, _ = asyncio.run(ask(gate, [b"abc"], end="nothing"))
    assert status == 408
    assert json.loads(body)["detail"] == "[L198] To send the request took longer than 0.05 s (--timeout)."


def test_a_client_that_hangs_up_while_it_sends_gets_nothing(metrics):
    app = App()
    assert asyncio.run(ask(Gate(app, Settings(), metrics), [b"abc"], end="hangs up")) is None
    assert app.bodies == []
    assert 'luke_requests_total{path="other",status="499"} 1' in metrics.text()


def test_50_mb_are_refused_in_the_application(nlp):
    with served(nlp) as client:
        answer = client.post("/annotate", content=b"x" * (50 * MIB), headers={"Content-Type": "application/json"})
        assert answer.status_code == 413
        assert answer.headers["connection"] == "close"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_metrics_count_answers_by_route_and_status(client):
    client.post("/annotate", json={"text": ["Ada met Babbage.", "Ada"]})
    client.post("/annotate", json={"text": 1})
    client.get("/health")
    for number in range(3):
        client.get(f"/no/such/path/{number}")
    answer = client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    for line in (
        'luke_requests_total{path="/annotate",status="200"} 1',
        'luke_requests_total{path="/annotate",status="422"} 1',
        'luke_requests_total{path="/health",status="200"} 1',
        'luke_requests_total{path="other",status="404"} 3',
        'luke_request_seconds_count{path="/annotate"} 2',
        'luke_request_seconds_bucket{path="/annotate",le="+Inf"} 2',
        'luke_batch_texts_bucket{le="1"} 0',
        'luke_batch_texts_bucket{le="2"} 1',
        "luke_batch_texts_sum 2",
        "luke_texts_total 2",
        "luke_words_total 5",
        "luke_characters_total 19",
        "luke_waiting_texts 0",
    ):
        assert line in lines
    named = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    samples = {line.split("{")[0].split()[0] for line in lines if not line.startswith("#")}
    assert {name for name in samples if not name.startswith(tuple(named))} == set()
    assert all(float(line.rpartition(" ")[2]) >= 0 for line in lines if not line.startswith("#"))
