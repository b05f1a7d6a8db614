"""Rows of a batch by their index."""

from __future__ import annotations

from torch import Tensor


def take_rows(states: Tensor, index: Tensor) -> Tensor:
    """*Shapes:* (batch, rows, hidden), (batch, n) -> (batch, n, hidden)."""
    return states.gather(1, index.unsqueeze(-1).expand(-1, -1, states.shape[-1]))


def places_of(mask: Tensor) -> Tensor:
    """Where a mask is True, counted through all rows. Not for a mask on a GPU, for which the processor would wait.

    *Shape:* (batch, rows) -> (places,), int64
    """
    return mask.flatten().nonzero().squeeze(1)


def take_places(states: Tensor, places: Tensor) -> Tensor:
    """*Shapes:* (batch, rows, hidden), (places,) -> (places, hidden); see `places_of`."""
    rows = states.shape[1]
    return states[places // rows, places % rows]
