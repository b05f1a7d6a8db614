"""Rows of a corpus: files -> parts, which the first process reads; parts -> rows, which a worker annotates."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc, DocBin

from ..annotations.questions import set_questions
from ..annotations.results import KEYS
from ..converters.docbin import naming_bad_docbins, open_docbin
from ..converters.files import read_chunks
from ..converters.records import Record, parse_json
from ..errors import LukeError
from .inputs import DOCBIN, JSON_LINES, LINES, PARQUET, Input

# Bytes of text in a part: what is lost when a worker dies, and is read at once.
PART_SIZE = 2**19
LINE = "line"  # the only column of a text file, beside the text itself
_BOM = b"\xef\xbb\xbf"
_LISTS_OF_DOCBIN = ("tokens", "spaces", "cats", "span_groups", "flags", "user_data")
# Characters of a token with what is between it and the next one, about.
_TOKEN_SIZE = 6


@dataclass(frozen=True)
class Columns:
    """The names of columns.

    text: the text. ids: kept beside the results; L080 for the name of a result, and for one that is there twice.
    questions: a question or a list of them; None = there are none.
    """

    text: str = "text"
    ids: tuple[str, ...] = ()
    questions: str | None = None

    def __post_init__(self) -> None:
        for name in self.ids:
            if name in KEYS or self.ids.count(name) > 1:
                wanted = f"a column once, and not the name of a result: {', '.join(KEYS)}"
                raise LukeError("L080", argument="id", value=name, wanted=wanted)

    def options(self) -> Iterator[tuple[str, str]]:
        """Each column with the option of the command that names it."""
        yield self.text, "--text"
        yield from ((name, "--id") for name in self.ids)
        if self.questions is not None:
            yield self.questions, "--questions"


@dataclass(frozen=True)
class Part:
    """Some rows of a file, as they are in it.

    number: of the part, from 0. first: number of its first row in the file, from 1.
    size: bytes of the file that were read for it.
    rows: a list of lines (bytes), a table of Arrow, or a DocBin; each has a length.
    """

    number: int
    first: int
    size: int
    rows: Any

    @property
    def span(self) -> str:
        """The rows, for messages."""
        return f"{self.first} to {self.first + len(self.rows) - 1}"


@dataclass(frozen=True)
class Row:
    """A text to annotate.

    number: in the file, from 1; in JSON lines and text files that of the line.
    source: the text, or a Doc, which stays as it is.
    ids: values to keep, by column.
    """

    number: int
    source: str | Doc
    ids: dict[str, Any] = field(default_factory=dict)
    questions: Sequence[str] | None = None

    def make_doc(self, nlp: Language) -> Doc:
        """A Doc to annotate."""
        doc = self.source.copy() if isinstance(self.source, Doc) else nlp.make_doc(self.source)
        if self.questions is not None:
            set_questions(doc, self.questions)
        return doc

    @property
    def text(self) -> str:
        return self.source.text if isinstance(self.source, Doc) else self.source


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be read. text: what there is of it."""

    number: int
    text: str
    error: str
    ids: dict[str, Any] = field(default_factory=dict)


def read_parts(source: Input, columns: Columns, size: int = PART_SIZE) -> Iterator[Part]:
    """The parts of a file, which are the same each time.

    size: bytes of text in a part, at least, but for the last.

    L167 if the first row lacks a column; L060, L106 or L174 if the file cannot be read.
    """
    return _PART_READERS[source.kind](source.path, columns, size)


def read_rows(source: Input, columns: Columns, part: Part, nlp: Language) -> Iterator[Row | BadRow]:
    """The rows of a part. Empty lines are none.

    nlp: whose vocabulary Docs get.
    """
    return _ROW_READERS[source.kind](source.path, columns, part, nlp)


# Lines


def _line_parts(path: Path, size: int, check: Callable[[bytes], None]) -> Iterator[Part]:
    """check: raises what is wrong with the first line that is not empty."""
    position = read = 0

    def on_read(count: int) -> None:
        nonlocal position
        position = count

    number, first, held, lines, checked = 0, 1, 0, list[bytes](), False
    for line in _lines(path, on_read):
        if not checked and line.strip():
            check(line)
            checked = True
        lines.append(line)
        held += len(line) + 1
        if held >= size:
            yield Part(number, first, position - read, lines)
            number, first, held, lines, read = number + 1, first + len(lines), 0, [], position
    if lines:
        yield Part(number, first, position - read, lines)


def _lines(path: Path, on_read: Callable[[int], None]) -> Iterator[bytes]:
    """The lines of a file, without the line feeds that end them and the mark of UTF-8 before the first."""
    begun: list[bytes] = []
    mark = _BOM
    for chunk in read_chunks(path, on_read):
        first, *more = chunk.removeprefix(mark).split(b"\n")
        mark = b""
        begun.append(first)
        if more:
            yield b"".join(begun)
            yield from more[:-1]
            begun = [more[-1]]
    if last := b"".join(begun):
        yield last


def _text_parts(path: Path, columns: Columns, size: int) -> Iterator[Part]:
    for name, option in columns.options():
        if option != "--text" and name != LINE:
            raise LukeError("L167", path=path, column=name, option=option, known=LINE)
    return _line_parts(path, size, lambda line: None)


