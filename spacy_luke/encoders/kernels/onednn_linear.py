"""Products of rows and weights: those of oneDNN where PyTorch would take MKL's, which were half as fast on an AMD
processor with AVX-512."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from .routes import takes

Activation = Callable[[Tensor], Tensor]
_SHAPES = ((40, 24), (48, 24), (40, 48), (1, 48))  # of rows, weight, gradient and bias that oneDNN is tried with


def linear(rows: Tensor, weight: Tensor, bias: Tensor | None = None, activation: Activation | None = None) -> Tensor:
    """`F.linear`, then the activation; sums are rounded in another order if oneDNN computes ("linear by oneDNN").

    *Shapes:* rows (…, inputs), weight (outputs, inputs), bias (outputs,) -> (…, outputs)
    """
    # For a slice of a weight oneDNN takes hundreds of times as long.
    if takes("linear by oneDNN") and rows.numel() and weight.is_contiguous() and can_multiply(rows, weight):
        return _linear_by_onednn(rows, weight, bias, activation)
    return activated(F.linear(rows, weight, bias), activation)


def activated(product: Tensor, activation: Activation | None) -> Tensor:
    """The activation of a product that nobody else needs: GELU in place, where no gradient is wanted."""
    if activation is F.gelu and not torch.is_grad_enabled():
        return torch.ops.aten.gelu_.default(product)
    return product if activation is None else activation(product)


def _linear_by_onednn(rows: Tensor, weight: Tensor, bias: Tensor | None, activation: Activation | None) -> Tensor:
    flat = rows.reshape(-1, rows.shape[-1]).contiguous()
    shape = (*rows.shape[:-1], len(weight))
    if torch.is_grad_enabled():
        product = _Product.apply(flat, weight, bias).view(shape)
    elif activation is F.gelu:
        return multiply(flat, weight, bias, "gelu").view(shape)
    else:
        product = multiply(flat, weight, bias).view(shape)
    return activated(product, activation)


class _Product(torch.autograd.Function):
    """`F.linear` of a matrix and its gradient, all by oneDNN."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(rows, weight)
        return multiply(rows, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        rows, weight = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        needs_rows, needs_weight, needs_bias = ctx.needs_input_grad
        return (
            multiply(gradient, weight.t()) if needs_rows else None,
            multiply(gradient.t(), rows.t()) if needs_weight else None,
            gradient.sum(0) if needs_bias else None,
        )


def multiply(rows: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str = "none") -> Tensor:
    """A private operation of PyTorch, whose compiler uses it. The matrices are contiguous, or transposes of such, and
    are not copied."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, activation, [], "none")
    return product


def can_multiply(*factors: Tensor) -> bool:
    """Whether oneDNN can multiply them, and may: float32 on a CPU, in a build of PyTorch that would take MKL."""
    return (
        all(factor.dtype == torch.float32 and factor.device.type == "cpu" for factor in factors)
        and not torch.is_autocast_enabled("cpu")
        and _has_onednn()
        and bool(torch.backends.mkldnn.enabled)
    )


@cache
def _has_onednn() -> bool:
    """Whether this build of PyTorch has MKL and the operation of oneDNN, and the latter computes rightly."""
    if not (torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()):
        return False
    rows, weight, gradient, bias = (torch.arange(n * m).sin().view(n, m) for n, m in _SHAPES)
    try:
        with torch.no_grad():
            found = (
                (multiply(rows, weight, bias[0], "gelu"), F.gelu(F.linear(rows, weight, bias[0]))),
                (multiply(gradient, weight.t()), gradient @ weight),
                (multiply(gradient.t(), rows.t()), gradient.t() @ rows),
            )
    except (AttributeError, RuntimeError):
        return False
    return all(torch.allclose(ours, theirs, atol=1e-4) for ours, theirs in found)
