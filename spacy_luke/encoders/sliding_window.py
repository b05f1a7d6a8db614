"""Attention within a sliding window, and of global pieces with all others (Beltagy et al. 2020, section 3).

A piece attends to the pieces at most half a window away and to the global ones; a global piece attends to all, with
queries, keys and values of its own. Nothing here has a size of pieces x pieces: time and memory grow linearly.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from .attention import Attention
from .config import LongformerConfig
from .inputs import EncoderInput
from .kernels.dropout import dropout
from .kernels.int8 import Linear, project
from .kernels.routes import with_same_routes

# Added to the score of a key that is not attended to: a finite number in every precision, so that rows that reach no
# key (masked ones) do not become NaN.
OUT_OF_REACH = torch.finfo(torch.bfloat16).min
_SMALLEST_BLOCK = 32


@dataclass(frozen=True)
class GlobalPieces:
    """The global pieces of a batch, gathered: each text has as many slots as the one with most global pieces needs.

    positions: piece in each slot; that of an empty slot means nothing. *Shape:* (batch, slots), int64
    bias: added to the scores of the slots: `OUT_OF_REACH` for empty ones. *Shape:* (batch, slots)
    filled: which slots have a piece. *Shape:* (batch, slots), bool
    """

    positions: Tensor
    bias: Tensor
    filled: Tensor

    def gather(self, states: Tensor) -> Tensor:
        """*Shape:* (batch, …, pieces, width) -> (batch, …, slots, width)."""
        index = self.positions.view(len(states), *[1] * (states.ndim - 3), -1, 1)
        return states.gather(-2, index.expand(*states.shape[:-2], -1, states.shape[-1]))

    def scatter(self, slots: Tensor, pieces: Tensor) -> Tensor:
        """`pieces` with the rows of the global pieces taken from `slots`.

        *Shapes:* (batch, slots, width), (batch, pieces, width) -> (batch, pieces, width)
        """
        # The positions of a row are all different: an empty slot puts back what is there.
        index = self.positions.unsqueeze(-1).expand(-1, -1, pieces.shape[-1])
        return pieces.scatter(
            1, index, slots.to(pieces.dtype).where(self.filled.unsqueeze(-1), pieces.gather(1, index))
        )


@dataclass(frozen=True)
class AttentionPattern:
    """Global and masked pieces of a batch: who attends to whom, whatever the window.

    masked: pieces that attend to nothing and are attended to by none; None if there are none.
        *Shape:* (batch, pieces), bool
    is_global: *Shape:* (batch, pieces), bool
    global_pieces: None if there are none.
    """

    masked: Tensor | None
    is_global: Tensor
    global_pieces: GlobalPieces | None

    @classmethod
    def from_batch(cls, batch: EncoderInput) -> AttentionPattern:
        """Read the masks of a batch. A piece that is masked and global is masked."""
        known = batch.known
        masked = None if known.full_pieces else ~batch.piece_mask
        slots = known.global_slots
        if batch.global_mask is None or not slots:
            return cls(masked, torch.zeros_like(batch.piece_mask), None)
        is_global = batch.global_mask & batch.piece_mask
        filled = torch.arange(slots, device=is_global.device) < is_global.sum(1)[:, None]
        positions = is_global.byte().argsort(dim=1, descending=True, stable=True)[:, :slots]
        return cls(masked, is_global, GlobalPieces(positions, _bias(~filled), filled))

    @property
    def bias_of_all(self) -> Tensor | None:
        """Added to the scores of a row that reaches all pieces. *Shape:* (batch, 1, 1, pieces)"""
        return None if self.masked is None else _bias(self.masked)[:, None, None]


@dataclass(frozen=True)
class Blocks:
    """Blocks of queries, each with the keys of the blocks near it and of the global pieces.

    With a window of 8, blocks of 2 queries and 11 pieces, the third block sees the keys marked x, of which its mask
    takes away the corners, and the last block is shorter:

        pieces     0 1 | 2 3 | 4 5 | 6 7 | 8 9 | 10
        query  4   x x | x x | x x | x x | x
        query  5     x | x x | x x | x x | x x

    window: its width, both sides together.
    size: queries of a block.
    neighbours: blocks on each side of a block whose keys it may see.
    masks: added to the scores of each block, those of global pieces last. *Shape:* (batch or 1, 1, queries, keys)
    global_pieces: those whose keys stand apart, None if they are among the others.
    """

    window: int
    size: int
    neighbours: int
    masks: tuple[Tensor | None, ...]
    global_pieces: GlobalPieces | None

    @classmethod
    def from_pattern(cls, pattern: AttentionPattern, window: int) -> Blocks:
        """Cut for one window. Texts in which every piece sees every other are one block."""
        length, half = pattern.is_global.shape[1], window // 2
        if length <= half + 1:
            return cls(window, length, 0, (pattern.bias_of_all,), None)
        # Half of what a piece sees on a side: larger blocks compute more masked scores, smaller ones copy more keys.
        size = max(half // 2, _SMALLEST_BLOCK)
        neighbours = -(-half // size)
        device = pattern.is_global.device
        offsets = torch.arange(-neighbours * size, (neighbours + 1) * size, device=device)
        band = _bias((offsets - torch.arange(size, device=device)[:, None]).abs() > half)
        bias = None
        if pattern.masked is not None or pattern.global_pieces is not None:
            bias = _bias(pattern.is_global if pattern.masked is None else pattern.is_global | pattern.masked)
        masks = []
        for start in range(0, length, size):
            first, end = max(start - neighbours * size, 0), min(start + (neighbours + 1) * size, length)
            shift = start - neighbours * size
            mask = band[: length - start, first - shift : end - shift][None]
            if bias is not None:
                keys = [bias[:, first:end]]
                if pattern.global_pieces is not None:
                    keys.append(pattern.global_pieces.bias)
                    mask = F.pad(mask, (0, pattern.global_pieces.bias.shape[1]))
                mask = torch.minimum(mask, torch.cat(keys, dim=1)[:, None])
            masks.append(mask[:, None])
        return cls(window, size, neighbours, tuple(masks), pattern.global_pieces)


class SlidingWindowAttention(Attention):
    """Multi-head attention within a window, with global pieces; output projection and residual norm included."""

    def __init__(self, config: LongformerConfig):
        super().__init__(config)
        hidden = config.hidden_size
        self.global_query = Linear(hidden, hidden)
        self.global_key = Linear(hidden, hidden)
        self.global_value = Linear(hidden, hidden)

    def forward(self, rows: Tensor, pattern: AttentionPattern, blocks: Blocks) -> Tensor:
        """Attend. The context of masked rows is 0.

        rows: states of the pieces. *Shape:* (batch, pieces, hidden) -> the same
        blocks: those of this layer's window.
        """
        context = self._merge_heads(self._local(rows, blocks))
        if pattern.global_pieces is not None:
            context = pattern.global_pieces.scatter(self._global(rows, pattern, pattern.global_pieces), context)
        if pattern.masked is not None:
            context = context.masked_fill(pattern.masked[..., None], 0)
        return self._output(context, rows)

    def with_weights(
        self, rows: Tensor, pattern: AttentionPattern, window: int
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """`forward`, the plain way, and the weights; see `EncoderOutput.attentions` and `.global_attentions`.

        *Shapes:* (batch, pieces, hidden) -> the same, (batch, heads, pieces, slots + window + 1),
        (batch, heads, pieces, slots) or None
        """
        context, weights = self._local_with_weights(rows, pattern, window)
        global_weights = None
        if pattern.global_pieces is not None:
            mixed, global_weights = self._global_with_weights(rows, pattern, pattern.global_pieces)
            context = pattern.global_pieces.scatter(mixed, context)
            weights = weights.masked_fill(pattern.is_global[:, None, :, None], 0)
        if pattern.masked is not None:
            context = context.masked_fill(pattern.masked[..., None], 0)
            weights = weights.masked_fill(pattern.masked[:, None, :, None], 0)
        return self._output(context, rows), weights, global_weights

    def _local_with_weights(self, rows: Tensor, pattern: AttentionPattern, window: int) -> tuple[Tensor, Tensor]:
        """*Shapes:* -> (batch, pieces, hidden), (batch, heads, pieces, slots + window + 1)

        A block of queries is multiplied by all keys that one of them sees, and the diagonal band is cut out of the
        scores. With a window of 2, a block of 3 queries and its 5 keys:

            keys     0 1 2 3 4        places     0 1 2
            query 0  x x x . .   ->   query 0    0 1 2
            query 1  . x x x .        query 1    1 2 3
            query 2  . . x x x        query 2    2 3 4
        """
        half = window // 2
        queries, keys, values = map(self._split_heads, project(rows, self.query, self.key, self.value))
        near_keys, near_values = (F.pad(part, (0, 0, half, half)) for part in (keys, values))
        unseen = pattern.is_global if pattern.masked is None else pattern.is_global | pattern.masked
        unseen = F.pad(unseen, (half, half), value=True)
        slots, size = 0, max(half, _SMALLEST_BLOCK)
        if pattern.global_pieces is not None:
            global_keys, global_values = pattern.global_pieces.gather(keys), pattern.global_pieces.gather(values)
            slots = global_keys.shape[2]
        contexts, weights = [], []
        for start in range(0, rows.shape[1], size):
            query = queries[:, :, start : start + size]
            near = slice(start, start + query.shape[2] + 2 * half)
            count = torch.arange(query.shape[2], device=rows.device)
            places = count[:, None] + torch.arange(window + 1, device=rows.device)
            scores = query @ near_keys[:, :, near].transpose(2, 3)
            scores = scores.gather(3, places.expand(*scores.shape[:2], -1, -1))
            mask = _bias(unseen[:, near][:, places])[:, None]
            if pattern.global_pieces is not None:
                scores = torch.cat([query @ global_keys.transpose(2, 3), scores], dim=-1)
                global_bias = pattern.global_pieces.bias[:, None, None].expand(-1, -1, query.shape[2], -1)
                mask = torch.cat([global_bias, mask], dim=-1)
            block = self._attention_weights(scores, mask)
            band = block.new_zeros(*block.shape[:3], near.stop - near.start)
            band = band.scatter(3, places.expand(*block.shape[:2], -1, -1), block[..., slots:]).to(values.dtype)
            context = band @ near_values[:, :, near]
            if pattern.global_pieces is not None:
                context = context + block[..., :slots].to(values.dtype) @ global_values
            contexts.append(context)
            weights.append(block)
        return self._merge_heads(torch.cat(contexts, dim=2)), torch.cat(weights, dim=2)

    def _global_with_weights(
        self, rows: Tensor, pattern: AttentionPattern, global_pieces: GlobalPieces
    ) -> tuple[Tensor, Tensor]:
        """*Shapes:* -> (batch, slots, hidden), (batch, heads, pieces, slots)"""
        query = self._split_heads(self.global_query(global_pieces.gather(rows)))
        keys, values = map(self._split_heads, project(rows, self.global_key, self.global_value))
        weights = self._attention_weights(query @ keys.transpose(2, 3), pattern.bias_of_all)
        weights = weights.masked_fill(~global_pieces.filled[:, None, :, None], 0)
        return self._merge_heads(weights.to(values.dtype) @ values), weights.transpose(2, 3)

    def _local(self, rows: Tensor, blocks: Blocks) -> Tensor:
        """*Shape:* -> (batch, heads, pieces, head width)"""
        query, key, value = project(rows, self.query, self.key, self.value)
        keys, values = self._split_heads(key), self._split_heads(value)
        global_keys, global_values = [], []
        if blocks.global_pieces is not None:
            global_keys, global_values = [blocks.global_pieces.gather(keys)], [blocks.global_pieces.gather(values)]
        # Split rather than sliced: the gradient of a slice is as long as the text.
        queries = self._split_heads(query).split(blocks.size, dim=2)
        keys, values = keys.split(blocks.size, dim=2), values.split(blocks.size, dim=2)
        # Kept for the backward pass, the copied keys and values and the weights would be the largest part of a layer,
        # while they are a small part of its work: each block is computed again.
        recompute = torch.is_grad_enabled() and len(queries) > 1
        context = []
        for i, (query, mask) in enumerate(zip(queries, blocks.masks, strict=True)):
            near = slice(max(i - blocks.neighbours, 0), i + blocks.neighbours + 1)
            block = query, [*keys[near], *global_keys], [*values[near], *global_values], mask
            context.append(
                checkpoint(with_same_routes(self._attend_to_parts), *block, use_reentrant=False)
                if recompute
                else self._attend_to_parts(*block)
            )
        return torch.cat(context, dim=2)

    def _global(self, rows: Tensor, pattern: AttentionPattern, global_pieces: GlobalPieces) -> Tensor:
        """*Shape:* -> (batch, slots, hidden)"""
        query = self._split_heads(self.global_query(global_pieces.gather(rows)))
        slots, width = query.shape[2:]
        if slots > width:
            key, value = map(self._split_heads, project(rows, self.global_key, self.global_value))
            return self._attend_to_parts(query, [key], [value], pattern.bias_of_all).transpose(1, 2).flatten(2)
        # For few slots it is cheaper to take each query through the weights of the keys, and each mixture of rows
        # through those of the values, than to make keys and values of all rows:
        #     q (x K + b)' = (q K') x' + q b',   w (x V + c) = (w x) V + (sum of w) c
        # The softmax over x ignores q b', which is the same for all.
        key_weight = self.global_key.weight.unflatten(0, (self.heads, width))
        value_weight = self.global_value.weight.unflatten(0, (self.heads, width))
        asking = (query * width**-0.5) @ key_weight
        scores = asking.flatten(1, 2) @ rows.transpose(1, 2)
        if pattern.masked is not None:
            scores = scores + _bias(pattern.masked)[:, None]
        weights = dropout(scores.softmax(-1, dtype=torch.float32), self._dropped_weights)
        mixed = (weights.to(rows.dtype) @ rows).unflatten(1, (self.heads, slots))
        sums = weights.sum(-1, keepdim=True).unflatten(1, (self.heads, slots))
        context = mixed @ value_weight.transpose(1, 2) + sums * self.global_value.bias.view(self.heads, 1, width)
        return self._merge_heads(context)

    def _attend_to_parts(self, query: Tensor, keys: list[Tensor], values: list[Tensor], mask: Tensor | None) -> Tensor:
        """*Shapes:* query and parts of the keys (batch, heads, rows, head width) -> that of the query."""
        return self._attend(query, torch.cat(keys, dim=2), torch.cat(values, dim=2), mask)


def _bias(out_of_reach: Tensor) -> Tensor:
    return torch.zeros(out_of_reach.shape, device=out_of_reach.device).masked_fill_(out_of_reach, OUT_OF_REACH)
