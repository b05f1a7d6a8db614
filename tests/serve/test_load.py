"""Too many requests, slow ones, and clients that do not wait."""

from __future__ import annotations

import asyncio

import pytest

from spacy_luke.errors import LukeError
from spacy_luke.scale.rows import Row
from spacy_luke.serve import Settings
from spacy_luke.serve.batcher import Batcher, Busy, Job

from .conftest import served, together, until

ALL = frozenset({"sentencizer", "names", "relations", "answers"})


def job(*texts: str, components: frozenset[str] = ALL) -> Job:
    rows = [Row(number, text) for number, text in enumerate(texts, start=1)]
    return Job(rows, lambda docs: [doc.text for doc in docs], components)


@pytest.fixture
def batcher(nlp, closed):
    """A batcher that works at a text until the test lets it go on."""
    batcher = Batcher(nlp, Settings(max_texts=4, max_waiting=6, batch_texts=4, batch_characters=100))
    batcher.start()
    batcher.first = job("WAIT")
    batcher.submit(batcher.first)
    asyncio.run(until(lambda: batcher.running == 1))
    yield batcher
    closed.set()
    batcher.close()


def test_all_that_waits_is_one_batch(batcher, closed):
    jobs = [job("a"), job("b", "c"), job()]
    for one in jobs:
        batcher.submit(one)
    closed.set()
    assert [one.future.result(10) for one in jobs] == [["a"], ["b", "c"], []]
    assert batcher.counts.batches == {1: 1, 3: 1}
    assert (batcher.counts.texts, batcher.counts.words, batcher.waiting) == (4, 4, 0)


def test_clients_that_were_answered_together_are_waited_for(nlp):
    batcher = Batcher(nlp, Settings(gather=1))
    jobs = [job("a"), job("b")]
    for one in jobs:
        batcher.submit(one)
    batcher.start()
    assert [one.future.result(10) for one in jobs] == [["a"], ["b"]]
    asyncio.run(until(lambda: batcher.running == 0))
    again = [job("c"), job("d")]
    batcher.submit(again[0])
    batcher.submit(again[1])
    assert [one.future.result(10) for one in again] == [["c"], ["d"]]
    alone = job("e")  # only one comes: it waits for no longer than that
    batcher.submit(alone)
    assert alone.future.result(10) == ["e"]
    batcher.close()
    assert batcher.counts.batches == {2: 2, 1: 1}


def test_memory_that_was_freed_is_given_back_now_and_then(nlp, monkeypatch):
    released = []
    monkeypatch.setattr("spacy_luke.serve.batcher.release_memory", lambda: released.append(batcher.counts.texts))
    monkeypatch.setattr("spacy_luke.serve.batcher.RELEASE_AFTER", 3)
    batcher = Batcher(nlp, Settings(gather=0))
    batcher.start()
    for texts in ("a", "bc", "d", "e", "f", "ghij"):
        one = job(*texts)
        batcher.submit(one)
        one.future.result(10)
    batcher.close()
    assert released == [3, 6, 10]


def test_memory_is_given_back_when_no_more_requests_come(nlp, monkeypatch):
    released = []
    monkeypatch.setattr("spacy_luke.serve.batcher.release_memory", lambda: released.append(batcher.counts.texts))
    monkeypatch.setattr("spacy_luke.serve.batcher.IDLE", 0.01)
    batcher = Batcher(nlp, Settings())
    batcher.start()
    for number in (1, 2):
        one = job("a")
        batcher.submit(one)
        one.future.result(10)
        asyncio.run(until(lambda number=number: len(released) == number))
    batcher.close()
    assert released == [1, 2], "once after each, not as long as nothing comes"


def test_a_batch_ends_with_the_request_that_makes_it_large(batcher, closed):
    jobs = [job("a", "b", "c"), job("d"), job("e"), job("f")]
    for one in jobs:
        batcher.submit(one)
    closed.set()
    assert [one.future.result(10) for one in jobs] == [["a", "b", "c"], ["d"], ["e"], ["f"]]
    assert batcher.counts.batches == {1: 1, 4: 1, 2: 1}


def test_a_batch_ends_with_the_request_that_makes_it_long(batcher, closed):
    jobs = [job("a" * 99), job("b"), job("c"), job("d")]
    for one in jobs:
        batcher.submit(one)
    closed.set()
    assert len([one.future.result(10) for one in jobs]) == 4
    assert batcher.counts.batches == {1: 1, 2: 2}


def test_the_length_of_a_request_is_that_of_its_texts_and_questions():
    rows = [Row(1, "Ada met Bo.", questions=["Who?", "Whom?"]), Row(2, "Cy left.")]
    assert Job(rows, len, ALL).characters == 11 + 9 + 8


