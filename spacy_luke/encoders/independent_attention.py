"""LUKE with independent attention: pieces attend to pieces, an entity to the pieces and to itself or, where entities
are classified together, to those of its item.

In LUKE (Yamada et al. 2020, section 3.2) pieces and entities all attend to each other, so that the state of a
candidate span depends on which others share its input, and every piece pays for them. Here the pieces are encoded once,
as without entities, and the state of an entity depends on the pieces and on nothing else. Queries, keys and values are
those of entity-aware attention, but for the query of pieces for entities, which nothing asks with.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
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
from .kernels.item_attention import attend_in_two_parts, can_attend_in_two_parts
from .layers import FeedForward
from .luke import additive_mask
from .packing import PADDED, Packing
from .piece_states import PieceStates
from .span_filter import KeptEntities, SpanFilter

# Bounds of memory in predictions: the most rows of entities in one call of a layer, which otherwise takes them in
# slices; and the most rows of entities, with padding, of a batch that is packed, which is not cut into slices.
ENTITY_ROWS, PACKED_ROWS = 1024, 4096


class IndependentAttention(Attention):
    """Multi-head attention of pieces among themselves, and of each entity to the pieces and itself."""

    def __init__(self, config: LukeConfig):
        super().__init__(config)
        self.entity_aware = config.use_entity_aware_attention
        if self.entity_aware:
            self.entity_to_piece_query = Linear(config.hidden_size, config.hidden_size)
            self.entity_to_entity_query = Linear(config.hidden_size, config.hidden_size)

    def project(self, pieces: Tensor, packing: Packing = PADDED) -> tuple[Tensor, Tensor, Tensor]:
        """Queries of the pieces, and their keys and values for themselves and for the entities.

        *Shapes:* (batch, pieces, hidden), or packed -> 3 x (batch, heads, pieces, head width)
        """
        query, key, value = map(packing.unpack, project(pieces, self.query, self.key, self.value))
        return self._split_heads(query), self._split_heads(key), self._split_heads(value)

    def forward_pieces(
        self,
        pieces: Tensor,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        mask: Tensor | None,
        packing: Packing = PADDED,
    ) -> Tensor:
        """*Shape:* (batch, pieces, hidden), or packed -> the same."""
        context = self._attend(queries, keys, values, mask)
        return self._output(packing.pack(self._merge_heads(context)), pieces)

    def pieces_with_weights(
        self, pieces: Tensor, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """`forward_pieces`, the plain way, and the weights. *Shape of these:* (batch, heads, pieces, pieces)"""
        weights = self._attention_weights(queries @ keys.transpose(2, 3), mask)
        return self._output(self._merge_heads(weights.to(values.dtype) @ values), pieces), weights

    def forward_entities(
        self,
        entities: Tensor,
        keys: Tensor,
        values: Tensor,
        mask: Tensor | None,
        per_item: int = 1,
        packing: Packing = PADDED,
    ) -> Tensor:
        """*Shape:* (batch, entities, hidden), or packed -> the same; `per_item` as for `entities_with_weights`."""
        to_pieces, to_item, key, value = map(packing.unpack, self._project_entities(entities))
        if can_attend_in_two_parts(to_pieces, self._dropped_weights):
            context = attend_in_two_parts(to_pieces, to_item, keys, values, key, value, mask, per_item)
        else:
            context, _ = self._attend_with_weights(to_pieces, to_item, keys, values, key, value, mask, per_item)
        return self._output(packing.pack(context), entities)

    def entities_with_weights(
        self, entities: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, per_item: int = 1
    ) -> tuple[Tensor, Tensor]:
        """`forward_entities` and the weights: of the pieces, then of the entities of the item.

        per_item: the number of entities, one after the other, that see each other.

        *Shape of the weights:* (batch, heads, entities, pieces + per_item)
        """
        to_pieces, to_item, key, value = self._project_entities(entities)
        context, weights = self._attend_with_weights(to_pieces, to_item, keys, values, key, value, mask, per_item)
        return self._output(context, entities), weights

    def _project_entities(self, entities: Tensor) -> tuple[Tensor, ...]:
        """Queries for the keys of pieces, and for those of the entities of the item; keys and values of the entities.

        *Shape:* (batch, entities, hidden) -> 4 x the same
        """
        if self.entity_aware:
            queries = self.entity_to_piece_query, self.entity_to_entity_query
            return project(entities, *queries, self.key, self.value)
        query, key, value = project(entities, self.query, self.key, self.value)
        return query, query, key, value

    def _attend_with_weights(
        self,
        to_pieces: Tensor,
        to_item: Tensor,
        keys: Tensor,
        values: Tensor,
        own_keys: Tensor,
        own_values: Tensor,
        mask: Tensor | None,
        per_item: int,
    ) -> tuple[Tensor, Tensor]:
        """What `attend_in_two_parts` gives, the plain way, and the weights.

        *Shapes:* -> (batch, entities, hidden), (batch, heads, entities, pieces + per_item)
        """
        scale = keys.shape[-1] ** -0.5  # of the queries, since scores are many more
        scores = self._split_heads(to_pieces * scale) @ keys.transpose(2, 3)
        if mask is not None:
            scores = scores + mask
        queries, own_keys, own_values = (
            self._split_heads(rows).unflatten(2, (-1, per_item)) for rows in (to_item * scale, own_keys, own_values)
        )
        # (batch, heads, items, asking entity, asked entity, head width), summed over the last
        own = (queries.unsqueeze(-2) * own_keys.unsqueeze(-3)).sum(-1).flatten(2, 3)
        weights = dropout(torch.cat([scores, own], dim=-1).softmax(-1), self._dropped_weights)
        pieces = keys.shape[2]
        of_item = weights[..., pieces:].unflatten(2, (-1, per_item)).unsqueeze(-1) * own_values.unsqueeze(-3)
        context = weights[..., :pieces] @ values + of_item.sum(-2).flatten(2, 3)
        return self._merge_heads(context), weights


class IndependentLayer(nn.Module):
    """Attention, then feed-forward, of pieces or of entities."""

    def __init__(self, config: LukeConfig):
        super().__init__()
        self.attention = IndependentAttention(config)
        self.feed_forward = FeedForward(config)

    def forward_pieces(
        self,
        pieces: Tensor,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        mask: Tensor | None,
        packing: Packing = PADDED,
    ) -> Tensor:
        """*Shape:* (batch, pieces, hidden), or packed -> the same; the rest as for the attention."""
        return self.feed_forward(self.attention.forward_pieces(pieces, queries, keys, values, mask, packing))

    def forward_entities(
        self,
        entities: Tensor,
        keys: Tensor,
        values: Tensor,
        mask: Tensor | None,
        per_item: int = 1,
        packing: Packing = PADDED,
    ) -> Tensor:
        """*Shape:* (batch, entities, hidden), or packed -> the same; the rest as for the attention."""
        return self.feed_forward(self.attention.forward_entities(entities, keys, values, mask, per_item, packing))

    def pieces_with_weights(
        self, pieces: Tensor, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """`forward_pieces` and the weights, as for the attention."""
        attended, weights = self.attention.pieces_with_weights(pieces, queries, keys, values, mask)
        return self.feed_forward(attended), weights

    def entities_with_weights(
        self, entities: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """`forward_entities` and the weights, as for the attention."""
        attended, weights = self.attention.entities_with_weights(entities, keys, values, mask)
        return self.feed_forward(attended), weights


@dataclass(frozen=True)
class _Pieces:
    """Pieces on their way through the layers.

    rows: their states, packed or not, as `packing` says. *Shape:* (1, real pieces, hidden) or (batch, pieces, hidden)
    mask: added to their scores; None if none is masked. *Shape:* (batch, 1, 1, pieces)
    """

    rows: Tensor
    mask: Tensor | None
    packing: Packing

    @property
    def states(self) -> Tensor:
        """*Shape:* (batch, pieces, hidden)"""
        return self.packing.unpack(self.rows)

    def with_states(self, states: Tensor) -> _Pieces:
        """*Shape:* (batch, pieces, hidden)"""
        return replace(self, rows=self.packing.pack(states))

    def projected(self, layer: IndependentLayer) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of a layer. *Shape:* 3 x (batch, heads, pieces, head width)"""
        return layer.attention.project(self.rows, self.packing)


