"""LUKE with independent attention: pieces attend to pieces, an entity to the pieces and to itself.

In LUKE (Yamada et al. 2020, section 3.2) pieces and entities all attend to each other, so that the state of a
candidate span depends on which others share its input, and every piece pays for them. Here the pieces are encoded once,
as without entities, and the state of an entity depends on the pieces and on nothing else. Queries, keys and values are
those of entity-aware attention, but for the query of pieces for entities, which nothing asks with.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import Attention
from .config import LukeConfig
from .embeddings import EntityEmbeddings
from .encoder import Encoder, States
from .inputs import EncoderInput, EncoderOutput, Recording
from .kernels.dropout import dropout
from .kernels.int8 import Linear, project
from .layers import FeedForward
from .luke import additive_mask
from .span_filter import Kept, SpanFilter

# Most rows of entities in one call of a layer, outside training: more would only take more memory.
ENTITY_ROWS = 4096


class IndependentAttention(Attention):
    """Multi-head attention of pieces among themselves, and of each entity to the pieces and itself."""

    def __init__(self, config: LukeConfig):
        super().__init__(config)
        self.entity_aware = config.use_entity_aware_attention
        if self.entity_aware:
            self.entity_to_piece_query = Linear(config.hidden_size, config.hidden_size)
            self.entity_to_entity_query = Linear(config.hidden_size, config.hidden_size)

    def project(self, pieces: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the pieces, for themselves and for the entities.

        *Shapes:* (batch, pieces, hidden) -> 2 x (batch, heads, pieces, head width)
        """
        keys, values = project(pieces, self.key, self.value)
        return self._split(keys), self._split(values)

    def of_pieces(self, pieces: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """*Shape:* (batch, pieces, hidden) -> the same."""
        context = self._attend(self._split(self.query(pieces)), keys, values, mask)
        return self._finish(self._joined(context), pieces)

    def pieces_with_weights(
        self, pieces: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """`of_pieces`, the plain way, and the weights. *Shape of these:* (batch, heads, pieces, pieces)"""
        weights = self._weigh(self._split(self.query(pieces)) @ keys.transpose(2, 3), mask)
        return self._finish(self._joined(weights.to(values.dtype) @ values), pieces), weights

    def of_entities(self, entities: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """*Shape:* (batch, entities, hidden) -> the same."""
        return self.entities_with_weights(entities, keys, values, mask)[0]

    def entities_with_weights(
        self, entities: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """`of_entities` and the weights: of the pieces, then of the entity itself.

        *Shape of these:* (batch, heads, entities, pieces + 1)
        """
        if self.entity_aware:
            queries = self.entity_to_piece_query, self.entity_to_entity_query
            to_pieces, to_itself, key, value = project(entities, *queries, self.key, self.value)
        else:
            to_pieces, key, value = project(entities, self.query, self.key, self.value)
            to_itself = to_pieces
        scores = self._split(to_pieces) @ keys.transpose(2, 3)
        if mask is not None:
            scores = scores + mask
        own = (self._split(to_itself) * self._split(key)).sum(-1, keepdim=True)
        scores = torch.cat([scores, own], dim=-1) * keys.shape[-1] ** -0.5
        weights = dropout(scores.softmax(-1), self._dropped_weights)
        context = weights[..., :-1] @ values + weights[..., -1:] * self._split(value)
        return self._finish(self._joined(context), entities), weights


class IndependentLayer(nn.Module):
    """Attention, then feed-forward, of pieces or of entities."""

    def __init__(self, config: LukeConfig):
        super().__init__()
        self.attention = IndependentAttention(config)
        self.feed_forward = FeedForward(config)

    def of_pieces(self, pieces: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """*Shape:* (batch, pieces, hidden) -> the same; the rest as for the attention."""
        return self.feed_forward(self.attention.of_pieces(pieces, keys, values, mask))

    def of_entities(self, entities: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """*Shape:* (batch, entities, hidden) -> the same; the rest as for the attention."""
        return self.feed_forward(self.attention.of_entities(entities, keys, values, mask))

    def pieces_with_weights(
        self, pieces: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """`of_pieces` and the weights, as for the attention."""
        attended, weights = self.attention.pieces_with_weights(pieces, keys, values, mask)
        return self.feed_forward(attended), weights

    def entities_with_weights(
        self, entities: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """`of_entities` and the weights, as for the attention."""
        attended, weights = self.attention.entities_with_weights(entities, keys, values, mask)
        return self.feed_forward(attended), weights


class IndependentLukeEncoder(Encoder):
    """States of pieces, equal to those without entities, and of entities, each as if it were alone."""

    config: LukeConfig

    def __init__(self, config: LukeConfig, *, pooling: bool = True):
        super().__init__(config, pooling=pooling)
        self.entity_embeddings = EntityEmbeddings(config)
        self.layers: Any = nn.ModuleList(IndependentLayer(config) for _ in range(config.num_hidden_layers))

    def encode_filtered(self, batch: EncoderInput, span_filter: SpanFilter) -> tuple[EncoderOutput, Kept]:
        """Encode the pieces, and of the entities those that the filter keeps, which the output has in that order."""
        with self._autocast(batch):
            lower, upper = self.layers[: span_filter.settings.layer], self.layers[span_filter.settings.layer :]
            pieces, mask = self._embed_pieces(batch)
            seen = []
            for layer in lower:
                keys, values = layer.attention.project(pieces)
                seen.append((keys, values))
                pieces = self._run(layer.of_pieces, pieces, keys, values, mask)
            kept = span_filter(pieces, batch)
            entities = self._embed_entities(kept.batch)
            assert entities is not None
            for layer, (keys, values) in zip(lower, seen, strict=True):
                entities = self._entities_through(layer, entities, keys, values, mask)
            del seen
            return self._through(upper, pieces, entities, mask, "all"), kept

    def _encode(self, batch: EncoderInput, states: States) -> EncoderOutput:
        pieces, mask = self._embed_pieces(batch)
        entities = self._embed_entities(batch) if states in ("all", "entities") else None
        return self._through(self.layers, pieces, entities, mask, states)

    def _encode_recorded(self, batch: EncoderInput, recording: Recording) -> EncoderOutput:
        pieces, mask = self._embed_pieces(batch)
        entities = self._embed_entities(batch)
        states = [(pieces, entities)] if 0 in recording.states else []
        attentions = []
        for number, layer in enumerate(self.layers, start=1):
            keys, values = layer.attention.project(pieces)
            if number in recording.attentions:
                of_entities = None
                if entities is not None:
                    entities, of_entities = layer.entities_with_weights(entities, keys, values, mask)
                pieces, of_pieces = layer.pieces_with_weights(pieces, keys, values, mask)
                attentions.append(_joint_weights(of_pieces, of_entities))
            else:
                if entities is not None:
                    entities = self._entities_through(layer, entities, keys, values, mask)
                pieces = self._run(layer.of_pieces, pieces, keys, values, mask)
            if number in recording.states:
                states.append((pieces, entities))
        entity_states = tuple(of_entities for _, of_entities in states if of_entities is not None)
        return EncoderOutput(
            pieces=pieces,
            entities=entities,
            pooled=self._pooled(pieces),
            hidden_states=tuple(of_pieces for of_pieces, _ in states),
            entity_hidden_states=entity_states if entities is not None else None,
            attentions=tuple(attentions),
        )

    def _through(
        self,
        layers: Iterable[IndependentLayer],
        pieces: Tensor,
        entities: Tensor | None,
        mask: Tensor | None,
        states: States,
    ) -> EncoderOutput:
        """The rest of the layers, pieces and entities side by side."""
        *earlier, last = layers
        for layer in (*earlier, last):
            keys, values = layer.attention.project(pieces)
            if entities is not None:
                entities = self._entities_through(layer, entities, keys, values, mask)
            if states == "entities" and layer is last:
                return EncoderOutput(pieces=None, entities=entities, pooled=None)
            if states == "pooled" and layer is last:
                pieces = self._run(layer.of_pieces, pieces[:, :1], keys, values, mask)
                return EncoderOutput(pieces=None, entities=None, pooled=self._pooled(pieces))
            pieces = self._run(layer.of_pieces, pieces, keys, values, mask)
        return EncoderOutput(pieces=pieces, entities=entities, pooled=self._pooled(pieces))

    def _embed_pieces(self, batch: EncoderInput) -> tuple[Tensor, Tensor | None]:
        pieces = self.embeddings(batch.piece_ids, batch.piece_types)
        return pieces, None if batch.known.full_pieces else additive_mask(batch.piece_mask, pieces.dtype)

    def _embed_entities(self, batch: EncoderInput) -> Tensor | None:
        if batch.entity_ids is None:
            return None
        assert batch.entity_spans is not None
        return self.entity_embeddings(batch.entity_ids, batch.entity_spans)

    def _entities_through(
        self, layer: IndependentLayer, entities: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None
    ) -> Tensor:
        """One layer; outside training in slices, since no entity needs another."""
        if torch.is_grad_enabled():
            return self._run(layer.of_entities, entities, keys, values, mask)
        size = max(ENTITY_ROWS // len(entities), 1)
        return torch.cat([layer.of_entities(part, keys, values, mask) for part in entities.split(size, dim=1)], dim=1)


def _joint_weights(of_pieces: Tensor, of_entities: Tensor | None) -> Tensor:
    """The weights of all rows, pieces before entities: 0 for what a row does not see.

    *Shapes:* (batch, heads, pieces, pieces), (batch, heads, entities, pieces + 1) -> (batch, heads, rows, rows)
    """
    if of_entities is None:
        return of_pieces
    to_itself = torch.diag_embed(of_entities[..., -1])
    upper = F.pad(of_pieces, (0, of_entities.shape[2]))
    return torch.cat([upper, torch.cat([of_entities[..., :-1], to_itself], dim=-1)], dim=2).float()