def test_it_is_alive_from_its_start_to_its_end(nlp):
    batcher = Batcher(nlp, Settings())
    found = [batcher.is_alive]
    batcher.start()
    found.append(batcher.is_alive)
    batcher.close()
    assert [*found, batcher.is_alive] == [False, True, False]


def test_requests_for_other_components_are_another_batch(batcher, closed):
    jobs = [job("a"), job("Ada", components=frozenset({"names"})), job("b")]
    for one in jobs:
        batcher.submit(one)
    closed.set()
    assert [one.future.result(10) for one in jobs] == [["a"], ["Ada"], ["b"]]
    assert batcher.counts.batches == {1: 4}


def test_more_texts_than_may_wait_are_refused(batcher, closed):
    batcher.submit(job("a", "b", "c", "d"))
    with pytest.raises(
        Busy, match=r"\[L196\] The server is busy: 4 texts wait, and 6 may\. Try again in 1 s"
    ) as caught:
        batcher.submit(job("a", "b", "c"))
    assert caught.value.retry_after == 1
    last = job("a", "b")
    batcher.submit(last)
    closed.set()
    assert last.future.result(10) == ["a", "b"]


def test_a_job_that_nobody_waits_for_is_not_started(batcher, closed):
    abandoned, other = [job("RAISE"), job("RAISE")], job("a")
    for one in (*abandoned, other):
        batcher.submit(one)
    for one in abandoned:
        one.future.cancel()
    closed.set()
    assert other.future.result(10) == ["a"]
    assert (batcher.counts.abandoned, batcher.counts.failed) == (2, 0)
    assert batcher.waiting == 0


def test_what_fails_to_become_a_result_fails_alone(batcher, closed):
    def fail(docs):
        raise KeyboardInterrupt

    bad, good = Job([Row(1, "a")], fail, ALL), job("b")
    batcher.submit(bad)
    batcher.submit(good)
    closed.set()
    assert good.future.result(10) == ["b"]
    assert isinstance(bad.future.exception(10), KeyboardInterrupt)
    assert batcher.is_alive


def test_closing_finishes_what_waits(batcher, closed):
    waiting = job("a")
    batcher.submit(waiting)
    closed.set()
    batcher.close()
    assert waiting.future.result(0) == ["a"]
    assert not batcher.is_alive
    with pytest.raises(Busy):
        batcher.submit(job("b"))


def test_a_full_queue_is_an_answer_with_the_time_to_wait(nlp, closed):
    async def ask(client, app):
        first = asyncio.ensure_future(client.post("/annotate", json={"text": "WAIT"}))
        await until(lambda: app.state.batcher.running == 1)
        others = [asyncio.ensure_future(client.post("/annotate", json={"text": "Ada"})) for _ in range(50)]
        await until(lambda: sum(other.done() for other in others) == 40)
        closed.set()
        return await asyncio.gather(first, *others)

    answers = together(nlp, ask, max_texts=10, max_waiting=10)
    taken = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 503]
    assert (len(taken), len(refused)) == (11, 40)
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert all(answer.json()["detail"].startswith("[L196] The server is busy") for answer in refused)
    assert all(answer.json()["entities"] for answer in taken if answer.json()["text"] == "Ada")


def test_what_takes_too_long_is_an_answer(nlp, closed):
    with served(nlp, timeout=0.05) as client:
        answer = client.post("/annotate", json={"text": "WAIT"})
        assert answer.status_code == 504
        assert answer.json()["detail"] == "[L198] To annotate the request took longer than 0.05 s (--timeout)."
        closed.set()
        asyncio.run(until(lambda: client.app.state.batcher.running == 0))


def test_a_request_whose_client_hangs_up_is_not_annotated(nlp, closed):
    async def ask(client, app):
        first = asyncio.ensure_future(client.post("/annotate", json={"text": "WAIT"}))
        await until(lambda: app.state.batcher.running == 1)
        messages = [{"type": "http.request", "body": b'{"text": "RAISE"}'}, {"type": "http.disconnect"}]
        sent = []

        async def receive():
            await asyncio.sleep(0.01)
            return messages.pop(0)

        async def send(message):
            sent.append(message)

        headers = [(b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/annotate", "raw_path": b"/annotate", "query_string": b""}
        await app(
            {**scope, "headers": headers, "root_path": "", "http_version": "1.1", "scheme": "http"}, receive, send
        )
        closed.set()
        await first
        await until(lambda: app.state.batcher.counts.abandoned == 1)
        return sent[0]["status"], app.state.batcher.counts

    status, counts = together(nlp, ask)
    assert status == 499
    assert counts.failed == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_characters": 0},
        {"max_texts": 1.5},
        {"max_texts": 100, "max_waiting": 99},
        {"max_body": 100, "max_bodies": 99},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"timeout": "1"},
        {"gather": -1},
        {"gather": float("nan")},
        {"kb_url_template": "https://example.org"},
    ],
)
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(LukeError, match="L047"):
        Settings(**wrong)
