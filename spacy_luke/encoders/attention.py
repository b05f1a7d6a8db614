"""Self-attention over pieces and entities, plain or entity-aware (Yamada et al. 2020, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import EncoderConfig, LukeConfig
from .kernels.attention import entity_aware_kernel, self_attention_kernel
from .kernels.dropout import Dropout, dropout
from .kernels.int8 import Linear, project

ALL_ROWS = slice(None)


class Attention(nn.Module):
    """Parts of every multi-head attention: projections, output projection, residual and norm."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        hidden = config.hidden_size
        self.heads = config.num_attention_heads
        self.query = Linear(hidden, hidden)
        self.key = Linear(hidden, hidden)
        self.value = Linear(hidden, hidden)
        self.output = Linear(hidden, hidden)
        self.norm = nn.LayerNorm(hidden, eps=config.layer_norm_eps)
        self.attention_dropout = config.attention_probs_dropout_prob
        self.dropout = Dropout(config.hidden_dropout_prob)

    def _split_heads(self, states: Tensor) -> Tensor:
        """*Shape:* (batch, rows, hidden) -> (batch, heads, rows, head width)"""
        return states.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _merge_heads(self, context: Tensor) -> Tensor:
        """*Shape:* (batch, heads, rows, head width) -> (batch, rows, hidden)"""
        return context.transpose(1, 2).flatten(2)

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """*Shapes:* (batch, heads, rows, head width), rows of keys as many as of values; mask (batch or 1, 1, rows
        or 1, keys) -> those of the queries"""
        rate = self._dropped_weights
        if (kernel := self_attention_kernel(queries, keys, rate)) is not None:
            return kernel(queries, keys, values, mask, rate)
        return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, dropout_p=rate)

    def _attention_weights(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        """Attention weights, float32 at least. *Shapes:* unscaled scores (batch, heads, rows, keys), mask as in
        `_attend` -> the first"""
        scores = scores * (self.query.out_features // self.heads) ** -0.5
        scores = scores if mask is None else scores + mask
        precise = torch.promote_types(scores.dtype, torch.float32)
        return dropout(scores.softmax(-1, dtype=precise), self._dropped_weights)

    @property
    def _dropped_weights(self) -> float:
        """Share of the attention weights that are dropped."""
        return self.attention_dropout if self.training else 0.0

    def _output(self, context: Tensor, rows: Tensor) -> Tensor:
        """*Shapes:* 2 x (batch, rows, hidden) -> the same"""
        return self.norm(add_residual(self.dropout(self.output(context)), rows))


class SelfAttention(Attention):
    """Multi-head attention over the rows [pieces; entities], output projection and residual norm included.

    With entity-aware attention the query depends on the kinds of row and key:

        query from   key: piece              key: entity
        piece        query                   piece_to_entity_query
        entity       entity_to_piece_query   entity_to_entity_query

    Keys, values and all that follows are shared. Without entities, or with entity-aware attention off, `query`
    serves every row.
    """

    def __init__(self, config: LukeConfig):
        super().__init__(config)
        hidden = config.hidden_size
        self.entity_aware = config.use_entity_aware_attention
        if self.entity_aware:
            self.piece_to_entity_query = Linear(hidden, hidden)
            self.entity_to_piece_query = Linear(hidden, hidden)
            self.entity_to_entity_query = Linear(hidden, hidden)

    def forward(self, rows: Tensor, pieces: int, mask: Tensor | None, wanted: slice = ALL_ROWS) -> Tensor:
        """Attend.

        rows: states, pieces first. *Shape:* (batch, rows, hidden)
        pieces: how many of the rows are pieces.
        mask: added to the scores; None if no row is masked. *Shape:* (batch, 1, 1, rows)
        wanted: the rows that attend; all are attended to. *Shape of the result:* (batch, wanted rows, hidden)
        """
        asking = rows[:, wanted]
        if self.entity_aware and rows.shape[1] > pieces:
            context = self._entity_aware(rows, pieces, mask, wanted)
        else:
            if wanted == ALL_ROWS:
                query, key, value = project(rows, self.query, self.key, self.value)
            else:
                query, (key, value) = self.query(asking), project(rows, self.key, self.value)
            context = self._attend(self._split_heads(query), self._split_heads(key), self._split_heads(value), mask)
        return self._output(self._merge_heads(context), asking)

    def with_weights(self, rows: Tensor, pieces: int, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Attend, all rows to all, and tell how much: the plain way, whatever the processor.

        *Shapes:* as in `forward` -> (batch, rows, hidden), (batch, heads, rows, rows)
        """
        if self.entity_aware and rows.shape[1] > pieces:
            to_pieces, to_entities = self._entity_aware_queries(rows, pieces, ALL_ROWS)
        else:
            to_pieces = to_entities = self._split_heads(self.query(rows))
        keys, values = map(self._split_heads, project(rows, self.key, self.value))
        weights = self._attention_weights(_entity_aware_scores(to_pieces, to_entities, keys, pieces), mask)
        return self._output(self._merge_heads(weights.to(values.dtype) @ values), rows), weights

    def _entity_aware(self, rows: Tensor, pieces: int, mask: Tensor | None, wanted: slice) -> Tensor:
        """*Shape:* -> (batch, heads, wanted rows, head width)"""
        to_pieces, to_entities = self._entity_aware_queries(rows, pieces, wanted)
        keys, values = map(self._split_heads, project(rows, self.key, self.value))
        rate = self._dropped_weights
        if (kernel := entity_aware_kernel(to_pieces, keys, rate)) is not None:
            return kernel(to_pieces, to_entities, keys, values, pieces, mask, rate)
        weights = self._attention_weights(_entity_aware_scores(to_pieces, to_entities, keys, pieces), mask)
        return weights.to(values.dtype) @ values

    def _entity_aware_queries(self, rows: Tensor, pieces: int, wanted: slice) -> tuple[Tensor, Tensor]:
        """Queries for the keys of pieces, and for those of entities. *Shape:* 2 x (batch, heads, wanted, head width)"""
        first, last, _ = wanted.indices(rows.shape[1])
        piece_rows, entity_rows = rows[:, first : min(last, pieces)], rows[:, max(first, pieces) : last]
        from_pieces = project(piece_rows, self.query, self.piece_to_entity_query)
        from_entities = project(entity_rows, self.entity_to_piece_query, self.entity_to_entity_query)
        to_pieces, to_entities = (torch.cat(both, dim=1) for both in zip(from_pieces, from_entities, strict=True))
        return self._split_heads(to_pieces), self._split_heads(to_entities)


def add_residual(product: Tensor, rows: Tensor) -> Tensor:
    """Their sum; in place if nobody else needs the product. *Shape:* (batch, rows, hidden), both"""
    if torch.is_grad_enabled() or product.dtype != rows.dtype:
        return product + rows
    return product.add_(rows)


def _entity_aware_scores(to_pieces: Tensor, to_entities: Tensor, keys: Tensor, pieces: int) -> Tensor:
    """Each row's scores, unscaled, for the keys of pieces and then for those of entities.

    *Shapes:* 2 x (batch, heads, rows, head width), (batch, heads, keys, head width) -> (batch, heads, rows, keys)
    """
    keys = keys.transpose(2, 3)
    return torch.cat([to_pieces @ keys[..., :pieces], to_entities @ keys[..., pieces:]], dim=-1)
