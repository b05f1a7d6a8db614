"""Windows whose pieces and entities get vectors: the rows that `luke_encoder` shows to the encoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...batching.collate import RowInput, WindowRow
from ...batching.pieces import DocPieces
from ...batching.windows import Windows, best_windows
from ...tokenization.loading import SpecialPieces


@dataclass(frozen=True)
class VectorRow(WindowRow):
    """A window with the pieces and entities that are read from it.

    wanted: the pieces that are read from it. *Shape:* (wanted,)
    members: the entities, as given to `vector_rows`. *Shape:* (entities,)
    entity_ids: ids of the entity vocabulary. *Shape:* (entities,)
    entity_ranges: pieces of the Doc. *Shape:* (entities, 2)
    """

    wanted: np.ndarray
    members: np.ndarray
    entity_ids: np.ndarray
    entity_ranges: np.ndarray

    @property
    def entities(self) -> int:
        return len(self.members)

    def make(self, special: SpecialPieces) -> RowInput:
        return self._input(special, self.entity_ids, self.entity_ranges)


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
            rows.append(VectorRow(doc, pieces.pieces, window.start, window.end, wanted, *inputs))
    return rows
