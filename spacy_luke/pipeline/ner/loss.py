"""Sampling of the mentions of an update, and their loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...batching.mentions import SpanCandidates
from ..base.gold import GoldSpans
from ..base.losses import binary_cross_entropy, cross_entropy_of_sets, softmax
from .inputs import MentionRow


@dataclass(frozen=True)
class TrainingSample:
    """Mentions of a Doc for one update.

    known: indices of the mentions whose target is known. *Shape:* (known,)
    drawn: True for the mentions that the classifier learns from. *Shape:* (mentions,), bool
    log_rates: for each mention the logarithm of the rate at which negative ones like it are drawn; 0 if all are.
        *Shape:* (mentions,)
    """

    known: np.ndarray
    drawn: np.ndarray
    log_rates: np.ndarray

    @property
    def mentions(self) -> np.ndarray:
        """Indices of those that are drawn. *Shape:* (drawn,)"""
        return np.flatnonzero(self.drawn)


def sample_negatives(candidates: SpanCandidates, gold: GoldSpans, negative: int, limit: int | None) -> TrainingSample:
    """All gold mentions and, for each window, at most `limit` negative ones, drawn uniformly; None = all (the paper).

    If k of n negatives of a window are drawn, negatives are k / n times as frequent in training as in use. The loss
    makes up for that: it adds log(k / n) to the negative logit, so that the plain logits, used without it, fit the
    frequencies of use (prior correction; King and Zeng 2001, section 4.1).

    Negatives near gold mentions are not preferred: under full attention mentions attend to each other, so their density
    would give away where the gold mentions are, and the model would learn to rely on that.
    """
    if limit is None:
        return TrainingSample(np.flatnonzero(gold.known), gold.known, np.zeros(len(gold.known)))
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
    return TrainingSample(np.flatnonzero(gold.known), chosen, log_rates)


def batch_loss(
    rows: Sequence[MentionRow],
    logits: np.ndarray,
    gold: Sequence[GoldSpans],
    samples: Sequence[TrainingSample],
    negative: int,
    hard_negatives: int | None,
) -> tuple[np.ndarray, float]:
    """Gradient and sum of `sampled_loss` for the raw scores of a batch.

    logits: of the mentions of each row, padded. *Shape:* (rows, mentions, scores); the gradient's, too, in float32
    gold, samples: of each Doc.
    """
    index = tuple(np.array([(i, n) for i, row in enumerate(rows) for n in range(len(row.mentions))]).T)
    labels = logits.shape[-1] - (hard_negatives is not None)
    possible = np.concatenate([gold[row.doc].possible(row.mentions, labels, negative) for row in rows])
    log_rates = np.concatenate([samples[row.doc].log_rates[row.mentions] for row in rows])
    gradient = np.zeros(logits.shape, dtype=np.float32)
    gradient[index], loss = sampled_loss(rows, logits[index], possible, log_rates, negative, hard_negatives)
    return gradient, loss


def sampled_loss(
    rows: Sequence[MentionRow],
    scores: np.ndarray,
    possible: np.ndarray,
    log_rates: np.ndarray,
    negative: int,
    hard_negatives: int | None,
) -> tuple[np.ndarray, float]:
    """Gradient and sum of the cross entropy over the mentions that were classified, and of the span filter's.

    The filter's loss is the binary cross entropy of "is it an entity" over all mentions. Where a mention may
    be none or one of a label that the Doc is not annotated with, its target is what the classifier gives the latter.

    scores: those of all mentions of the rows, one row after the other, as `EntitySpanClassification` gives them.
        *Shape:* (mentions, labels), or (mentions, labels + 1) with a span filter
    possible: as `GoldSpans.possible` gives it. *Shape:* (mentions, labels)
    log_rates: as in `TrainingSample`. *Shape:* (mentions,)
    hard_negatives: of the span filter, whose most probable mentions are all drawn; None without one.
    """
    if hard_negatives is None:
        scores[:, negative] += log_rates
        return cross_entropy_of_sets(scores, possible)
    logits, filter_logits = scores[:, :-1], scores[:, -1]
    classified = logits[:, negative] != -np.inf
    rates = np.where(_most_probable(rows, filter_logits, hard_negatives), 0.0, log_rates)
    chosen = logits[classified]
    chosen[:, negative] += rates[classified]
    gradient = np.zeros(scores.shape, dtype=np.float32)
    gradient[classified, :-1], loss = cross_entropy_of_sets(chosen, possible[classified])
    is_entity = 1.0 - possible[:, negative]
    open_ = classified & (possible.sum(axis=1) > 1)
    is_entity[open_] = 1.0 - softmax(np.where(possible, logits, -np.inf)[open_])[:, negative]
    gradient[:, -1:], filter_loss = binary_cross_entropy(filter_logits[:, None], is_entity[:, None])
    return gradient, loss + filter_loss


def _most_probable(rows: Sequence[MentionRow], filter_logits: np.ndarray, count: int) -> np.ndarray:
    """The mentions that the filter keeps whether drawn or not. *Shape:* (mentions,) -> the same, bool"""
    found = np.zeros(len(filter_logits), dtype=bool)
    start = 0
    for row in rows:
        end = start + len(row.mentions)
        found[start + np.argsort(-filter_logits[start:end], kind="stable")[:count]] = True
        start = end
    return found
