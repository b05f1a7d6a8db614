"""QAMR: questions on single sentences, with answers by their tokens.

Corpus: https://github.com/uwnlp/qamr (Michael et al. 2018), the README of its data. Columns of the questions, separated
by tabulators: sentence id, indices of the key words, annotator, number of the question, index of its key word,
question, indices of the answer, and two answers of validators as `annotator:indices`. The sentences are in another
file, `wiki-sentences.tsv`: id and tokens, separated by spaces.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from spacy.tokens import Doc
from spacy.vocab import Vocab

from ..annotations import Answer
from ..errors import LukeError
from ..progress import track
from .columns import read_lines, read_number
from .questions import Asked, write_questions
from .report import ConversionReport
from .texts import mark_one_sentence
from .words import Spaces, find_spaces, plain_word

SENTENCES = "wiki-sentences.tsv"
COLUMNS = 9
QUESTION, ANSWER, VALIDATORS = 5, 6, slice(7, 9)
# Most tokens that an answer may leave out within itself to become one span with them: a quotation mark, "the … and …".
MAX_GAP = 2

# Line number and cells
Line = tuple[int, list[str]]


def read_qamr(
    path: str | Path,
    *,
    sentences: str | Path | None = None,
    spaces: Spaces = "text",
    vocab: Vocab | None = None,
) -> tuple[list[Doc], ConversionReport]:
    """QAMR (tab-separated): sentences with questions, and wiki-sentences.tsv beside it.

    A Doc is a sentence with all its questions; the answers of the annotator and of the validators are alternatives.
    `doc.user_data["id"]` is the id of the sentence.

    An answer may be tokens that are not next to each other, but an Answer is one span: if it leaves out at most two
    tokens between its first and its last one, it is all from the first to the last; otherwise the longest part of it
    without a gap, the first of several.

    sentences: File with the sentences, by default wiki-sentences.tsv beside the questions.
    spaces: "text" = spaces between tokens are guessed as in English text; "all" = there is one after every token.
    vocab: Vocabulary of the Docs, by default a new one.
    """
    path = Path(path)
    vocab = Vocab() if vocab is None else vocab
    report = ConversionReport(files=[f"{path}: QAMR"])
    groups: dict[str, list[Line]] = {}
    for number, line in enumerate(read_lines(path), start=1):
        cells = line.split("\t")
        if line.strip() and len(cells) != COLUMNS:
            reason = f"{len(cells)} columns, not the {COLUMNS} of a question of QAMR"
            raise LukeError("L060", path=path, line=number, reason=reason)
        if line.strip():
            groups.setdefault(cells[0], []).append((number, cells))
    if not groups:
        raise LukeError("L060", path=path, line=1, reason="the file is empty")
    texts = read_sentences(path, Path(sentences) if sentences is not None else path.with_name(SENTENCES))
    docs = [
        make_doc(path, name, lines, texts, spaces, vocab, report)
        for name, lines in track(groups.items(), path.name, "Docs")
    ]
    report.count(docs)
    return docs, report


def read_sentences(path: Path, source: Path) -> dict[str, list[str]]:
    if not source.is_file():
        raise LukeError("L065", path=path, what="the questions", needed=source, option="sentences (--sentences)")
    texts: dict[str, list[str]] = {}
    for number, line in enumerate(read_lines(source), start=1):
        name, tab, text = line.partition("\t")
        if not tab and line.strip():
            raise LukeError("L060", path=source, line=number, reason="not a sentence's id, a tabulator and its tokens")
        words = text.split()
        if texts.setdefault(name, words) != words:
            raise LukeError("L060", path=source, line=number, reason=f"another sentence has the id {name!r}, too")
    return texts


def make_doc(
    path: Path,
    name: str,
    lines: Iterable[Line],
    texts: Mapping[str, list[str]],
    spaces: Spaces,
    vocab: Vocab,
    report: ConversionReport,
) -> Doc:
    doc: Doc | None = None
    asked: list[Asked] = []
    for number, cells in lines:
        if not texts.get(name):
            raise LukeError("L060", path=path, line=number, reason=f"no sentence {name!r} in the file of sentences")
        if doc is None:
            words = texts[name]
            doc = Doc(vocab, words=[plain_word(word) for word in words], spaces=find_spaces(words, spaces))
        question = cells[QUESTION].strip()
        place = f"{path.name}:{number}"
        answers = []
        for indices in (cells[ANSWER], *(cell.partition(":")[2] for cell in cells[VALIDATORS])):
            numbers = read_indices(indices, len(doc))
            if numbers is None:
                reason = f"{indices!r} is not indices of the {len(doc)} tokens of the sentence"
                raise LukeError("L060", path=path, line=number, reason=reason)
            start, end = one_range(numbers, report, place)
            answers.append(Answer(question, doc[start:end]))
        asked.append((question, answers, place))
    assert doc is not None
    doc.user_data["id"] = name
    write_questions(doc, asked, report)
    return mark_one_sentence(doc)


def read_indices(text: str, length: int) -> list[int] | None:
    """`"8 9"` -> `[8, 9]`; None if that is not ascending indices of tokens."""
    read = [read_number(part) for part in text.split()]
    numbers = sorted({number for number in read if number is not None})
    return numbers if numbers and None not in read and numbers[-1] < length else None


def one_range(numbers: Sequence[int], report: ConversionReport, place: str) -> tuple[int, int]:
    """Half-open range of tokens for ascending indices; see `read_qamr`.

    `[3, 4, 6]` -> `(3, 7)`; `[3, 9, 10]` -> `(9, 11)`
    """
    start, end = numbers[0], numbers[-1] + 1
    if end - start == len(numbers):
        return start, end
    if end - start - len(numbers) <= MAX_GAP:
        report.filled_answers.add(place)
        return start, end
    report.cut_answers.add(place)
    parts: list[list[int]] = [[numbers[0]]]
    for number in numbers[1:]:
        if number != parts[-1][-1] + 1:
            parts.append([])
        parts[-1].append(number)
    longest = max(parts, key=len)
    return longest[0], longest[-1] + 1
