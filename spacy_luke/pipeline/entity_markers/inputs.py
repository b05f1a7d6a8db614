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

from ...batching.collate import PreparedRow, RowInput, WindowRow, collate
from ...batching.mentions import WHITE_SPACE, distinct_ranges, token_ranges, too_long, trim
from ...batching.pieces import DocPieces, doc_pieces
from ...batching.strided import StridedWindows
from ...batching.windows import PassageWindows
from ...encoders.inputs import EncoderInput
from ...tokenization.entity_vocab import PAD
from ...tokenization.loading import SpecialPieces
from ...tokenization.pieces import PieceTokenizer
from .markers import MarkerVocab, Passage, find_passages, marked_row

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
class MarkedRow(PreparedRow):
    """One item, marked in its passage.

    doc: index of the Doc. items: index of the item among the Doc's. *Shape:* (1,)
    """

    doc: int
    items: np.ndarray


class MarkedLayout:
    """A row for each item, which is marked in its sentences by <ent> and <ent2>."""

    def __init__(self, vocab: MarkerVocab, windows: PassageWindows):
        self.left_out: Counter[str] = Counter()
        self._vocab = vocab
        self._windows = windows

    def place(self, docs: Sequence[Doc], items: Sequence[Sequence[Item]]) -> list[MarkedItem]:
        places = []
        for index, (doc, doc_items) in enumerate(zip(docs, items, strict=True)):
            pieces = doc_pieces(doc, self._vocab.tokenizer) if len(doc_items) else None
            found = find_passages(doc, pieces, doc_items, self._windows) if pieces is not None else []
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
                made.append(MarkedRow(row, place.doc, place.items))
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
        for index, (doc, doc_items) in enumerate(zip(docs, items, strict=True)):
            if len(doc_items):
                rows, left_out = item_rows(index, doc, doc_pieces(doc, self._tokenizer), doc_items, self._windows)
                places += rows
                self.left_out += left_out
        return places

    def rows(self, places: Sequence[ItemRow]) -> list[ItemRow]:
        return list(places)

    def collate(self, rows: Sequence[ItemRow]) -> EncoderInput:
        special: SpecialPieces = self._tokenizer.special
        return collate([row.make(special) for row in rows], piece_pad=special.pad, entity_pad=0)


@dataclass(frozen=True)
class ItemRow(WindowRow):
    """A window with all items that are classified in it; their mentions are read off the pieces.

    items: indices among the Doc's items. *Shape:* (items,)
    mentions: piece ranges in the Doc, each once. *Shape:* (mentions, 2)
    members: indices of the mentions of each item. *Shape:* (items, mentions of an item)
    """

    items: np.ndarray
    mentions: np.ndarray
    members: np.ndarray

    def make(self, special: SpecialPieces) -> RowInput:
        """The row's tensors; the first piece and those of the mentions are global."""
        spans = self.mentions + (self.window_offset - self.start)
        steps = np.zeros(self.pieces + 1, dtype=np.int64)
        np.add.at(steps, spans[:, 0], 1)
        np.add.at(steps, spans[:, 1], -1)
        inside = (steps.cumsum()[:-1] > 0) | (np.arange(self.pieces) == 0)
        ids = np.zeros(len(spans), dtype=np.int64)
        return self._input(special, ids, self.mentions, items=self.members, global_mask=inside)


def item_rows(
    index: int, doc: Doc, pieces: DocPieces, items: Sequence[Sequence[tuple[int, int]]], windows: StridedWindows
) -> tuple[list[ItemRow], Counter[str]]:
    """The rows of the items of a Doc, each item in the window that shows most around it.

    index: of the Doc. items: token ranges; each item has the same number of them.
    RETURNS: The rows, and reason -> how many items are in none.

    L045 for a span that is empty, reversed or outside the Doc.
    """
    left_out: Counter[str] = Counter()
    if not len(items):
        return [], left_out
    spans = token_ranges(items, doc)
    first, last = (edge.reshape(spans.shape[:2]) for edge in trim(pieces.visible, spans.reshape(-1, 2)))
    visible = np.flatnonzero((first <= last).all(axis=1))
    ranges = np.stack([pieces.pieces.starts[first[visible]], pieces.pieces.ends[last[visible]]], axis=-1)
    hulls = np.stack([ranges[..., 0].min(axis=1), ranges[..., 1].max(axis=1)], axis=1)
    cut, window_of = windows.place(hulls, len(pieces.pieces.ids))
    left_out[WHITE_SPACE] = len(items) - len(visible)
    left_out[too_long(spans.shape[1])] = int((window_of < 0).sum())
    rows = []
    for number, window in enumerate(cut):
        inside = np.flatnonzero(window_of == number)
        if len(inside):
            mentions, members = distinct_ranges(ranges[inside].reshape(-1, 2))
            item_mentions = mentions, members.reshape(len(inside), spans.shape[1])
            rows.append(ItemRow(index, pieces.pieces, window.start, window.end, visible[inside], *item_mentions))
    return rows, left_out
