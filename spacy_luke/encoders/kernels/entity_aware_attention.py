"""Entity-aware attention (Yamada et al. 2020, section 3.2), once queries, keys and values are there: every row has a
query of its own for the keys of pieces and for those of entities, and one softmax goes over both."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from . import per_head_attention
from .dropout import dropout

# Most scores of a head that are computed apart and then copied. With 2 threads of an AMD EPYC, products and copy were
# 6 to 10 times as fast as the other way for 20 rows, 1.2 times for 130, as fast for 200; with one thread 2 to 3 times,
# 0.9 and 0.9.
_COPIED = 40_000


def attend_into_one_buffer(
    to_pieces: Tensor,
    to_entities: Tensor,
    keys: Tensor,
    values: Tensor,
    pieces: int,
    mask: Tensor | None,
    rate: float,
) -> Tensor:
    """Attend with two products, whose scores lie side by side (`JointScores`).

    to_pieces, to_entities: queries for the keys of pieces and for those of entities.
        *Shape:* (batch, heads, rows, head width)
    keys, values: those of pieces first. *Shape:* (batch, heads, keys, head width)
    pieces: how many of the keys are pieces.
    mask: added to the scores; None if no key is masked. *Shape:* (batch, 1, 1, keys)
    rate: of the attention weights that are dropped.

    *Shape of the result:* (batch, heads, rows, head width)
    """
    batch, heads, rows, width = to_pieces.shape
    scaled = (keys * width**-0.5).flatten(0, 1)  # one tensor instead of both queries
    scores = JointScores.apply(to_pieces.flatten(0, 1), to_entities.flatten(0, 1), scaled, pieces)
    scores = scores.view(batch, heads, rows, -1)
    if mask is not None:
        scores = scores + mask if torch.is_grad_enabled() else scores.add_(mask)
    return dropout(scores.softmax(-1), rate) @ values


def attend_in_one_product(
    to_pieces: Tensor,
    to_entities: Tensor,
    keys: Tensor,
    values: Tensor,
    pieces: int,
    mask: Tensor | None,
    rate: float,
) -> Tensor:
    """`attend_into_one_buffer` by scaled dot products of twice the width, for which PyTorch has kernels on a GPU that
    keep no scores in memory. Not yet measured there.

    Each row asks with both queries side by side, and each key answers one of them, with zeros in the other half:

        query  [to_pieces  to_entities]        key of a piece    [key  0  ]
                                               key of an entity  [0    key]
    """
    piece_keys, entity_keys = _by_kind(keys, pieces)
    wide = torch.cat([F.pad(piece_keys, (0, keys.shape[-1])), F.pad(entity_keys, (keys.shape[-1], 0))], dim=2)
    queries = torch.cat([to_pieces, to_entities], dim=-1)
    scale = keys.shape[-1] ** -0.5
    return F.scaled_dot_product_attention(queries, wide, values, attn_mask=mask, dropout_p=rate, scale=scale)


def attend_by_head(
    to_pieces: Tensor,
    to_entities: Tensor,
    keys: Tensor,
    values: Tensor,
    pieces: int,
    mask: Tensor | None,
    rate: float,
) -> Tensor:
    """`attend_into_one_buffer` a head at a time, without dropout (rate 0) or autograd."""
    queries = [to_pieces, to_entities]
    return per_head_attention.attend_by_head(queries, _by_kind(keys, pieces), values, mask)


class JointScores(torch.autograd.Function):
    """Scores of every row against piece keys and entity keys, side by side.

    Computed apart and concatenated, the scores (the largest tensor of the layer) are copied; two matrix products that
    write into the halves of one buffer copy nothing. But these PyTorch computes head by head, each on all threads,
    which takes longer than a copy where heads are small (`_COPIED`).
    """

    @staticmethod
    def forward(ctx: Any, to_pieces: Tensor, to_entities: Tensor, keys: Tensor, pieces: int) -> Tensor:
        """*Shapes:* queries and keys (batch x heads, rows, head width) -> (batch x heads, query rows, key rows)."""
        ctx.save_for_backward(to_pieces, to_entities, keys)
        ctx.pieces = pieces
        piece_keys, entity_keys = keys[:, :pieces].transpose(1, 2), keys[:, pieces:].transpose(1, 2)
        rows = to_pieces.shape[1]
        if rows * keys.shape[1] <= _COPIED:
            return torch.cat([to_pieces.bmm(piece_keys), to_entities.bmm(entity_keys)], dim=2)
        scores = keys.new_empty(keys.shape[0], rows, keys.shape[1])
        torch.bmm(to_pieces, piece_keys, out=scores[:, :, :pieces])
        torch.bmm(to_entities, entity_keys, out=scores[:, :, pieces:])
        return scores

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        to_pieces, to_entities, keys = ctx.saved_tensors
        from_pieces, from_entities = grads[0][:, :, : ctx.pieces], grads[0][:, :, ctx.pieces :]
        d_keys = torch.cat(
            [from_pieces.transpose(1, 2).bmm(to_pieces), from_entities.transpose(1, 2).bmm(to_entities)], dim=1
        )
        d_to_pieces = from_pieces.bmm(keys[:, : ctx.pieces])
        d_to_entities = from_entities.bmm(keys[:, ctx.pieces :])
        return d_to_pieces, d_to_entities, d_keys, None


def _by_kind(keys: Tensor, pieces: int) -> tuple[Tensor, Tensor]:
    return keys[:, :, :pieces], keys[:, :, pieces:]
