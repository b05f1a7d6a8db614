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
    """All gold mentions and, for each window, at most `limit` negative ones, drawn uniformly.

    If k of n negatives of a window are drawn, negatives are k / n times as frequent in training as in use. The loss
    makes up for that: it adds log(k / n) to the negative logit, so that the plain logits, used without it, fit the
    frequencies of use (prior correction; King and Zeng 2001, section 4.1).

    Negatives near gold mentions are not preferred: mentions attend to each other, so their density would give away
    where the gold mentions are, and the model would learn to rely on that.
    """
    positive = gold.known & (gold.targets != negative)
    free = np.flatnonzero(gold.known & ~positive)
    # In a random order, sorted by window: the first of each window are drawn. spaCy seeds NumPy's global state.
    order = np.random.permutation(free)  # noqa: NPY002
    order = order[np.argsort(candidates.window_of[order], kind="stable")]
    chosen = positive.copy()
    log_rates = np.zeros(len(positive))
    windows, first, size = np.unique(candidates.window_of[order], return_index=True, return_counts=True)
    for window, start, count in zip(windows, first, size, strict=True):
        drawn = min(limit, count)
        chosen[order[start : start + drawn]] = True
        if drawn:
            log_rates[candidates.window_of == window] = np.log(drawn / count)
    return TrainingSample(np.flatnonzero(chosen), log_rates)
