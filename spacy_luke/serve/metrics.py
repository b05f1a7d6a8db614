"""Counts of a server, in the text format of Prometheus.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .batcher import Batcher

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128)


@dataclass
class Histogram:
    """Values by the least bound that they do not exceed; the last count is of those above all bounds."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float, times: int = 1) -> None:
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    def lines(self, name: str, labels: Mapping[str, str]) -> Iterator[str]:
        """Buckets, each with those below it, sum and count."""
        below = 0
        for bound, count in zip((*map(_number, self.bounds), "+Inf"), self.counts, strict=True):
            below += count
            yield _line(f"{name}_bucket", {**labels, "le": bound}, below)
        yield _line(f"{name}_sum", labels, self.total)
        yield _line(f"{name}_count", labels, below)


class Metrics:
    """Requests by path and status, how long they took, and what the model has done."""

    def __init__(self, batcher: Batcher):
        self._batcher = batcher
        self._requests: Counter[tuple[str, int]] = Counter()
        self._seconds: dict[str, Histogram] = {}
        self._started = time.time()

    def add(self, path: str, status: int, seconds: float) -> None:
        """Count an answer. path: of the route, of which there are few, not of the request."""
        self._requests[path, status] += 1
        self._seconds.setdefault(path, Histogram(SECONDS)).add(seconds)

    def text(self) -> str:
        """All of it."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield from _head("luke_requests_total", "counter", "Answers, by path and status.")
        for (path, status), count in sorted(self._requests.items()):
            yield _line("luke_requests_total", {"path": path, "status": str(status)}, count)
        yield from _head("luke_request_seconds", "histogram", "From the start of a request to the end of its answer.")
        for path, histogram in sorted(self._seconds.items()):
            yield from histogram.lines("luke_request_seconds", {"path": path})
        counts = self._batcher.counts
        batches = Histogram(TEXTS)
        for size, times in sorted(counts.batches.copy().items()):
            batches.add(size, times)
        yield from _head("luke_batch_texts", "histogram", "Texts in a batch.")
        yield from batches.lines("luke_batch_texts", {})
        plain: Iterable[tuple[str, str, str, float | None]] = (
            ("luke_texts_total", "counter", "Texts that were annotated.", counts.texts),
            ("luke_words_total", "counter", "Tokens of these texts.", counts.words),
            ("luke_characters_total", "counter", "Characters of these texts and of the questions.", counts.characters),
            ("luke_failed_texts_total", "counter", "Texts of requests that failed.", counts.failed),
            ("luke_abandoned_requests_total", "counter", "Requests given up before their turn.", counts.abandoned),
            ("luke_waiting_texts", "gauge", "Texts that wait for the model.", self._batcher.waiting),
            ("luke_running_texts", "gauge", "Texts that are being annotated.", self._batcher.running),
            ("process_start_time_seconds", "gauge", "Start of the server, in Unix time.", self._started),
            ("process_cpu_seconds_total", "counter", "Processor time of the server.", time.process_time()),
            ("process_resident_memory_bytes", "gauge", "Memory of the server.", _resident_bytes()),
        )
        for name, kind, about, value in plain:
            if value is None:
                continue
            yield from _head(name, kind, about)
            yield _line(name, {}, value)


def _head(name: str, kind: str, about: str) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} {kind}"


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    shown = ",".join(f'{key}="{_escape(text)}"' for key, text in labels.items())
    return f"{name}{{{shown}}} {_number(value)}" if shown else f"{name} {_number(value)}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def _resident_bytes() -> int | None:
    """Memory of this process; None where the system does not say it as Linux does."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None
