"""What a span filter loses and saves at each threshold, measured on annotated Docs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from spacy.training import Example

from ..batching.mentions import Candidates
from ..errors import LukeError
from ..training.losses import sigmoid
from .gold import aligned_tokens

if TYPE_CHECKING:
    from .ner import LukeNER

THRESHOLDS = (0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.005, 0.002, 0.001)


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


@dataclass(frozen=True)
class FilterPoint:
    """A threshold and what it does.

    recall: share of the gold entities among the candidates that are kept.
    kept: share of the candidates that are kept.
    """

    threshold: float
    recall: float
    kept: float


def measure_filter(
    pipe: LukeNER, examples: Sequence[Example], thresholds: Sequence[float] = THRESHOLDS
) -> list[FilterPoint]:
    """Recall and share of candidates at each threshold, highest first, the filter's floor included.

    examples: predicted Docs as the component gets them, references with gold entities.

    L056 if the component has no filter; L057 if no gold entity is a candidate.
    """
    every: list[np.ndarray] = []
    gold: list[np.ndarray] = []
    found = pipe.filter_probabilities([example.predicted for example in examples])
    assert pipe.span_filter is not None
    floor = pipe.span_filter.settings.floor
    for example, of_doc in zip(examples, found, strict=True):
        # A candidate within the floor is kept at every threshold.
        values = np.where(of_doc.ranks < floor, np.inf, of_doc.probabilities)
        every.append(values)
        place = {span: i for i, span in enumerate(map(tuple, of_doc.spans.tolist()))}
        spans = {aligned_tokens(example, span) for span in pipe.gold_of(example.reference)}
        gold.append(values[[place[span] for span in spans if span in place]])
    all_values, gold_values = np.concatenate([*every, []]), np.concatenate([*gold, []])
    if not len(gold_values):
        raise LukeError("L057", name=pipe.name)
    return [
        FilterPoint(t, float((gold_values >= t).mean()), float((all_values >= t).mean()))
        for t in sorted(thresholds, reverse=True)
    ]


def choose_threshold(points: Sequence[FilterPoint], recall: float) -> FilterPoint:
    """The highest threshold that keeps at least `recall` of the gold entities; the lowest one if none does."""
    return next((point for point in points if point.recall >= recall), points[-1])
