"""Rows -> padded encoder inputs under a memory budget."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from ..encoders.inputs import EncoderInput
from ..tokenization.loading import SpecialPieces

_SMALLEST = 256
# Most padding of a batch, as a share of what is real in it: of one that is computed with its padding, and of one that
# is packed, so that padding costs attention only.
_PADDING, _PADDING_OF_PACKED = 0.1, 1.0
# Memory does not grow with the number of rows, where they are made as they are needed.
_AT_A_TIME = 1024
_NO_IDS, _NO_RANGES = np.zeros(0, dtype=np.int64), np.zeros((0, 2), dtype=np.int64)
# Pieces that give an entity its position; LukeTokenizer's max_mention_length.
MAX_MENTION_PIECES = 30


class Row(Protocol):
    """Anything that becomes one row of a batch and knows its size before it is made."""

    @property
    def pieces(self) -> int:
        """Pieces, special ones included."""

    @property
    def entities(self) -> int:
        """Entities beside the pieces."""


class LazyRow(Row, Protocol):
    """A row that can be made."""

    def make(self, special: SpecialPieces) -> RowInput:
        """The row's tensors."""


RowT = TypeVar("RowT", bound=Row)
LazyRowT = TypeVar("LazyRowT", bound=LazyRow)


@dataclass(frozen=True)
class RowInput:
    """One row of a batch before padding.

    piece_ids, piece_types: special pieces included. *Shape:* (pieces,), int64
    entity_ids: *Shape:* (entities,), int64
    entity_spans: half-open piece ranges, special pieces counted. *Shape:* (entities, 2), int64
    entity_drawn: entities that a span filter is to keep in training; None = outside it. *Shape:* (entities,), bool
    entity_types: what the text calls each, as the head numbers it; None = it does not read that. *Shape:* (entities,)
    items: what is classified, as indices of its entities; None = by the head. *Shape:* (items, entities of an item)
    predicted: entities that are to be predicted; None = none. *Shape:* (entities,), bool
    candidates: entity ids that each of these may be, filled up with -1; None = any.
        *Shape:* (predicted entities, candidates)
    global_mask: pieces with global attention; None = none. *Shape:* (pieces,), bool
    """

    piece_ids: np.ndarray
    piece_types: np.ndarray
    entity_ids: np.ndarray
    entity_spans: np.ndarray
    entity_drawn: np.ndarray | None = None
    entity_types: np.ndarray | None = None
    items: np.ndarray | None = None
    predicted: np.ndarray | None = None
    candidates: np.ndarray | None = None
    global_mask: np.ndarray | None = None

    @property
    def pieces(self) -> int:
        return len(self.piece_ids)

    @property
    def entities(self) -> int:
        return len(self.entity_ids)


class PieceIds(Protocol):
    """Pieces of a text, as `WordPieces` and `TextPieces` have them."""

    @property
    def ids(self) -> np.ndarray:
        """*Shape:* (pieces,), int64"""

    @property
    def types(self) -> np.ndarray:
        """*Shape:* (pieces,), int64"""


