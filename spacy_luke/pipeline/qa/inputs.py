"""Questions about Docs as rows of the encoder: `<s> question </s></s> window of the context </s>`.

Between the two there may be one separator instead, as in the official script of Longformer for TriviaQA. Pieces before
the first separator have global attention, where the encoder has any (Beltagy et al. 2020, section 5).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from spacy.tokens import Doc

from ...batching.collate import MAX_MENTION_PIECES, RowInput, WindowRow
from ...batching.strided import ContextWindow, ContextWindows, max_context
from ...tokenization.entity_vocab import EntityVocab
from ...tokenization.loading import SpecialPieces
from ...tokenization.pieces import PieceTokenizer


@dataclass(frozen=True)
class Context:
    """A Doc as the text that is asked about: tokenised once, whatever the number of questions.

    ids, types: *Shape:* (pieces,), int64
    chars: the characters of each piece, rounded outwards where it holds a part of one. *Shape:* (pieces, 2), int64
    text_chars: where an answer starts that starts with this piece, and ends that ends with it: white space at the
        edges is no part of an answer. Not a range: a piece of white space alone starts after it ends.
        *Shape:* (pieces, 2), int64
    entity_ids: entities that the vocabulary knows, in text order. *Shape:* (entities,), int64
    entity_spans: their half-open piece ranges. *Shape:* (entities, 2), int64
    """

    ids: np.ndarray
    types: np.ndarray
    chars: np.ndarray
    text_chars: np.ndarray
    entity_ids: np.ndarray
    entity_spans: np.ndarray

    @property
    def is_blank(self) -> bool:
        """Whether no piece has a character that is not white space: nothing can be an answer."""
        return not len(self.ids) or int(self.text_chars[0, 0]) >= int(self.text_chars[-1, 1])


@dataclass(frozen=True)
class WindowedQuestion:
    """A question and the windows of the context that it is asked about.

    ids, types: of the question, as far as it is read. *Shape:* (pieces,), int64
    separators: between question and context.
    """

    ids: np.ndarray
    types: np.ndarray
    separators: int
    windows: list[ContextWindow]

    @cached_property
    def window_of(self) -> np.ndarray:
        """The window of most context of each piece; see `max_context`. *Shape:* (pieces of the context,)"""
        return max_context(self.windows)


@dataclass(frozen=True)
class QuestionRow(WindowRow):
    """A question with one window of the context.

    question: index of the question among those asked about the Doc.
    window: index among the windows of the plan.
    shown: indices of the entities that lie in the window. *Shape:* (entities,)
    """

    text: Context
    question: int
    plan: WindowedQuestion
    window: int
    shown: np.ndarray

    @property
    def window_offset(self) -> int:
        """Position in the row of the first piece of the context: after `<s> question </s></s>`."""
        return 1 + len(self.plan.ids) + self.plan.separators

    @property
    def entities(self) -> int:
        return len(self.shown)

    @property
    def has_most_context(self) -> np.ndarray:
        """Mask of the pieces that have no more context in another window. *Shape:* (pieces of the window,), bool"""
        return self.plan.window_of[self.start : self.end] == self.window

    def make(self, special: SpecialPieces) -> RowInput:
        """The row's tensors; entities and positions are those of LukeTokenizer(question, context, …)."""
        return self._input(
            special,
            self.text.entity_ids[self.shown],
            self.text.entity_spans[self.shown],
            max_mention_pieces=MAX_MENTION_PIECES,
            global_mask=np.arange(self.pieces) <= len(self.plan.ids),
        )

    def _prefix(self, special: SpecialPieces) -> tuple[np.ndarray, np.ndarray]:
        between = self.plan.separators
        ids = np.concatenate([[special.bos], self.plan.ids, [special.eos] * between])
        return ids, np.concatenate([[0], self.plan.types, [0] * between])


@dataclass(frozen=True)
class QuestionWindow:
    """Question and window of a row of logits.

    question: as it was asked.
    chars: the half-open range of characters of the Doc that each piece of `<s> question </s></s> window </s>` stands
        for, (-1, -1) for pieces that are not the Doc's. *Shape:* (pieces, 2), int64
    """

    question: str
    chars: np.ndarray


class QuestionReader:
    """Tokenises Docs and questions, and lays them out as rows.

    entity_vocab: entities of `doc.ents` with a `kb_id_` among its titles are given to the encoder.
    max_question_pieces: of a longer question only the beginning is read; never more than half of a window.
    max_entities: most entities of a row; the first in the text are taken, of those that lie in the window.
    separators: between question and context: 2, as transformers writes them, or 1.

    too_long, first_too_long: how many questions were cut, and the first of them. empty: how many had nothing to read.
    """

    def __init__(
        self,
        tokenizer: PieceTokenizer,
        entity_vocab: EntityVocab,
        windows: ContextWindows,
        *,
        max_question_pieces: int,
        max_entities: int,
        separators: int,
    ):
        self.tokenizer = tokenizer
        self.entity_vocab = entity_vocab
        self.windows = windows
        self.max_question_pieces = min(max_question_pieces, windows.max_pieces // 2)
        self.max_entities = max_entities
        self.separators = separators
        self.too_long = self.empty = 0
        self.first_too_long = ""

    def context(self, doc: Doc) -> Context:
        """Tokenise a Doc as one text, cut at the edges of its known entities, as LukeTokenizer does."""
        text, vocab = doc.text, self.entity_vocab
        known = [ent for ent in doc.ents if self.max_entities and ent.kb_id_ and ent.kb_id_ in vocab]
        encoded = self.tokenizer.encode_text(text, [edge for ent in known for edge in (ent.start_char, ent.end_char)])
        place = encoded.boundary_index
        entities = [(vocab[ent.kb_id_], place[ent.start_char], place[ent.end_char]) for ent in known]
        table = np.array([e for e in entities if e[1] < e[2]], dtype=np.int64).reshape(-1, 3)
        chars = encoded.char_spans(text)
        return Context(encoded.ids, encoded.types, chars, _without_space(text, chars), table[:, 0], table[:, 1:])

    def rows(self, doc: int, number: int, context: Context, question: str) -> Iterator[QuestionRow]:
        """The rows of one question, one for each window; none if the question or the context has nothing to read."""
        asked = self.tokenizer.encode_text(question if question.strip() else "", ())
        if not len(asked.ids):
            self.empty += 1
        if not len(asked.ids) or context.is_blank:
            return
        if len(asked.ids) > self.max_question_pieces:
            self.first_too_long = self.first_too_long or question
            self.too_long += 1
        ids, types = asked.ids[: self.max_question_pieces], asked.types[: self.max_question_pieces]
        plan = WindowedQuestion(ids, types, self.separators, self.windows.cover(len(context.ids), len(ids)))
        first, last = context.entity_spans[:, 0], context.entity_spans[:, 1]
        for index, (start, end) in enumerate(plan.windows):
            shown = np.flatnonzero((first >= start) & (last <= end))[: self.max_entities]
            yield QuestionRow(doc, context, start, end, number, plan, index, shown)


def _without_space(text: str, chars: np.ndarray) -> np.ndarray:
    """See `Context.text_chars`. *Shape:* (pieces, 2)"""
    visible = np.array([not ch.isspace() for ch in text], dtype=bool)
    place = np.arange(len(text))
    after = np.where(visible, place, len(text))
    after = np.append(np.minimum.accumulate(after[::-1])[::-1], len(text))
    before = np.append(0, np.maximum.accumulate(np.where(visible, place + 1, 0)))
    return np.stack([after[chars[:, 0]], before[chars[:, 1]]], axis=1).astype(np.int64)
