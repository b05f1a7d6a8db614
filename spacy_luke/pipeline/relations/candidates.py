"""Candidate pairs: which two spans of a Doc may be related."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from spacy.tokens import Doc, Span

from ...annotations import check_span
from ...batching.pieces import sentence_ranges
from ...checks import require_at_least
from ...errors import LukeError, warn
from .labels import Range

# Pairs that are looked at together; a span with more partners goes alone.
_AT_A_TIME = 1 << 17
# Pairs whose sizes are looked at together: most Docs have fewer, and of more the first ones may be too large.
_SIZES_AT_A_TIME = 1024


@runtime_checkable
class PairGetter(Protocol):
    """Any function from a Doc to pairs of its spans."""

    def __call__(self, doc: Doc) -> Iterable[tuple[Span, Span]]:
        """(head, tail) of every candidate pair."""


@dataclass(frozen=True)
class EntityPairs:
    """Ordered pairs of different entities; see `build_entity_pairs`.

    Which type pairs are "learned" is known to the component; without one, any pair is taken.
    """

    spans_key: str | None
    across_sentences: bool
    max_distance: int | None
    type_pairs: Literal["learned"] | frozenset[tuple[str, str]] | None
    both_directions: bool
    max_pairs: int | None

    def spans(self, doc: Doc) -> list[Span]:
        """The entities, each once, in text order, longer ones first where they start together."""
        spans = doc.ents if self.spans_key is None else doc.spans.get(self.spans_key, ())
        unique = {(span.start, span.end, span.label): span for span in spans}
        return sorted(unique.values(), key=lambda span: (span.start, -span.end))

    def __call__(self, doc: Doc) -> list[tuple[Span, Span]]:
        found = nearest_pairs(self.candidates(doc), self.max_pairs)
        if found.count > len(found.pairs):
            source, taken = "spacy-luke.entity_pairs.v1", len(found.pairs)
            warn("W013", source=source, count=found.count, taken=taken, setting="max_pairs", value=taken)
        return found.pairs

    def candidates(self, doc: Doc) -> CandidatePairs:
        """The candidate pairs of a Doc, of which `max_pairs` leaves none out."""
        spans = self.spans(doc)
        return CandidatePairs(spans, self._parts(doc, spans))

    def _parts(self, doc: Doc, spans: Sequence[Span]) -> Iterator[np.ndarray]:
        """Indices of heads and tails, some at a time, so that memory does not grow with the number of all pairs.

        *Shape of the results:* (2, pairs)
        """
        if not spans:
            return
        start, end = _edges(spans)
        # Spans start in order: the partners of a span that start after it and before `limit` are a range.
        limit = np.full(len(spans), len(doc) + 1)
        if self.max_distance is not None:
            limit = np.minimum(limit, end + self.max_distance + 1)
        if not self.across_sentences:
            sentences = sentence_ranges(doc)
            sentence_end = sentences[np.searchsorted(sentences[:, 0], start, side="right") - 1, 1]
            limit = np.minimum(limit, np.where(end <= sentence_end, sentence_end, 0))
        index = np.arange(len(spans))
        labels, label_of = np.unique([span.label_ for span in spans], return_inverse=True)
        allowed = self._allowed(labels.tolist())
        # The spans that those of a label may be paired with, one list after the other; a span's partners are a range.
        partners, low, high = _partner_ranges(label_of, self._partners(allowed), np.searchsorted(start, limit))
        count = np.maximum(high - low, 0)
        for part in np.split(index, np.flatnonzero(np.diff(np.cumsum(count) // _AT_A_TIME)) + 1):
            first = np.repeat(part, count[part])
            offsets = low[part] - (np.cumsum(count[part]) - count[part])
            second = partners[np.repeat(offsets, count[part]) + np.arange(len(first))]
            if not self.across_sentences:
                keep = end[second] <= sentence_end[first]
                first, second = first[keep], second[keep]
            pairs = np.stack([first, second])
            if self.both_directions:
                pairs = np.stack([pairs, pairs[::-1]], axis=-1).reshape(2, -1)
                if allowed is not None:
                    pairs = pairs[:, allowed[label_of[pairs[0]], label_of[pairs[1]]]]
            yield pairs

    def _partners(self, allowed: np.ndarray | None) -> np.ndarray | None:
        """Mask of the labels of spans in text order that may be paired: the second may be the head if pairs are taken
        in both orders. *Shape:* (labels, labels), bool"""
        return allowed | allowed.T if allowed is not None and self.both_directions else allowed

    def _allowed(self, labels: Sequence[str]) -> np.ndarray | None:
        """Mask of the labels of head and tail that may be paired; None if all may. *Shape:* (labels, labels), bool"""
        if self.type_pairs is None or self.type_pairs == "learned":
            return None
        return np.array([[(a, b) in self.type_pairs for b in labels] for a in labels], dtype=bool)


def _partner_ranges(
    label_of: np.ndarray, allowed: np.ndarray | None, limit: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The spans that each span is paired with: those after it and before `limit` whose label its own allows.

    label_of: number of each span's label. limit: index of a span. *Shape:* (spans,) each
    allowed: mask of the labels of a span and a later one that may be paired; None if all may.

    RETURNS: Indices of spans, and for each span the range of these that are its partners; one whose end is before its
        start is empty. *Shapes:* (indices,), (spans,), (spans,)
    """
    index = np.arange(len(label_of))
    if allowed is None:
        return index, index + 1, limit
    lists, low, high, done = [], np.zeros_like(index), np.zeros_like(index), 0
    for label, may in enumerate(allowed):
        own = np.flatnonzero(label_of == label)
        partners = np.flatnonzero(may[label_of])
        low[own] = done + np.searchsorted(partners, own, side="right")
        high[own] = done + np.searchsorted(partners, limit[own], side="left")
        lists.append(partners)
        done += len(partners)
    return np.concatenate(lists), low, high