@dataclass(frozen=True)
class WindowRow:
    """A row that shows a window of a text: `<s> window </s>`; its tensors are made when its batch is.

    doc: index of the Doc.
    text: the pieces that the window is cut from.
    start, end: the window, a half-open range of these pieces.

    A task that shows more than this says in its own class what stands before the window (`window_offset`, `_prefix`),
    which entities the row has and which of its pieces are global (`make`).
    """

    doc: int
    text: PieceIds
    start: int
    end: int

    @property
    def window_offset(self) -> int:
        """Position in the row of the window's first piece."""
        return 1

    @property
    def pieces(self) -> int:
        """Pieces, special ones included."""
        return self.window_offset + self.end - self.start + 1

    @property
    def entities(self) -> int:
        """Entities beside the pieces; none, where the task reads its states off the pieces."""
        return 0

    def make(self, special: SpecialPieces) -> RowInput:
        """The row's tensors."""
        return self._input(special)

    def _prefix(self, special: SpecialPieces) -> tuple[Sequence[int] | np.ndarray, Sequence[int] | np.ndarray]:
        """Ids and types of the pieces before the window. *Shape:* (window_offset,) each"""
        return [special.bos], [0]

    def _input(
        self,
        special: SpecialPieces,
        entity_ids: np.ndarray = _NO_IDS,
        entity_ranges: np.ndarray = _NO_RANGES,
        *,
        max_mention_pieces: int | None = None,
        **parts: np.ndarray | None,
    ) -> RowInput:
        """The row's tensors with these entities.

        entity_ids: *Shape:* (entities,)
        entity_ranges: in pieces of the text. *Shape:* (entities, 2)
        max_mention_pieces: pieces that give an entity its position; the rest does not count. None = all.
        parts: other fields of `RowInput`.
        """
        at, lead = self.window_offset, self._prefix(special)
        ids, types = np.empty(self.pieces, dtype=np.int64), np.zeros(self.pieces, dtype=np.int64)
        ids[:at], ids[at:-1], ids[-1] = lead[0], self.text.ids[self.start : self.end], special.eos
        types[:at], types[at:-1] = lead[1], self.text.types[self.start : self.end]
        spans = entity_ranges + (at - self.start)
        if max_mention_pieces is not None:
            spans[:, 1] = np.minimum(spans[:, 1], spans[:, 0] + max_mention_pieces)
        return RowInput(ids, types, entity_ids, spans, **parts)


@dataclass(frozen=True)
class PreparedRow:
    """A row whose tensors are there already; subclasses add what belongs to it."""

    row: RowInput

    @property
    def pieces(self) -> int:
        return self.row.pieces

    @property
    def entities(self) -> int:
        return self.row.entities


def batch_rows(rows: Sequence[RowT], max_batch_pieces: int, *, packed: bool = False) -> Iterator[list[RowT]]:
    """Group rows of similar size so that a padded batch stays within the budget and computes little padding.

    max_batch_pieces: most pieces and entities of a batch, padding included. A single row above it is a batch alone.
    packed: whether the encoder leaves the padding out of most that it computes (`Encoder.packs`).

    Rows are taken shortest first. A batch also ends when the next row would make more than a tenth of it padding, or
    half of it if it is packed, once it has the `_SMALLEST` rows that keep the matrix products efficient.
    """
    for batch in batch_groups([(row,) for row in rows], max_batch_pieces, packed=packed):
        yield [row for (row,) in batch]


def batch_groups(
    groups: Sequence[Sequence[RowT]], max_batch_pieces: int, *, packed: bool = False
) -> Iterator[list[Sequence[RowT]]]:
    """`batch_rows` for rows that belong together: those of a group are in one batch.

    A group above the budget is a batch alone. None may be empty.
    """
    batch: list[Sequence[RowT]] = []
    most_padded = 1 + (_PADDING_OF_PACKED if packed else _PADDING)
    rows = pieces = entities = real = 0
    measured = sorted(((_measure(group), group) for group in groups), key=lambda pair: pair[0][:2])
    for (_, _, size, longest, most), group in measured:
        padded = (rows + len(group)) * (max(pieces, longest) + max(entities, most))
        wasteful = real >= _SMALLEST and padded > most_padded * (real + size)
        if batch and (padded > max_batch_pieces or wasteful):
            yield batch
            batch = []
            rows = pieces = entities = real = 0
        batch.append(group)
        rows, pieces, entities = rows + len(group), max(pieces, longest), max(entities, most)
        real += size
    if batch:
        yield batch


def _measure(group: Sequence[Row]) -> tuple[int, int, int, int, int]:
    """Pieces and entities of the largest row, its pieces; of all rows together; most pieces, most entities of a row."""
    counts = [(row.pieces, row.entities) for row in group]
    if len(counts) == 1:
        ((pieces, entities),) = counts
        return pieces + entities, pieces, pieces + entities, pieces, entities
    largest = max((pieces + entities, pieces) for pieces, entities in counts)
    all_pieces, all_entities = zip(*counts, strict=True)
    return *largest, sum(all_pieces) + sum(all_entities), max(all_pieces), max(all_entities)


