"""From raw scores of candidate spans to the spans that are annotated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..batching.mentions import Candidates
from ..training.losses import sigmoid, softmax


@dataclass(frozen=True)
class SpanLogits:
    """Raw scores of the candidates of a Doc.

    spans: token ranges. *Shape:* (spans, 2)
    logits: *Shape:* (spans, labels), float32
    """

    spans: np.ndarray
    logits: np.ndarray


@dataclass(frozen=True)
class LabelledSpans:
    """Candidates with a label.

    spans: token ranges. *Shape:* (spans, 2)
    labels: index of the label. *Shape:* (spans,)
    logits: raw score of the label. *Shape:* (spans,)
    probabilities: of the label. *Shape:* (spans,)
    """

    spans: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    probabilities: np.ndarray

    def take(self, index: list[int]) -> LabelledSpans:
        """Some of the spans."""
        return LabelledSpans(*(values[index] for values in vars(self).values()))


@dataclass(frozen=True)
class FilterProbabilities:
    """What a span filter says of the candidates of a Doc.

    spans: token ranges. *Shape:* (spans, 2)
    probabilities: of being an entity. *Shape:* (spans,)
    ranks: of the candidate's mention in its window, 0 for the most probable. *Shape:* (spans,)
    """

    spans: np.ndarray
    probabilities: np.ndarray
    ranks: np.ndarray


def filter_probabilities(candidates: Candidates, logits: np.ndarray) -> FilterProbabilities:
    """Probabilities of candidates from the filter's logits of their mentions. *Shape:* (mentions,)"""
    order = np.lexsort((-logits, candidates.window_of))
    _, first, size = np.unique(candidates.window_of[order], return_index=True, return_counts=True)
    ranks = np.zeros(len(logits), dtype=np.int64)
    ranks[order] = np.arange(len(logits)) - np.repeat(first, size)
    of = candidates.mention_of
    return FilterProbabilities(candidates.spans, sigmoid(logits)[of], ranks[of])


def positive_spans(scored: SpanLogits, negative: int, threshold: float) -> LabelledSpans:
    """The candidates whose most probable label is not the negative one and has at least the probability `threshold`."""
    if not len(scored.spans):
        none = np.zeros(0, dtype=np.int64)
        return LabelledSpans(scored.spans, none, none, none)
    labels = scored.logits.argmax(axis=1)
    positive = np.flatnonzero(labels != negative)
    logits, labels = scored.logits[positive], labels[positive]
    rows = np.arange(len(positive))
    probabilities = softmax(logits)[rows, labels]
    sure = probabilities >= threshold
    return LabelledSpans(scored.spans[positive][sure], labels[sure], logits[rows, labels][sure], probabilities[sure])


def greedy(found: LabelledSpans, length: int, taken: Iterable[tuple[int, int]]) -> list[int]:
    """Indices of spans that do not overlap, chosen by raw score, best first, and given in text order.

    Equal scores keep their order, as in the paper's code (studio-ousia/luke, examples/legacy/ner/main.py).

    length: tokens of the Doc.
    taken: token ranges that are not to be overlapped.
    """
    free = np.ones(length, dtype=bool)
    for start, end in taken:
        free[start:end] = False
    chosen = []
    for i in np.argsort(-found.logits, kind="stable").tolist():
        start, end = found.spans[i]
        if free[start:end].all():
            free[start:end] = False
            chosen.append(i)
    return sorted(chosen, key=lambda i: int(found.spans[i, 0]))
