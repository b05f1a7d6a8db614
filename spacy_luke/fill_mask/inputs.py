"""Texts with masks: the rows that `FillMask` shows to the encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..batching.collate import MAX_MENTION_PIECES, RowInput, WindowRow
from ..batching.strided import build_strided_windows
from ..tokenization.case import NO_CASE
from ..tokenization.loading import SpecialPieces
from ..tokenization.pieces import PieceTokenizer


@dataclass(frozen=True)
class MaskedText:
    """A text with masks.

    ids, types: with the mask piece where a mask is. *Shape:* (pieces,), int64
    chars: where the masks are written in the text. *Shape:* (masks, 2)
    places: the piece of each mask. *Shape:* (masks,)
    entity_ids: *Shape:* (entities,), int64
    entity_ranges: half-open ranges of pieces. *Shape:* (entities, 2), int64
    """

    ids: np.ndarray
    types: np.ndarray
    chars: np.ndarray
    places: np.ndarray
    entity_ids: np.ndarray
    entity_ranges: np.ndarray


@dataclass(frozen=True)
class MaskRow(WindowRow):
    """A window of a text with the masks that are read from it.

    masks: their indices among those of the text, in order. *Shape:* (masks,)
    """

    text: MaskedText
    masks: np.ndarray

    @property
    def entities(self) -> int:
        return int(self._inside.sum())

    @property
    def _inside(self) -> np.ndarray:
        """Whether each entity lies in the window. *Shape:* (entities,), bool"""
        ranges = self.text.entity_ranges
        return (ranges[:, 0] >= self.start) & (ranges[:, 1] <= self.end)

    @property
    def positions(self) -> np.ndarray:
        """Positions of the masks in the row. *Shape:* (masks,)"""
        return self.text.places[self.masks] - self.start + 1

    def make(self, special: SpecialPieces) -> RowInput:
        """The row's tensors, without global pieces."""
        ids, ranges = self.text.entity_ids[self._inside], self.text.entity_ranges[self._inside]
        return self._input(special, ids, ranges, max_mention_pieces=MAX_MENTION_PIECES)


def masked_text(text: str, tokenizer: PieceTokenizer, entities: Sequence[tuple[int, int, int]]) -> MaskedText:
    """Tokenise a text with masks, written as the tokenizer's or as one of `MASKS`.

    entities: first character, end and id of the entity vocabulary.

    A mask takes the white space beside it away if the tokenizer's files say so of it; transformers 4 does so before the
    masks of RoBERTa, LUKE and XLM-R. Whatever else looks like a special piece is plain text.
    """
    encoded = tokenizer.encode_text(text, [edge for start, end, _ in entities for edge in (start, end)], masks=True)
    place = encoded.boundary_index
    places = np.flatnonzero(encoded.ids == tokenizer.special.mask)
    types = encoded.types.copy()
    types[places] = NO_CASE
    found = encoded.char_spans(text)[places]
    for chars in found:  # without the white space
        written = text[chars[0] : chars[1]].strip()
        chars[0] = text.index(written, chars[0])
        chars[1] = chars[0] + len(written)
    table = np.array([(place[a], place[b], i) for a, b, i in entities], dtype=np.int64).reshape(-1, 3)
    table = table[table[:, 0] < table[:, 1]]
    return MaskedText(encoded.ids, types, found, places, table[:, 2], table[:, :2])


def mask_rows(doc: int, text: MaskedText, max_pieces: int) -> list[MaskRow]:
    """The rows of a text: each mask in the window that shows most around it.

    doc: index of the text. max_pieces: longest window, without special pieces.
    """
    windows, window_of = build_strided_windows(max_pieces, max(max_pieces // 2, 1)).place(
        np.stack([text.places, text.places + 1], axis=1), len(text.ids)
    )
    return [
        MaskRow(doc, text, window.start, window.end, np.flatnonzero(window_of == number))
        for number, window in enumerate(windows)
        if (window_of == number).any()
    ]
