"""What entities read of the pieces under independent attention: encoded once, for all that read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class PieceStates:
    """What the layers give for the pieces of a batch.

    keys, values: of each layer, which entities attend to. *Shape:* layers x (batch, heads, pieces, head width)
    hidden: states after some layers, the last one among them, by number: n is what layer n gives.
        *Shape:* (batch, pieces, hidden)
    mask: added to the scores of the pieces; None if none is masked. *Shape:* (batch, 1, 1, pieces)
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    hidden: Mapping[int, Tensor]
    mask: Tensor | None

    @property
    def last(self) -> Tensor:
        """States of the last layer. *Shape:* (batch, pieces, hidden)"""
        return self.hidden[len(self.keys)]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All that depends on the weights, in an order of its own."""
        return (*self.keys, *self.values, *(self.hidden[number] for number in sorted(self.hidden)))

    def with_tensors(self, tensors: tuple[Tensor, ...]) -> PieceStates:
        """The same with others in the order of `tensors`."""
        layers = len(self.keys)
        hidden = dict(zip(sorted(self.hidden), tensors[2 * layers :], strict=True))
        return replace(self, keys=tensors[:layers], values=tensors[layers : 2 * layers], hidden=hidden)

    @property
    def nbytes(self) -> int:
        """Memory that the states take, in bytes."""
        return sum(tensor.nbytes for tensor in self.tensors)

    def select(self, rows: Tensor, pieces: int) -> PieceStates:
        """The states of some rows of the batch, which may repeat, and of their first pieces.

        rows: *Shape:* (rows,), int64
        pieces: how many.
        """
        mask = self.mask
        return PieceStates(
            keys=tuple(tensor[:, :, :pieces].index_select(0, rows) for tensor in self.keys),
            values=tuple(tensor[:, :, :pieces].index_select(0, rows) for tensor in self.values),
            hidden={number: states[:, :pieces].index_select(0, rows) for number, states in self.hidden.items()},
            mask=None if mask is None else mask[..., :pieces].index_select(0, rows),
        )


class PieceSource(Protocol):
    """Where an encoder gets the states of the pieces of a batch from, instead of encoding them."""

    def states(self, *layers: int) -> PieceStates:
        """Return the states, with those after some `layers` and the last one in `hidden`."""
