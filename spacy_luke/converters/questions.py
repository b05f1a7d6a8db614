"""Questions and their answers -> `doc._.questions` and `doc._.answers`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from spacy.tokens import Doc

from ..annotations import Answer, set_answers, set_questions
from .report import ConversionReport

# Question, its answers (alternatives; one of None: the text has none; none: not annotated), and where it is.
Asked: TypeAlias = tuple[str, list[Answer], str]


def write_questions(doc: Doc, asked: Iterable[Asked], report: ConversionReport) -> None:
    """Write each question once, and each of its answers once.

    Where a question is asked twice and only once said to have no answer, it has one. A Doc with no answer at all, as
    those of a file to be answered, is left without annotation.
    """
    merged: dict[str, dict[tuple[int, str], Answer]] = {}
    for question, answers, place in asked:
        if question in merged:
            report.repeated_questions.add(place)
        elif not answers:
            report.unannotated_questions.add(place)
        known = merged.setdefault(question, {})
        for answer in answers:
            known.setdefault((answer.start_char, answer.text), answer)
    set_questions(doc, list(merged))
    answers = []
    for known in merged.values():
        spans = [answer for answer in known.values() if answer.span is not None]
        answers += spans or list(known.values())
    if answers:
        set_answers(doc, answers)
