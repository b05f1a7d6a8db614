"""Gold answers of an Example as targets of the rows of its questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from spacy.training import Example

from ...annotations import Answer, get_answers
from ...batching.strided import ContextWindow
from ...errors import warn
from ..base.gold import aligned_tokens, listed
from .inputs import Context, QuestionReader, QuestionRow

NOT_IN_TEXT, NOTHING_ASKED, NO_WINDOW = "not in the text of the Doc", "to an empty question", "in no window as a whole"

# First and last piece of the context.
PieceAnswer = tuple[int, int]


@dataclass
class AnswerReport:
    """What the gold answers of a corpus lose on their way to the encoder.

    max_pieces: longest answer that is predicted.
    total: gold answers, those that say "no answer" left out. missed: reason -> how many. first: the first of them.
    too_long: those that can be learned, but have more than `max_pieces`.
    """

    max_pieces: int | None = None
    total: int = 0
    too_long: int = 0
    missed: Counter[str] = field(default_factory=Counter)
    first: list[str] = field(default_factory=list)

    def miss(self, answer: Answer, reason: str) -> None:
        """Count an answer that cannot be learned."""
        self.missed[reason] += 1
        if len(self.first) < 5:
            self.first.append(f"{answer.text!r} ({answer.question})")

    def warn(self, name: str) -> None:
        """Give W017 and W029 if there is something to tell."""
        if self.missed:
            count, reasons = self.missed.total(), listed(self.missed)
            warn("W017", name=name, missed=count, total=self.total, reasons=reasons, examples="; ".join(self.first))
        if self.too_long:
            warn("W029", name=name, count=self.too_long, total=self.total, max_pieces=self.max_pieces)


def gold_rows(
    example: Example, reader: QuestionReader, report: AnswerReport, index: int = 0
) -> Iterator[tuple[list[QuestionRow], list[PieceAnswer]]]:
    """The rows of each question that can be learned, and its alternative gold answers; [] if it is unanswerable.

    index: of the Doc, for the rows. Questions are numbered as they come.

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
            return row.window_at + first - row.start, row.window_at + last - row.start
    return 0, 0


def _find(
    example: Example,
    answers: Iterable[Answer],
    context: Context,
    windows: Sequence[ContextWindow],
    report: AnswerReport,
) -> list[PieceAnswer]:
    """The answers to a question as pieces, those that lie in a window as a whole."""
    found = []
    for answer in answers:
        report.total += 1
        pieces = _pieces(context, _characters(example, answer))
        if pieces is None:
            report.miss(answer, NOT_IN_TEXT)
        elif not windows:
            report.miss(answer, NOTHING_ASKED)
        elif not any(start <= pieces[0] and pieces[1] < end for start, end in windows):
            report.miss(answer, NO_WINDOW)
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
