"""Windows and their mentions -> padded encoder inputs under a memory budget, with the way back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..encoders.inputs import EncoderInput
from ..tokenization.entity_vocab import MASK, PAD, EntityVocab
from ..tokenization.loading import SpecialPieces
from .mentions import Candidates
from .pieces import DocPieces
from .windows import Window

_SMALLEST = 256
_PADDING = 1.1


@dataclass(frozen=True)
class Row:
    """One row of a batch: a window with some of its mentions.

    doc: index of the Doc.
    mentions: indices of mentions of the Doc's `Candidates`. *Shape:* (mentions,)
    """

    doc: int
    window: Window
    mentions: np.ndarray

    @property
    def pieces(self) -> int:
        """Pieces, the two special ones included."""
        return self.window.end - self.window.start + 2

    @property
    def size(self) -> int:
        """Pieces and entities."""
        return self.pieces + len(self.mentions)


def make_rows(doc: int, candidates: Candidates, mentions: np.ndarray, chunk_size: int) -> list[Row]:
    """The rows that show the given mentions of a Doc to the encoder.

    chunk_size: most mentions in a row. n mentions of a window are split in order into k = ceil(n / chunk_size) chunks
        of ceil(n / k), as in the paper's code: under full attention a span's scores depend on those beside it.
    """
    rows = []
    order = mentions[np.argsort(candidates.window_of[mentions], kind="stable")]
    window_of = candidates.window_of[order]
    for group in np.split(order, np.flatnonzero(np.diff(window_of)) + 1):
        if not len(group):
            continue
        window = candidates.windows[int(candidates.window_of[group[0]])]
        size = math.ceil(len(group) / math.ceil(len(group) / chunk_size))
        rows += [Row(doc, window, group[i : i + size]) for i in range(0, len(group), size)]
    return rows


def batch_rows(rows: Sequence[Row], max_batch_pieces: int) -> Iterator[list[Row]]:
    """Group rows of similar size so that a padded batch stays within the budget and computes little padding.

    max_batch_pieces: most pieces and entities of a batch, padding included. A single row above it is a batch alone.

    Rows are taken shortest first. A batch also ends when the next row would make more than a tenth of it padding,
    once it has the `_SMALLEST` rows that keep the matrix products efficient.
    """
    group: list[Row] = []
    pieces = entities = real = 0
    for row in sorted(rows, key=lambda r: (r.size, r.pieces)):
        longest, most = max(pieces, row.pieces), max(entities, len(row.mentions))
        padded = (len(group) + 1) * (longest + most)
        wasteful = real >= _SMALLEST and padded > _PADDING * (real + row.size)
        if group and (padded > max_batch_pieces or wasteful):
            yield group
            group, real = [], 0
            longest, most = row.pieces, len(row.mentions)
        group.append(row)
        pieces, entities, real = longest, most, real + row.size
    if group:
        yield group


def collate(
    rows: Sequence[Row],
    pieces: Sequence[DocPieces],
    candidates: Sequence[Candidates],
    special: SpecialPieces,
    entity_vocab: EntityVocab,
) -> EncoderInput:
    """The padded encoder input of some rows; every mention is a [MASK] entity."""
    length = max(row.pieces for row in rows)
    most = max(len(row.mentions) for row in rows)
    piece_ids = np.full((len(rows), length), special.pad, dtype=np.int64)
    piece_types = np.zeros((len(rows), length), dtype=np.int64)
    piece_mask = np.zeros((len(rows), length), dtype=bool)
    entity_ids = np.full((len(rows), most), entity_vocab[PAD], dtype=np.int64)
    entity_spans = np.zeros((len(rows), most, 2), dtype=np.int64)
    entity_mask = np.zeros((len(rows), most), dtype=bool)
    for i, row in enumerate(rows):
        start, end = row.window.start, row.window.end
        n = end - start
        doc = pieces[row.doc].pieces
        piece_ids[i, 0], piece_ids[i, n + 1] = special.bos, special.eos
        piece_ids[i, 1 : n + 1] = doc.ids[start:end]
        piece_types[i, 1 : n + 1] = doc.types[start:end]
        piece_mask[i, : n + 2] = True
        count = len(row.mentions)
        entity_ids[i, :count] = entity_vocab[MASK]
        entity_spans[i, :count] = candidates[row.doc].mentions[row.mentions] - start + 1
        entity_mask[i, :count] = True
    tensors = (piece_ids, piece_mask, piece_types, entity_ids, entity_spans, entity_mask)
    return EncoderInput(*(torch.from_numpy(t) for t in tensors))
