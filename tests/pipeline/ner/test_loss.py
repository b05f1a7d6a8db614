"""The loss of sampled mentions, and that of the span filter."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from spacy.util import fix_random_seed

from spacy_luke.batching.mentions import SpanCandidates
from spacy_luke.pipeline.base.gold import GoldSpans
from spacy_luke.pipeline.ner.inputs import MentionRow
from spacy_luke.pipeline.ner.loss import TrainingSample, batch_loss, sample_negatives, sampled_loss
from spacy_luke.tokenization.pieces import WordPieces

TEXT = WordPieces(*[np.zeros(0, dtype=np.int64)] * 4)
NEGATIVE = 0


def candidates(window_of: list[int]) -> SpanCandidates:
    spans = np.zeros((len(window_of), 2), dtype=np.int64)
    return SpanCandidates(spans, np.arange(len(window_of)), spans, np.array(window_of), [], Counter())


def gold(targets: list[int], unknown: tuple[int, ...] = (), **more) -> GoldSpans:
    known = np.ones(len(targets), dtype=bool)
    known[list(unknown)] = False
    return GoldSpans(np.array(targets), known, **more)


def row(doc: int, *mentions: int) -> MentionRow:
    return MentionRow(doc, TEXT, 0, 0, np.array(mentions), np.zeros((len(mentions), 2)), 2)


def test_gold_mentions_are_drawn_and_some_negatives_of_each_window() -> None:
    fix_random_seed(0)
    window_of = [0] * 10 + [1] * 3 + [2] * 4
    target = gold([1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 1, 0, 1, 1, 1, 2], unknown=(9,))
    drawn_once = []
    for _ in range(20):
        sample = sample_negatives(candidates(window_of), target, NEGATIVE, 3)
        assert sample.known.tolist() == [i for i in range(17) if i != 9]
        assert sample.drawn[target.targets > 0].all()
        assert not sample.drawn[9]
        negatives = sample.drawn & (target.targets == 0)
        assert [int(negatives[np.array(window_of) == w].sum()) for w in range(3)] == [3, 2, 0]
        np.testing.assert_allclose(sample.log_rates, [np.log(3 / 7)] * 10 + [0.0] * 7)
        assert sample.mentions.tolist() == np.flatnonzero(sample.drawn).tolist()
        drawn_once.append(tuple(np.flatnonzero(negatives[:10])))
    assert len(set(drawn_once)) > 5
    none = sample_negatives(candidates(window_of), target, NEGATIVE, 0)
    assert none.mentions.tolist() == np.flatnonzero(target.targets).tolist()
    assert not none.log_rates.any()
    every = sample_negatives(candidates(window_of), target, NEGATIVE, None)
    assert every.mentions.tolist() == every.known.tolist() == [i for i in range(17) if i != 9]
    assert not every.log_rates.any()


def cross_entropy(logits: np.ndarray, possible: np.ndarray) -> float:
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    return float(-np.log((probabilities * possible).sum(axis=-1)).sum())


def numeric(loss, scores: np.ndarray) -> np.ndarray:
    """The gradient of a loss by central differences; 0 for scores of -inf."""
    found = np.zeros(scores.shape)
    for place in np.ndindex(scores.shape):
        if np.isfinite(scores[place]):
            values = []
            for step in (1e-4, -1e-4):
                moved = scores.copy()
                moved[place] += step
                values.append(loss(moved))
            found[place] = (values[0] - values[1]) / 2e-4
    return found


POSSIBLE = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 1], [0, 0, 1], [1, 0, 0]], dtype=bool)
LOG_RATES = np.array([-1.0, -1.0, -0.5, -0.5, -0.25])


def test_the_rate_of_the_negatives_is_added_to_their_logit() -> None:
    scores = np.random.default_rng(0).normal(size=(5, 3))
    shifted = scores + LOG_RATES[:, None] * [1, 0, 0]
    gradient, loss = sampled_loss([row(0, 0, 1, 2, 3, 4)], scores.copy(), POSSIBLE, LOG_RATES, NEGATIVE, None)
    assert loss == pytest.approx(cross_entropy(shifted, POSSIBLE))
    np.testing.assert_allclose(gradient, numeric(lambda s: cross_entropy(s, POSSIBLE), shifted), atol=1e-5)


def filter_loss(scores: np.ndarray, rates: np.ndarray, is_entity: np.ndarray) -> float:
    logits, of_filter = scores[:, :-1] + rates[:, None] * [1, 0, 0], scores[:, -1]
    classified = np.isfinite(scores[:, NEGATIVE])
    p = 1 / (1 + np.exp(-of_filter))
    binary = -(is_entity * np.log(p) + (1 - is_entity) * np.log(1 - p)).sum()
    return cross_entropy(logits[classified], POSSIBLE[classified]) + float(binary)


def test_the_filter_learns_from_all_mentions_and_the_classifier_from_those_that_it_kept() -> None:
    scores = np.random.default_rng(1).normal(size=(5, 4))
    scores[1, :-1] = -np.inf  # not classified
    scores[:, -1] = [3.0, 1.0, 2.0, 5.0, 4.0]
    rows = [row(0, 0, 1, 2), row(1, 0, 1)]  # of each, the two that the filter finds most probable are always drawn
    rates = np.array([0.0, LOG_RATES[1], 0.0, 0.0, 0.0])
    logits = scores[2, :-1]
    share = np.exp(logits[2]) / (np.exp(logits[0]) + np.exp(logits[2]))
    is_entity = np.array([0.0, 1.0, share, 1.0, 0.0])
    gradient, loss = sampled_loss(rows, scores.copy(), POSSIBLE, LOG_RATES, NEGATIVE, 2)
    assert loss == pytest.approx(filter_loss(scores, rates, is_entity))
    np.testing.assert_allclose(gradient, numeric(lambda s: filter_loss(s, rates, is_entity), scores), atol=1e-5)
    assert gradient.dtype == np.float32
    one = np.array([0.0, LOG_RATES[1], LOG_RATES[2], 0.0, LOG_RATES[4]])
    _, loss = sampled_loss(rows, scores.copy(), POSSIBLE, LOG_RATES, NEGATIVE, 1)
    assert loss == pytest.approx(filter_loss(scores, one, is_entity))


def test_a_mention_that_was_not_classified_is_no_entity_for_the_filter_if_it_may_be_none() -> None:
    scores = np.array([[-np.inf, -np.inf, 0.5], [1.0, 2.0, -0.5]])
    possible = np.array([[True, True], [True, False]])
    gradient, loss = sampled_loss([row(0, 0, 1)], scores.copy(), possible, np.zeros(2), NEGATIVE, 1)
    p = 1 / (1 + np.exp([-0.5, 0.5]))
    assert loss == pytest.approx(-np.log(1 - p).sum() + np.log(1 + np.e))
    np.testing.assert_allclose(gradient[:, -1], p, rtol=1e-6)


@pytest.mark.parametrize("hard_negatives", [None, 1])
def test_a_batch_has_the_loss_of_its_mentions_and_no_gradient_for_padding(hard_negatives: int | None) -> None:
    width = 3 + (hard_negatives is not None)
    logits = np.random.default_rng(2).normal(size=(2, 3, width)).astype(np.float32)
    golds = [gold([0, 1, 2, 0]), gold([2, 0], unannotated=(1,))]
    samples = [
        TrainingSample(np.arange(4), np.ones(4, dtype=bool), np.array([-1.0, -1.0, -2.0, -2.0])),
        TrainingSample(np.arange(2), np.ones(2, dtype=bool), np.array([-0.5, -0.25])),
    ]
    rows = [row(1, 1, 0), row(0, 3, 0, 1)]
    gradient, loss = batch_loss(rows, logits.copy(), golds, samples, NEGATIVE, hard_negatives)
    possible = np.array([[1, 1, 0], [0, 0, 1], [1, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=bool)
    rates = np.array([-0.25, -0.5, -2.0, -1.0, -1.0])
    flat = np.concatenate([logits[0, :2], logits[1]])
    expected, total = sampled_loss(rows, flat.copy(), possible, rates, NEGATIVE, hard_negatives)
    assert loss == pytest.approx(total, rel=1e-6)
    np.testing.assert_allclose(np.concatenate([gradient[0, :2], gradient[1]]), expected, atol=1e-6)
    assert not gradient[0, 2].any()
    assert (gradient.shape, gradient.dtype) == (logits.shape, np.float32)
