"""Masked language models of pieces and entities: the heads of pretraining (Yamada et al. 2020, section 3.1)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .activations import get_activation
from .config import EncoderConfig, LukeConfig
from .encoder import States
from .heads import TaskModule
from .inputs import EncoderInput
from .kernels.onednn_linear import linear
from .layers import take_flat


class Predictions(NamedTuple):
    """Logits of the chosen rows of a batch, in the order of its rows; None for what was not asked for.

    pieces: *Shape:* (chosen pieces, vocabulary), float32
    entities: *Shape:* (chosen entities, entity vocabulary), float32
    """

    pieces: Tensor | None
    entities: Tensor | None


class PieceDecoder(nn.Module):
    """Project states onto the piece table; GELU whatever the encoder's activation.

    Without a decoder of its own it multiplies with the encoder's piece table.
    """

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        tied = config.extra.get("tie_word_embeddings", True)
        self.decoder = None if tied else nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    def forward(self, states: Tensor, table: Tensor) -> Tensor:
        """*Shapes:* (…, hidden), (vocabulary, hidden) -> (…, vocabulary)."""
        rows = self.layer_norm(F.gelu(self.dense(states)))
        return linear(rows, table if self.decoder is None else self.decoder.weight, self.bias)


class EntityTransform(nn.Module):
    """Project states to the width of the entity table, with the encoder's activation."""

    def __init__(self, config: LukeConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.entity_emb_size)
        self.activation = get_activation(config.hidden_act)
        self.LayerNorm = nn.LayerNorm(config.entity_emb_size, eps=config.layer_norm_eps)

    def forward(self, states: Tensor) -> Tensor:
        """*Shape:* (…, hidden) -> (…, entity width)."""
        return self.LayerNorm(self.activation(self.dense(states)))


class EntityDecoder(nn.Module):
    """Project states onto the entity table.

    Without a decoder of its own it multiplies with the encoder's entity table. What config.json says of tying is not
    about it: transformers 4 ties it always, transformers 5 trains one of its own if `tie_word_embeddings` is false.
    """

    def __init__(self, config: LukeConfig):
        super().__init__()
        self.transform = EntityTransform(config)
        self.bias = nn.Parameter(torch.zeros(config.entity_vocab_size))
        self.decoder: nn.Linear | None = None

    def untie(self, config: LukeConfig) -> None:
        """Give it a decoder of its own."""
        self.decoder = nn.Linear(config.entity_emb_size, config.entity_vocab_size, bias=False)

    def forward(self, states: Tensor, table: Tensor) -> Tensor:
        """*Shapes:* (…, hidden), (entity vocabulary, entity width) -> (…, entity vocabulary)."""
        return linear(self.transform(states), table, self.bias)

    def among(self, states: Tensor, table: Tensor, candidates: Tensor) -> Tensor:
        """The logits of some entities for each row; those of all others are never computed.

        *Shapes:* (rows, hidden), (entity vocabulary, entity width), (rows, candidates) -> (rows, candidates); -inf for
        a candidate of -1
        """
        ids = candidates.clamp(min=0)
        logits = (F.embedding(ids, table) @ self.transform(states).unsqueeze(-1)).squeeze(-1) + self.bias[ids]
        return logits.masked_fill(candidates < 0, -torch.inf)


class MaskedLM(TaskModule):
    """Masked language model of pieces (`LongformerForMaskedLM`)."""

    pooling = False
    reads_entities = False
    labelled = False

    def _make_head(self, config: EncoderConfig, labels: int) -> None:
        self.lm_head = PieceDecoder(config)

    def forward(self, batch: EncoderInput) -> Tensor:
        """*Shape:* -> (batch, pieces, vocabulary), float32 logits"""
        pieces = self.encoder(batch, states="pieces").pieces
        assert pieces is not None
        return self._decode_pieces(pieces)

    def predict(self, batch: EncoderInput, *, pieces: Tensor | None = None) -> Predictions:
        """The logits of some pieces alone: no tensor of all pieces by the whole vocabulary ever exists.

        pieces: those to predict, as `flat_indices` counts them. *Shape:* (predicted pieces,), int64
        """
        if pieces is None:
            return Predictions(None, None)
        states = self.encoder(batch, states="pieces").pieces
        assert states is not None
        return Predictions(self._decode_pieces(take_flat(states, pieces)), None)

    def _decode_pieces(self, states: Tensor) -> Tensor:
        return self.lm_head(states, self.encoder.embeddings.word.weight).float()


class MaskedLMWithEntities(MaskedLM):
    """Masked language model of pieces and entities (`LukeForMaskedLM`)."""

    pooling = True
    reads_entities = True

    def _make_head(self, config: EncoderConfig, labels: int) -> None:
        super()._make_head(config, labels)
        assert isinstance(config, LukeConfig)
        self.entity_predictions = EntityDecoder(config)

    def forward(self, batch: EncoderInput) -> Tensor:
        """Float32 logits of what the batch has to be predicted: some of its entities, else all of its pieces.

        *Shape:* -> (predicted entities, candidates) or (predicted entities, entity vocabulary), else (batch, pieces,
        vocabulary)
        """
        if batch.predicted_places is None:
            return super().forward(batch)
        entities = self.encoder(batch, states="entities").entities
        assert entities is not None
        states = take_flat(entities, batch.predicted_places)
        if batch.candidates is None:
            return self._decode_entities(states)
        return self.entity_predictions.among(states, self._entity_table, batch.candidates).float()

    def predict(
        self, batch: EncoderInput, *, pieces: Tensor | None = None, entities: Tensor | None = None
    ) -> Predictions:
        """The logits of some pieces and entities alone, from one pass of the encoder.

        pieces: those to predict, as `flat_indices` counts them. *Shape:* (predicted pieces,), int64
        entities: the same for entities, which the batch must have. *Shape:* (predicted entities,), int64
        """
        if entities is None:
            return super().predict(batch, pieces=pieces)
        wanted: States = "entities" if pieces is None else "all"
        output = self.encoder(batch, states=wanted)
        assert output.entities is not None
        piece_logits = None
        if pieces is not None:
            assert output.pieces is not None
            piece_logits = self._decode_pieces(take_flat(output.pieces, pieces))
        return Predictions(piece_logits, self._decode_entities(take_flat(output.entities, entities)))

    def _decode_entities(self, states: Tensor) -> Tensor:
        return self.entity_predictions(states, self._entity_table).float()

    @property
    def _entity_table(self) -> Tensor:
        if self.entity_predictions.decoder is not None:
            return self.entity_predictions.decoder.weight
        table: Tensor = self.encoder.entity_embeddings.entity.weight  # type: ignore[union-attr, assignment]
        return table
