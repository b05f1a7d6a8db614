"""The tasks of a worker: to annotate a part, and to join the results of all parts of an input."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc

from ..errors import LukeError
from ..files import new_file, write_file
from .folder import Folder
from .inputs import Input
from .memory import release_memory
from .results import WRITERS, Annotated, join_lines, write_failed
from .rows import BadRow, Columns, Part, Row, read_rows


@dataclass(frozen=True)
class AnnotatePart:
    """Annotate a part and write what came of it."""

    source: Input
    part: Part


@dataclass(frozen=True)
class JoinParts:
    """Write the output of an input, all of whose parts are annotated. count: of the parts."""

    source: Input
    count: int


@dataclass(frozen=True)
class Counts:
    """What came of a part. words: tokens of the texts that have results. failed: rows that have none."""

    texts: int = 0
    words: int = 0
    failed: int = 0


@dataclass(frozen=True)
class PartResults:
    """What came of a part, as it is written: the content of its two files. failed: empty if all rows have results."""

    results: bytes
    failed: bytes
    counts: Counts


@dataclass(frozen=True)
class Annotator:
    """Makes in each worker what does the tasks: a `pool.Setup`.

    model: folder or name of a pipeline. code: a Python file to import before.
    gpus: whether worker n computes on GPU n.
    """

    model: str
    folder: Folder
    columns: Columns
    code: Path | None = None
    gpus: bool = False

    def __call__(self, number: int) -> Callable[[Any], Counts]:
        """Load the pipeline; L170 if that cannot be done."""
        nlp = self.load(number)

        def do(task: AnnotatePart | JoinParts) -> Counts:
            return annotate_part(task, nlp, self) if isinstance(task, AnnotatePart) else join_parts(task, self)

        return do

    def load(self, number: int) -> Language:
        """The pipeline; L170 if it cannot be loaded."""
        return load_pipeline(self.model, self.code, number if self.gpus else None)


def load_pipeline(model: str, code: Path | None, gpu: int | None) -> Language:
    """A pipeline by its name or folder, in a process that has one thread from now on; L170 if it cannot be loaded.

    code: a Python file to import before.
    """
    import spacy
    import torch
    from spacy.cli._util import import_code

    # The processes share the cores: threads of each would wait for those of the others.
    torch.set_num_threads(1)
    try:
        if gpu is not None:
            spacy.require_gpu(gpu)
        import_code(code)
        return spacy.load(model)
    except BaseException as error:  # import_code ends the process for what is wrong with the file
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise LukeError("L170", model=model, reason=reason) from error


def annotate_part(task: AnnotatePart, nlp: Language, settings: Annotator) -> Counts:
    """Annotate a part and write what came of it."""
    results = part_results(task, nlp, settings)
    write_part(task, results, settings.folder)
    release_memory()
    return results.counts


def part_results(task: AnnotatePart, nlp: Language, settings: Annotator) -> PartResults:
    """Annotate a part."""
    # Without the zone, the vocabulary would grow with every new word until the memory is full.
    with nlp.memory_zone():
        annotated: list[Annotated] = []
        failed: list[BadRow] = []
        for row, result in annotate_rows(nlp, read_rows(task.source, settings.columns, task.part, nlp)):
            if isinstance(row, Row) and isinstance(result, Doc):
                annotated.append((row, result))
            else:
                failed.append(BadRow(row.number, row.text, str(result), row.ids))
        results, failures = io.BytesIO(), io.BytesIO()
        WRITERS[settings.folder.form].write(results, annotated, task.part, settings.columns)
        write_failed(failures, failed)
        counts = Counts(len(annotated), sum(len(doc) for _, doc in annotated), len(failed))
    return PartResults(results.getvalue(), failures.getvalue(), counts)


def write_part(task: AnnotatePart, results: PartResults, folder: Folder) -> None:
    """Write the results of a part, and before them the rows that have none: results there are a part that is done."""
    source, number = task.source, task.part.number
    if results.failed:
        write_file(folder.failed_part(source, number), results.failed)
    else:
        folder.failed_part(source, number).unlink(missing_ok=True)
    write_file(folder.part(source, number), results.results)


def annotate_rows(nlp: Language, rows: Iterable[Row | BadRow]) -> Iterator[tuple[Row | BadRow, Doc | str]]:
    """Each row with its annotated Doc, or with the error that there is instead, in their order.

    An error in a batch does not say which text is to blame: the texts are then annotated one by one.
    """
    rows = list(rows)
    made = [_attempt(row, lambda row: row.make_doc(nlp)) for row in rows]
    try:
        annotated = iter(list(nlp.pipe([doc for doc in made if isinstance(doc, Doc)])))
    except Exception:
        for row, doc in zip(rows, made, strict=True):
            yield row, _attempt(row, lambda row: nlp(row.make_doc(nlp))) if isinstance(doc, Doc) else doc
    else:
        for row, doc in zip(rows, made, strict=True):
            yield row, next(annotated) if isinstance(doc, Doc) else doc


def _attempt(row: Row | BadRow, make: Callable[[Row], Doc]) -> Doc | str:
    """A Doc, or what the error says that there is instead."""
    if isinstance(row, BadRow):
        return row.error
    try:
        return make(row)
    except LukeError as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def join_parts(task: JoinParts, settings: Annotator) -> Counts:
    """Write the output of an input, and before it the rows that have no results: an output there is an input that is
    done.
    """
    source, folder = task.source, settings.folder
    numbers = range(task.count)
    failed = [path for number in numbers if (path := folder.failed_part(source, number)).exists()]
    if failed:
        with new_file(folder.failed(source), folder=folder.parts(source)) as file:
            join_lines(file, failed, settings.columns)
    else:
        folder.failed(source).unlink(missing_ok=True)
    parts = [folder.part(source, number) for number in numbers]
    with new_file(folder.result(source), folder=folder.parts(source)) as file:
        WRITERS[folder.form].join(file, parts, settings.columns)
    folder.drop_parts(source)
    return Counts()
