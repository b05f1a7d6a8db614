"""Losses and their gradients on logits."""

from __future__ import annotations

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis, in float64."""
    return np.exp(log_softmax(logits))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of the probabilities along the last axis, in float64; exact for probabilities near 0, too."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, float]:
    """Gradient and sum of the cross entropy of each row with its target class.

    Classes that cannot be, such as padding, have logits of -inf.

    *Shapes:* (rows, classes), (rows,) -> (rows, classes), float32, and a number
    """
    logs = log_softmax(logits)
    rows = np.arange(len(targets))
    gradient = np.exp(logs)
    gradient[rows, targets] -= 1.0
    return gradient.astype(np.float32), float(-logs[rows, targets].sum())


def cross_entropy_of_sets(logits: np.ndarray, possible: np.ndarray) -> tuple[np.ndarray, float]:
    """Gradient and sum of -log of the probability of a set of classes, for each row.

    It is the marginal likelihood where it is only known that the class is one of these (Greenberg et al. 2018,
    "Marginal Likelihood Training of BiLSTM-CRF for Biomedical Named Entity Recognition from Disjoint Label Sets"). Of
    sets of one class it is the cross entropy.

    possible: True for the classes of the set, at least one in each row.

    *Shapes:* (rows, classes), (rows, classes), bool -> (rows, classes), float32, and a number
    """
    logs = log_softmax(logits)
    inside = np.where(possible, logs, -np.inf)
    peak = inside.max(axis=-1, keepdims=True, initial=-np.inf)
    total = peak + np.log(np.exp(inside - peak).sum(axis=-1, keepdims=True))
    gradient = np.exp(logs) - np.exp(inside - total)
    return gradient.astype(np.float32), float(-total.sum())


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probabilities of independent labels, in float64."""
    return 0.5 * (1.0 + np.tanh(0.5 * logits.astype(np.float64)))


def binary_cross_entropy(logits: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, float]:
    """Gradient and sum over the rows of the binary cross entropy, which is averaged over the labels of a row.

    Divided by the number of rows, it is the reference's mean over all elements (torch's BCEWithLogitsLoss).

    *Shapes:* (rows, labels), (rows, labels) of 0 and 1 -> (rows, labels), float32, and a number
    """
    x = logits.astype(np.float64)
    loss = np.maximum(x, 0) - x * targets + np.log1p(np.exp(-np.abs(x)))
    gradient = (sigmoid(x) - targets) / logits.shape[-1]
    return gradient.astype(np.float32), float(loss.mean(axis=-1).sum())
