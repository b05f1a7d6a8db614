"""What a component that reads questions beside a text does before answers are found: from Docs to raw scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from spacy.tokens import Doc

from ...annotations import get_questions
from ...batching.collate import make_batches
from ...batching.strided import ContextWindows, build_strided_windows
from ...checks import require_at_least
from ...errors import LukeError, warn
from ...tokenization.entity_vocab import PAD
from ..base.component import TaskComponent
from .inputs import QuestionReader, QuestionRow


@dataclass(frozen=True)
class QuestionWindow:
    """What a row of logits is about.

    question: as it was asked.
    chars: the half-open range of characters of the Doc that each piece of `<s> question </s></s> window </s>` stands
        for, (-1, -1) for pieces that are not the Doc's. *Shape:* (pieces, 2), int64
    """

    question: str
    chars: np.ndarray


class QuestionPipe(TaskComponent):
    """A component that reads each question with each window of its Doc; see `LukeQA` for the settings."""

    def __init__(
        self,
        *args: Any,
        windows: ContextWindows | None,
        max_question_pieces: int,
        max_entities: int,
        separators: int,
        **settings: Any,
    ):
        super().__init__(*args, windows=windows, **settings)
        require_at_least(1, max_question_pieces=max_question_pieces)
        require_at_least(0, max_entities=max_entities)
        if separators not in (1, 2):
            raise LukeError("L047", setting="separators", value=separators, reason="it must be 1 or 2")
        if windows is not None and not isinstance(windows, ContextWindows):
            reason = "they must cut a context beside a question, as spacy-luke.strided_windows.v1 does"
            raise LukeError("L047", setting="windows", value=windows, reason=reason)
        self.max_question_pieces = max_question_pieces
        self.max_entities = max_entities
        self.separators = separators

    @property
    def windows(self) -> ContextWindows:
        """The windows in use: those of the config, else those that the checkpoint was trained with, else the
        paper's; never longer than the encoder's positions allow."""
        return self._windows(build_strided_windows, special_pieces=2 + self.separators)

    def logits(self, docs: Iterable[Doc]) -> list[tuple[list[QuestionWindow], list[np.ndarray]]]:
        """Per Doc the windows of its questions, in the order of the questions and of the text, and their raw logits of
        start and end, before softmax.

        Empty questions and Docs without text have no windows. *Shape:* (pieces, 2) each, float32
        """
        docs = self._listed(docs)
        self._require_weights_or_bundled(docs)
        questions = [get_questions(doc) for doc in docs]
        found: list[dict[tuple[int, int], tuple[QuestionWindow, np.ndarray]]] = [{} for _ in docs]
        for group, scores in self._scored(docs, questions):
            for row, row_scores in zip(group, scores, strict=True):
                start, end = row.range
                chars = np.full((row.pieces, 2), -1, dtype=np.int64)
                chars[row.context_at : -1] = row.context.chars[start:end]
                window = QuestionWindow(questions[row.doc][row.question], chars)
                found[row.doc][row.question, row.window] = (window, row_scores[: row.pieces].copy())
        in_order = [[of_doc[key] for key in sorted(of_doc)] for of_doc in found]
        return [([window for window, _ in of_doc], [scores for _, scores in of_doc]) for of_doc in in_order]

    def _scored(
        self, docs: Sequence[Doc], questions: Sequence[Sequence[str]]
    ) -> Iterator[tuple[list[QuestionRow], np.ndarray]]:
        """Rows and their logits, in batches. *Shape:* (rows, pieces with padding, 2)"""
        reader = self._reader()
        contexts = [reader.context(doc) if of_doc else None for doc, of_doc in zip(docs, questions, strict=True)]
        rows = (
            row
            for index, (context, of_doc) in enumerate(zip(contexts, questions, strict=True))
            for number, question in enumerate(of_doc)
            if context is not None
            for row in reader.rows(index, number, context, question)
        )
        yield from self._predicted(self._batches(rows))
        self._warn_of(reader)

    def _reader(self) -> QuestionReader:
        description = self._require_weights()
        return QuestionReader(
            description.tokenizer,
            description.entity_vocab,
            self.windows,
            max_question_pieces=self.max_question_pieces,
            max_entities=self.max_entities,
            separators=self.separators,
        )

    def _warn_of(self, reader: QuestionReader) -> None:
        if reader.too_long:
            maximum, first = reader.max_question_pieces, reader.first_too_long
            warn("W015", name=self.name, count=reader.too_long, maximum=maximum, first=first, stacklevel=4)
        if reader.empty:
            warn("W016", name=self.name, count=reader.empty, stacklevel=4)

    def _batches(self, rows: Iterable[QuestionRow]) -> Iterator[tuple[list[QuestionRow], Any]]:
        """Padded inputs and the rows they are made of. Rows of all Docs go together, sorted by length."""
        description = self._require_weights()
        special, entity_pad = description.tokenizer.special, description.entity_vocab[PAD]
        return make_batches(rows, self.max_batch_pieces, special, entity_pad=entity_pad)
