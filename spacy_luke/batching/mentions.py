"""Candidate mentions: which spans of a Doc the encoder gets as entities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from spacy.tokens import Doc
from thinc.api import Ops, get_current_ops
from thinc.types import Ragged

from ..errors import LukeError
from .pieces import DocPieces, is_word, sentence_ranges
from .windows import Window, Windows, best_windows

WHITE_SPACE = "white space only"


@runtime_checkable
class Suggester(Protocol):
    """Any spaCy suggester."""

    def __call__(self, docs: Iterable[Doc], *, ops: Ops | None = None) -> Ragged:
        """Token ranges of the candidates of each Doc. *Shape:* (candidates, 2)"""


class SpanSuggester:
    """All spans inside a sentence that have at most `max_pieces` pieces and neither start nor end with white space.

    It is a spaCy suggester, and one that knows pieces: `luke_ner` hands it the pieces of the Docs. Called by others,
    without pieces, it counts tokens instead.
    """

    def __init__(self, max_pieces: int):
        self.max_pieces = max_pieces

    def __call__(self, docs: Iterable[Doc], *, ops: Ops | None = None) -> Ragged:
        spans = [self._of_tokens(doc) for doc in docs]
        ops = ops or get_current_ops()
        lengths = ops.asarray1i([len(s) for s in spans])
        flat = np.concatenate(spans) if spans else np.zeros((0, 2), dtype=np.int64)
        return Ragged(ops.asarray2i(flat), lengths)  # type: ignore[arg-type]

    def of_pieces(self, doc: Doc, pieces: DocPieces) -> np.ndarray:
        """The candidates of a tokenised Doc, ordered by start, then end. *Shape:* (candidates, 2)"""
        return self._enumerate(doc, pieces.sentences, pieces.pieces.starts, pieces.pieces.ends)

    def _of_tokens(self, doc: Doc) -> np.ndarray:
        index = np.arange(len(doc))
        return self._enumerate(doc, sentence_ranges(doc), index, index + 1)

    def _enumerate(self, doc: Doc, sentences: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        visible = np.array([not token.is_space for token in doc], dtype=bool) & (ends > starts)
        spans = []
        for first, last in sentences.tolist():
            # A span that starts with token i may end with the tokens before limit[i].
            limit = np.searchsorted(ends[first:last], starts[first:last] + self.max_pieces, side="right") + first
            counts = np.maximum(limit - np.arange(first, last), 0)
            start = np.repeat(np.arange(first, last), counts)
            within = np.arange(len(start)) - np.repeat(np.cumsum(counts) - counts, counts)
            end = start + within  # the last token
            keep = visible[start] & visible[end]
            spans.append(np.stack([start[keep], end[keep] + 1], axis=1))
        return np.concatenate(spans) if spans else np.zeros((0, 2), dtype=np.int64)


def build_span_suggester(max_pieces: int = 16) -> Suggester:
    """The suggester of the paper, as `spacy-luke.span_suggester.v1`.

    max_pieces: longest candidate in pieces (16 in the paper, section 4.3).
    """
    if not isinstance(max_pieces, int) or max_pieces < 1:
        raise LukeError("L047", setting="max_pieces", value=max_pieces, reason="it must be at least 1")
    return SpanSuggester(max_pieces)


@dataclass(frozen=True)
class Candidates:
    """The candidate spans of a Doc and where the encoder sees them.

    spans: token ranges as suggested, each once. *Shape:* (candidates, 2)
    mention_of: candidate -> its mention: spans that differ in surrounding white space only share one.
        *Shape:* (candidates,)
    mentions: piece ranges in the Doc. *Shape:* (mentions, 2)
    window_of: mention -> index in `windows`. *Shape:* (mentions,)
    left_out: reason -> how many suggested spans are no candidates.
    """

    spans: np.ndarray
    mention_of: np.ndarray
    mentions: np.ndarray
    window_of: np.ndarray
    windows: list[Window]
    left_out: Counter[str]


def find_candidates(
    doc: Doc, pieces: DocPieces, suggested: np.ndarray, windows: Windows, longest_mention: int
) -> Candidates:
    """Clean what a suggester suggested and find a window for each span.

    longest_mention: in pieces; longer spans are left out, as are those that are white space only or cross the end
        of a sentence.

    L045 for a span that is empty, reversed or outside the Doc.
    """
    suggested, _ = distinct_ranges(token_ranges(suggested, doc).reshape(-1, 2))
    first, last = trim(doc, pieces, suggested)
    sentence_of = np.repeat(np.arange(len(pieces.sentences)), np.diff(pieces.sentences, axis=1)[:, 0])
    blank = first > last
    first_known, last_known = np.where(blank, 0, first), np.where(blank, 0, last)
    crossing = ~blank & (sentence_of[first_known] != sentence_of[last_known])
    ranges = np.stack([pieces.pieces.starts[first_known], pieces.pieces.ends[last_known]], axis=1)
    long = ~blank & ~crossing & (ranges[:, 1] - ranges[:, 0] > longest_mention)
    left_out: Counter[str] = Counter()
    for reason, mask in (
        (WHITE_SPACE, blank),
        ("across a sentence boundary", crossing),
        (f"longer than {longest_mention} pieces", long),
    ):
        if mask.any():
            left_out[reason] = int(mask.sum())
    keep = ~(blank | crossing | long)
    mentions, mention_of = distinct_ranges(ranges[keep])
    cut = windows(len(pieces.pieces.ids), pieces.sentence_pieces, longest_mention)
    window_of = best_windows(mentions, cut)
    assert (window_of >= 0).all(), "Windows must cover every mention"
    return Candidates(suggested[keep], mention_of, mentions, window_of, cut, left_out)


def distinct_ranges(ranges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ranges, ordered by start, then end, each once; and for each given one its place among them.

    *Shapes:* (ranges, 2) -> (distinct, 2), (ranges,)
    """
    base = ranges[:, 1].max(initial=0) + 1
    keys = ranges[:, 0] * base + ranges[:, 1]
    if (keys[1:] > keys[:-1]).all():  # as suggesters mostly give them
        return ranges, np.arange(len(ranges))
    distinct, place = np.unique(keys, return_inverse=True)
    return np.stack(np.divmod(distinct, base), axis=1), place.reshape(-1)


