"""From scored spans to annotations."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def greedy(spans: np.ndarray, scores: np.ndarray, length: int, taken: Iterable[tuple[int, int]]) -> list[int]:
    """Indices of spans that do not overlap, chosen best first and given in text order.

    spans: token ranges. *Shape:* (spans, 2)
    scores: raw logits, as in the paper's code; equal ones keep their order. *Shape:* (spans,)
    length: tokens of the Doc.
    taken: token ranges that are not to be overlapped.
    """
    free = np.ones(length, dtype=bool)
    for start, end in taken:
        free[start:end] = False
    chosen = []
    for i in np.argsort(-scores, kind="stable").tolist():
        start, end = spans[i]
        if free[start:end].all():
            free[start:end] = False
            chosen.append(i)
    return sorted(chosen, key=lambda i: int(spans[i, 0]))