def _json_parts(path: Path, columns: Columns, size: int) -> Iterator[Part]:
    def check(line: bytes) -> None:
        try:
            values = parse_json(path, line.decode("utf8"), 1)
        except UnicodeDecodeError as error:
            raise _not_utf8(path, 1, error) from None
        if not isinstance(values, dict):
            raise LukeError("L060", path=path, line=1, reason="it is not an object: every line has to be one")
        _check_columns(path, columns, list(values))

    return _line_parts(path, size, check)


def _check_columns(path: Path, columns: Columns, known: Sequence[str]) -> None:
    for name, option in columns.options():
        if name not in known:
            raise LukeError("L167", path=path, column=name, option=option, known=", ".join(map(repr, known)) or "none")


def _line_rows(path: Path, columns: Columns, part: Part, nlp: Language) -> Iterator[Row | BadRow]:
    for number, line in _decoded(path, part):
        if isinstance(line, BadRow):
            yield line
        else:
            yield Row(number, line.removesuffix("\r"), dict.fromkeys(columns.ids, number))


def _json_rows(path: Path, columns: Columns, part: Part, nlp: Language) -> Iterator[Row | BadRow]:
    for number, line in _decoded(path, part):
        if isinstance(line, BadRow):
            yield line
            continue
        try:
            values = parse_json(path, line, number)
        except LukeError as error:
            yield BadRow(number, line, str(error))
        else:
            yield record_row(Record(path, f"line {number}", values), number, columns)


def _decoded(path: Path, part: Part) -> Iterator[tuple[int, str | BadRow]]:
    """Numbers and texts of the lines that are not empty."""
    for number, line in enumerate(part.rows, start=part.first):
        if not line.strip():
            continue
        try:
            yield number, line.decode("utf8")
        except UnicodeDecodeError as error:
            bad = _not_utf8(path, number, error)
            yield number, BadRow(number, line.decode("utf8", "replace"), str(bad))


def _not_utf8(path: Path, line: int, error: UnicodeDecodeError) -> LukeError:
    return LukeError("L060", path=path, line=line, reason=f"not UTF-8 ({error.reason})")


def record_row(record: Record, number: int, columns: Columns) -> Row | BadRow:
    """The row that the values of columns are."""
    values = record.values
    if not isinstance(values, dict):
        error = LukeError("L064", path=record.path, place=record.place, reason="it is not an object")
        return BadRow(number, str(values), str(error))
    ids = {name: values.get(name) for name in columns.ids}
    try:
        return Row(number, record.get(columns.text, str), ids, _questions(record, columns.questions))
    except LukeError as error:
        return BadRow(number, str(values.get(columns.text, "")), str(error), ids)


def _questions(record: Record, column: str | None) -> list[str] | None:
    """One question may stand alone. A row without any is as one whose list is empty."""
    if column is None:
        return None
    value = record.values.get(column)
    if value is None:
        return []
    questions = [value] if isinstance(value, str) else value
    if not isinstance(questions, list) or not all(isinstance(question, str) for question in questions):
        record.fail(f"{column!r} is neither a question nor a list of questions")
    return questions


# Parquet


def _parquet_parts(path: Path, columns: Columns, size: int) -> Iterator[Part]:
    from .parquet import read_tables

    names = list(dict.fromkeys(name for name, _ in columns.options()))
    tables = read_tables(path, names, columns.text, size, lambda known: _check_columns(path, columns, known))
    number, first = 0, 1
    for table, read in tables:
        yield Part(number, first, read, table)
        number, first = number + 1, first + len(table)


def _parquet_rows(path: Path, columns: Columns, part: Part, nlp: Language) -> Iterator[Row | BadRow]:
    for number, values in enumerate(part.rows.to_pylist(), start=part.first):
        yield record_row(Record(path, f"row {number}", values), number, columns)


# DocBins


def _docbin_parts(path: Path, columns: Columns, size: int) -> Iterator[Part]:
    for name, option in columns.options():
        if option != "--text":
            raise LukeError("L167", path=path, column=name, option=option, known="Docs, which have no columns")
    docs = open_docbin(path)
    with naming_bad_docbins(path):
        lengths = [_TOKEN_SIZE * len(tokens) for tokens in docs.tokens]
    share = path.stat().st_size / max(len(lengths), 1)
    start = held = 0
    number = 0
    for stop, length in enumerate(lengths, start=1):
        held += length
        if held >= size or stop == len(lengths):
            yield Part(number, start + 1, round(share * stop) - round(share * start), _slice(docs, start, stop))
            number, start, held = number + 1, stop, 0


def _slice(docs: DocBin, start: int, stop: int) -> DocBin:
    """Some of the Docs. To make Docs and put them into another DocBin would take much longer."""
    some = copy.copy(docs)
    for name in _LISTS_OF_DOCBIN:
        setattr(some, name, getattr(docs, name)[start:stop])
    return some


def _docbin_rows(path: Path, columns: Columns, part: Part, nlp: Language) -> Iterator[Row | BadRow]:
    with naming_bad_docbins(path):
        for number, doc in enumerate(part.rows.get_docs(nlp.vocab), start=part.first):
            yield Row(number, doc)


_PART_READERS: dict[str, Callable[[Path, Columns, int], Iterator[Part]]] = {
    LINES: _text_parts,
    JSON_LINES: _json_parts,
    PARQUET: _parquet_parts,
    DOCBIN: _docbin_parts,
}
_ROW_READERS: dict[str, Callable[[Path, Columns, Part, Language], Iterator[Row | BadRow]]] = {
    LINES: _line_rows,
    JSON_LINES: _json_rows,
    PARQUET: _parquet_rows,
    DOCBIN: _docbin_rows,
}
