"""Attention of entities to the pieces and to those of their own item, without the scores of all pieces in memory."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from .routes import current


def attend_in_two_parts(
    to_pieces: Tensor,
    to_item: Tensor,
    keys: Tensor,
    values: Tensor,
    own_keys: Tensor,
    own_values: Tensor,
    mask: Tensor | None,
    per_item: int,
) -> Tensor:
    """Attend to the pieces and to the item apart, without dropout or autograd, then weigh the two results by the sums
    of their exponentials (as Dao et al. 2022, FlashAttention, section 3.1, do with blocks of keys).

    to_pieces, to_item: queries for the keys of pieces, and for those of the item. *Shape:* (batch, rows, hidden)
    keys, values: of the pieces. *Shape:* (batch, heads, pieces, head width)
    own_keys, own_values: of the rows. *Shape:* (batch, rows, hidden)
    mask: added to the scores of the pieces; None if none is masked. *Shape:* (batch or 1, 1, 1, pieces)
    per_item: the number of rows, one after the other, that see each other.

    *Shape of the result:* (batch, rows, hidden)
    """
    heads, width = keys.shape[1], keys.shape[3]
    # (batch, items, rows of the item, heads, head width)
    queries, own_keys, own_values = (
        rows.unflatten(1, (-1, per_item)).unflatten(-1, (heads, width)) for rows in (to_item, own_keys, own_values)
    )
    scores = torch.stack([(queries * own_keys[:, :, i : i + 1]).sum(-1) for i in range(per_item)], dim=-1)
    scores *= width**-0.5
    context, of_pieces = _attend_with_sums(to_pieces.unflatten(-1, (heads, width)).transpose(1, 2), keys, values, mask)
    context = context.transpose(1, 2).unflatten(1, (-1, per_item))
    of_pieces = of_pieces.transpose(1, 2).unflatten(1, (-1, per_item)).unsqueeze(-1)
    total = torch.cat([scores, of_pieces], dim=-1).logsumexp(-1, keepdim=True)
    context = context * (of_pieces - total).exp_()
    weights = (scores - total).exp_()
    for i in range(per_item):
        context.addcmul_(weights[..., i : i + 1], own_values[:, :, i : i + 1])
    return context.flatten(3).flatten(1, 2)


def can_attend_in_two_parts(queries: Tensor, rate: float) -> bool:
    """Whether `attend_in_two_parts` is for these queries, and the route is taken.

    rate: of the attention weights that are dropped.
    """
    return (
        not rate
        and not torch.is_grad_enabled()
        and queries.numel() > 0
        and queries.dtype == torch.float32
        and queries.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
        and current() != "plain"  # on any vendor: PyTorch attends so itself, and only the sums are not public
        and _has_sums()
    )


def _attend_with_sums(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Scaled dot product attention, and for each row the logarithm of the sum of its exponentials: a private operation
    of PyTorch, which `F.scaled_dot_product_attention` calls.

    *Shapes:* as for this -> (batch, heads, rows, head width), (batch, heads, rows)
    """
    attend = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    context: Tensor
    sums: Tensor
    context, sums = attend(queries, keys, values, 0.0, False, attn_mask=mask)
    return context, sums


@cache
def _has_sums() -> bool:
    """Whether this build of PyTorch has the operation, and it computes rightly."""
    queries, keys, values = (torch.arange(n * 24.0).sin().view(2, 3, n, 4) for n in (10, 14, 14))
    mask = torch.zeros(2, 1, 1, 14)
    mask[1, ..., 9:] = torch.finfo(torch.float32).min
    try:
        context, sums = _attend_with_sums(queries, keys, values, mask)
    except (AttributeError, RuntimeError, TypeError):
        return False
    scores = queries @ keys.transpose(2, 3) * 0.5 + mask
    expected = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
    return bool(
        context.shape == expected.shape
        and sums.shape == expected.shape[:-1]
        and torch.allclose(context, expected, atol=1e-5)
        and torch.allclose(sums, scores.logsumexp(-1), atol=1e-5)
    )
