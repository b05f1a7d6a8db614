"""Rows of a batch by their index."""

from __future__ import annotations

from torch import Tensor


def take_rows(states: Tensor, index: Tensor) -> Tensor:
    """*Shapes:* (batch, rows, hidden), (batch, n) -> (batch, n, hidden)."""
    return states.gather(1, index.unsqueeze(-1).expand(-1, -1, states.shape[-1]))
