"""Windows with entities that are predicted and entities that are given: the rows that `luke_entity_linker` shows to
the encoder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...batching.collate import RowInput, WindowRow
from ...batching.mentions import WHITE_SPACE, trim
from ...batching.pieces import DocPieces
from ...batching.windows import Window, Windows, best_windows
from ...tokenization.loading import SpecialPieces

NO_WINDOW = "across a boundary of windows"


@dataclass(frozen=True)
class PlacedEntities:
    """The entities of a Doc and where the encoder sees them.

    spans: piece ranges in the Doc, cut to the longest mention. *Shape:* (entities, 2)
    window_of: entity -> index in `windows`; -1 for one that no window shows. *Shape:* (entities,)
    left_out: reason -> how many entities no window shows.
    """

    pieces: DocPieces
    spans: np.ndarray
    window_of: np.ndarray
    windows: list[Window]
    left_out: Counter[str]


def place_entities(pieces: DocPieces, tokens: np.ndarray, windows: Windows, longest_mention: int) -> PlacedEntities:
    """Find the window that shows most around each entity.

    tokens: token ranges of the entities. *Shape:* (entities, 2)
    longest_mention: pieces of a mention that give it its place; the rest does not count.
    """
    first, last = trim(pieces.visible, tokens)
    blank = first > last
    first, last = np.where(blank, 0, first), np.where(blank, 0, last)
    starts, ends = pieces.pieces.starts, pieces.pieces.ends
    spans = np.stack([starts[first], np.minimum(ends[last], starts[first] + longest_mention)], axis=1)
    cut = windows(len(pieces.pieces.ids), pieces.sentence_pieces, longest_mention)
    window_of = np.where(blank, -1, best_windows(spans, cut))
    left_out = Counter({WHITE_SPACE: int(blank.sum()), NO_WINDOW: int((~blank & (window_of < 0)).sum())})
    return PlacedEntities(pieces, spans, window_of, cut, +left_out)


@dataclass(frozen=True)
class EntityRow(WindowRow):
    """A window with entities of its Doc.

    members: the entities, as indices among those of the Doc. *Shape:* (members,)
    ids: what each is given as: its id in the entity vocabulary, or that of [MASK]. *Shape:* (members,)
    ranges: their pieces in the Doc. *Shape:* (members, 2)
    predicted: those that are to be predicted. *Shape:* (members,), bool
    candidates: ids that each of these may be, filled up with -1; None = any. *Shape:* (predicted, candidates)
    """

    members: np.ndarray
    ids: np.ndarray
    ranges: np.ndarray
    predicted: np.ndarray
    candidates: np.ndarray | None

    @property
    def entities(self) -> int:
        return len(self.members)

    @property
    def wanted(self) -> np.ndarray:
        """The entities of the Doc that are to be predicted, as indices. *Shape:* (predicted,)"""
        return self.members[self.predicted]

    def make(self, special: SpecialPieces) -> RowInput:
        return self._input(special, self.ids, self.ranges, predicted=self.predicted, candidates=self.candidates)


def windows_with_entities(placed: PlacedEntities) -> list[tuple[Window, np.ndarray]]:
    """The windows that show entities, and the indices of those."""
    found = []
    for number in np.unique(placed.window_of[placed.window_of >= 0]).tolist():
        found.append((placed.windows[number], np.flatnonzero(placed.window_of == number)))
    return found


def listed_candidates(ids: Sequence[np.ndarray]) -> np.ndarray:
    """Lists of ids as one array, filled up with -1. *Shape:* (lists, longest)"""
    filled = np.full((len(ids), max(map(len, ids), default=0)), -1, dtype=np.int64)
    for row, row_ids in zip(filled, ids, strict=True):
        row[: len(row_ids)] = row_ids
    return filled
