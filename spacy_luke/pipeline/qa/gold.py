"""Gold answers of an Example as targets of the rows of its questions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from spacy.training import Example

from ...annotations import Answer, get_answers
from ...batching.strided import ContextWindow
from ..base.gold import GoldReport, aligned_tokens
from .inputs import Context, QuestionReader, QuestionRow

NOT_IN_TEXT, NOTHING_ASKED, NO_WINDOW = "not in the text of the Doc", "to an empty question", "in no window as a whole"

# First and last piece of the context.
PieceAnswer = tuple[int, int]


def gold_rows(
    example: Example, reader: QuestionReader, report: GoldReport, index: int = 0
) -> Iterator[tuple[list[QuestionRow], list[PieceAnswer]]]:
    """The rows of each question that can be learned, and its alternative gold answers; [] if it is unanswerable.

    report: counts what is lost. index: of the Doc, for the rows. Questions are numbered as they come.

    A question without gold Answer says nothing and is left out; so is one with answers none of which is in a window.
    An alternative with a span wins over one without.
    """
    by_question: dict[str, list[Answer]] = {}
    for answer in get_answers(example.reference):
        by_question.setdefault(answer.question, []).append(answer)
    if not by_question:
        return
    context = reader.context(example.predicted)
    number = 0
    for question, answers in by_question.items():
        rows = list(reader.rows(index, number, context, question))
        spans = [answer for answer in answers if answer.span is not None]
        found = _find(example, spans, context, rows[0].plan.windows if rows else [], report)
        if rows and (found or not spans):
            yield rows, found
            number += 1


def target(row: QuestionRow, answers: Sequence[PieceAnswer]) -> tuple[int, int]:
    """Positions in the row of the first and last piece to be predicted.

    The first alternative that lies in the window; the first piece of the row (`<s>`) twice if none does, as in the
    paper's code.
    """
    for first, last in answers:
        if row.start <= first and last < row.end:
            return row.window_offset + first - row.start, row.window_offset + last - row.start
    return 0, 0


def _find(
    example: Example,
    answers: Iterable[Answer],
    context: Context,
    windows: Sequence[ContextWindow],
    report: GoldReport,
) -> list[PieceAnswer]:
    """The answers to a question as pieces, those that lie in a window as a whole."""
    found = []
    for answer in answers:
        report.total += 1
        pieces, shown = _pieces(context, _characters(example, answer)), f"{answer.text!r} ({answer.question})"
        if pieces is None:
            report.miss(NOT_IN_TEXT, shown)
        elif not windows:
            report.miss(NOTHING_ASKED, shown)
        elif not any(start <= pieces[0] and pieces[1] < end for start, end in windows):
            report.miss(NO_WINDOW, shown)
        else:
            found.append(pieces)
            report.too_long += report.max_pieces is not None and pieces[1] - pieces[0] >= report.max_pieces
    return found


def _characters(example: Example, answer: Answer) -> tuple[int, int] | None:
    """The answer's characters in the predicted Doc; of the tokens of its span if the texts differ in white space."""
    predicted = example.predicted
    if predicted.text == example.reference.text:
        return answer.start_char, answer.start_char + len(answer.text)
    tokens = aligned_tokens(example, answer.span) if answer.span is not None else None
    if tokens is None:
        return None
    span = predicted[tokens[0] : tokens[1]]
    return span.start_char, span.end_char


def _pieces(context: Context, chars: tuple[int, int] | None) -> PieceAnswer | None:
    """The pieces that hold the characters."""
    if chars is None:
        return None
    held = np.flatnonzero((context.chars[:, 1] > chars[0]) & (context.chars[:, 0] < chars[1]))
    return (int(held[0]), int(held[-1])) if len(held) else None