@dataclass(frozen=True)
class CandidatePairs:
    """Pairs of spans by their indices, made when they are asked for, as they may be many.

    parts: indices of heads and tails, some pairs at a time, in text order. *Shape of each:* (2, pairs)
    """

    spans: Sequence[Span]
    parts: Iterable[np.ndarray]

    @classmethod
    def from_pairs(cls, pairs: Sequence[tuple[Span, Span]]) -> CandidatePairs:
        """Candidates that are there already."""
        return cls([span for pair in pairs for span in pair], [np.arange(2 * len(pairs)).reshape(-1, 2).T])


@dataclass(frozen=True)
class NearestPairs:
    """The candidate pairs of a Doc that are nearest to each other.

    pairs: in the order of the candidates.
    order: their indices, those to be taken first before the others, and these by the tokens between the two.
        *Shape:* (pairs,)
    first: how many are to be taken first.
    count: of all candidates.
    """

    pairs: list[tuple[Span, Span]]
    order: np.ndarray
    first: int
    count: int

    def within(self, maximum: int, sizes: Callable[[list[tuple[Span, Span]]], np.ndarray]) -> list[tuple[Span, Span]]:
        """As many pairs as have the given size together, those to be taken first and then the nearest; those to be
        taken first in any case.

        sizes: asked for some pairs at a time, until these are too large. *Shape of the result:* (pairs,), int
        """
        taken, room = 0, maximum
        while taken < len(self.pairs):
            some = self.order[taken : taken + _SIZES_AT_A_TIME]
            total = np.cumsum(sizes([self.pairs[i] for i in some]))
            fitting = int(np.searchsorted(total, room, side="right"))
            taken += fitting
            if fitting < len(some):
                break
            room -= int(total[-1])
        chosen = np.sort(self.order[: max(taken, self.first)])
        return [self.pairs[i] for i in chosen]


