"""Annotation of files by several processes, which goes on after a stop where it was."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..checks import require_at_least, require_one_of
from ..errors import LukeError
from .folder import Folder
from .inputs import FORMATS, JSON_LINES, PARQUET, WHOLE, Input, Shard, find_inputs, not_annotated
from .pool import MAX_DEATHS, DiedEarly, Done, GivenUp, Pool
from .rows import PART_SIZE, Columns, read_parts
from .worker import AnnotatePart, Annotator, Counts, JoinParts


@dataclass
class Progress:
    """How far a run is. size: bytes of its inputs that it has annotated, of `total`. words: in them."""

    total: int = 0
    size: int = 0
    words: int = 0


OnProgress = Callable[[Progress], None]


class Workers(Protocol):
    """Do tasks and replace workers that die: see `Pool`. deaths: of workers that were replaced."""

    deaths: int

    def run(self, take: Callable[[], AnnotatePart | JoinParts | None]) -> Iterator[Done | GivenUp]: ...


class Engine(Protocol):
    """Has so many workers, at most."""

    def __call__(self, count: int, annotator: Annotator, /) -> Workers: ...


@dataclass
class Summary:
    """What a run did.

    inputs: of this run's shard. written, present: those that it wrote the results of, and that had some before.
    errors: of inputs that have no results.
    texts, words, failed: those that were annotated by this run, their tokens, and rows that have no results.
    deaths: of workers that were replaced.
    """

    inputs: int = 0
    written: int = 0
    present: int = 0
    errors: list[LukeError] = field(default_factory=list)
    texts: int = 0
    words: int = 0
    failed: int = 0
    deaths: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        lines = [f"{self.written} of {self.inputs} inputs written, {self.present} had been there."]
        rate = f" in {self.seconds:,.0f} s: {self.words / self.seconds:,.0f} words/s" if self.seconds else ""
        lines.append(f"{self.texts:,} texts, {self.words:,} words{rate}.")
        if self.failed:
            lines.append(f"{self.failed:,} rows have no results; the files that end in .failed say why.")
        if self.deaths:
            lines.append(f"{self.deaths} processes died and were replaced.")
        if self.errors:
            lines.append(f"{len(self.errors)} inputs could not be annotated.")
        return "\n".join(lines)


def annotate(
    model: str | Path,
    inputs: Sequence[Path],
    output: Path,
    *,
    form: str = JSON_LINES,
    text: str = "text",
    ids: Sequence[str] = (),
    questions: str | None = None,
    workers: int = 1,
    gpus: int = 0,
    shard: Shard = WHOLE,
    code: Path | None = None,
    engine: Engine | None = None,
    part_size: int = PART_SIZE,
    on_progress: OnProgress = lambda progress: None,
) -> Summary:
    """Annotate files with a pipeline, one output for each input; what is there already is not done again.

    model: folder or name of a pipeline.
    inputs: .jsonl, .txt (each also as .gz or .bz2), .parquet and .spacy files, and folders of them.
    output: folder for the results. A stop at any time leaves whole files there, and the next call goes on.
    form: "jsonl", "parquet" or "spacy".
    text, ids, questions: columns with the text, with what is kept beside the results, and with a question or a list of
        them; a text file has only "line", the number of the line.
    workers: processes, of one thread each, that load the pipeline.
    gpus: so many workers with a GPU each, in place of `workers`.
    engine: `spacy_luke.ray.pool.RayPool` has the workers on a Ray cluster; None = they are processes of this machine.
    shard: the inputs of this run, if several deal them among them.
    code: a Python file to import before the pipeline is loaded.
    part_size: bytes of text in the parts that large files are cut into.
    on_progress: called after each part.

    L165-L174 say what is wrong with inputs, folder, pipeline or processes. What is wrong with one input is in
    `Summary.errors`, and what is wrong with one text in a file beside the results, NAME.failed; the rest goes on.
    """
    require_at_least(1, workers=workers, part_size=part_size)
    require_at_least(0, gpus=gpus)
    require_one_of(FORMATS, form=form)
    columns = Columns(text, tuple(ids), questions)
    if gpus and engine is None:
        _check_gpus(gpus)
    output = Path(output)
    every = find_inputs([Path(path) for path in inputs], output, form)
    if form == PARQUET or any(one.kind == PARQUET for one in every):
        from . import parquet  # noqa: F401 (L173 if pyarrow is not there)
    folder = Folder(output, form)
    annotator = Annotator(str(model), folder, columns, code, gpus > 0)
    settings = {"model": str(model), "form": form, "text": text, "ids": list(ids), "questions": questions}
    with folder.open({**settings, "part_size": part_size}, shard):
        run = _Run(folder, columns, shard.of(every), part_size, on_progress)
        return run.execute((engine or Pool)(gpus or workers, annotator), str(model), gpus or workers)


def _check_gpus(count: int) -> None:
    import torch

    if count > torch.cuda.device_count():
        reason = f"PyTorch finds {torch.cuda.device_count()} GPUs here"
        raise LukeError("L047", setting="gpus", value=count, reason=reason)


@dataclass
class _State:
    """How far an input is. open: parts that are being annotated. count: of all parts; None = not all are read."""

    open: int = 0
    count: int | None = None
    is_given_up: bool = False


class _Run:
    """The inputs of a run, as tasks for a pool."""

    def __init__(
        self, folder: Folder, columns: Columns, inputs: Sequence[Input], part_size: int, on_progress: OnProgress
    ):
        self._folder = folder
        self._columns = columns
        self._inputs = inputs
        self._part_size = part_size
        self._on_progress = on_progress
        self._states: dict[Input, _State] = {}
        self._joins: deque[JoinParts] = deque()
        self._parts = self._read()
        self._next: AnnotatePart | None = None
        self._summary = Summary(inputs=len(inputs))
        self._progress = Progress(sum(source.size for source in inputs))

    def execute(self, pool: Workers, model: str, workers: int) -> Summary:
        """Do everything."""
        started = time.perf_counter()
        self._on_progress(self._progress)
        try:
            for outcome in pool.run(self._take):
                if isinstance(outcome, Done):
                    self._note(outcome.task, outcome.reply)
                else:
                    self._give_up(outcome.task.source, self._deadly(outcome.task, outcome.cause))
        except DiedEarly as error:
            raise LukeError("L172", deaths=MAX_DEATHS, model=model, cause=error, workers=workers) from None
        self._summary.deaths = pool.deaths
        self._summary.seconds = time.perf_counter() - started
        return self._summary

    def _take(self) -> AnnotatePart | JoinParts | None:
        """The next task: joins first, so that what is done is written."""
        if self._next is None and not self._joins:
            self._next = next(self._parts, None)  # may find out that the input before has no further part
        if self._joins:
            return self._joins.popleft()
        part, self._next = self._next, None
        return part

    def _read(self) -> Iterator[AnnotatePart]:
        """All parts that have no results."""
        for source in self._inputs:
            if self._folder.result(source).exists():
                self._summary.present += 1
                self._folder.drop_parts(source)  # of a run that was stopped just before it would have
                self._progress.total -= source.size
                continue
            self._states[source] = _State()
            try:
                yield from self._read_input(source, self._states[source])
            except LukeError as error:
                if error.code == "L029":
                    raise
                self._give_up(source, error)
            except OSError as error:
                self._give_up(source, not_annotated(source.path, error))

    def _read_input(self, source: Input, state: _State) -> Iterator[AnnotatePart]:
        self._folder.start_parts(source)
        count = 0
        for part in read_parts(source, self._columns, self._part_size):
            count += 1
            if self._folder.part(source, part.number).exists():
                self._progress.total -= part.size
                continue
            state.open += 1
            yield AnnotatePart(source, part)
            if state.is_given_up:
                return
        state.count = count
        self._join_if_done(source)

    def _note(self, task: AnnotatePart | JoinParts, reply: Counts | LukeError) -> None:
        """Take what a worker says of a task."""
        if isinstance(reply, LukeError):
            if reply.code == "L029":  # the disk may be full: nothing else can be written either
                raise reply
            self._give_up(task.source, reply)
            return
        self._summary.texts += reply.texts
        self._summary.words += reply.words
        self._summary.failed += reply.failed
        if isinstance(task, JoinParts):
            self._summary.written += 1
            return
        self._progress.size += task.part.size
        self._progress.words += reply.words
        self._on_progress(self._progress)
        self._states[task.source].open -= 1
        self._join_if_done(task.source)

    def _join_if_done(self, source: Input) -> None:
        state = self._states[source]
        if state.open == 0 and state.count is not None and not state.is_given_up:
            self._joins.append(JoinParts(source, state.count))

    def _give_up(self, source: Input, error: LukeError) -> None:
        """Leave an input without results; those of its parts stay for the next run."""
        if not self._states[source].is_given_up:
            self._states[source].is_given_up = True
            self._summary.errors.append(error)

    @staticmethod
    def _deadly(task: AnnotatePart | JoinParts, cause: str) -> LukeError:
        rows = task.part.span if isinstance(task, AnnotatePart) else "(all of them)"
        return LukeError("L171", path=task.source.path, deaths=MAX_DEATHS, cause=cause, rows=rows)
