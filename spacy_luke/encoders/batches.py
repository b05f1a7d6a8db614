"""An encoder over rows that come in several padded batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .encoder import Encoder
from .inputs import EncoderInput


@dataclass(frozen=True)
class Batch:
    """Some of many rows.

    indices: which ones, in the order of the padded rows.
    """

    indices: Sequence[int]
    rows: EncoderInput

    def to(self, device: torch.device | str) -> Batch:
        """The same on another device."""
        return Batch(self.indices, self.rows.to(device))


class BatchedEncoder(nn.Module):
    """States of the pieces of rows of different lengths.

    Rows of similar length are a batch, so that little padding is computed; the states of all are one tensor again.
    """

    def __init__(self, encoder: Encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, batches: Sequence[Batch]) -> Tensor:
        """Encode batches in which each row is once.

        *Shape:* -> (rows, pieces of the longest row, hidden), float32; 0 where a row has no piece.
        """
        longest = max(batch.rows.piece_ids.shape[1] for batch in batches)
        parts = []
        for batch in batches:
            states = self.encoder(batch.rows, states="pieces").pieces
            states = states.masked_fill(~batch.rows.piece_mask[..., None], 0.0)
            parts.append(F.pad(states, (0, 0, 0, longest - states.shape[1])))
        order = torch.tensor([index for batch in batches for index in batch.indices], device=parts[0].device)
        return torch.cat(parts)[order.argsort()]
