"""Windows whose pieces and entities get vectors: the rows that `luke_encoder` shows to the encoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...batching.collate import RowInput
from ...batching.pieces import DocPieces
from ...batching.windows import Windows, best_windows
from ...tokenization.loading import SpecialPieces


@dataclass(frozen=True)
class VectorRow:
    """A window with the pieces and entities that are read from it; the row's tensors are made when its batch is.

    doc: index of the Doc.
    start, end: the window, in pieces of the Doc.
    wanted: the pieces that are read from it. *Shape:* (wanted,)
    members: the entities, as given to `vector_rows`. *Shape:* (entities,)
    entity_ids: ids of the entity vocabulary. *Shape:* (entities,)
    entity_ranges: pieces of the Doc. *Shape:* (entities, 2)
    """

    doc: int
    doc_pieces: DocPieces
    start: int
    end: int
    wanted: np.ndarray
    members: np.ndarray
    entity_ids: np.ndarray
    entity_ranges: np.ndarray

    @property
    def pieces(self) -> int:
        """Pieces, the two special ones included."""
        return self.end - self.start + 2

    @property
    def entities(self) -> int:
        """Entity inputs."""
        return len(self.members)

    def make(self, special: SpecialPieces) -> RowInput:
        """The row's tensors."""
        ids, types = self.doc_pieces.row(self.start, self.end, special)
        return RowInput(ids, types, self.entity_ids, self.entity_ranges - self.start + 1)


def vector_rows(
    doc: int, pieces: DocPieces, entities: np.ndarray, ids: np.ndarray, ranges: np.ndarray, windows: Windows
) -> list[VectorRow]:
    """The rows of a Doc: each piece and each entity in the window that shows most around it.

    doc: index of the Doc. entities: whatever the caller knows them by. *Shape:* (entities,)
    ids: of the entity vocabulary. *Shape:* (entities,) ranges: their pieces. *Shape:* (entities, 2)

    An entity that no window shows whole is in no row.
    """
    count = len(pieces.pieces.ids)
    longest = min(int((ranges[:, 1] - ranges[:, 0]).max(initial=1)), windows.max_pieces // 2)
    cut = windows(count, pieces.sentence_pieces, longest)
    every = np.arange(count)
    window_of_piece = best_windows(np.stack([every, every + 1], axis=1), cut)
    window_of_entity = best_windows(ranges, cut)
    rows = []
    for index, window in enumerate(cut):
        wanted, inside = np.flatnonzero(window_of_piece == index), np.flatnonzero(window_of_entity == index)
        if len(wanted) or len(inside):
            inputs = entities[inside], ids[inside], ranges[inside]
            rows.append(VectorRow(doc, pieces, window.start, window.end, wanted, *inputs))
    return rows
