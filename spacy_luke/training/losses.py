"""Losses and their gradients on logits."""

from __future__ import annotations

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis, in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    exps = np.exp(shifted)
    return exps / exps.sum(axis=-1, keepdims=True)


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, float]:
    """Gradient and sum of the cross entropy of each row with its target class.

    *Shapes:* (rows, classes), (rows,) -> (rows, classes), float32, and a number
    """
    probabilities = softmax(logits)
    rows = np.arange(len(targets))
    loss = -np.log(np.maximum(probabilities[rows, targets], 1e-30)).sum()
    probabilities[rows, targets] -= 1.0
    return probabilities.astype(np.float32), float(loss)
