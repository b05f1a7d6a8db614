"""Candidate pairs: which two spans of a Doc may be related."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from spacy.tokens import Doc, Span

from ..errors import LukeError, warn
from .pieces import sentence_ranges


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
        """The entities, each once, in text order, longer ones first where they begin together."""
        spans = doc.ents if self.spans_key is None else doc.spans.get(self.spans_key, ())
        unique = {(span.start, span.end, span.label): span for span in spans}
        return sorted(unique.values(), key=lambda span: (span.start, -span.end))

    def __call__(self, doc: Doc) -> list[tuple[Span, Span]]:
        spans = self.spans(doc)
        head, tail = self._candidates(doc, spans)
        if len(head) > self.max_pairs:
            warn("W013", count=len(head), maximum=self.max_pairs)
            start, end = _edges(spans)
            between = np.maximum(start[head] - end[tail], start[tail] - end[head])
            nearest = np.sort(np.argsort(np.maximum(between, 0), kind="stable")[: self.max_pairs])
            head, tail = head[nearest], tail[nearest]
        return [(spans[i], spans[j]) for i, j in zip(head.tolist(), tail.tolist(), strict=True)]

    def _candidates(self, doc: Doc, spans: Sequence[Span]) -> tuple[np.ndarray, np.ndarray]:
        """Indices of heads and of tails. *Shape:* (pairs,) each"""
        start, end = _edges(spans)
        # Spans begin in order: the partners of a span that begin after it and before `limit` are a range.
        limit = np.full(len(spans), len(doc) + 1)
        if self.max_distance is not None:
            limit = np.minimum(limit, end + self.max_distance + 1)
        if not self.across_sentences and spans:
            sentences = sentence_ranges(doc)
            sentence_end = sentences[np.searchsorted(sentences[:, 0], start, side="right") - 1, 1]
            limit = np.minimum(limit, np.where(end <= sentence_end, sentence_end, 0))
        index = np.arange(len(spans))
        partners = np.maximum(np.searchsorted(start, limit, side="left") - index - 1, 0)
        first = np.repeat(index, partners)
        second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(partners) - partners, partners)
        if not self.across_sentences and spans:
            keep = end[second] <= sentence_end[first]
            first, second = first[keep], second[keep]
        head, tail = first, second
        if self.both_directions:
            head, tail = (np.stack(pair, axis=1).ravel() for pair in ((first, second), (second, first)))
        if self.type_pairs is None or self.type_pairs == "learned":
            return head, tail
        labels, label_of = np.unique([span.label_ for span in spans], return_inverse=True)
        allowed = np.array([[(a, b) in self.type_pairs for b in labels.tolist()] for a in labels.tolist()], dtype=bool)
        keep = allowed[label_of[head], label_of[tail]] if len(head) else np.zeros(0, dtype=bool)
        return head[keep], tail[keep]


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
    if max_pairs < 1:
        raise LukeError("L047", setting="max_pairs", value=max_pairs, reason="it must be at least 1")
    allowed: Literal["learned"] | frozenset[tuple[str, str]] | None = None
    if type_pairs == "learned":
        allowed = "learned"
    elif type_pairs is not None:
        if isinstance(type_pairs, str) or not all(isinstance(p, list | tuple) and len(p) == 2 for p in type_pairs):
            reason = 'it is a list of [head label, tail label], "learned" or null'
            raise LukeError("L047", setting="type_pairs", value=type_pairs, reason=reason)
        allowed = frozenset((head, tail) for head, tail in type_pairs)
    return EntityPairs(spans_key, across_sentences, max_distance, allowed, both_directions, max_pairs)
