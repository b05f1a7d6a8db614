"""A server with the bundled model under load, beside `nlp.pipe` in one process: all on this machine.

Clients keep a connection each and ask again when they are answered. The processor time of the server is its own figure
(/metrics), so that of the clients is not in it. Both sides make JSON of the same texts.
"""

from __future__ import annotations

import asyncio
import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any

from ..child import in_own_process
from ..options import ROOT, Options
from ..rows import Refused, Row
from ..texts import all_sentences, passages

PART = "serve"
PIPE = "nlp.pipe"
CLIENTS = (1, 8, 64)
LONG = 10  # sentences of a long text
# For each of the options' sentences, of which there are 48 by default
SHORT_PER_SENTENCE, LONG_PER_SENTENCE, MEMORY_PER_SENTENCE = 16, 4, 417  # 768, 192, 20,016 requests
CONNECTIONS = 1000
WARM = 8  # requests before the first that counts
SETTLED = 0.1  # share of the requests for memory after which it should not grow
SHARE, FLAT = 0.8, 1.05  # targets
PERCENTILES = (50, 95, 99)
PATIENCE = 600  # seconds for an answer
IDLE_SECONDS = 3


@dataclass
class Load:
    """Answers to some requests. seconds: for all. latencies: of each. refused: reasons of those without results."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    results: dict[int, Any] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    lost: int = 0


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int

    def metric(self, name: str) -> float:
        """A figure of /metrics."""
        _, body = asyncio.run(_ask_once(self.port, "GET", "/metrics"))
        return next(float(line.split()[1]) for line in body.decode().splitlines() if line.startswith(f"{name} "))

    def idle_memory(self) -> float:
        """Megabytes once the server has had nothing to do for a moment, and has given back what it does not need."""
        time.sleep(IDLE_SECONDS)
        return self.metric("process_resident_memory_bytes") / 2**20

    def load(self, texts: Sequence[str], clients: int) -> Load:
        """Send texts, by so many clients at once."""
        return asyncio.run(_load(self.port, texts, clients))


def measure(options: Options) -> list[Row]:
    """Rows of speed, latency and memory."""
    short = _cycle(all_sentences(options), SHORT_PER_SENTENCE * options.sentences)
    long = _cycle(passages(options, LONG), LONG_PER_SENTENCE * options.sentences)
    rows: list[Row] = []
    with started(options) as server:
        for kind, texts in (("short", short), ("long", long)):
            (options.folder / f"{kind}.json").write_text(json.dumps(texts), encoding="utf8")
            expected = in_own_process(pipe, str(options.folder / f"{kind}.json"), options.threads)
            for clients in CLIENTS:
                rows += _speed(server, f"{kind} texts, {_counted(clients, 'client')}", texts, clients, expected)
        rows += _memory(server, short, MEMORY_PER_SENTENCE * options.sentences)
        rows += _connections(server, short)
    return rows


def _cycle(texts: Sequence[str], count: int) -> list[str]:
    return [texts[number % len(texts)] for number in range(count)]


def _counted(count: int, name: str) -> str:
    return f"{count:,} {name}{'s' * (count != 1)}"


def _speed(server: Server, case: str, texts: Sequence[str], clients: int, expected: dict[str, Any]) -> list[Row]:
    server.load(texts[:WARM], clients)
    before = server.metric("process_cpu_seconds_total")
    load = server.load(texts, clients)
    cpu = server.metric("process_cpu_seconds_total") - before
    wrong = sum(_answer(load.results.get(number)) != answer for number, answer in enumerate(expected["answers"]))
    if wrong:
        raise Refused(f"serve: the sides differ on {wrong} of {len(texts)} texts ({case})")
    ours, theirs = expected["words"] / cpu, expected["words"] / expected["cpu"]
    target = SHARE if clients > 1 else None
    cuts = quantiles(load.latencies, n=100, method="inclusive")
    return [
        Row(PART, case, ours, theirs, "words/CPU s", PIPE, ours / theirs, target=target),
        Row(PART, case, len(texts) / load.seconds, None, "requests/s", PIPE),
        *(
            Row(PART, f"{case}, {percent}th percentile", 1000 * cuts[percent - 1], None, "ms", PIPE)
            for percent in PERCENTILES
        ),
    ]


def _memory(server: Server, texts: Sequence[str], count: int) -> list[Row]:
    """Memory of an idle server after some requests and after all, each with a word that there was not before."""
    settled = max(1, int(SETTLED * count))
    numbered = [f"{text} item{number}" for number, text in enumerate(_cycle(texts, count))]
    clients = CLIENTS[-1]
    server.load(numbered[:settled], clients)
    before = server.idle_memory()
    server.load(numbered[settled:], clients)
    after = server.idle_memory()
    case, against = f"memory after {count:,} requests", f"after {settled:,}"
    return [Row(PART, case, after, before, "MB", against, after / before, target=FLAT, at_most=True)]


def _connections(server: Server, texts: Sequence[str]) -> list[Row]:
    """A request of each of many connections, all at once."""
    load = server.load(_cycle(texts, CONNECTIONS), CONNECTIONS)
    case = (
        f"{CONNECTIONS:,} connections at once: {len(load.results):,} results, {len(load.refused):,} told to come back"
    )
    known = len(load.results) + len(load.refused)
    return [Row(PART, case, known, CONNECTIONS, "answers", "all of them", known / CONNECTIONS, target=1.0)]


def pipe(source: str, threads: int) -> dict[str, Any]:
    """`nlp.pipe` on texts of a JSON file: seconds of processor time, words, and what is compared."""
    import spacy
    import torch

    from spacy_luke import to_dict
    from spacy_luke.default_model import bundled_pipeline

    torch.set_num_threads(threads)
    texts = json.loads(Path(source).read_text(encoding="utf8"))
    nlp = spacy.load(bundled_pipeline())
    list(nlp.pipe(texts[:WARM]))
    before = time.process_time()
    words, lines = 0, []
    for doc in nlp.pipe(texts):
        words += len(doc)
        lines.append(json.dumps(to_dict(doc), ensure_ascii=False))
    cpu = time.process_time() - before
    return {"cpu": cpu, "words": words, "answers": [_answer(json.loads(line)) for line in lines]}


def _answer(record: dict[str, Any] | None) -> list[Any] | None:
    """What is compared: scores differ in the last digits with the other texts of a batch."""
    if record is None:
        return None
    entities = [[ent["start"], ent["end"], ent["label"], ent["kb_id"]] for ent in record["entities"]]
    return [record["text"], entities, len(record["relations"])]


# The server and its clients


@contextmanager
def started(options: Options) -> Iterator[Server]:
    """A server of its own process, on any free port of this machine."""
    from spacy_luke.default_model import bundled_pipeline

    _allow_connections()
    command = [sys.executable, "-m", "spacy", "luke", "serve", str(bundled_pipeline())]
    command += ["--port", "0", "--threads", str(options.threads), "--timeout", str(PATIENCE)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    try:
        found = re.search(r":(\d+)\. ", process.stdout.readline())
        if found is None:
            raise RuntimeError("the server did not start")
        yield Server(int(found[1]))
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def _allow_connections() -> None:
    """As many open files as the system allows, for this process and for those that it starts."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _load(port: int, texts: Sequence[str], clients: int) -> Load:
    load = Load()
    numbered = iter(enumerate(texts))

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for number, text in numbered:
                started = time.perf_counter()
                try:
                    status, body = await _ask(reader, writer, "POST", "/annotate", {"text": text})
                except (OSError, asyncio.IncompleteReadError):
                    load.lost += 1
                    return
                load.latencies.append(time.perf_counter() - started)
                if status == 200:
                    load.results[number] = json.loads(body)
                else:
                    load.refused.append(json.loads(body)["detail"])
        finally:
            writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(min(clients, len(texts)))))
    load.seconds = time.perf_counter() - started
    return load


async def _ask_once(port: int, method: str, path: str) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return await _ask(reader, writer, method, path)
    finally:
        writer.close()


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, path: str, content: Any = None
) -> tuple[int, bytes]:
    """Status and body of an answer. HTTP/1.1 by hand, which costs the clients little."""
    body = b"" if content is None else json.dumps(content).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    writer.write("\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body)
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1")
    length = re.search(r"(?im)^content-length: *(\d+)", head)
    if length is None:
        raise RuntimeError(f"an answer without a length: {head}")
    return int(head.split()[1]), await reader.readexactly(int(length[1]))
