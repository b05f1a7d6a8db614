"""Which mentions take part in an update, and with what weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..batching.mentions import Candidates
from .gold import GoldSpans


@dataclass(frozen=True)
class TrainingSample:
    """Mentions of a Doc for one update.

    mentions: indices of the mentions that the encoder gets. *Shape:* (sampled,)
    weights: weight of each mention in the loss, 0 for those that are not sampled. *Shape:* (mentions,)
    """

    mentions: np.ndarray
    weights: np.ndarray


def every_mention(gold: GoldSpans) -> TrainingSample:
    """All mentions whose target is known, as in the paper."""
    return TrainingSample(np.flatnonzero(gold.known), gold.known.astype(np.float64))


def sample_negatives(candidates: Candidates, gold: GoldSpans, negative: int, limit: int) -> TrainingSample:
    """All gold mentions and, for each window, at most `limit` negative ones.

    Half of the negatives are drawn from those that overlap a gold mention, where most errors are made, half from the
    others. A mention stands for all of its kind in its window: n of which k are drawn weigh n / k each. So the expected
    loss is that of all mentions, and scores stay comparable between short sentences and long ones.
    """
    positive = gold.known & (gold.targets != negative)
    weights = positive.astype(np.float64)
    free = np.flatnonzero(gold.known & ~positive)
    overlapping = _overlaps(candidates.mentions, candidates.mentions[positive])
    stratum = candidates.window_of * 2 + overlapping
    # In a random order, sorted by stratum: the first of each stratum are drawn. spaCy seeds NumPy's global state.
    order = np.random.permutation(free)  # noqa: NPY002
    order = order[np.argsort(stratum[order], kind="stable")]
    kinds, first, size = np.unique(stratum[order], return_index=True, return_counts=True)
    for kind, start, count in zip(kinds, first, size, strict=True):
        share = limit // 2 if kind % 2 else limit - limit // 2
        drawn = order[start : start + min(share, count)]
        if len(drawn):
            weights[drawn] = count / len(drawn)
    return TrainingSample(np.flatnonzero(weights), weights)


def _overlaps(mentions: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether each piece range overlaps one of the others."""
    covered = np.zeros(int(mentions.max(initial=0)) + 1, dtype=np.int64)
    for start, end in others.tolist():
        covered[start:end] = 1
    before = np.concatenate([[0], np.cumsum(covered)])
    return before[mentions[:, 1]] > before[mentions[:, 0]]
