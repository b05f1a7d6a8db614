"""Padded batches without their padding, for layers that compute each row on its own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .layers import flat_indices

_WORTH = 1 / 16  # share of padding from which on leaving it out saves more than moving the rows costs


@dataclass(frozen=True)
class Packing:
    """The order in which the real rows of a padded batch stand one after the other.

    The linear layers, activations and norms of the encoder's layers compute the packed rows; attention, and what comes
    before and after the layers, has the padded batch. Attention does not mask the entities of an item, so all of them
    are real or none is.

    places: the real rows, as a flattened mask counts them; None = rows stay where they are. *Shape:* (real,), int64
    sources: for each row of the padded batch, which packed row stands there: for padding, the first of the same text,
        so that no text with real rows gets numbers of another. *Shape:* (batch, rows), int64
    """

    places: Tensor | None = None
    sources: Tensor | None = None

    @classmethod
    def of(cls, mask: Tensor) -> Packing:
        """Pack what `mask` has, if that pays: in predictions on a CPU (a GPU would wait for the number of real rows).

        *Shape:* (batch, rows), bool
        """
        if mask.device.type != "cpu" or torch.is_grad_enabled():
            return PADDED
        places, counts = flat_indices(mask), mask.sum(1)
        if not len(places) or len(places) > (1 - _WORTH) * mask.numel():
            return PADDED
        first = (counts.cumsum(0) - counts).clamp_(max=len(places) - 1)  # a text without any takes what there is
        sources = first[:, None].repeat(1, mask.shape[1])
        sources.view(-1)[places] = torch.arange(len(places))
        return cls(places, sources)

    @property
    def is_packed(self) -> bool:
        return self.places is not None

    def pack(self, states: Tensor) -> Tensor:
        """*Shape:* (batch, rows, hidden) -> (1, real, hidden), or the same"""
        return states if self.places is None else states.flatten(0, 1).index_select(0, self.places).unsqueeze(0)

    def unpack(self, rows: Tensor) -> Tensor:
        """*Shape:* (1, real, hidden) -> (batch, rows, hidden), or the same"""
        if self.sources is None:
            return rows
        return rows[0].index_select(0, self.sources.view(-1)).unflatten(0, self.sources.shape)


PADDED = Packing()
