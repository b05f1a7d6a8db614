"""The LUKE encoder: post-norm BERT layers over pieces and entities (Yamada et al. 2020)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .attention import ALL_ROWS, SelfAttention
from .config import LukeConfig
from .embeddings import EntityEmbeddings
from .encoder import Encoder, States
from .inputs import EncoderInput, EncoderOutput, Recording
from .layers import FeedForward


class LukeLayer(nn.Module):
    """Attention, then feed-forward."""

    def __init__(self, config: LukeConfig):
        super().__init__()
        self.attention = SelfAttention(config)
        self.feed_forward = FeedForward(config)

    def forward(self, rows: Tensor, pieces: int, mask: Tensor | None, wanted: slice = ALL_ROWS) -> Tensor:
        """*Shape:* (batch, rows, hidden) -> (batch, wanted rows, hidden); see `SelfAttention.forward`."""
        return self.feed_forward(self.attention(rows, pieces, mask, wanted))

    def with_weights(self, rows: Tensor, pieces: int, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """`forward` for all rows, and the attention weights; see `SelfAttention.with_weights`."""
        attended, weights = self.attention.with_weights(rows, pieces, mask)
        return self.feed_forward(attended), weights


class LukeEncoder(Encoder):
    """States of pieces and entities of a batch of windows, equal to transformers' `LukeModel` on the same weights.

    Pieces and entities live in one (batch, rows, hidden) tensor, pieces first: only the queries treat them apart. The
    last layer computes no rows but those that are to be read.
    """

    config: LukeConfig

    def __init__(self, config: LukeConfig, *, pooling: bool = True):
        super().__init__(config, pooling=pooling)
        self.entity_embeddings = EntityEmbeddings(config)
        self.layers: Any = nn.ModuleList(LukeLayer(config) for _ in range(config.num_hidden_layers))

    def _embed(self, batch: EncoderInput) -> tuple[Tensor, int, Tensor | None]:
        """The rows, how many of them are pieces, and what is added to the scores."""
        rows = self.embeddings(batch.piece_ids, batch.piece_types)
        known = batch.known
        keep, full = batch.piece_mask, known.full_pieces
        if batch.entity_ids is not None:
            assert batch.entity_spans is not None
            assert batch.entity_mask is not None
            rows = torch.cat([rows, self.entity_embeddings(batch.entity_ids, batch.entity_spans)], dim=1)
            keep, full = torch.cat([keep, batch.entity_mask], dim=1), full and known.full_entities
        return rows, batch.piece_ids.shape[1], None if full else additive_mask(keep, rows.dtype)

    def _encode(self, batch: EncoderInput, states: States) -> EncoderOutput:
        rows, pieces, mask = self._embed(batch)
        *earlier, last = self.layers
        for layer in earlier:
            rows = self._run(layer, rows, pieces, mask)
        if states == "entities":
            rows = self._run(last, rows, pieces, mask, slice(pieces, None))
            return EncoderOutput(pieces=None, entities=rows, pooled=None)
        if states == "pooled":
            rows = self._run(last, rows, pieces, mask, slice(0, 1))
            return EncoderOutput(pieces=None, entities=None, pooled=self._pooled(rows))
        rows = self._run(last, rows, pieces, mask, slice(0, pieces) if states == "pieces" else ALL_ROWS)
        return EncoderOutput(
            pieces=rows[:, :pieces],
            entities=rows[:, pieces:] if batch.entity_ids is not None and states == "all" else None,
            pooled=self._pooled(rows),
        )

    def _encode_recorded(self, batch: EncoderInput, recording: Recording) -> EncoderOutput:
        rows, pieces, mask = self._embed(batch)
        states = [rows] if 0 in recording.states else []
        attentions = []
        for number, layer in enumerate(self.layers, start=1):
            if number in recording.attentions:
                rows, weights = layer.with_weights(rows, pieces, mask)
                attentions.append(weights)
            else:
                rows = self._run(layer, rows, pieces, mask)
            if number in recording.states:
                states.append(rows)
        has_entities = batch.entity_ids is not None
        return EncoderOutput(
            pieces=rows[:, :pieces],
            entities=rows[:, pieces:] if has_entities else None,
            pooled=self._pooled(rows),
            hidden_states=tuple(layer_states[:, :pieces] for layer_states in states),
            entity_hidden_states=tuple(layer_states[:, pieces:] for layer_states in states) if has_entities else None,
            attentions=tuple(attentions),
        )


def additive_mask(keep: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where a row may be attended to, the lowest number of `dtype` elsewhere.

    *Shape:* (batch, rows) -> (batch, 1, 1, rows)
    """
    mask = torch.zeros(keep.shape, dtype=dtype, device=keep.device)
    return mask.masked_fill_(~keep, torch.finfo(dtype).min)[:, None, None, :]
