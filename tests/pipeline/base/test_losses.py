"""Losses and gradients, beside torch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from spacy_luke.pipeline.base.losses import (
    binary_cross_entropy,
    cross_entropy,
    cross_entropy_of_sets,
    log_softmax,
    sigmoid,
    softmax,
)

EXTREME = [-1e4, -800.0, -90.0, -20.0, -1e-6, 0.0, 1e-6, 20.0, 90.0, 800.0, 1e4]


def logits(kind: str) -> np.ndarray:
    """*Shape:* (rows, classes), float32"""
    random = np.random.default_rng(0)
    if kind == "random":
        return random.normal(scale=4, size=(50, 7)).astype(np.float32)
    return random.choice(np.array(EXTREME, dtype=np.float32), size=(200, 7))


def by_torch(loss: torch.Tensor, given: torch.Tensor) -> tuple[np.ndarray, float]:
    loss.backward()
    assert given.grad is not None
    return given.grad.numpy(), loss.item()


@pytest.mark.parametrize("kind", ["random", "extreme"])
def test_cross_entropy_is_torchs_sum(kind: str) -> None:
    values = logits(kind)
    targets = np.random.default_rng(1).integers(7, size=len(values))
    given = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    wanted, total = by_torch(functional.cross_entropy(given, torch.tensor(targets), reduction="sum"), given)
    gradient, loss = cross_entropy(values, targets)
    assert loss == pytest.approx(total, rel=1e-9)
    assert gradient.dtype == np.float32
    np.testing.assert_allclose(gradient, wanted, atol=1e-7)


@pytest.mark.parametrize("kind", ["random", "extreme"])
def test_cross_entropy_of_sets_is_minus_the_log_of_their_probability(kind: str) -> None:
    values = logits(kind)
    possible = np.random.default_rng(1).random(values.shape) < 0.4
    possible[np.arange(len(values)), np.random.default_rng(2).integers(7, size=len(values))] = True
    given = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    logs = given.log_softmax(-1).masked_fill(torch.tensor(~possible), -torch.inf)
    wanted, total = by_torch(-logs.logsumexp(-1).sum(), given)
    gradient, loss = cross_entropy_of_sets(values, possible)
    assert loss == pytest.approx(total, rel=1e-9, abs=1e-9)
    assert gradient.dtype == np.float32
    np.testing.assert_allclose(gradient, wanted, atol=1e-7)


@pytest.mark.parametrize("kind", ["random", "extreme"])
def test_cross_entropy_of_sets_of_one_is_the_cross_entropy(kind: str) -> None:
    values = logits(kind)
    targets = np.random.default_rng(1).integers(7, size=len(values))
    gradient, loss = cross_entropy_of_sets(values, np.eye(7, dtype=bool)[targets])
    wanted, total = cross_entropy(values, targets)
    assert loss == total
    np.testing.assert_array_equal(gradient, wanted)


def test_classes_with_minus_infinity_take_no_part() -> None:
    """As the padding of a row of start logits."""
    values = logits("random")
    padded = np.concatenate([values, np.full_like(values, -np.inf)], axis=1)
    targets = np.random.default_rng(1).integers(7, size=len(values))
    gradient, loss = cross_entropy(values, targets)
    padded_gradient, padded_loss = cross_entropy(padded, targets)
    assert padded_loss == loss
    np.testing.assert_array_equal(padded_gradient, np.concatenate([gradient, np.zeros_like(gradient)], axis=1))


@pytest.mark.parametrize("kind", ["random", "extreme"])
def test_binary_cross_entropy_over_rows_is_torchs_mean(kind: str) -> None:
    values = logits(kind)
    targets = np.random.default_rng(1).integers(2, size=values.shape).astype(np.float32)
    given = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    mean = functional.binary_cross_entropy_with_logits(given, torch.tensor(targets, dtype=torch.float64))
    wanted, loss_per_row = by_torch(mean, given)
    gradient, loss = binary_cross_entropy(values, targets)
    assert loss / len(values) == pytest.approx(loss_per_row, rel=1e-9)
    assert gradient.dtype == np.float32
    np.testing.assert_allclose(gradient / len(values), wanted, atol=1e-9)


def test_losses_of_no_rows_are_0() -> None:
    for gradient, loss in (
        cross_entropy(np.zeros((0, 3), dtype=np.float32), np.zeros(0, dtype=np.int64)),
        cross_entropy_of_sets(np.zeros((0, 3), dtype=np.float32), np.zeros((0, 3), dtype=bool)),
        binary_cross_entropy(np.zeros((0, 3), dtype=np.float32), np.zeros((0, 3))),
    ):
        assert gradient.shape == (0, 3)
        assert loss == 0


def test_losses_leave_their_arguments_alone() -> None:
    values, targets = logits("random"), np.zeros((50, 7), dtype=np.float32)
    before = values.copy()
    cross_entropy(values, targets.argmax(axis=1))
    cross_entropy_of_sets(values, targets == 0)
    binary_cross_entropy(values, targets)
    np.testing.assert_array_equal(values, before)
    assert not targets.any()


@pytest.mark.parametrize("kind", ["random", "extreme"])
def test_probabilities_are_torchs(kind: str) -> None:
    values = logits(kind)
    given = torch.tensor(values, dtype=torch.float64)
    np.testing.assert_allclose(softmax(values), given.softmax(-1).numpy(), atol=1e-12)
    np.testing.assert_allclose(log_softmax(values), given.log_softmax(-1).numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(sigmoid(values), given.sigmoid().numpy(), atol=1e-12)


@pytest.mark.parametrize("shape", [(7,), (5, 7), (2, 5, 7), (0, 7)])
def test_probabilities_are_along_the_last_axis(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(scale=4, size=shape).astype(np.float32)
    expected = torch.tensor(values, dtype=torch.float64).softmax(-1).numpy()
    np.testing.assert_allclose(softmax(values), expected, atol=1e-12)
    assert softmax(values).dtype == np.float64
