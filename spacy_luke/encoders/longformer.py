"""The Longformer encoder: post-norm BERT layers whose attention is local but for some pieces (Beltagy et al. 2020)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from .config import LongformerConfig
from .encoder import Encoder, States
from .inputs import EncoderInput, EncoderOutput, Recording
from .layers import FeedForward
from .mention_states import MentionStates
from .sliding_window import AttentionPattern, Blocks, SlidingWindowAttention


class LongformerLayer(nn.Module):
    """Attention, then feed-forward."""

    def __init__(self, config: LongformerConfig):
        super().__init__()
        self.attention = SlidingWindowAttention(config)
        self.feed_forward = FeedForward(config)

    def forward(self, rows: Tensor, pattern: AttentionPattern, blocks: Blocks) -> Tensor:
        """*Shape:* (batch, pieces, hidden) -> the same; see `SlidingWindowAttention.forward`."""
        return self.feed_forward(self.attention(rows, pattern, blocks))

    def with_weights(
        self, rows: Tensor, pattern: AttentionPattern, window: int
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """`forward` and the attention weights; see `SlidingWindowAttention.with_weights`."""
        attended, weights, global_weights = self.attention.with_weights(rows, pattern, window)
        return self.feed_forward(attended), weights, global_weights


class LongformerEncoder(Encoder):
    """States of the pieces of a batch of windows, equal to transformers' `LongformerModel` on the same weights.

    Texts are not padded to a multiple of the window. Longformer has no entities: with `mentions`, the encoder makes
    their states from the pieces of each mention, so that the heads made for LUKE run on it.
    """

    config: LongformerConfig

    def __init__(self, config: LongformerConfig, *, pooling: bool = True, mentions: bool = False):
        super().__init__(config, pooling=pooling)
        self.layers: Any = nn.ModuleList(LongformerLayer(config) for _ in range(config.num_hidden_layers))
        self.mention_states = MentionStates(config) if mentions else None

    def reset_parameters(self) -> None:
        super().reset_parameters()
        if self.mention_states is not None:
            self.mention_states.reset_parameters()

    def _encode(self, batch: EncoderInput, states: States) -> EncoderOutput:
        rows = self.embeddings(batch.piece_ids, batch.piece_types)
        pattern = AttentionPattern.from_batch(batch)
        blocks = None
        for layer, window in zip(self.layers, self.config.attention_windows, strict=True):
            if blocks is None or blocks.window != window:
                blocks = Blocks.from_pattern(pattern, window)
            rows = self._run(layer, rows, pattern, blocks)
        return self._output(rows, batch, states)

    def _encode_recorded(self, batch: EncoderInput, recording: Recording) -> EncoderOutput:
        rows = self.embeddings(batch.piece_ids, batch.piece_types)
        pattern = AttentionPattern.from_batch(batch)
        states = [rows] if 0 in recording.states else []
        attentions, global_attentions = [], []
        for number, (layer, window) in enumerate(zip(self.layers, self.config.attention_windows, strict=True), start=1):
            if number in recording.attentions:
                rows, weights, global_weights = layer.with_weights(rows, pattern, window)
                attentions.append(weights)
                if global_weights is not None:
                    global_attentions.append(global_weights)
            else:
                rows = self._run(layer, rows, pattern, Blocks.from_pattern(pattern, window))
            if number in recording.states:
                states.append(rows)
        output = self._output(rows, batch, "all")
        output.hidden_states, output.attentions = tuple(states), tuple(attentions)
        output.global_attentions = tuple(global_attentions) if pattern.global_pieces is not None else None
        return output

    def _output(self, rows: Tensor, batch: EncoderInput, states: States) -> EncoderOutput:
        entities = None
        if self.mention_states is not None and batch.entity_spans is not None and states in ("all", "entities"):
            entities = self.mention_states(rows, batch.entity_spans)
        if states == "entities":
            return EncoderOutput(pieces=None, entities=entities, pooled=None)
        return EncoderOutput(None if states == "pooled" else rows, entities, self._pooled(rows))