def nearest_pairs(
    candidates: CandidatePairs, most: int | None, first: Collection[tuple[Range, Range]] = ()
) -> NearestPairs:
    """The pairs with the fewest tokens between the two, of equal ones those that come first in the text.

    most: pairs; None = all.
    first: token ranges of head and tail of pairs that are taken before others, and however many they are.
    """
    spans = candidates.spans
    start, end = _edges(spans)
    codes = _pair_codes(spans, first)
    # Head, tail, and the tokens between them; -1 for pairs that are taken first.
    kept = np.zeros((3, 0), dtype=np.int64)
    count = 0
    for head, tail in candidates.parts:
        count += len(head)
        between = np.maximum(np.maximum(start[head] - end[tail], start[tail] - end[head]), 0)
        if len(codes):
            between[np.isin(head * len(spans) + tail, codes)] = -1
        found = np.stack([head, tail, between])
        if most is None:
            kept = np.concatenate([kept, found], axis=1)
            continue
        if kept.shape[1] >= most:  # of pairs as far apart as these the earlier are taken
            found = found[:, between < int(kept[2].max(initial=0))]
        kept = np.concatenate([kept, found], axis=1)
        if kept.shape[1] > most:
            wanted = max(most, int((kept[2] < 0).sum()))
            kept = kept[:, np.sort(np.argsort(kept[2], kind="stable")[:wanted])]
    pairs = [(spans[i], spans[j]) for i, j in kept[:2].T.tolist()]
    return NearestPairs(pairs, np.argsort(kept[2], kind="stable"), int((kept[2] < 0).sum()), count)


def _pair_codes(spans: Sequence[Span], pairs: Collection[tuple[Range, Range]]) -> np.ndarray:
    """The number, head * spans + tail, of the pairs of spans with the given token ranges. *Shape:* (found,)"""
    wanted = {edges for pair in pairs for edges in pair}
    indices: dict[Range, list[int]] = {}
    for i, span in enumerate(spans if pairs else ()):
        if (span.start, span.end) in wanted:
            indices.setdefault((span.start, span.end), []).append(i)
    found = [i * len(spans) + j for a, b in pairs for i in indices.get(a, ()) for j in indices.get(b, ())]
    return np.array(found, dtype=np.int64)


def _edges(spans: Sequence[Span]) -> tuple[np.ndarray, np.ndarray]:
    """First and end tokens. *Shape:* (spans,) each"""
    start, end = (np.array([getattr(span, edge) for span in spans], dtype=np.int64) for edge in ("start", "end"))
    return start, end


def build_entity_pairs(
    spans_key: str | None = None,
    across_sentences: bool = False,
    max_distance: int | None = None,
    type_pairs: Sequence[Sequence[str]] | str | None = None,
    both_directions: bool = True,
    max_pairs: int | None = None,
) -> PairGetter:
    """All ordered pairs of entities in one sentence, as `spacy-luke.entity_pairs.v1`.

    spans_key: take the spans under this key of `doc.spans` instead of `doc.ents`.
    across_sentences: also pairs in different sentences, as far as a window holds both.
    max_distance: most tokens between the two; null = no limit.
    type_pairs: allowed labels of head and tail, a list of [head, tail]; "learned" = those of the related pairs in the
        training data; null = any.
    both_directions: each pair in both orders; false = the one that comes first in the text is the head.
    max_pairs: most pairs of a Doc; of more, those nearest to each other are taken, with a warning (W013). null = as
        many as the `max_doc_pieces` of `luke_relations` allows.
    """
    if max_distance is not None and max_distance < 0:
        raise LukeError("L047", setting="max_distance", value=max_distance, reason="it is a number of tokens")
    if max_pairs is not None:
        require_at_least(1, max_pairs=max_pairs)
    allowed: Literal["learned"] | frozenset[tuple[str, str]] | None = None
    if type_pairs == "learned":
        allowed = "learned"
    elif type_pairs is not None:
        if isinstance(type_pairs, str) or not all(isinstance(p, list | tuple) and len(p) == 2 for p in type_pairs):
            reason = 'it is a list of [head label, tail label], "learned" or null'
            raise LukeError("L047", setting="type_pairs", value=type_pairs, reason=reason)
        allowed = frozenset((head, tail) for head, tail in type_pairs)
    return EntityPairs(spans_key, across_sentences, max_distance, allowed, both_directions, max_pairs)


def checked_pairs(doc: Doc, pairs: Any) -> list[tuple[Span, Span]]:
    """The pairs that a pair getter of the user gave; L071 for anything else."""
    if not isinstance(pairs, Iterable):
        raise LukeError("L071", role="result of the pair getter", value=pairs, reason="it is no list of pairs of Spans")
    checked = []
    for pair in pairs:
        head, tail = pair if isinstance(pair, tuple | list) and len(pair) == 2 else (pair, pair)
        check_span(doc, head, "head of a candidate pair")
        check_span(doc, tail, "tail of a candidate pair")
        checked.append((head, tail))
    return checked
