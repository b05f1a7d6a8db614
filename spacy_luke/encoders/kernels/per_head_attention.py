"""Attention a head at a time, with oneDNN's products: faster than PyTorch's own for long rows on a few threads."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

from .onednn_linear import multiply


def attend_by_head(queries: Sequence[Tensor], keys: Sequence[Tensor], values: Tensor, mask: Tensor | None) -> Tensor:
    """Attend, without dropout or autograd; of the scores, only those of one head are in memory at a time.

    queries, keys: for each kind of keys the keys, and the queries that ask them.
        *Shapes:* (batch, heads, rows, head width), (batch, heads, keys of the kind, head width)
    values: those of the keys of all kinds, in order. *Shape:* (batch, heads, keys, head width)
    mask: added to the scores; None if no key is masked. *Shape:* (batch or 1, 1, rows or 1, keys)

    *Shape of the result:* (batch, heads, rows, head width)
    """
    batch, heads, rows, width = queries[0].shape
    keys, values = [key.contiguous() for key in keys], values.contiguous()
    if mask is not None:
        mask = mask.expand(batch, -1, -1, -1)
    context = values.new_empty(batch, rows, heads, width)
    for text, head in product(range(batch), range(heads)):
        asking = [query[text, head] * width**-0.5 for query in queries]
        parts = [multiply(query, key[text, head]) for query, key in zip(asking, keys, strict=True)]
        scores = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        if mask is not None:
            scores += mask[text, 0]
        context[text, :, head] = multiply(scores.softmax(-1), values[text, head].t())
    return context.transpose(1, 2)
