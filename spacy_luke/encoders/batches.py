"""An encoder over rows that come in several padded batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .encoder import Encoder
from .inputs import EncoderInput, EncoderOutput, Recording
from .longformer import LongformerEncoder


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
    """States of the pieces of rows of different lengths, and what is recorded of the layers.

    Rows of similar length are a batch, so that little padding is computed; the states of all are one tensor again.
    """

    def __init__(self, encoder: Encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, batches: Sequence[Batch], *, recording: Recording | None = None) -> EncoderOutput:
        """Encode batches in which each row is once, without entities or global pieces.

        recording: what to keep of the layers, without gradient; None = nothing.

        Of the output, the pieces are as many as the longest row has, and all is 0 where a row has no piece.
        """
        longest = max(batch.rows.piece_ids.shape[1] for batch in batches)
        indices = [index for batch in batches for index in batch.indices]
        order = torch.tensor(indices, device=batches[0].rows.piece_ids.device).argsort()
        outputs = [self.encoder(batch.rows, states="pieces", recording=recording) for batch in batches]

        def merged(parts: Sequence[Tensor], *, columns: bool = False) -> Tensor:
            """columns: whether each is a piece. *Shape:* (batch, …, pieces, columns) -> (rows, …, longest, columns)"""
            padded = []
            for batch, part in zip(batches, parts, strict=True):
                missing = longest - part.shape[-2]
                mask = batch.rows.piece_mask.view(len(part), *[1] * (part.ndim - 3), -1, 1)
                padded.append(F.pad(part.masked_fill(~mask, 0.0), (0, missing * columns, 0, missing)))
            return torch.cat(padded)[order]

        every = EncoderOutput(merged([output.pieces for output in outputs]), entities=None, pooled=None)
        if recording is not None:
            by_layer = zip(*(output.hidden_states for output in outputs), strict=True)
            every.hidden_states = tuple(merged([part.detach() for part in parts]) for parts in by_layer)
            by_layer = zip(*(output.attentions for output in outputs), strict=True)
            columns = not isinstance(self.encoder, LongformerEncoder)
            every.attentions = tuple(merged([part.detach() for part in parts], columns=columns) for parts in by_layer)
        return every