@dataclass(frozen=True)
class _Entities:
    """Entities on their way through the layers.

    rows: their states, packed or not, as `packing` says. *Shape:* (1, real entities, hidden) or (batch, entities,
        hidden)
    per_item: the number of entities, one after the other, that see each other.
    """

    rows: Tensor
    per_item: int = 1
    packing: Packing = PADDED

    @property
    def states(self) -> Tensor:
        """*Shape:* (batch, entities, hidden)"""
        return self.packing.unpack(self.rows)

    def with_states(self, states: Tensor) -> _Entities:
        """*Shape:* (batch, entities, hidden)"""
        return replace(self, rows=self.packing.pack(states))


class IndependentLukeEncoder(Encoder):
    """States of pieces, equal to those without entities, and of entities, each as if it were alone."""

    config: LukeConfig

    def __init__(self, config: LukeConfig, *, pooling: bool = True):
        super().__init__(config, pooling=pooling)
        self.entity_embeddings = EntityEmbeddings(config)
        self.layers: Any = nn.ModuleList(IndependentLayer(config) for _ in range(config.num_hidden_layers))

    def packs(self, *, training: bool) -> bool:
        return self.device.type == "cpu" and not training

    def encode_pieces(self, batch: EncoderInput, *layers: int) -> PieceStates:
        """Encode the pieces of a batch for entities that are encoded later.

        layers: after which the states of the pieces are wanted beside those after the last, by number from 1.
        """
        with self._autocast(batch):
            pieces = self._embed_pieces(batch)
            projected, hidden = [], {}
            for number, layer in enumerate(self.layers, start=1):
                queries, keys, values = pieces.projected(layer)
                projected.append((keys, values))
                pieces = self._pieces_through(layer, pieces, queries, keys, values)
                if number in layers or number == len(self.layers):
                    hidden[number] = pieces.states
            of_keys, of_values = zip(*projected, strict=True)
            return PieceStates(of_keys, of_values, hidden, pieces.mask)

    def encode_filtered(self, batch: EncoderInput, span_filter: SpanFilter) -> tuple[EncoderOutput, KeptEntities]:
        """Encode the pieces, and of the entities those that the filter keeps, which the output has in that order."""
        depth = span_filter.settings.layer
        with self._autocast(batch):
            if batch.piece_source is not None:
                seen = batch.piece_source.states(depth)
                kept = span_filter(seen.hidden[depth], batch)
                return self._attached(kept.batch, seen), kept
            lower, upper = self.layers[:depth], self.layers[depth:]
            pieces = self._embed_pieces(batch)
            projected = []
            for layer in lower:
                queries, keys, values = pieces.projected(layer)
                projected.append((keys, values))
                pieces = self._pieces_through(layer, pieces, queries, keys, values)
            kept = span_filter(pieces.states, batch)
            entities = self._embed_entities(kept.batch)
            assert entities is not None
            for layer, (keys, values) in zip(lower, projected, strict=True):
                entities = self._entities_through(layer, entities, keys, values, pieces.mask)
            del projected
            return self._through(upper, pieces, entities, "all"), kept

    def encode_items(self, batch: EncoderInput, per_item: int, offsets: Tensor | None = None) -> Tensor:
        """Encode the entities of a batch where those of an item see each other, and no others.

        per_item: the number of entities of an item; they stand one after the other.
        offsets: added to the embeddings of the entities. *Shape:* (batch, entities, hidden)

        *Shape:* -> (batch, entities, hidden)
        """
        with self._autocast(batch):
            entities = self._embed_entities(batch, per_item, offsets)
            assert entities is not None
            if batch.piece_source is not None:
                return self._on_states(entities, batch.piece_source.states())
            found = self._through(self.layers, self._embed_pieces(batch), entities, "entities").entities
            assert found is not None
            return found

    def _encode(self, batch: EncoderInput, states: States) -> EncoderOutput:
        if batch.piece_source is not None:
            return self._attached(batch, batch.piece_source.states())
        entities = self._embed_entities(batch) if states in ("all", "entities") else None
        return self._through(self.layers, self._embed_pieces(batch), entities, states)

    def _attached(self, batch: EncoderInput, seen: PieceStates) -> EncoderOutput:
        """The output for entities whose pieces are encoded already."""
        entities = self._embed_entities(batch)
        states = None if entities is None else self._on_states(entities, seen)
        return EncoderOutput(pieces=seen.last, entities=states, pooled=self._pooled(seen.last))

    def _on_states(self, entities: _Entities, seen: PieceStates) -> Tensor:
        """Entities through all layers. *Shape:* -> (batch, entities, hidden)"""
        for layer, keys, values in zip(self.layers, seen.keys, seen.values, strict=True):
            entities = self._entities_through(layer, entities, keys, values, seen.mask)
        return entities.states

    def _encode_recorded(self, batch: EncoderInput, recording: Recording) -> EncoderOutput:
        pieces, entities = self._embed_pieces(batch), self._embed_entities(batch)
        recorded = [(pieces, entities)] if 0 in recording.states else []
        attentions = []
        for number, layer in enumerate(self.layers, start=1):
            queries, keys, values = pieces.projected(layer)
            if number in recording.attentions:
                entity_weights = None
                if entities is not None:
                    states, entity_weights = layer.entities_with_weights(entities.states, keys, values, pieces.mask)
                    entities = entities.with_states(states)
                states, piece_weights = layer.pieces_with_weights(pieces.states, queries, keys, values, pieces.mask)
                pieces = pieces.with_states(states)
                attentions.append(_joint_weights(piece_weights, entity_weights))
            else:
                if entities is not None:
                    entities = self._entities_through(layer, entities, keys, values, pieces.mask)
                pieces = self._pieces_through(layer, pieces, queries, keys, values)
            if number in recording.states:
                recorded.append((pieces, entities))
        last = pieces.states
        entity_states = tuple(entities.states for _, entities in recorded if entities is not None)
        return EncoderOutput(
            pieces=last,
            entities=None if entities is None else entities.states,
            pooled=self._pooled(last),
            hidden_states=tuple(pieces.states for pieces, _ in recorded),
            entity_hidden_states=entity_states if entities is not None else None,
            attentions=tuple(attentions),
        )

    def _through(
        self, layers: Iterable[IndependentLayer], pieces: _Pieces, entities: _Entities | None, states: States
    ) -> EncoderOutput:
        """The rest of the layers, pieces and entities side by side."""
        *earlier, last = layers
        for layer in (*earlier, last):
            queries, keys, values = pieces.projected(layer)
            if entities is not None:
                entities = self._entities_through(layer, entities, keys, values, pieces.mask)
            if states == "entities" and layer is last:
                assert entities is not None
                return EncoderOutput(pieces=None, entities=entities.states, pooled=None)
            if states == "pooled" and layer is last:
                own = pieces.states[:, :1], queries[:, :, :1]
                first = self._run(layer.forward_pieces, *own, keys, values, pieces.mask)
                return EncoderOutput(pieces=None, entities=None, pooled=self._pooled(first))
            pieces = self._pieces_through(layer, pieces, queries, keys, values)
        found = pieces.states
        return EncoderOutput(found, entities.states if entities is not None else None, self._pooled(found))

    def _embed_pieces(self, batch: EncoderInput) -> _Pieces:
        states = self.embeddings(batch.piece_ids, batch.piece_types)
        if batch.known.full_pieces:
            return _Pieces(states, None, PADDED)
        packing = Packing.of(batch.piece_mask)
        return _Pieces(packing.pack(states), additive_mask(batch.piece_mask, states.dtype), packing)

    def _embed_entities(
        self, batch: EncoderInput, per_item: int = 1, offsets: Tensor | None = None
    ) -> _Entities | None:
        if batch.entity_ids is None:
            return None
        assert batch.entity_spans is not None
        assert batch.entity_mask is not None
        states = self.entity_embeddings(batch.entity_ids, batch.entity_spans)
        states = states if offsets is None else states + offsets
        packing = Packing.of(batch.entity_mask) if batch.entity_mask.numel() <= PACKED_ROWS else PADDED
        return _Entities(packing.pack(states), per_item, packing)

    def _pieces_through(
        self, layer: IndependentLayer, pieces: _Pieces, queries: Tensor, keys: Tensor, values: Tensor
    ) -> _Pieces:
        rows = self._run(layer.forward_pieces, pieces.rows, queries, keys, values, pieces.mask, pieces.packing)
        return replace(pieces, rows=rows)

    def _entities_through(
        self, layer: IndependentLayer, entities: _Entities, keys: Tensor, values: Tensor, mask: Tensor | None
    ) -> _Entities:
        """One layer; outside training in slices, since no item needs another."""
        per_item, size = entities.per_item, max(entities.rows.shape[1], 1)
        if not torch.is_grad_enabled() and not entities.packing.is_packed:
            size = max(ENTITY_ROWS // len(entities.rows) // per_item, 1) * per_item
        parts = [
            self._run(layer.forward_entities, part, keys, values, mask, per_item, entities.packing)
            for part in entities.rows.split(size, dim=1)
        ]
        return replace(entities, rows=torch.cat(parts, dim=1) if len(parts) > 1 else parts[0])


def _joint_weights(piece_weights: Tensor, entity_weights: Tensor | None) -> Tensor:
    """The weights of all rows, pieces before entities: 0 for what a row does not see.

    *Shapes:* (batch, heads, pieces, pieces), (batch, heads, entities, pieces + 1) -> (batch, heads, rows, rows)
    """
    if entity_weights is None:
        return piece_weights
    to_itself = torch.diag_embed(entity_weights[..., -1])
    upper = F.pad(piece_weights, (0, entity_weights.shape[2]))
    return torch.cat([upper, torch.cat([entity_weights[..., :-1], to_itself], dim=-1)], dim=2).float()
