"""Ways to show items (pairs of mentions, or single ones) to an encoder: a row for each, or a row for many.

LUKE reads an item that is marked in its sentences (`markers.py`), an encoder of whole documents all mentions of a
window at once, and a LUKE with independent attention the entities of many items, which the text does not mark, beside
the pieces of their window.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from spacy.tokens import Doc

from ...batching.collate import RowInput, WindowRow, collate
from ...batching.mentions import WHITE_SPACE, Item, distinct_ranges, item_ranges, too_long, visible_edges
from ...batching.pieces import DocPieces, doc_pieces
from ...batching.strided import StridedWindows
from ...batching.windows import Windows, best_windows
from ...encoders.inputs import EncoderInput
from ...tokenization.entity_vocab import MASK, MASK2, EntityVocab
from ...tokenization.loading import SpecialPieces
from ...tokenization.pieces import PieceTokenizer


class Placement(Protocol):
    """Finds a place for each item.

    left_out: reason -> how many items have found no place so far.

    Places know their Doc (`doc`, an index) and which of its items they hold (`items`, indices); what else they are is
    the placement's own.
    """

    left_out: Counter[str]

    def sizes(self, doc: Doc, items: Sequence[Item]) -> np.ndarray:
        """Pieces and entities that the encoder computes for each item of a Doc alone. *Shape:* (items,), int64"""

    def place(self, docs: Sequence[Doc], items: Sequence[Sequence[Item]]) -> list[Any]:
        """Places of the items of each Doc."""


class Layout(Placement, Protocol):
    """A placement that makes rows of places when they are needed."""

    def rows(self, places: Sequence[Any]) -> list[Any]:
        """The rows of some places."""

    def collate(self, rows: Sequence[Any]) -> EncoderInput:
        """A padded batch of some rows."""


class DocumentLayout:
    """A row for all items of a window; their mentions have global attention and no markers."""

    def __init__(self, tokenizer: PieceTokenizer, windows: StridedWindows):
        self.left_out: Counter[str] = Counter()
        self._tokenizer = tokenizer
        self._windows = windows

    def sizes(self, doc: Doc, items: Sequence[Item]) -> np.ndarray:
        """The entities of each item; all of them share the pieces."""
        return np.array([len(item) for item in items], dtype=np.int64)

    def place(self, docs: Sequence[Doc], items: Sequence[Sequence[Item]]) -> list[ItemRow]:
        places: list[ItemRow] = []
        for index, (doc, doc_items) in enumerate(zip(docs, items, strict=True)):
            if len(doc_items):
                pieces = doc_pieces(doc, self._tokenizer)
                rows, left_out = item_rows(index, doc, pieces, item_ranges(doc_items), self._windows)
                places += rows
                self.left_out += left_out
        return places

    def rows(self, places: Sequence[ItemRow]) -> list[ItemRow]:
        return list(places)

    def collate(self, rows: Sequence[ItemRow]) -> EncoderInput:
        special: SpecialPieces = self._tokenizer.special
        return collate([row.make(special) for row in rows], piece_pad=special.pad, entity_pad=0)


class UnmarkedPlacement:
    """Places that are rows: a window with many of its items, each an entity or two that see the pieces and each
    other."""

    def __init__(
        self,
        tokenizer: PieceTokenizer,
        entity_vocab: EntityVocab,
        windows: Windows,
        *,
        longest_mention: int,
        max_row_pieces: int,
        types: Mapping[str, int],
    ):
        """longest_mention: pieces of a mention that give it its position; the rest does not count.

        max_row_pieces: most pieces and entities of a row; one with a single item may have more.
        types: numbers of the labels of spans that the head reads, from 1.
        """
        self.left_out: Counter[str] = Counter()
        self._tokenizer = tokenizer
        self._entity_vocab = entity_vocab
        self._windows = windows
        self._longest_mention = longest_mention
        self._max_row_pieces = max_row_pieces
        self._types = types

    def sizes(self, doc: Doc, items: Sequence[Item]) -> np.ndarray:
        """Twice the entities of each item, since one takes about as long as two pieces; all items share the pieces."""
        return np.array([2 * len(item) for item in items], dtype=np.int64)

    def place(self, docs: Sequence[Doc], items: Sequence[Sequence[Item]]) -> list[UnmarkedRow]:
        return [
            row
            for index, (doc, doc_items) in enumerate(zip(docs, items, strict=True))
            if len(doc_items)
            for row in self._rows_of(index, doc, doc_items)
        ]

    def _rows_of(self, index: int, doc: Doc, items: Sequence[Item]) -> Iterator[UnmarkedRow]:
        pieces = doc_pieces(doc, self._tokenizer)
        ranges, visible = piece_ranges(doc, pieces, item_ranges(items))
        hulls = np.stack([ranges[..., 0].min(axis=1), ranges[..., 1].max(axis=1)], axis=1)
        windows = self._windows(len(pieces.pieces.ids), pieces.sentence_pieces, self._longest_mention)
        window_of = best_windows(hulls, windows)
        self.left_out[WHITE_SPACE] += len(items) - len(visible)
        self.left_out[too_long(ranges.shape[1])] += int((window_of < 0).sum())
        types = np.array([[self._types.get(span.label_, 0) for span in items[i]] for i in visible], dtype=np.int64)
        masks = np.array([self._entity_vocab[mask] for mask in (MASK, MASK2)[: ranges.shape[1]]], dtype=np.int64)
        order = np.argsort(window_of, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(window_of[order])) + 1):
            if len(group) and window_of[group[0]] >= 0:
                window = windows[window_of[group[0]]]
                room = max(self._max_row_pieces - (window.end - window.start + 2), 0)
                for some in np.array_split(group, -(-len(group) // max(room // len(masks), 1))):
                    shown = visible[some], ranges[some], masks, types[some], self._longest_mention
                    yield UnmarkedRow(index, pieces.pieces, window.start, window.end, *shown)


@dataclass(frozen=True)
class UnmarkedRow(WindowRow):
    """A window with some of the items that are classified in it.

    items: indices among the Doc's items. *Shape:* (items,)
    ranges: the mentions of each, in pieces of the Doc. *Shape:* (items, mentions of an item, 2)
    masks: what the first, second, … mention of an item is given as: an id of the entity vocabulary.
        *Shape:* (mentions of an item,)
    types: what the text calls each mention, as the head numbers it. *Shape:* (items, mentions of an item)
    longest_mention: pieces of a mention that give it its position.
    """

    items: np.ndarray
    ranges: np.ndarray
    masks: np.ndarray
    types: np.ndarray
    longest_mention: int

    @property
    def entities(self) -> int:
        return self.types.size

    def make(self, special: SpecialPieces) -> RowInput:
        ids, spans = np.tile(self.masks, len(self.items)), self.ranges.reshape(-1, 2)
        longest, types = self.longest_mention, self.types.reshape(-1)
        return self._input(special, ids, spans, max_mention_pieces=longest, entity_types=types)


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
    ranges, visible = piece_ranges(doc, pieces, items)
    hulls = np.stack([ranges[..., 0].min(axis=1), ranges[..., 1].max(axis=1)], axis=1)
    cut, window_of = windows.place(hulls, len(pieces.pieces.ids))
    left_out[WHITE_SPACE] = len(items) - len(visible)
    left_out[too_long(ranges.shape[1])] = int((window_of < 0).sum())
    rows = []
    for number, window in enumerate(cut):
        inside = np.flatnonzero(window_of == number)
        if len(inside):
            mentions, members = distinct_ranges(ranges[inside].reshape(-1, 2))
            item_mentions = mentions, members.reshape(len(inside), ranges.shape[1])
            rows.append(ItemRow(index, pieces.pieces, window.start, window.end, visible[inside], *item_mentions))
    return rows, left_out


def piece_ranges(
    doc: Doc, pieces: DocPieces, items: Sequence[Sequence[tuple[int, int]]]
) -> tuple[np.ndarray, np.ndarray]:
    """The pieces of the mentions of those items whose mentions all have some that are not white space, and which items
    these are.

    items: token ranges; each item has the same number of them. L045 for a span that is empty, reversed or outside the
        Doc.

    *Shapes:* (visible items, mentions of an item, 2), (visible items,)
    """
    first, last = visible_edges(items, doc, pieces.visible)
    visible = np.flatnonzero((first <= last).all(axis=1))
    return np.stack([pieces.pieces.starts[first[visible]], pieces.pieces.ends[last[visible]]], axis=-1), visible
