"""Questions: a list of strings. Answers: a list of [question, first character or -1, end, score, logit]. Both belong to
the whole Doc.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from spacy.tokens import Doc, Span

from ..errors import LukeError
from .store import ANSWERS, QUESTIONS, Characters, check_score, check_span, clear, data_of, key_of, listed, plain_number


@dataclass(frozen=True)
class Answer:
    """An answer to a question about a Doc.

    span: the tokens that the answer touches; None = the Doc does not answer the question.
    text: the answer to the character, which may be less than the tokens of `span`; default: the span's text.
    score: probability in [0, 1]; 1 for gold annotation.
    logit: start logit + end logit; NaN for gold annotation.
    start_char: character of the Doc where `text` starts; default: that of the span. -1 without an answer.
    """

    question: str
    span: Span | None
    text: str = ""
    score: float = 1.0
    logit: float = math.nan
    start_char: int = -1

    def __post_init__(self) -> None:
        if isinstance(self.span, Span):
            if not self.text:
                object.__setattr__(self, "text", self.span.text)
                object.__setattr__(self, "start_char", self.span.start_char)
            elif self.start_char < 0:
                found = self.span.doc.text.find(self.text, self.span.start_char, self.span.end_char)
                object.__setattr__(self, "start_char", found)

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain data; see `spacy_luke.to_dict`."""
        found = self.span is not None
        return {
            "question": self.question,
            "start": self.start_char if found else None,
            "end": self.start_char + len(self.text) if found else None,
            "text": self.text,
            "score": plain_number(self.score),
            "logit": plain_number(self.logit),
        }

    toDict = to_dict  # the name by which srsly asks for JSON, and with it `Doc.to_json`


def get_questions(doc: Doc) -> tuple[str, ...]:
    """The questions about a Doc; () if there are none."""
    return tuple(data_of(doc).get(key_of(QUESTIONS)) or ())


def set_questions(doc: Doc, questions: Iterable[str] | None) -> None:
    """Replace the questions about a Doc; None removes the annotation."""
    items = None if questions is None else listed(questions, "doc._.questions")
    for question in items or ():
        if not isinstance(question, str):
            raise LukeError("L070", attribute="doc._.questions", value=question, wanted="strings")
    clear(doc, QUESTIONS)
    if items is not None:
        data_of(doc)[key_of(QUESTIONS)] = items


def get_answers(doc: Doc) -> tuple[Answer, ...]:
    """The answers in a Doc, in the order of the questions, best first; () if there are none.

    Several gold answers to a question are alternatives.
    """
    answers = []
    characters = Characters(doc)
    for question, start, end, score, logit in data_of(doc).get(key_of(ANSWERS)) or ():
        if start < 0:
            answers.append(Answer(question, None, "", score, logit))
        elif (span := characters.span(start, end)) is not None:
            answers.append(Answer(question, span, doc.text[start:end], score, logit, start))
    return tuple(answers)


def set_answers(doc: Doc, answers: Iterable[Answer | tuple[Any, ...]] | None) -> None:
    """Replace the answers in a Doc; None removes the annotation.

    answers: `Answer`s, or tuples (question, span) and so on; a span of None says that the Doc has no answer.
    """
    checked = None if answers is None else [_answer(doc, item) for item in listed(answers, "doc._.answers")]
    clear(doc, ANSWERS)
    if checked is not None:
        data_of(doc)[key_of(ANSWERS)] = [
            [
                answer.question,
                answer.start_char if answer.span is not None else -1,
                answer.start_char + len(answer.text) if answer.span is not None else -1,
                float(answer.score),
                float(answer.logit),
            ]
            for answer in checked
        ]


def _answer(doc: Doc, item: Any) -> Answer:
    if isinstance(item, tuple) and 2 <= len(item) <= 6:
        item = Answer(*item)
    if not isinstance(item, Answer) or not isinstance(item.question, str) or not isinstance(item.text, str):
        raise LukeError("L070", attribute="doc._.answers", value=item, wanted="Answer(question, span, text, score)")
    if item.span is not None:
        check_span(doc, item.span, "span of an answer")
        end = item.start_char + len(item.text)
        if item.start_char < 0 or doc.text[item.start_char : end] != item.text:
            raise LukeError("L072", text=item.text, span=item.span.text)
    elif item.text:
        wanted = "an Answer with a span of the Doc, or without text, which says that the Doc has no answer"
        raise LukeError("L070", attribute="doc._.answers", value=item, wanted=wanted)
    check_score(item.score, "doc._.answers")
    return item
