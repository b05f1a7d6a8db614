"""What a span filter says of the candidates of a Doc."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...batching.mentions import Candidates
from ..base.losses import sigmoid


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
