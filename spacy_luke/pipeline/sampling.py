"""Which mentions take part in an update."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..batching.mentions import Candidates
from .gold import GoldSpans


@dataclass(frozen=True)
class TrainingSample:
    """Mentions of a Doc for one update.

    mentions: indices of the mentions that the encoder gets. *Shape:* (sampled,)
    log_rates: for each mention the logarithm of the rate at which negative ones like it are drawn; 0 if all are.
        *Shape:* (mentions,)
    """

    mentions: np.ndarray
    log_rates: np.ndarray


def every_mention(gold: GoldSpans) -> TrainingSample:
    """All mentions whose target is known, as in the paper."""
    return TrainingSample(np.flatnonzero(gold.known), np.zeros(len(gold.known)))


def sample_negatives(candidates: Candidates, gold: GoldSpans, negative: int, limit: int) -> TrainingSample:
    """All gold mentions and, for each window, at most `limit` negative ones.

    Half of the negatives are drawn from those that overlap a gold mention, where most errors are made, half from the
    others. If k of n negatives of a kind are drawn, negatives are k / n times as frequent in training as in use. The
    loss makes up for that: it adds log(k / n) to the negative logit, so that the plain logits, used without it, fit
    the frequencies of use (prior correction; King and Zeng 2001, section 4.1).
    """
    positive = gold.known & (gold.targets != negative)
    free = np.flatnonzero(gold.known & ~positive)
    overlapping = _overlaps(candidates.mentions, candidates.mentions[positive])
    stratum = candidates.window_of * 2 + overlapping
    # In a random order, sorted by stratum: the first of each stratum are drawn. spaCy seeds NumPy's global state.
    order = np.random.permutation(free)  # noqa: NPY002
    order = order[np.argsort(stratum[order], kind="stable")]
    chosen = positive.copy()
    log_rates = np.zeros(len(positive))
    kinds, first, size = np.unique(stratum[order], return_index=True, return_counts=True)
    for kind, start, count in zip(kinds, first, size, strict=True):
        share = min(limit // 2 if kind % 2 else limit - limit // 2, count)
        chosen[order[start : start + share]] = True
        if share:
            log_rates[stratum == kind] = np.log(share / count)
    return TrainingSample(np.flatnonzero(chosen), log_rates)


def _overlaps(mentions: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether each piece range overlaps one of the others."""
    covered = np.zeros(int(mentions.max(initial=0)) + 1, dtype=np.int64)
    for start, end in others.tolist():
        covered[start:end] = 1
    before = np.concatenate([[0], np.cumsum(covered)])
    return before[mentions[:, 1]] > before[mentions[:, 0]]
