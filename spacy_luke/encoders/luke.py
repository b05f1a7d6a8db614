"""The LUKE encoder: post-norm BERT layers over pieces and entities (Yamada et al. 2020)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from .activations import get_activation
from .attention import ALL_ROWS, SelfAttention
from .config import LukeConfig
from .embeddings import EntityEmbeddings, PieceEmbeddings, init_weights
from .inputs import EncoderInput, EncoderOutput

States = Literal["all", "pieces", "entities"]


class FeedForward(nn.Module):
    """Two linear layers, residual and norm."""

    def __init__(self, config: LukeConfig):
        super().__init__()
        self.inner = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = get_activation(config.hidden_act)
        self.outer = nn.Linear(config.intermediate_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, rows: Tensor) -> Tensor:
        """*Shape:* (batch, rows, hidden) -> the same."""
        return self.norm(self.dropout(self.outer(self.activation(self.inner(rows)))) + rows)


class LukeLayer(nn.Module):
    """Attention, then feed-forward."""

    def __init__(self, config: LukeConfig):
        super().__init__()
        self.attention = SelfAttention(config)
        self.feed_forward = FeedForward(config)

    def forward(self, rows: Tensor, pieces: int, mask: Tensor | None, wanted: slice = ALL_ROWS) -> Tensor:
        """*Shape:* (batch, rows, hidden) -> (batch, wanted rows, hidden); see `SelfAttention.forward`."""
        return self.feed_forward(self.attention(rows, pieces, mask, wanted))


class LukeEncoder(nn.Module):
    """States of pieces and entities of a batch of windows, equal to transformers' `LukeModel` on the same weights.

    Pieces and entities live in one (batch, rows, hidden) tensor, pieces first: only the queries treat them apart.
    """

    def __init__(self, config: LukeConfig, *, pooling: bool = True):
        super().__init__()
        self.config = config
        self.precision = "float32"  # or "bfloat16": autocast
        self.embeddings = PieceEmbeddings(config)
        self.entity_embeddings = EntityEmbeddings(config)
        self.layers = nn.ModuleList(LukeLayer(config) for _ in range(config.num_hidden_layers))
        self.pooler = nn.Linear(config.hidden_size, config.hidden_size) if pooling else None

    def reset_parameters(self) -> None:
        """Random weights as the reference initialises them (`initializer_range`)."""
        init_weights(self, self.config.initializer_range)

    def forward(self, batch: EncoderInput, *, states: States = "all") -> EncoderOutput:
        """Encode one padded batch; states are float32 whatever the precision.

        states: what is to be read of the output: "all", only "pieces" or only "entities". The last layer computes no
            other rows.
        """
        with torch.autocast(batch.piece_ids.device.type, dtype=torch.bfloat16, enabled=self.precision == "bfloat16"):
            return self._encode(batch, states)

    def _encode(self, batch: EncoderInput, states: States) -> EncoderOutput:
        rows = self.embeddings(batch.piece_ids, batch.piece_types)
        keep = batch.piece_mask
        if batch.entity_ids is not None:
            assert batch.entity_spans is not None
            assert batch.entity_mask is not None
            rows = torch.cat([rows, self.entity_embeddings(batch.entity_ids, batch.entity_spans)], dim=1)
            keep = torch.cat([keep, batch.entity_mask], dim=1)
        pieces = batch.piece_ids.shape[1]
        mask = additive_mask(keep, rows.dtype)
        *earlier, last = self.layers
        for layer in earlier:
            rows = layer(rows, pieces, mask)
        if states == "entities":
            return EncoderOutput(pieces=None, entities=last(rows, pieces, mask, slice(pieces, None)), pooled=None)
        rows = last(rows, pieces, mask, slice(0, pieces) if states == "pieces" else ALL_ROWS)
        return EncoderOutput(
            pieces=rows[:, :pieces],
            entities=rows[:, pieces:] if batch.entity_ids is not None and states == "all" else None,
            pooled=torch.tanh(self.pooler(rows[:, 0]).float()) if self.pooler is not None else None,
        )


def additive_mask(keep: Tensor, dtype: torch.dtype) -> Tensor | None:
    """0 where a row may be attended to, the lowest number of `dtype` elsewhere; None if all rows may.

    *Shape:* (batch, rows) -> (batch, 1, 1, rows)
    """
    if bool(keep.all()):
        return None
    mask = torch.zeros(keep.shape, dtype=dtype, device=keep.device)
    return mask.masked_fill_(~keep, torch.finfo(dtype).min)[:, None, None, :]


def set_dropout(module: nn.Module, rate: float) -> None:
    """Set every dropout rate in `module`, that of the attention weights too."""
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = rate
        elif isinstance(part, SelfAttention):
            part.attention_dropout = rate
