"""SQuAD: paragraphs with questions, and answers by their characters.

Format: https://rajpurkar.github.io/SQuAD-explorer/ (Rajpurkar et al. 2016, 2018), version 1.1 and 2.0:

    {"version": "v2.0", "data": [{"title": "…", "paragraphs": [{"context": "…", "qas": [
        {"id": "…", "question": "…", "is_impossible": false, "answers": [{"text": "…", "answer_start": 0}]}]}]}]}
"""

from __future__ import annotations

from pathlib import Path

from spacy.tokens import Doc
from spacy.vocab import Vocab

from ..annotations import Answer
from ..errors import LukeError
from .questions import Asked, write_questions
from .records import Record, read_object
from .report import ConversionReport
from .texts import TextTokenizer


def read_squad(path: str | Path, *, vocab: Vocab | None = None) -> tuple[list[Doc], ConversionReport]:
    """SQuAD 1.1 and 2.0 (JSON): paragraphs with questions and their answers.

    A Doc is a paragraph, without sentence boundaries. Several answers to a question are alternatives; a question that
    the paragraph does not answer (`is_impossible`) has an Answer without a span. `doc.user_data["title"]` is the title
    of the article, and `doc.user_data["question_ids"]` a dict of the tuple of ids of each question.

    vocab: Vocabulary of the Docs, by default a new one.
    """
    path = Path(path)
    tokenizer = TextTokenizer(vocab)
    report = ConversionReport(files=[f"{path}: SQuAD"])
    docs = [
        make_doc(article.get("title", str, ""), paragraph, tokenizer, report)
        for article in read_object(path).inner("data")
        for paragraph in article.inner("paragraphs")
    ]
    if not docs:
        raise LukeError("L060", path=path, line=1, reason="there is no paragraph in 'data'")
    report.count(docs)
    return docs, report


def make_doc(title: str, paragraph: Record, tokenizer: TextTokenizer, report: ConversionReport) -> Doc:
    doc = tokenizer(paragraph.get("context", str))
    doc.user_data["title"] = title
    asked: list[Asked] = []
    ids: dict[str, list[str]] = {}
    for record in paragraph.inner("qas"):
        question = record.get("question", str).strip()
        answers = read_answers(doc, question, record, report)
        if answers is None:
            report.lost_questions.add(record.short)
            continue
        ids.setdefault(question, []).append(str(record.get("id", str | int, "")))
        asked.append((question, answers, record.short))
    doc.user_data["question_ids"] = {question: tuple(found) for question, found in ids.items()}
    write_questions(doc, asked, report)
    return doc


def read_answers(doc: Doc, question: str, record: Record, report: ConversionReport) -> list[Answer] | None:
    """The answers to a question: one of None if it is impossible, none if the file has none; None if all are lost."""
    if record.get("is_impossible", bool, False):
        return [Answer(question, None)]
    given = record.inner("answers") if "answers" in record.values else []
    found = [answer for item in given if (answer := read_answer(doc, question, item, report)) is not None]
    return found if found or not given else None


def read_answer(doc: Doc, question: str, record: Record, report: ConversionReport) -> Answer | None:
    written = record.get("text", str)
    text = written.strip()
    start = record.get("answer_start", int) + len(written) - len(written.lstrip())
    if not text:
        report.lost_answers.add(record.short)
        return None
    if start < 0 or not doc.text.startswith(text, start):
        start = doc.text.find(text)
        if start < 0 or doc.text.find(text, start + 1) >= 0:
            report.lost_answers.add(f"{record.short} {text!r}")
            return None
        report.moved_answers.add(f"{record.short} {text!r}")
    span = doc.char_span(start, start + len(text), alignment_mode="expand")
    return Answer(question, span, text, start_char=start)
