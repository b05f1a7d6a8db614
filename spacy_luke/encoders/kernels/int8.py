"""The linear layers of an encoder, which can predict with int8 weights on a CPU."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from ...errors import LukeError
from .onednn_linear import Activation, linear

# Weights take the integers from -64 to 64 and rows those from -127 to 127. With weights up to 127, processors without
# VNNI would add pairs of products in 16 bits that have no room for them (oneDNN, "Nuances of int8 Computations"):
# 2 * 255 * 64 < 2 ** 15.
_WEIGHT_MAX = 64
_ROW_MAX = 127
_ROW_ZERO = 128
_TINY = 1e-12  # instead of a scale of 0

# Held while a weight is packed, so that of several threads that need it one does; a lock of each layer could not be
# copied.
_packing = threading.Lock()

# Steps of all optimisers in this process. Fused ones write weights without telling their version counter.
_optimizer_steps = 0


def _count_step(*_: Any) -> None:
    global _optimizer_steps
    _optimizer_steps += 1


register_optimizer_step_post_hook(_count_step)


@dataclass(frozen=True)
class Int8Weight:
    """A weight as int8 with one scale for each output, in the layout of oneDNN; it can be neither copied nor saved.

    origin: the weight that it was made of: kept, so that no other can take its place in memory.
    stamp: what tells whether the weight has changed since.
    packed: *Shape:* that of the weight, int8, opaque
    scale, zero: *Shape:* (outputs,), float32 and int32
    """

    origin: Tensor
    stamp: tuple[int, ...]
    packed: Tensor
    scale: Tensor
    zero: Tensor

    @classmethod
    def of(cls, weight: Tensor) -> Int8Weight:
        """Round to the nearest. *Shape:* (outputs, inputs)"""
        weight = weight.detach()
        scale = weight.abs().amax(1).clamp_(min=_TINY) / _WEIGHT_MAX
        rounded = (weight / scale[:, None]).round_().to(torch.int8)
        zero = torch.zeros(len(weight), dtype=torch.int32)
        return cls(weight, stamp(weight), torch.ops.onednn.qlinear_prepack(rounded, None), scale, zero)

    def multiply(self, rows: Tensor) -> Tensor:
        """Each row, as int8 with a scale of its own, times the weight: what a row gives depends on no other row.

        *Shape:* (rows, inputs) -> (rows, outputs), float32
        """
        # Minimum and maximum together, `aminmax`, take ten times as long.
        scale = torch.maximum(rows.amax(1, keepdim=True), -rows.amin(1, keepdim=True)).clamp_(min=_TINY) / _ROW_MAX
        rounded = (rows / scale).round_().to(torch.int8)
        unsigned = rounded.view(torch.uint8).bitwise_xor_(_ROW_ZERO)  # the same as adding 128
        return self._multiply(unsigned).mul_(scale)

    def _multiply(self, rows: Tensor) -> Tensor:
        return torch.ops.onednn.qlinear_pointwise(
            rows,
            1.0,  # scale of the rows
            _ROW_ZERO,
            self.packed,
            self.scale,
            self.zero,
            None,  # no bias
            1.0,  # scale and zero of the output
            0,
            torch.float32,
            "none",  # nothing fused, so no arguments of it
            [],
            "",
        )


class Linear(nn.Linear):
    """A linear layer that computes in int8 outside training and autograd, if it is told to.

    The weight stays what it is; an int8 copy, a quarter of its size, is made when it is first needed, and again when
    the weight has changed. Changes of `weight.data` in place, which PyTorch does not track, are not noticed.

    int8: whether to predict in int8. L008 on a device that cannot.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs)
        self.int8 = False
        self._int8_weight: Int8Weight | None = None

    def forward(self, rows: Tensor, activation: Activation | None = None) -> Tensor:
        """The product, then the activation. *Shape:* (…, inputs) -> (…, outputs)"""
        if not self.int8 or self.training or torch.is_grad_enabled():
            return linear(rows, self.weight, self.bias, activation)
        require_int8(rows.device)
        product = self._current_weight().multiply(rows.reshape(-1, self.in_features))
        product = product.add_(self.bias).view(*rows.shape[:-1], self.out_features)
        return product if activation is None else activation(product)

    def _current_weight(self) -> Int8Weight:
        if self.weight.is_inference():  # its changes are not counted
            return Int8Weight.of(self.weight)
        packed = self._int8_weight
        if packed is None or packed.stamp != stamp(self.weight):
            with _packing:
                packed = self._int8_weight
                if packed is None or packed.stamp != stamp(self.weight):
                    packed = self._int8_weight = Int8Weight.of(self.weight)
        return packed

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_int8_weight": None}


def stamp(weight: Tensor) -> tuple[int, ...]:
    """Another one after each change of the weight that PyTorch tracks, and after each step of an optimiser."""
    return _optimizer_steps, -1 if weight.is_inference() else weight._version, weight.data_ptr()


def require_int8(device: torch.device) -> None:
    """L008 if the device cannot compute in int8."""
    if device.type != "cpu" or not _cpu_has_int8():
        raise LukeError("L008", device=device)


@cache
def _cpu_has_int8() -> bool:
    """Whether this build of PyTorch has oneDNN's int8 kernels, and they compute the largest products rightly."""
    try:
        weight = Int8Weight.of(torch.full((32, 64), _WEIGHT_MAX, dtype=torch.float32))
        product = weight._multiply(torch.full((2, 64), _ROW_ZERO + _ROW_MAX, dtype=torch.uint8))
    except (AttributeError, RuntimeError):
        return False
    return bool((product == 64 * _WEIGHT_MAX * _ROW_MAX).all())
