"""SQuAD: paragraphs with questions, and answers by their characters.

Format: https://rajpurkar.github.io/SQuAD-explorer/ (Rajpurkar et al. 2016, 2018), version 1.1 and 2.0, articles or
their bare list:

    {"version": "v2.0", "data": [{"title": "…", "paragraphs": [{"context": "…", "qas": [
        {"id": "…", "question": "…", "is_impossible": false, "answers": [{"text": "…", "answer_start": 0}]}]}]}]}

and what the library datasets writes of it, a record a question, as JSON Lines, a list, or under "data":

    {"id": "…", "title": "…", "context": "…", "question": "…", "answers": {"text": ["…"], "answer_start": [0]}}
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from spacy.tokens import Doc
from spacy.vocab import Vocab

from ..annotations import Answer
from ..errors import LukeError
from ..progress import track
from .questions import Asked, write_questions
from .records import Record, read_records
from .report import ConversionReport
from .texts import TextTokenizer


@dataclass(kw_only=True)
class Paragraph:
    """A text with its questions."""

    title: str
    context: str
    questions: list[Record] = field(default_factory=list)


def read_squad(path: str | Path, *, vocab: Vocab | None = None) -> tuple[list[Doc], ConversionReport]:
    """SQuAD 1.1 and 2.0 (JSON or JSON lines): paragraphs with questions and their answers.

    A Doc is a paragraph, without sentence boundaries. Several answers to a question are alternatives; a question that
    the paragraph does not answer (`is_impossible`) has an Answer without a span; its plausible answers are not written.
    `doc.user_data["title"]` is the title
    of the article, and `doc.user_data["question_ids"]` a dict of the tuple of ids of each question.

    Records with one question each, as the library datasets writes them, are joined by title and text. Empty lists of
    answers say there that the text has none, but in a file without any answer.

    vocab: Vocabulary of the Docs, by default a new one.
    """
    path = Path(path)
    tokenizer = TextTokenizer(vocab)
    report = ConversionReport(files=[f"{path}: SQuAD"])
    paragraphs = read_paragraphs(path)
    if not paragraphs:
        raise LukeError("L060", path=path, line=1, reason="there is no paragraph in it")
    empty_is_none = any(has_columns(record, filled=True) for text in paragraphs for record in text.questions)
    docs = [make_doc(paragraph, empty_is_none, tokenizer, report) for paragraph in track(paragraphs, path.name, "Docs")]
    report.count(docs)
    return docs, report


def read_paragraphs(path: Path) -> list[Paragraph]:
    """The paragraphs of all forms of the file, in its order."""
    paragraphs: list[Paragraph] = []
    by_text: dict[tuple[str, str], Paragraph] = {}  # of records with one question
    for record in read_records(path, whole=True):
        for item in record.inner("data") if "data" in record.values else [record]:
            title = "" if item.values.get("title") is None else item.get("title", str)
            if "paragraphs" in item.values:
                paragraphs += [
                    Paragraph(title=title, context=inner.get("context", str), questions=inner.inner("qas"))
                    for inner in item.inner("paragraphs")
                ]
            elif "qas" in item.values:
                paragraphs.append(Paragraph(title=title, context=item.get("context", str), questions=item.inner("qas")))
            elif "question" in item.values:
                context = item.get("context", str)
                if (title, context) not in by_text:
                    by_text[title, context] = Paragraph(title=title, context=context)
                    paragraphs.append(by_text[title, context])
                by_text[title, context].questions.append(item)
            else:
                item.fail(
                    "it is no SQuAD: it has none of 'data' (a list of articles), 'paragraphs' (an article), 'context' "
                    "with 'qas' (a paragraph) and 'context' with 'question' (a question, as datasets writes it)"
                )
    return paragraphs


def make_doc(paragraph: Paragraph, empty_is_none: bool, tokenizer: TextTokenizer, report: ConversionReport) -> Doc:
    doc = tokenizer(paragraph.context)
    doc.user_data["title"] = paragraph.title
    asked: list[Asked] = []
    ids: dict[str, list[str]] = {}
    for record in paragraph.questions:
        question = record.get("question", str).strip()
        answers = read_answers(doc, paragraph.context, question, record, empty_is_none, report)
        if answers is None:
            report.lost_questions.add(record.short)
            continue
        ids.setdefault(question, []).append(str(record.get("id", str | int, "")))
        asked.append((question, answers, record.short))
    doc.user_data["question_ids"] = {question: tuple(found) for question, found in ids.items()}
    write_questions(doc, asked, report)
    return doc


def has_columns(record: Record, *, filled: bool) -> bool:
    """Whether the answers are columns, as datasets has them, with any in them or with none."""
    answers = record.values.get("answers")
    return isinstance(answers, dict) and bool(answers.get("text")) == filled


def read_answers(
    doc: Doc, text: str, question: str, record: Record, empty_is_none: bool, report: ConversionReport
) -> list[Answer] | None:
    """The answers to a question: one of None if it is impossible, none if the file has none; None if all are lost."""
    given = answer_records(record)
    if record.values.get("is_impossible") is not None and record.get("is_impossible", bool):
        for item in given:
            report.denied_answers.add(item.short)
        return [Answer(question, None)]
    if empty_is_none and has_columns(record, filled=False):
        return [Answer(question, None)]
    found = [answer for item in given if (answer := read_answer(doc, text, question, item, report)) is not None]
    return found if found or not given else None


def answer_records(record: Record) -> list[Record]:
    """The answers, a record each, also of columns: `{"text": ["a", "b"], "answer_start": [0, 7]}`."""
    answers = record.values.get("answers")
    if answers is None:
        return []
    if not isinstance(answers, dict):
        return record.inner("answers")
    place = f"{record.place}.answers".lstrip(".")
    columns = Record(record.path, place, answers)
    texts, starts = columns.get("text", list), columns.get("answer_start", list)
    if len(texts) != len(starts):
        columns.fail(f"there are {len(texts)} in 'text' and {len(starts)} in 'answer_start'")
    return [
        Record(record.path, f"{place}[{index}]", {"text": text, "answer_start": start})
        for index, (text, start) in enumerate(zip(texts, starts, strict=True))
    ]


def read_answer(doc: Doc, context: str, question: str, record: Record, report: ConversionReport) -> Answer | None:
    written = record.get("text", str)
    text = written.strip()
    start = record.get("answer_start", int) + len(written) - len(written.lstrip())
    if not text:
        report.lost_answers.add(record.short)
        return None
    if start < 0 or not context.startswith(text, start):
        start = context.find(text)
        if start < 0 or context.find(text, start + 1) >= 0:
            report.lost_answers.add(f"{record.short} {text!r}")
            return None
        report.moved_answers.add(f"{record.short} {text!r}")
    span = doc.char_span(start, start + len(text), alignment_mode="expand")
    return Answer(question, span, text, start_char=start)
