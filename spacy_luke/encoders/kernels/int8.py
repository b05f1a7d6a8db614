"""The linear layers of an encoder, which can predict with int8 weights on a CPU."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.optimizer import register_optimizer_step_post_hook

from ...errors import LukeError
from .onednn_linear import Activation, activated, linear

# Weights take the integers from -64 to 64 and rows those from 0 to 255. With weights up to 127, processors without VNNI
# would add pairs of products in 16 bits that have no room for them (oneDNN, "Nuances of int8 Computations"):
# 2 * 255 * 64 < 2 ** 15.
_WEIGHT_MAX = 64
_ROW_MAX = 255
_TINY = 1e-12  # instead of a scale of 0
_RANGE_BYTES = 8  # after the integers of a row: its scale and its lowest number, float32

# Held while a weight is packed, so that of several threads that need it one does; a lock of each layer could not be
# copied.
_packing = threading.Lock()

# Steps of all optimisers in this process. Fused ones write weights without telling their version counter.
_optimizer_steps = 0


def _count_step(*_: Any) -> None:
    global _optimizer_steps
    _optimizer_steps += 1


register_optimizer_step_post_hook(_count_step)


class Int8Rows(NamedTuple):
    """Rows of float32 as integers from 0 to 255, each with a scale and a lowest number of its own.

    A number is scale * integer + lowest.

    packed: the integers, then the bytes of scale and lowest number. *Shape:* (rows, inputs + 8), uint8
    scale, lowest: *Shape:* (rows, 1), float32
    """

    packed: Tensor
    scale: Tensor
    lowest: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> Int8Rows:
        """Round to the nearest. *Shape:* (rows, inputs), float32

        The numbers of a row that has NaN are undefined, unless all of them are NaN.
        """
        # Made for tables of embeddings, it is the only operation of PyTorch that finds the range of each row and rounds
        # the row in one go; amax, amin, div, round, to and xor took four times as long.
        packed = torch.ops.quantized.embedding_bag_byte_prepack.default(rows)
        if rows.shape[1] % 4:  # the last bytes do not lie where float32 may
            ranges = packed[:, -_RANGE_BYTES:].contiguous().view(torch.float32)
        else:
            ranges = packed.view(torch.float32)
        return cls(packed, ranges[:, -2:-1], ranges[:, -1:])


@dataclass(frozen=True)
class Int8Weight:
    """Weights of one or more layers with the same inputs as int8, with one scale for each output, in the layout of
    oneDNN; it can be neither copied nor saved.

    origin: the weights that it was made of, and their biases: kept, so that no others can take their places in memory.
    stamp: what tells whether they have changed since.
    packed: *Shape:* (outputs of all layers, inputs + 8), int8, opaque: 0 for the bytes of a row that are no integers
    scale, zero: *Shape:* (outputs,), float32 and int32
    sums: of the rounded weights of each output. *Shape:* (outputs,), float32
    bias: *Shape:* (outputs,), float32
    """

    origin: tuple[Tensor, ...]
    stamp: tuple[object, ...]
    packed: Tensor
    scale: Tensor
    zero: Tensor
    sums: Tensor
    bias: Tensor

    @classmethod
    def of(cls, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> Int8Weight:
        """Round to the nearest. *Shapes:* those of each layer, (outputs, inputs) and (outputs,)"""
        origin = tuple(parameter.detach() for parameter in (*weights, *biases))
        weight, bias = torch.cat(origin[: len(weights)]), torch.cat(origin[len(weights) :])
        scale = weight.abs().amax(1).clamp_(min=_TINY) / _WEIGHT_MAX
        rounded = (weight / scale[:, None]).round_()
        # A number that is not finite makes all outputs NaN: of one alone, `Int8Rows` of the next layer may lose sight.
        scale += (scale.sum() + bias.sum()) * 0
        padded = F.pad(rounded.to(torch.int8), (0, _RANGE_BYTES))
        return cls(
            origin=origin,
            stamp=stamp(*weights, *biases),
            packed=torch.ops.onednn.qlinear_prepack(padded, None),
            scale=scale,
            zero=torch.zeros(len(weight), dtype=torch.int32),
            sums=rounded.sum(1).mul_(scale),
            bias=bias,
        )

    def multiply(self, rows: Int8Rows) -> Tensor:
        """The product and the bias: what a row gives depends on no other row.

        *Shape:* (rows, inputs) -> (rows, outputs), float32
        """
        product = self._multiply(rows.packed)
        return torch.addcmul(self.bias, product, rows.scale, out=product).addcmul_(rows.lowest, self.sums)

    def _multiply(self, packed_rows: Tensor) -> Tensor:
        # Of one overload: to find it by the arguments takes as long as the product of some ten rows.
        return torch.ops.onednn.qlinear_pointwise.default(
            packed_rows,
            1.0,  # scale of the rows
            0,
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
    the weight or the bias has changed. Changes of their `data` in place, which PyTorch does not track, are not noticed.

    int8: whether to predict in int8. L008 on a device that cannot.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs)
        self.int8 = False
        # By the layers that are multiplied together; the first has it.
        self._int8_weights: dict[tuple[int, ...], Int8Weight] = {}

    def forward(self, rows: Tensor, activation: Activation | None = None) -> Tensor:
        """The product, then the activation. *Shape:* (…, inputs) -> (…, outputs)"""
        if not self.predicts_in_int8():
            return linear(rows, self.weight, self.bias, activation)
        [product] = _products(rows, self)
        return activated(product, activation)

    def predicts_in_int8(self) -> bool:
        """Whether the next call computes in int8."""
        return self.int8 and not self.training and not torch.is_grad_enabled()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_int8_weights": {}}


def project(rows: Tensor, *layers: Linear) -> tuple[Tensor, ...]:
    """What several layers of one module make of the same rows; in int8, rows are rounded once and multiplied once.

    *Shapes:* (…, inputs) -> (…, outputs) of each layer
    """
    return _products(rows, *layers) if layers[0].predicts_in_int8() else tuple(layer(rows) for layer in layers)


def _products(rows: Tensor, *layers: Linear) -> tuple[Tensor, ...]:
    require_int8(rows.device)
    rounded = Int8Rows.of(rows.reshape(-1, rows.shape[-1]))
    outputs = [layer.out_features for layer in layers]
    product = _current_weight(layers).multiply(rounded).view(*rows.shape[:-1], sum(outputs))
    return product.split(outputs, dim=-1) if len(layers) > 1 else (product,)


def _current_weight(layers: tuple[Linear, ...]) -> Int8Weight:
    """The weights of layers that are multiplied together, packed again if one has changed."""
    weights, biases = [layer.weight for layer in layers], [layer.bias for layer in layers]
    known, key = layers[0]._int8_weights, tuple(map(id, layers))
    packed = known.get(key)
    if packed is None or packed.stamp != stamp(*weights, *biases):
        with _packing:
            packed = known.get(key)
            if packed is None or packed.stamp != stamp(*weights, *biases):
                packed = known[key] = Int8Weight.of(weights, biases)
    return packed


def stamp(*parameters: Tensor) -> tuple[object, ...]:
    """Another one after each change of the parameters that PyTorch tracks, and after each step of an optimiser.

    Of parameters made in inference mode PyTorch tracks none: always another one.
    """
    found: list[object] = [_optimizer_steps]
    for parameter in parameters:
        found += (object() if parameter.is_inference() else parameter._version, parameter.data_ptr())
    return tuple(found)


def require_int8(device: torch.device) -> None:
    """L008 if the device cannot compute in int8."""
    if device.type != "cpu" or not _cpu_has_int8():
        raise LukeError("L008", device=device)


@cache
def _cpu_has_int8() -> bool:
    """Whether this build of PyTorch has oneDNN's int8 kernels, and they compute the largest products rightly."""
    rows = torch.ones(2, 64)
    rows[0, 0] = 0
    try:
        weight = Int8Weight.of([torch.full((32, 64), float(_WEIGHT_MAX))], [torch.zeros(32)])
        rounded = Int8Rows.of(rows)
        product = weight.multiply(rounded)
    except (AttributeError, RuntimeError):
        return False
    return bool(
        (rounded.packed[0, 1:64] == _ROW_MAX).all() and torch.allclose(product, rows.sum(1, True) * _WEIGHT_MAX)
    )
