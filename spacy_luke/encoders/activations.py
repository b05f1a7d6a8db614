"""Activation functions under the names that config.json uses."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import LukeError

_gelu_tanh = partial(F.gelu, approximate="tanh")


def _quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def _clipped_gelu(x: Tensor) -> Tensor:
    return F.gelu(x).clamp(-10, 10)


def _relu_squared(x: Tensor) -> Tensor:
    return F.relu(x).square()


def _laplace(x: Tensor) -> Tensor:
    return 0.5 * (1 + torch.erf((x - 0.707107) / (0.282095 * math.sqrt(2))))


def _sqrt_softplus(x: Tensor) -> Tensor:
    return F.softplus(x).sqrt()


def _linear(x: Tensor) -> Tensor:
    return x


# Names and definitions: transformers 4 and 5, activations.py (ACT2FN); all that have no weights.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_10": _clipped_gelu,
    "gelu_python": F.gelu,
    "gelu_python_tanh": _gelu_tanh,
    "gelu_fast": _gelu_tanh,
    "gelu_new": _gelu_tanh,
    "gelu_accurate": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
    "quick_gelu": _quick_gelu,
    "hardswish": F.hardswish,
    "relu": F.relu,
    "relu2": _relu_squared,
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    "silu": F.silu,
    "swish": F.silu,
    "mish": F.mish,
    "sigmoid": torch.sigmoid,
    "sqrtsoftplus": _sqrt_softplus,
    "tanh": torch.tanh,
    "laplace": _laplace,
    "linear": _linear,
}
# Those of transformers that are trained: modules with weights, for each layer its own.
TRAINED_ACTIVATIONS = ("prelu", "xielu")


def get_activation(name: str) -> Callable[[Tensor], Tensor]:
    """The function called `name` in config.json; L001 if unknown, L115 if it has weights of its own."""
    if name in TRAINED_ACTIVATIONS:
        raise LukeError("L115", name=name, known=", ".join(sorted(ACTIVATIONS)))
    if name not in ACTIVATIONS:
        raise LukeError("L001", name=name, known=", ".join(sorted(ACTIVATIONS)))
    return ACTIVATIONS[name]