def padded_size(rows: Sequence[Row]) -> int:
    """Pieces and entities of a batch of some rows, padding included."""
    return len(rows) * (max(row.pieces for row in rows) + max(row.entities for row in rows))


def make_batches(
    rows: Iterable[LazyRowT], max_batch_pieces: int, special: SpecialPieces, *, entity_pad: int
) -> Iterator[tuple[list[LazyRowT], EncoderInput]]:
    """Padded inputs and the rows they are made of, which are sorted by length, `_AT_A_TIME` at a time.

    entity_pad: as in `collate`.
    """
    todo = iter(rows)
    while some := list(islice(todo, _AT_A_TIME)):
        for group in batch_rows(some, max_batch_pieces):
            yield group, collate([r.make(special) for r in group], piece_pad=special.pad, entity_pad=entity_pad)


def collate(rows: Sequence[RowInput], *, piece_pad: int, entity_pad: int) -> EncoderInput:
    """Pad rows into one encoder input: without entity tensors if no row has an entity, without items, global pieces
    and so on if the rows have none.

    piece_pad, entity_pad: ids of the padding pieces and entities.
    """
    length, most = max(row.pieces for row in rows), max(row.entities for row in rows)
    piece_ids = np.full((len(rows), length), piece_pad, dtype=np.int64)
    piece_types = np.zeros((len(rows), length), dtype=np.int64)
    entity_ids = np.full((len(rows), most), entity_pad, dtype=np.int64)
    entity_spans = np.zeros((len(rows), most, 2), dtype=np.int64)
    predicted = np.zeros((len(rows), most), dtype=bool)
    for i, row in enumerate(rows):
        piece_ids[i, : row.pieces] = row.piece_ids
        piece_types[i, : row.pieces] = row.piece_types
        entity_ids[i, : row.entities] = row.entity_ids
        entity_spans[i, : row.entities] = row.entity_spans
        if row.predicted is not None:
            predicted[i, : row.entities] = row.predicted
    piece_mask = np.arange(length) < np.array([row.pieces for row in rows])[:, None]
    entity_mask = np.arange(most) < np.array([row.entities for row in rows])[:, None]
    tensors: dict[str, np.ndarray] = {"piece_ids": piece_ids, "piece_mask": piece_mask, "piece_types": piece_types}
    if most:
        tensors |= {"entity_ids": entity_ids, "entity_spans": entity_spans, "entity_mask": entity_mask}
    if any(row.predicted is not None for row in rows):
        tensors["predicted_places"] = np.flatnonzero(predicted)
    for name in ("entity_drawn", "entity_types", "items", "global_mask"):
        parts = [part for row in rows if (part := getattr(row, name)) is not None]
        if parts:
            tensors[name] = _padded(parts)
    candidates = [row.candidates for row in rows if row.candidates is not None]
    if candidates:
        tensors["candidates"] = pad_candidates(candidates)
    arrays: dict[str, Any] = {name: torch.from_numpy(array) for name, array in tensors.items()}
    return EncoderInput(**arrays)


def pad_candidates(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Lists of candidates of equal length, one below the other, filled up with -1 to the longest."""
    longest = max(part.shape[1] for part in parts)
    filled = [np.pad(part, ((0, 0), (0, longest - part.shape[1])), constant_values=-1) for part in parts]
    return np.concatenate(filled)


def _padded(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays that differ in their first dimension, one below the other, filled up with 0."""
    padded = np.zeros((len(parts), max(map(len, parts)), *parts[0].shape[1:]), dtype=parts[0].dtype)
    for i, part in enumerate(parts):
        padded[i, : len(part)] = part
    return padded