def token_ranges(spans: Any, doc: Doc) -> np.ndarray:
    """Half-open token ranges as int64; L045 for one that is empty, reversed or outside the Doc. *Shape:* (…, 2)"""
    ranges = np.asarray(spans, dtype=np.int64)
    wrong = (ranges[..., 0] < 0) | (ranges[..., 1] <= ranges[..., 0]) | (ranges[..., 1] > len(doc))
    if wrong.any():
        start, end = ranges[wrong][0].tolist()
        raise LukeError("L045", start=start, end=end, length=len(doc))
    return ranges


def too_long(spans: int) -> str:
    """Why there is no window for an item of so many spans."""
    return "too far apart for a window" if spans > 1 else "too long for a window"


def trim(doc: Doc, pieces: DocPieces, spans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last token of each span that is not white space; first > last if there is none."""
    visible = is_word(doc, pieces)
    index = np.arange(len(doc))
    following = np.minimum.accumulate(np.where(visible, index, len(doc))[::-1])[::-1]
    preceding = np.maximum.accumulate(np.where(visible, index, -1))
    return following[spans[:, 0]], preceding[spans[:, 1] - 1]


def suggest(suggester: Any, docs: list[Doc], pieces: list[DocPieces], ops: Ops) -> list[np.ndarray]:
    """Token ranges suggested for each Doc."""
    if isinstance(suggester, SpanSuggester):
        return [suggester.of_pieces(doc, p) for doc, p in zip(docs, pieces, strict=True)]
    ragged = suggester(docs, ops=ops)
    flat = np.asarray(ops.to_numpy(ragged.data)).reshape(-1, 2)
    return np.split(flat, np.cumsum(ops.to_numpy(ragged.lengths))[:-1]) if docs else []
