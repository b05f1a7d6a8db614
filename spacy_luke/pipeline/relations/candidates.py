"""Candidate pairs: which two spans of a Doc may be related."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from spacy.tokens import Doc, Span

from ...annotations import check_span
from ...batching.pieces import sentence_ranges
from ...checks import require_at_least
from ...errors import LukeError, warn

# Pairs that are looked at together; a span with more partners goes alone.
_AT_A_TIME = 1 << 17


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
    max_pairs: int

    def spans(self, doc: Doc) -> list[Span]:
        """The entities, each once, in text order, longer ones first where they start together."""
        spans = doc.ents if self.spans_key is None else doc.spans.get(self.spans_key, ())
        unique = {(span.start, span.end, span.label): span for span in spans}
        return sorted(unique.values(), key=lambda span: (span.start, -span.end))

    def __call__(self, doc: Doc) -> list[tuple[Span, Span]]:
        spans = self.spans(doc)
        start, end = _edges(spans)
        pairs = np.zeros((2, 0), dtype=np.int64)
        count = 0
        for some in self._candidates(doc, spans, start, end):
            count += some.shape[1]
            pairs = np.concatenate([pairs, some], axis=1)
            if pairs.shape[1] > self.max_pairs:
                head, tail = pairs
                between = np.maximum(start[head] - end[tail], start[tail] - end[head])
                pairs = pairs[:, np.sort(np.argsort(np.maximum(between, 0), kind="stable")[: self.max_pairs])]
        if count > self.max_pairs:
            warn("W013", count=count, maximum=self.max_pairs)
        return [(spans[i], spans[j]) for i, j in pairs.T.tolist()]

    def _candidates(self, doc: Doc, spans: Sequence[Span], start: np.ndarray, end: np.ndarray) -> Iterator[np.ndarray]:
        """Indices of heads and tails, some at a time, so that memory does not grow with the number of all pairs.

        start, end: of the spans. *Shape of the results:* (2, pairs)
        """
        if not spans:
            return
        # Spans start in order: the partners of a span that start after it and before `limit` are a range.
        limit = np.full(len(spans), len(doc) + 1)
        if self.max_distance is not None:
            limit = np.minimum(limit, end + self.max_distance + 1)
        if not self.across_sentences:
            sentences = sentence_ranges(doc)
            sentence_end = sentences[np.searchsorted(sentences[:, 0], start, side="right") - 1, 1]
            limit = np.minimum(limit, np.where(end <= sentence_end, sentence_end, 0))
        index = np.arange(len(spans))
        partners = np.maximum(np.searchsorted(start, limit, side="left") - index - 1, 0)
        labels, label_of = np.unique([span.label_ for span in spans], return_inverse=True)
        allowed = self._allowed(labels.tolist())
        for part in np.split(index, np.flatnonzero(np.diff(np.cumsum(partners) // _AT_A_TIME)) + 1):
            count = partners[part]
            first = np.repeat(part, count)
            second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
            if not self.across_sentences:
                keep = end[second] <= sentence_end[first]
                first, second = first[keep], second[keep]
            pairs = np.stack([first, second])
            if self.both_directions:
                pairs = np.stack([pairs, pairs[::-1]], axis=-1).reshape(2, -1)
            if allowed is not None:
                pairs = pairs[:, allowed[label_of[pairs[0]], label_of[pairs[1]]]]
            yield pairs

    def _allowed(self, labels: Sequence[str]) -> np.ndarray | None:
        """Mask of the labels of head and tail that may be paired; None if all may. *Shape:* (labels, labels), bool"""
        if self.type_pairs is None or self.type_pairs == "learned":
            return None
        return np.array([[(a, b) in self.type_pairs for b in labels] for a in labels], dtype=bool)


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
    max_pairs: int = 5000,
) -> PairGetter:
    """All ordered pairs of entities in one sentence, as `spacy-luke.entity_pairs.v1`.

    spans_key: take the spans under this key of `doc.spans` instead of `doc.ents`.
    across_sentences: also pairs in different sentences, as far as a window holds both.
    max_distance: most tokens between the two; null = no limit.
    type_pairs: allowed labels of head and tail, a list of [head, tail]; "learned" = those of the related pairs in the
        training data; null = any.
    both_directions: each pair in both orders; false = the one that comes first in the text is the head.
    max_pairs: most pairs of a Doc; of more, those nearest to each other are taken, with a warning (W013).
    """
    if max_distance is not None and max_distance < 0:
        raise LukeError("L047", setting="max_distance", value=max_distance, reason="it is a number of tokens")
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
