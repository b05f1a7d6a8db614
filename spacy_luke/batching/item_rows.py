"""Items (pairs of mentions, or single ones) whose mentions are not marked in the text: one window shows many of them.

For encoders that make mention states of pieces (Longformer): a Doc is encoded once, its mentions get global attention,
and the classifier reads the states of each item's mentions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from spacy.tokens import Doc

from ..tokenization.loading import SpecialPieces
from .collate import RowInput
from .mentions import WHITE_SPACE, distinct_ranges, token_ranges, too_long, trim
from .pieces import DocPieces
from .strided import StridedWindows
from .windows import Window


@dataclass(frozen=True)
class ItemRow:
    """A window with all items that are classified in it; the row's tensors are made when its batch is.

    doc: index of the Doc.
    items: indices among the Doc's items. *Shape:* (items,)
    mentions: piece ranges in the Doc, each once. *Shape:* (mentions, 2)
    members: indices of the mentions of each item. *Shape:* (items, mentions of an item)
    """

    doc: int
    items: np.ndarray
    doc_pieces: DocPieces
    window: Window
    mentions: np.ndarray
    members: np.ndarray

    @property
    def pieces(self) -> int:
        """Pieces, the two special ones included."""
        return self.window.end - self.window.start + 2

    @property
    def entities(self) -> int:
        """None beside the pieces: mentions are read off them."""
        return 0

    def make(self, special: SpecialPieces) -> RowInput:
        """The row's tensors; the first piece and those of the mentions are global."""
        start, end = self.window.start, self.window.end
        spans = self.mentions - start + 1
        steps = np.zeros(self.pieces + 1, dtype=np.int64)
        np.add.at(steps, spans[:, 0], 1)
        np.add.at(steps, spans[:, 1], -1)
        return RowInput(
            *self.doc_pieces.row(start, end, special),
            np.zeros(len(spans), dtype=np.int64),
            spans,
            items=self.members,
            global_mask=(steps.cumsum()[:-1] > 0) | (np.arange(self.pieces) == 0),
        )


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
            shape = (len(inside), spans.shape[1])
            rows.append(ItemRow(index, visible[inside], pieces, window, mentions, members.reshape(shape)))
    return rows, left_out
