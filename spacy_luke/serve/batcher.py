"""One thread with the model, and the requests that wait for it.

All that waits while a batch is computed becomes the next batch, so that batches grow with the load by themselves.
Clients that were answered together ask again one after the other: the next batch waits a moment for as many requests as
there were last (`gather`), so that the first of them is not computed alone. A request that comes alone does not wait.
Texts are annotated in a memory zone of spaCy, without which the vocabulary would grow with every new word: Docs do not
leave the thread, only what is made of them.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc

from ..errors import LukeError
from ..scale.memory import release_memory
from ..scale.rows import Row
from ..scale.worker import annotate_rows
from .settings import Settings

MAX_RETRY = 60  # seconds
RELEASE_AFTER = 256  # texts after which memory that was freed is given back, and
IDLE = 1.0  # seconds without a request
_MEMORY = 0.8  # share of the past in the mean time of a text


class Busy(LukeError):
    """There is too much to do (L196). retry_after: seconds in which it should be done."""

    def __init__(self, retry_after: int, **values: Any):
        super().__init__("L196", seconds=retry_after, **values)
        self.retry_after = retry_after


@dataclass(eq=False)
class Job:
    """The texts of a request.

    make: the Docs of `rows` to results, called in the thread of the model.
    components: names of those that run, in any order.
    future: of the results; cancelled if nobody waits for them any more.
    """

    rows: Sequence[Row]
    make: Callable[[Sequence[Doc]], Any]
    components: frozenset[str]
    future: Future[Any] = field(default_factory=Future)
    characters: int = 0

    def __post_init__(self) -> None:
        self.characters = sum(len(row.text) + sum(map(len, row.questions or ())) for row in self.rows)


@dataclass
class Counts:
    """What the thread has done. batches: sizes of the batches, in texts -> how many there were."""

    texts: int = 0
    words: int = 0
    characters: int = 0
    failed: int = 0
    abandoned: int = 0
    batches: dict[int, int] = field(default_factory=dict)


class Batcher:
    """Annotates what is submitted, in the order in which it comes, in batches."""

    def __init__(self, nlp: Language, settings: Settings):
        self.components = tuple(nlp.pipe_names)
        self.counts = Counts()
        self._nlp = nlp
        self._settings = settings
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._texts = 0  # of the jobs that wait
        self._running = 0  # texts that are being annotated
        self._expected = 0  # jobs that the next batch waits for
        self._seconds = 0.0  # for a text, the mean of the last ones
        self._closed = False
        # With the context of who made the pipeline, which has the device that its weights are on.
        work = partial(copy_context().run, self._work)
        self._thread = threading.Thread(target=work, name="model", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread, once all that waits is done."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive() and not self._closed

    @property
    def waiting(self) -> int:
        """Texts that wait."""
        return self._texts

    @property
    def running(self) -> int:
        """Texts that are being annotated."""
        return self._running

    def submit(self, job: Job) -> None:
        """Let a job wait; `Busy` (L196) if too many texts do."""
        with self._changed:
            if self._closed or self._texts + len(job.rows) > self._settings.max_waiting:
                seconds = math.ceil(self._seconds * (self._texts + self._running))
                reason = f"{self._texts} texts wait, and {self._settings.max_waiting} may"
                raise Busy(min(max(1, seconds), MAX_RETRY), reason=reason)
            self._waiting.append(job)
            self._texts += len(job.rows)
            self._changed.notify()

    async def results(self, job: Job) -> Any:
        """Submit a job and wait for what is made of its Docs. L196 if too much waits, L198 if it takes too long, and
        what `make` raises. A caller that is cancelled leaves the job undone, if it has not been started.
        """
        self.submit(job)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(job.future), self._settings.timeout)
        except asyncio.TimeoutError:
            raise LukeError("L198", what="To annotate the request", seconds=self._settings.timeout) from None

    def _work(self) -> None:
        since_release = 0
        while True:
            if since_release >= RELEASE_AFTER or (since_release and self._is_idle()):
                release_memory()
                since_release = 0
            if not (batch := self._take()):
                return
            started = time.perf_counter()
            count = sum(len(job.rows) for job in batch)
            try:
                self._annotate(batch)
            except BaseException as error:  # nothing may end the thread, or leave a job without an answer
                for job in batch:
                    _fail(job, error)
            seconds = (time.perf_counter() - started) / max(1, count)
            self._seconds = _MEMORY * self._seconds + (1 - _MEMORY) * seconds if self._seconds else seconds
            self._running = 0
            since_release += count

    def _is_idle(self) -> bool:
        """Whether no request comes for a while."""
        with self._changed:
            return not self._changed.wait_for(lambda: self._waiting or self._closed, IDLE)

    def _take(self) -> list[Job]:
        """The next jobs that share their components; [] at the end."""
        batch: list[Job] = []
        texts = characters = 0
        with self._changed:
            while not batch:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return []
                self._gather()
                first = self._waiting[0].components
                while self._waiting and self._waiting[0].components == first:
                    full = texts >= self._settings.batch_texts or characters >= self._settings.batch_characters
                    if batch and full:
                        break
                    job = self._waiting.popleft()
                    self._texts -= len(job.rows)
                    if not job.future.set_running_or_notify_cancel():
                        self.counts.abandoned += 1
                        continue
                    batch.append(job)
                    texts += len(job.rows)
                    characters += job.characters
            self._running = texts
        return batch

    def _gather(self) -> None:
        """Wait for as many jobs as there were last, if they come soon."""
        end = time.perf_counter() + self._settings.gather
        while len(self._waiting) < min(self._expected, self._settings.batch_texts) and not self._closed:
            if (left := end - time.perf_counter()) <= 0:
                break
            self._changed.wait(left)

    def _annotate(self, batch: Sequence[Job]) -> None:
        rows = [row for job in batch for row in job.rows]
        disabled = [name for name in self.components if name not in batch[0].components]
        counts = self.counts
        counts.batches[len(rows)] = counts.batches.get(len(rows), 0) + 1
        with self._nlp.memory_zone(), self._nlp.select_pipes(disable=disabled):
            results = iter([result for _, result in annotate_rows(self._nlp, rows)])
            self._expected = len(batch) + len(self._waiting)  # before the first is answered and may ask again
            for job in batch:
                found = [next(results) for _ in job.rows]
                try:
                    value = job.make([_checked(doc, number) for number, doc in enumerate(found, start=1)])
                except BaseException as error:
                    counts.failed += len(found)
                    _fail(job, error)
                else:
                    counts.texts += len(found)
                    counts.words += sum(map(len, found))
                    counts.characters += job.characters
                    job.future.set_result(value)


def _checked(doc: Doc | str, number: int) -> Doc:
    """A Doc; L199 for the error that there is instead."""
    if isinstance(doc, str):
        raise LukeError("L199", number=number, reason=doc)
    return doc


def _fail(job: Job, error: BaseException) -> None:
    with suppress(Exception):  # it has its answer
        job.future.set_exception(error)
