"""The choice of a kernel for attention, by processor and by what the tensors are; None for the plain PyTorch code."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .dropout import dropout
from .entity_aware_attention import attend_by_head as attend_entity_aware_by_head
from .entity_aware_attention import attend_in_one_product, attend_into_one_buffer
from .onednn_linear import can_multiply
from .per_head_attention import attend_by_head
from .routes import Route, current, takes

# (queries, keys, values, mask, rate) -> context; shapes as for `attend_by_head`
Attend = Callable[[Tensor, Tensor, Tensor, "Tensor | None", float], Tensor]
# (to_pieces, to_entities, keys, values, pieces, mask, rate) -> context; as for `attend_in_one_product`
AttendEntityAware = Callable[[Tensor, Tensor, Tensor, Tensor, int, "Tensor | None", float], Tensor]

_SMALLEST = 400 * 400  # scores of a head; with fewer, calls for each head cost about what the products gain
_MOST_THREADS = 2  # measured; over many threads PyTorch's own attention spreads the heads


def self_attention_kernel(queries: Tensor, keys: Tensor, rate: float) -> Attend | None:
    """The kernel instead of PyTorch's scaled dot product attention.

    rate: of the attention weights that are dropped.

    *Shapes:* (batch, heads, rows, head width), (batch, heads, keys, head width)
    """
    if rate:
        return _attend_dropping_by_bits if _is_dropped_by_bits(queries) else None
    if takes("self-attention by head") and is_by_head(queries, keys.shape[2]):
        return _attend_by_head
    return None


def entity_aware_kernel(queries: Tensor, keys: Tensor, rate: float) -> AttendEntityAware | None:
    """The kernel for entity-aware attention: on a GPU one product, on a CPU a head at a time where that pays, else two
    products into one buffer.

    queries: either of the two. *Shapes* and rate: as for `self_attention_kernel`.
    """
    if current() == "plain":
        return None
    if keys.is_cuda:
        return attend_in_one_product
    if not rate and takes("entity-aware attention by head") and is_by_head(queries, keys.shape[2]):
        return attend_entity_aware_by_head
    return attend_into_one_buffer if takes("entity-aware attention into one buffer") else None


def is_by_head(queries: Tensor, keys: int) -> bool:
    """Whether attention of so many queries and keys is worth a call for each head. *Shape:* (…, rows, width)"""
    return (
        not torch.is_grad_enabled()
        and queries.shape[-2] * keys >= _SMALLEST
        and torch.get_num_threads() <= _MOST_THREADS
        and can_multiply(queries)
    )


def _is_dropped_by_bits(queries: Tensor) -> bool:
    """Whether self-attention drops weights by random bits: the types for which that was measured on the processor."""
    routes: dict[torch.dtype, Route] = {
        torch.float32: "dropout by bits",
        torch.bfloat16: "dropout by bits in bfloat16",
    }
    route = routes.get(queries.dtype)
    return queries.device.type == "cpu" and route is not None and takes(route)


def _attend_by_head(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, rate: float) -> Tensor:
    return attend_by_head([queries], [keys], values, mask)


def _attend_dropping_by_bits(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, rate: float) -> Tensor:
    scores = queries @ (keys * keys.shape[-1] ** -0.5).transpose(2, 3)
    if mask is not None:  # in the scores' type: a float32 mask would make bfloat16 scores float32, too
        scores = scores + mask.clamp_min(torch.finfo(scores.dtype).min).to(scores.dtype)
    return dropout(scores.softmax(-1), rate) @ values
