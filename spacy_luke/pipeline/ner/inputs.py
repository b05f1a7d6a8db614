"""Windows with chunks of their mentions: the rows that `luke_ner` shows to the encoder."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...batching.collate import RowInput, WindowRow
from ...batching.mentions import SpanCandidates
from ...batching.pieces import DocPieces
from ...tokenization.loading import SpecialPieces
from ...tokenization.pieces import WordPieces


@dataclass(frozen=True)
class NERInputs:
    """Docs on their way to the encoder."""

    pieces: list[DocPieces]
    candidates: list[SpanCandidates]


@dataclass(frozen=True)
class MentionRow(WindowRow):
    """A window with some of its mentions, every one a [MASK] entity.

    mentions: indices of mentions of the Doc's `SpanCandidates`. *Shape:* (mentions,)
    ranges: their pieces in the Doc. *Shape:* (mentions, 2)
    mask: id of [MASK].
    share: of the mentions for which the encoder computes a row: 1 for LUKE, 0 for an encoder that reads mentions off
        their pieces, and an estimate for a span filter.
    drawn: those that a span filter is to keep in training; None outside it. *Shape:* (mentions,), bool
    """

    mentions: np.ndarray
    ranges: np.ndarray
    mask: int
    share: float = 1.0
    drawn: np.ndarray | None = None

    @property
    def entities(self) -> int:
        return math.ceil(len(self.mentions) * self.share)

    def make(self, special: SpecialPieces) -> RowInput:
        return self._input(special, np.full(len(self.mentions), self.mask), self.ranges, entity_drawn=self.drawn)


def mention_rows(
    doc: int,
    text: WordPieces,
    candidates: SpanCandidates,
    mentions: np.ndarray,
    chunk_size: int | None,
    *,
    mask: int,
    share: float = 1.0,
    drawn: np.ndarray | None = None,
) -> list[MentionRow]:
    """The rows that show the given mentions of a Doc to the encoder.

    chunk_size: most mentions in a row. n mentions of a window are split in order into k = ceil(n / chunk_size) chunks
        of ceil(n / k), as in the paper's code: under full attention a span's scores depend on those beside it. None,
        for encoders where they do not: all of a window are in one row.
    mask, share: as in `MentionRow`.
    drawn: which of the mentions of the Doc a span filter is to keep; None outside training. *Shape:* (mentions,), bool
    """
    rows = []
    window_of = candidates.window_of[mentions]
    edges: list[int] = []
    if len(candidates.windows) > 1:
        if not (window_of[1:] >= window_of[:-1]).all():
            order = np.argsort(window_of, kind="stable")
            mentions, window_of = mentions[order], window_of[order]
        edges = (np.flatnonzero(window_of[1:] != window_of[:-1]) + 1).tolist()
    for start, end in zip([0, *edges], [*edges, len(mentions)], strict=True):
        group = mentions[start:end]
        if not len(group):
            continue
        window = candidates.windows[int(window_of[start])]
        size = math.ceil(len(group) / math.ceil(len(group) / (chunk_size or len(group))))
        for i in range(0, len(group), size):
            part = group[i : i + size]
            shown = part, candidates.mentions[part]
            kept = None if drawn is None else drawn[part]
            rows.append(MentionRow(doc, text, window.start, window.end, *shown, mask, share, kept))
    return rows
