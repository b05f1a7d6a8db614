"""Column files: lines -> documents of sentences of rows, and which column is the token and which the tag."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from ..errors import LukeError
from ..tags import is_tag
from .files import read_chunks
from .report import ConversionReport

NEWDOC = re.compile(r"#\s*newdoc\b")
TEXT = re.compile(r"#\s*text\s*=\s*(.*)")
FIELDS = re.compile(r"#\s*global\.Entity\s*=\s*(.*)")
# CoNLL-U's lines for a multi-word token ("3-4") and an empty node ("3.1"), between the numbered tokens.
NO_TOKEN = re.compile(r"\d+[-.]\d+")
CONLLU_COLUMNS = 10
DOCSTART = "-DOCSTART-"
# The phrase types of CoNLL-2000: a chunk column of CoNLL-2003 is written like entity tags, but is none.
CHUNKS = frozenset({"NP", "VP", "PP", "ADVP", "ADJP", "SBAR", "PRT", "CONJP", "INTJ", "LST", "UCP"})
# A column is what most of its cells are, so that a stray cell does not hide it.
MOST = 0.5
MOST_INDICES = 0.9


@dataclass(kw_only=True)
class Row:
    line: int  # counted from 1, as editors do
    cells: list[str]


@dataclass(kw_only=True)
class Sentence:
    rows: list[Row] = field(default_factory=list)
    text: str = ""  # of the '# text' line
    text_line: int = 0


@dataclass(kw_only=True)
class Table:
    """A file's sentences, grouped by the document marks in it."""

    documents: list[list[Sentence]]
    has_marks: bool  # '-DOCSTART-' or '# newdoc' was seen; without them there is one group
    comments: int
    split_lines: list[int] = field(default_factory=list)  # that had blanks where the file has tabs
    entity_fields: list[str] = field(default_factory=list)  # of a '# global.Entity' line

    @property
    def sentences(self) -> list[Sentence]:
        return [sentence for document in self.documents for sentence in document]

    def start_report(self, path: Path) -> ConversionReport:
        report = ConversionReport(comments=self.comments)
        for line in self.split_lines:
            report.split_lines.add(f"{path.name}:{line}")
        return report

    def sentences_per_doc(self, wanted: int | None) -> int:
        """0 for whole documents. None: these where the file marks documents, else single sentences."""
        return wanted if wanted is not None else 0 if self.has_marks else 1


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file, or of one in a .gz or .bz2. Only a line feed ends a line, so that a token may hold any
    other character."""
    data = b"".join(read_chunks(path))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise LukeError("L060", path=path, line=line, reason=f"not UTF-8 ({error.reason}); save it as UTF-8") from None
    return [line.rstrip("\r") for line in text.split("\n")]


def read_table(path: Path) -> Table:
    """Split the file into cells, sentences and documents."""
    lines = read_lines(path)
    plain = [line for line in lines if line.strip() and not line.startswith(("#", DOCSTART))]
    split = split_tabs if 2 * sum("\t" in line for line in plain) > len(plain) else split_spaces
    width = Counter(len(split(line)) for line in plain).most_common(1)[0][0] if plain else 0

    table = Table(documents=[[]], has_marks=False, comments=0)
    sentence = Sentence()

    def end_sentence() -> None:
        nonlocal sentence
        if sentence.rows:
            table.documents[-1].append(sentence)
        sentence = Sentence()

    for number, line in enumerate(lines, start=1):
        cells = split(line)
        if not line.strip():
            end_sentence()
        elif line.startswith(DOCSTART) or (NEWDOC.match(line) and not is_row(cells, width, split)):
            end_sentence()
            table.documents.append([])
            table.has_marks = True
        elif line.startswith("#") and not is_row(cells, width, split):
            table.comments += 1
            if found := TEXT.match(line):
                sentence.text, sentence.text_line = found[1].strip(), number
            elif found := FIELDS.match(line):
                table.entity_fields = found[1].strip().split("-")
        else:
            if split is split_tabs and (repaired := split_again(line, cells, width)):
                cells = repaired
                table.split_lines.append(number)
            sentence.rows.append(Row(line=number, cells=cells))
    end_sentence()
    table.documents = [document for document in table.documents if document]
    return table


def split_tabs(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("\t")]


def split_spaces(line: str) -> list[str]:
    return re.split(r"[ \t]+", line.strip(" \t"))


def split_again(line: str, cells: Sequence[str], width: int) -> list[str] | None:
    """The cells of a line that has blanks for some of its tabs ("Paro I-PER"); None for any other line.

    It then has the file's number of columns, and a tag or all columns of CoNLL-U: "New York" lacks its tag.
    """
    if len(cells) == width:
        return None
    found = split_spaces(line)
    return found if len(found) == width and (any(map(is_tag, found[1:])) or width >= CONLLU_COLUMNS) else None


def is_row(cells: Sequence[str], width: int, split: Callable[[str], list[str]]) -> bool:
    """Whether a line that starts with '#' holds a token ("#", "#nlproc"), not a comment.

    It then has the file's number of columns; between spaces, where a comment may have as many words, also a tag.
    """
    return len(cells) == width > 1 and (split is split_tabs or any(map(is_tag, cells[1:])))


def find_columns(path: Path, table: Table, *, token: int | None, tag: int | None) -> tuple[int, int]:
    """0-based token and tag columns, from 1-based numbers (negative: from the right) or, if None, from the cells."""
    rows = [row for sentence in table.sentences for row in sentence.rows]
    first = rows[0].line if rows else 1
    width = Counter(len(row.cells) for row in rows).most_common(1)[0][0] if rows else 0
    for name, number in (("token", token), ("tag", tag)):
        if number is not None and not 1 <= abs(number) <= width:
            reason = f"there is no {name} column {number}; the file has {width}, counted from 1"
            raise LukeError("L060", path=path, line=first, reason=reason)
    columns = [[row.cells[index] for row in rows if index < len(row.cells)] for index in range(width)]
    tag_index = find_tags(columns) if tag is None else index_of(tag, width)
    if tag_index is None:
        reason = "no column holds tags such as O, B-PER and I-PER; name it with tag_column (--tag-column)"
        raise LukeError("L060", path=path, line=first, reason=reason)
    if token is not None:
        return index_of(token, width), tag_index
    for index in range(width):
        if index != tag_index and not is_index_column(table.sentences, index):
            return index, tag_index
    reason = "no column holds tokens; name it with token_column (--token-column)"
    raise LukeError("L060", path=path, line=first, reason=reason)


def index_of(number: int, width: int) -> int:
    return number - 1 if number > 0 else width + number


def find_tags(columns: Sequence[Sequence[str]]) -> int | None:
    """The first column of tags that names an entity, else the first of O only; chunk tags do not count."""
    candidates = tag_columns(columns)
    return min(candidates)[1] if candidates else None


def find_tag_columns(table: Table) -> list[int]:
    """All 0-based columns of tags."""
    rows = [row for sentence in table.sentences for row in sentence.rows]
    width = max((len(row.cells) for row in rows), default=0)
    columns = [[row.cells[index] for row in rows if index < len(row.cells)] for index in range(width)]
    return [index for _, index in tag_columns(columns)]


def tag_columns(columns: Sequence[Sequence[str]]) -> list[tuple[bool, int]]:
    """Columns of tags, each with whether it names no entity; chunk tags do not count."""
    candidates: list[tuple[bool, int]] = []
    for index, cells in enumerate(columns):
        tags = [cell for cell in cells if is_tag(cell)]
        labels = {tag.partition("-")[2] for tag in tags} - {""}
        if len(tags) > MOST * len(cells) and not (labels and labels <= CHUNKS):
            candidates.append((not labels, index))
    return candidates


def is_index_column(sentences: Sequence[Sentence], index: int) -> bool:
    """Whether the column counts the tokens of each sentence, from any start: 0 1 2 …"""
    steps = right = 0
    for sentence in sentences:
        cells = [row.cells[index] if index < len(row.cells) else "" for row in sentence.rows]
        numbers = [read_number(cell) for cell in cells if not NO_TOKEN.fullmatch(cell)]
        if not numbers or numbers[0] is None:
            return False
        for before, after in pairwise(numbers):
            steps += 1
            right += before is not None and after == before + 1
    return right >= MOST_INDICES * steps


def read_number(cell: str) -> int | None:
    """A number of at most nine digits; None for anything else. Python refuses to read very long ones."""
    return int(cell) if len(cell) < 10 and cell.isdecimal() else None
