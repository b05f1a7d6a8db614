"""Two ways to show items (pairs of mentions, or single ones) to an encoder: a row for each, or a row for many.

LUKE reads an item that is marked in its sentences, an encoder of whole documents all mentions of a window at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from spacy.tokens import Doc

from ..encoders.inputs import EncoderInput
from ..tokenization.entity_vocab import PAD
from ..tokenization.loading import SpecialPieces
from ..tokenization.pieces import PieceTokenizer
from .collate import RowInput, collate
from .item_rows import ItemRow, item_rows
from .markers import MarkerVocab, Passage, find_passages, marked_row
from .mentions import too_long
from .pieces import doc_pieces
from .strided import StridedWindows
from .windows import PassageWindows

# Token ranges of the mentions of an item.
Item = Sequence[tuple[int, int]]


class Layout(Protocol):
    """Finds a place for each item, and makes rows of places when they are needed.

    left_out: reason -> how many items have found no place so far.

    Places and rows know their Doc (`doc`, an index) and which of its items they hold (`items`, indices); what else they
    are is the layout's own.
    """

    left_out: Counter[str]

    def place(self, docs: Sequence[Doc], items: Sequence[Sequence[Item]]) -> list[Any]:
        """Places of the items of each Doc."""

    def rows(self, places: Sequence[Any]) -> list[Any]:
        """The rows of some places."""

    def collate(self, rows: Sequence[Any]) -> EncoderInput:
        """A padded batch of some rows."""


@dataclass(frozen=True)
class MarkedItem:
    """The passage of one item of a Doc."""

    doc: int
    items: np.ndarray
    passage: Passage


@dataclass(frozen=True)
class MarkedRow:
    """One item, marked in its passage."""

    doc: int
    items: np.ndarray
    row: RowInput

    @property
    def pieces(self) -> int:
        return self.row.pieces

    @property
    def entities(self) -> int:
        return self.row.entities


class MarkedLayout:
    """A row for each item, which is marked in its sentences by <ent> and <ent2>."""

    def __init__(self, vocab: MarkerVocab, windows: PassageWindows):
        self.left_out: Counter[str] = Counter()
        self._vocab = vocab
        self._windows = windows

    def place(self, docs: Sequence[Doc], items: Sequence[Sequence[Item]]) -> list[MarkedItem]:
        places = []
        for index, (doc, of_doc) in enumerate(zip(docs, items, strict=True)):
            pieces = doc_pieces(doc, self._vocab.tokenizer) if len(of_doc) else None
            found = find_passages(doc, pieces, of_doc, self._windows) if pieces is not None else []
            for number, passage in enumerate(found):
                if isinstance(passage, str):
                    self.left_out[passage] += 1
                else:
                    places.append(MarkedItem(index, np.array([number]), passage))
        return places

    def rows(self, places: Sequence[MarkedItem]) -> list[MarkedRow]:
        made = []
        for place in places:
            row = marked_row(place.passage, self._vocab)
            if row is None:
                self.left_out[too_long(len(place.passage.spans))] += 1
            else:
                made.append(MarkedRow(place.doc, place.items, row))
        return made

    def collate(self, rows: Sequence[MarkedRow]) -> EncoderInput:
        pads = {"piece_pad": self._vocab.tokenizer.special.pad, "entity_pad": self._vocab.entity_vocab[PAD]}
        return collate([row.row for row in rows], **pads)


class DocumentLayout:
    """A row for all items of a window; their mentions have global attention and no markers."""

    def __init__(self, tokenizer: PieceTokenizer, windows: StridedWindows):
        self.left_out: Counter[str] = Counter()
        self._tokenizer = tokenizer
        self._windows = windows

    def place(self, docs: Sequence[Doc], items: Sequence[Sequence[Item]]) -> list[ItemRow]:
        places: list[ItemRow] = []
        for index, (doc, of_doc) in enumerate(zip(docs, items, strict=True)):
            if len(of_doc):
                rows, left_out = item_rows(index, doc, doc_pieces(doc, self._tokenizer), of_doc, self._windows)
                places += rows
                self.left_out += left_out
        return places

    def rows(self, places: Sequence[ItemRow]) -> list[ItemRow]:
        return list(places)

    def collate(self, rows: Sequence[ItemRow]) -> EncoderInput:
        special: SpecialPieces = self._tokenizer.special
        return collate([row.make(special) for row in rows], piece_pad=special.pad, entity_pad=0)
