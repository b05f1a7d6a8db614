"""Candidate mentions: which spans of a Doc the encoder gets as entities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from spacy.tokens import Doc, Span
from thinc.api import Ops, get_current_ops
from thinc.types import Ragged

from ..checks import require_at_least
from ..errors import LukeError
from ..user_functions import naming_key_errors
from .pieces import DocBatch, DocPieces
from .windows import Window, Windows, best_windows

WHITE_SPACE = "white space only"
# The mentions that are classified together: one entity or a pair.
Item = Sequence[Span]


@runtime_checkable
class Suggester(Protocol):
    """Any spaCy suggester."""

    def __call__(self, docs: Iterable[Doc], *, ops: Ops | None = None) -> Ragged:
        """Token ranges of the candidates of each Doc. *Shape:* (candidates, 2)"""


class SpanSuggester:
    """All spans inside a sentence that have at most `max_pieces` pieces and neither start nor end with white space.

    It is a spaCy suggester, and one that knows pieces: `luke_ner` hands it the pieces of all its Docs at once. Called
    by others, without pieces, it counts tokens instead.
    """

    def __init__(self, max_pieces: int):
        self.max_pieces = max_pieces

    def __call__(self, docs: Iterable[Doc], *, ops: Ops | None = None) -> Ragged:
        batch = DocBatch.from_tokens(list(docs))
        spans = self.suggest_batch(batch)
        docs_of = batch.doc_indices(spans[:, 0])
        lengths = np.bincount(docs_of, minlength=len(batch.token_offsets) - 1)
        ops = ops or get_current_ops()
        own = spans - batch.token_offsets[docs_of, None]
        return Ragged(ops.asarray2i(own), ops.asarray1i(lengths))  # type: ignore[arg-type]

    def suggest_batch(self, batch: DocBatch) -> np.ndarray:
        """The candidates of a batch of Docs, in its tokens, ordered by start, then end. *Shape:* (candidates, 2)"""
        index = np.arange(len(batch.starts))
        # A span that starts with token i may end with the tokens before limit[i].
        limit = np.searchsorted(batch.ends, batch.starts + self.max_pieces, side="right")
        counts = np.maximum(np.minimum(limit, batch.sentence_ends[batch.sentence_of]) - index, 0)
        counts[~batch.visible] = 0
        start = np.repeat(index, counts)
        last = start + np.arange(len(start)) - np.repeat(counts.cumsum() - counts, counts)
        keep = batch.visible[last]
        return np.stack([start[keep], last[keep] + 1], axis=1)


def build_span_suggester(max_pieces: int = 16) -> Suggester:
    """The suggester of the paper, as `spacy-luke.span_suggester.v1`.

    max_pieces: longest candidate in pieces (16 in the paper, section 4.3).
    """
    require_at_least(1, max_pieces=max_pieces)
    return SpanSuggester(max_pieces)


@dataclass(frozen=True)
class SpanCandidates:
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
    pieces: Sequence[DocPieces], batch: DocBatch, suggested: np.ndarray, windows: Windows, longest_mention: int
) -> list[SpanCandidates]:
    """Clean what a suggester suggested for several Docs and find a window for each span.

    batch: the Docs of `pieces`. suggested: as `suggest` gives it. *Shape:* (spans, 2)
    longest_mention: in pieces; longer spans are left out, as are those that are white space only or cross the end
        of a sentence.
    """
    if not pieces:
        return []
    suggested, _ = distinct_ranges(suggested)
    docs = batch.doc_indices(suggested[:, 0])
    first, last = trim(batch.visible, suggested)
    blank = first > last
    first, last = np.where(blank, 0, first), np.where(blank, 0, last)
    crossing = ~blank & (batch.sentence_of[first] != batch.sentence_of[last])
    ranges = np.stack([batch.starts[first], batch.ends[last]], axis=1)
    long = ~blank & ~crossing & (ranges[:, 1] - ranges[:, 0] > longest_mention)
    left_out: list[Counter[str]] = [Counter() for _ in pieces]
    for reason, mask in (
        (WHITE_SPACE, blank),
        ("across a sentence boundary", crossing),
        (f"longer than {longest_mention} pieces", long),
    ):
        if mask.any():
            for doc, count in zip(*np.unique(docs[mask], return_counts=True), strict=True):
                left_out[doc][reason] = int(count)
    keep = ~(blank | crossing | long)
    mentions, mention_of = distinct_ranges(ranges[keep])
    cut = [windows(len(p.pieces.ids), p.sentence_pieces, longest_mention) for p in pieces]
    counts = np.array([len(c) for c in cut], dtype=np.int64)
    window_offsets = counts.cumsum() - counts
    window_of = best_windows(mentions, [w for c in cut for w in c], np.repeat(batch.piece_offsets[:-1], counts))
    assert (window_of >= 0).all(), "Windows must cover every mention"
    docs = docs[keep]
    docs_of_mentions = np.empty(len(mentions), dtype=np.int64)
    docs_of_mentions[mention_of] = docs
    mention_offsets = np.searchsorted(docs_of_mentions, np.arange(len(pieces)))
    return [
        SpanCandidates(*parts)
        for parts in zip(
            batch.split(suggested[keep] - batch.token_offsets[docs, None], docs),
            batch.split(mention_of - mention_offsets[docs], docs),
            batch.split(mentions - batch.piece_offsets[docs_of_mentions, None], docs_of_mentions),
            batch.split(window_of - window_offsets[docs_of_mentions], docs_of_mentions),
            cut,
            left_out,
            strict=True,
        )
    ]


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


def item_ranges(items: Iterable[Item]) -> list[list[tuple[int, int]]]:
    """The half-open token ranges of the mentions of each item."""
    return [[(span.start, span.end) for span in item] for item in items]


def visible_edges(
    items: Sequence[Sequence[tuple[int, int]]], doc: Doc, visible: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """First and last token of each mention that is not white space; of one that is, the last before the first.

    items: token ranges; each item has the same number of them. L045 for a span that is empty, reversed or outside the
        Doc.
    visible: of every token. *Shape:* (tokens,), bool

    *Shape:* (items, mentions of an item) each
    """
    spans = token_ranges(items, doc)
    first, last = trim(visible, spans.reshape(-1, 2))
    return first.reshape(spans.shape[:2]), last.reshape(spans.shape[:2])


def too_long(spans: int) -> str:
    """Why there is no window for an item of so many spans."""
    return "too far apart for a window" if spans > 1 else "too long for a window"


def trim(visible: np.ndarray, spans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last visible token of each span; first > last if there is none.

    visible: of every token. *Shapes:* (tokens,), (spans, 2) -> 2 x (spans,)
    """
    index = np.arange(len(visible))
    following = np.minimum.accumulate(np.where(visible, index, len(visible))[::-1])[::-1]
    preceding = np.maximum.accumulate(np.where(visible, index, -1))
    return following[spans[:, 0]], preceding[spans[:, 1] - 1]


def suggest(suggester: Any, docs: Sequence[Doc], batch: DocBatch, ops: Ops, name: str) -> np.ndarray:
    """Suggest token ranges, in tokens of the batch; L045 for one that is empty, reversed or outside its Doc.

    name: of the component, for L111.

    *Shape:* (spans, 2)
    """
    if isinstance(suggester, SpanSuggester):
        return suggester.suggest_batch(batch)
    with naming_key_errors(name, "suggester", suggester):
        ragged = suggester(docs, ops=ops)
    flat = np.asarray(ops.to_numpy(ragged.data)).reshape(-1, 2)
    own = np.split(flat, np.cumsum(ops.to_numpy(ragged.lengths))[:-1]) if docs else []
    moved = [token_ranges(s, doc) + offset for s, doc, offset in zip(own, docs, batch.token_offsets, strict=False)]
    return np.concatenate([*moved, np.zeros((0, 2), dtype=np.int64)])
