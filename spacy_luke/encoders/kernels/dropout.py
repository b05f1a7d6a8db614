"""Dropout (Srivastava et al. 2014), on a CPU from fewer random numbers than PyTorch's."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .routes import takes

_LEVELS = 1 << 16


class Dropout(nn.Dropout):
    """`dropout` while training."""

    def forward(self, states: Tensor) -> Tensor:
        """*Shape:* any -> the same"""
        return dropout(states, self.p if self.training else 0.0)


def dropout(states: Tensor, rate: float) -> Tensor:
    """Numbers, of which a share of `rate` is set to 0, at random; the others grow, so that the expected sum stays.

    On a CPU PyTorch draws a number after the other, in three times the time, and keeps a float of each for the backward
    pass; but on Intel's it draws those for float32 with MKL, on all threads. Where `is_drawn_by_bits`, four share 64
    random bits, and a byte is kept of each; so the rate is rounded to 1 / 65,536.

    rate: in [0, 1].

    *Shape:* any -> the same
    """
    if not rate:
        return states
    if not is_drawn_by_bits(states):
        return F.dropout(states, rate)
    kept: Tensor = _Dropout.apply(states, round(rate * _LEVELS))
    return kept


def is_drawn_by_bits(states: Tensor) -> bool:
    """Whether `dropout` draws its own random bits."""
    if states.device.type != "cpu":
        return False
    return takes("dropout by bits") or (states.dtype == torch.bfloat16 and takes("dropout by bits in bfloat16"))


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, dropped: int) -> Tensor:
        """dropped: of `_LEVELS`."""
        keep = _at_least(dropped, states.numel()).view(states.shape)
        ctx.save_for_backward(keep)
        ctx.scale = _LEVELS / max(_LEVELS - dropped, 1)
        return (states * keep).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (keep,) = ctx.saved_tensors
        return (grads[0] * keep).mul_(ctx.scale), None


def _at_least(level: int, count: int) -> Tensor:
    """Draw `count` random numbers from 0 to `_LEVELS` - 1 and tell whether each is at least `level`."""
    if level >= _LEVELS:
        return torch.zeros(count, dtype=torch.bool)
    bits = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)
    return bits.view(torch.int16)[:count] >= level - _LEVELS // 2
