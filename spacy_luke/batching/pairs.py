"""Candidate pairs: which two spans of a Doc may be related."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from spacy.tokens import Doc, Span

from ..errors import LukeError, warn
from .pieces import sentence_ranges

TypePairs = Collection[tuple[str, str]]


@runtime_checkable
class PairGetter(Protocol):
    """Any function from a Doc to pairs of its spans."""

    def __call__(self, doc: Doc) -> Iterable[tuple[Span, Span]]:
        """(head, tail) of every candidate pair."""


@dataclass(frozen=True)
class EntityPairs:
    """Ordered pairs of different entities; see `build_entity_pairs`."""

    spans_key: str | None
    across_sentences: bool
    max_distance: int | None
    type_pairs: Literal["learned"] | frozenset[tuple[str, str]] | None
    both_directions: bool
    max_pairs: int

    def spans(self, doc: Doc) -> list[Span]:
        """The entities, in text order, longer ones first where they begin together."""
        spans = doc.ents if self.spans_key is None else doc.spans.get(self.spans_key, ())
        return sorted(spans, key=lambda span: (span.start, -span.end))

    def __call__(self, doc: Doc) -> list[tuple[Span, Span]]:
        spans = self.spans(doc)
        start, end = (np.array([getattr(span, edge) for span in spans], dtype=np.int64) for edge in ("start", "end"))
        # The later span of two begins at or after the earlier one.
        first, second = np.triu_indices(len(spans), k=1)
        distance = np.maximum(start[second] - end[first], 0)
        keep = np.ones(len(first), dtype=bool)
        if self.max_distance is not None:
            keep &= distance <= self.max_distance
        if not self.across_sentences and len(spans):
            begins = sentence_ranges(doc)[:, 0]
            sentence_of_start = np.searchsorted(begins, start, side="right")
            sentence_of_end = np.searchsorted(begins, end - 1, side="right")
            keep &= sentence_of_start[first] == np.maximum(sentence_of_end[first], sentence_of_end[second])
        index = np.flatnonzero(keep)
        pairs = [(spans[first[i]], spans[second[i]]) for i in index]
        if self.both_directions:
            pairs = [pair for a, b in pairs for pair in ((a, b), (b, a))]
            index = np.repeat(index, 2)
        if self.type_pairs is not None and self.type_pairs != "learned":
            allowed = [self.allows(pair, self.type_pairs) for pair in pairs]
            pairs = [pair for pair, ok in zip(pairs, allowed, strict=True) if ok]
            index = index[np.array(allowed, dtype=bool)]
        if len(pairs) > self.max_pairs:
            warn("W013", count=len(pairs), maximum=self.max_pairs)
            nearest = np.argsort(distance[index], kind="stable")[: self.max_pairs]
            pairs = [pairs[i] for i in np.sort(nearest)]
        return pairs

    @staticmethod
    def allows(pair: tuple[Span, Span], type_pairs: TypePairs) -> bool:
        """Whether the labels of head and tail are one of the given pairs."""
        return (pair[0].label_, pair[1].label_) in type_pairs


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
        if isinstance(type_pairs, str) or not all(len(p) == 2 and not isinstance(p, str) for p in type_pairs):
            reason = 'it is a list of [head label, tail label], "learned" or null'
            raise LukeError("L047", setting="type_pairs", value=type_pairs, reason=reason)
        allowed = frozenset((head, tail) for head, tail in type_pairs)
    return EntityPairs(spans_key, across_sentences, max_distance, allowed, both_directions, max_pairs)
