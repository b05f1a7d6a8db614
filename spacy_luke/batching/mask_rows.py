"""Texts with masks: the rows that `FillMask` shows to the encoder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..tokenization.case import NO_CASE
from ..tokenization.loading import SpecialPieces
from ..tokenization.pieces import PieceTokenizer
from .collate import RowInput
from .strided import build_strided_windows

# Whatever the tokenizer calls its mask: the mask of BERT, and that of RoBERTa.
MASKS = ("[MASK]", "<mask>")
# Pieces that give an entity its position; LukeTokenizer's max_mention_length.
_MAX_ENTITY_PIECES = 30


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
class MaskRow:
    """A window of a text with the masks that are read from it; the row's tensors are made when its batch is.

    doc: index of the text.
    start, end: the window, in pieces of the text.
    masks: their indices among those of the text, in order. *Shape:* (masks,)
    """

    doc: int
    text: MaskedText
    start: int
    end: int
    masks: np.ndarray

    @property
    def pieces(self) -> int:
        """Pieces, the two special ones included."""
        return self.end - self.start + 2

    @property
    def entities(self) -> int:
        return int(self._inside.sum())

    @property
    def _inside(self) -> np.ndarray:
        """Which entities lie in the window. *Shape:* (entities,), bool"""
        ranges = self.text.entity_ranges
        return (ranges[:, 0] >= self.start) & (ranges[:, 1] <= self.end)

    @property
    def positions(self) -> np.ndarray:
        """Where the row has the masks. *Shape:* (masks,)"""
        return self.text.places[self.masks] - self.start + 1

    def make(self, special: SpecialPieces) -> RowInput:
        """The row's tensors, without global pieces."""
        window, inside = slice(self.start, self.end), self._inside
        spans = self.text.entity_ranges[inside] - self.start + 1
        spans[:, 1] = np.minimum(spans[:, 1], spans[:, 0] + _MAX_ENTITY_PIECES)
        return RowInput(
            np.concatenate([[special.bos], self.text.ids[window], [special.eos]]),
            np.concatenate([[0], self.text.types[window], [0]]),
            self.text.entity_ids[inside],
            spans,
        )


def masked_text(text: str, tokenizer: PieceTokenizer, entities: Sequence[tuple[int, int, int]]) -> MaskedText:
    """Tokenise a text with masks, written as the tokenizer's or as one of `MASKS`.

    entities: first character, end and id of the entity vocabulary.

    White space before a mask belongs to it, as for transformers' tokenizers of RoBERTa and LUKE: the piece that is
    predicted begins with it. Whatever else looks like a special piece is plain text.
    """
    names = {*MASKS, next(piece for piece, i in tokenizer.vocab.items() if i == tokenizer.special.mask)}
    found = [match.span() for match in re.finditer("|".join(map(re.escape, sorted(names))), text)]
    replaced = [(len(text[:start].rstrip()), end) for start, end in found]
    edges = [edge for start, end, _ in entities for edge in (start, end)]
    encoded = tokenizer.encode_text(text, [*(edge for span in replaced for edge in span), *edges])
    place = encoded.boundary_index
    ids, types, kept = encoded.ids.copy(), encoded.types.copy(), np.ones(len(encoded.ids), dtype=bool)
    for start, end in replaced:
        ids[place[start]], types[place[start]] = tokenizer.special.mask, NO_CASE
        kept[place[start] + 1 : place[end]] = False
    moved = np.concatenate([[0], kept.cumsum()])  # old place -> new
    table = np.array([(moved[place[a]], moved[place[b]], i) for a, b, i in entities], dtype=np.int64).reshape(-1, 3)
    table = table[table[:, 0] < table[:, 1]]
    return MaskedText(
        ids[kept],
        types[kept],
        np.array(found, dtype=np.int64).reshape(-1, 2),
        moved[[place[start] for start, _ in replaced]],
        table[:, 2],
        table[:, :2],
    )


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
