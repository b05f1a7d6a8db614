"""A PyTorch module inside a Thinc model: conversion, optimiser step, serialisation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from safetensors.torch import load, save
from thinc.api import ArgsKwargs, Model, Optimizer, PyTorchShim, torch2xp, xp2torch
from thinc.layers.pytorchwrapper import forward
from torch import Tensor, nn

from ..encoders.inputs import EncoderInput, EncoderOutput
from ..errors import LukeError, warn


class EncoderShim(PyTorchShim):
    """Thinc's shim with an optimiser step that is not the slow part and weights that are never pickled.

    Thinc's own step updates one parameter at a time through NumPy. Here a Thinc `Optimizer` drives one fused torch
    AdamW: learning rate, betas, eps, L2 and grad_clip are read from it before each step, so schedules work. What
    differs:

    - grad_clip bounds the norm of all gradients together, as is usual in PyTorch, not that of each array
    - L2 leaves out biases and norms, as in the paper's code
    - use_averages and use_radam have no effect (W007)

    head_rate: learning rate of the head's weights, as a multiple of the encoder's.
    owns_encoder: whether the encoder's weights are stepped here; if not, its owner steps them (`SharedEncoder`).
    """

    def __init__(self, module: nn.Module | None, head_rate: float = 1.0, *, owns_encoder: bool = True):
        super().__init__(module, serialize_model=_to_bytes, deserialize_model=_from_bytes)
        self._head_rate = head_rate
        self._owns_encoder = owns_encoder
        self._torch_optimizer: torch.optim.Optimizer | None = None
        self._driver: Optimizer | None = None

    def finish_update(self, optimizer: Optimizer) -> None:
        """One AdamW step on the accumulated gradients, which are then cleared."""
        with_grad = [p for _, p in self._parameters() if p.grad is not None]
        if not with_grad:
            return
        adamw = self._optimizer_for(optimizer)
        for group in adamw.param_groups:
            group["lr"] = float(optimizer.learn_rate) * group["rate"]
            group["betas"] = (float(optimizer.b1), float(optimizer.b2))
            group["eps"] = float(optimizer.eps)
            if group["decays"]:
                group["weight_decay"] = float(optimizer.L2)
        if optimizer.grad_clip:
            nn.utils.clip_grad_norm_(with_grad, float(optimizer.grad_clip))
        adamw.step()
        adamw.zero_grad(set_to_none=True)

    def _optimizer_for(self, optimizer: Optimizer) -> torch.optim.Optimizer:
        """The torch optimiser of a Thinc optimiser; another Thinc optimiser starts without state."""
        if self._torch_optimizer is not None and self._driver is optimizer:
            return self._torch_optimizer
        if optimizer.averages is not None:
            warn("W007", setting="use_averages = true")
        if optimizer.use_radam:
            warn("W007", setting="use_radam = true")
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, parameter in self._parameters():
            groups.setdefault((parameter.ndim > 1, _is_of_head(name)), []).append(parameter)
        settings = [
            {"params": part, "decays": decays, "rate": self._head_rate if of_head else 1.0, "weight_decay": 0.0}
            for (decays, of_head), part in groups.items()
        ]
        kind = torch.optim.AdamW if optimizer.L2_is_weight_decay else torch.optim.Adam
        self._torch_optimizer = kind(settings, lr=float(optimizer.learn_rate), fused=True)
        self._driver = optimizer
        return self._torch_optimizer

    def _parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters that are stepped here, with their names."""
        for name, parameter in self._model.named_parameters():
            if self._owns_encoder or not name.startswith("encoder."):
                yield name, parameter

    def __getstate__(self) -> dict[str, Any]:
        # The optimiser belongs to a training run, not to the model.
        return {**self.__dict__, "_torch_optimizer": None, "_driver": None}


def attach_module(model: Model, module: nn.Module, *, owns_encoder: bool = True) -> None:
    """Give a model its PyTorch module, on the device of the current Thinc ops; see `EncoderShim`."""
    model.shims[:] = [EncoderShim(module, model.attrs["head_rate"], owns_encoder=owns_encoder)]


def torch_module(model: Model) -> nn.Module | None:
    """The PyTorch module of a model; None before it has weights."""
    return model.shims[0]._model if model.shims else None


def wrap_task_module(name: str, encoder: Model, head_rate: float) -> Model[EncoderInput, Any]:
    """A Thinc model from padded batches to logits that gets its PyTorch module from a checkpoint, later.

    encoder: the encoder's settings, kept as a layer so that it is found by walking the model.
    head_rate: learning rate of the head's weights, as a multiple of the encoder's; L047 if it is not above 0.
    """
    if not head_rate > 0:
        raise LukeError("L047", setting="head_rate", value=head_rate, reason="it must be above 0")
    return Model(
        name,
        forward,
        layers=[encoder],
        attrs={"convert_inputs": _convert_inputs, "convert_outputs": _convert_outputs, "head_rate": head_rate},
    )


def wrap_encoder(name: str, settings: dict[str, Any]) -> Model[EncoderInput, Any]:
    """A Thinc model of an encoder: settings for the task model that it is a layer of, and by itself a model from padded
    batches to the states of pieces and entities. It predicts; what trains it is the gradient of a task model.

    settings: kept as the model's attributes.
    """
    attrs = {"convert_inputs": _convert_inputs, "convert_outputs": _convert_states, "head_rate": 1.0}
    return Model(name, forward, attrs={**attrs, **settings})


def _convert_inputs(model: Model, batch: EncoderInput, is_train: bool) -> tuple[ArgsKwargs, Callable[[Any], None]]:
    shim: Any = model.shims[0]
    return ArgsKwargs(args=(batch.to(shim.device),), kwargs={}), lambda _: None


def _convert_outputs(
    model: Model, batch_and_logits: tuple[EncoderInput, Tensor], is_train: bool
) -> tuple[Any, Callable[[Any], ArgsKwargs]]:
    logits = batch_and_logits[1]

    def backprop(d_logits: Any) -> ArgsKwargs:
        gradient = xp2torch(d_logits, device=logits.device)
        return ArgsKwargs(args=((logits,),), kwargs={"grad_tensors": gradient})

    return torch2xp(logits), backprop


def _convert_states(
    model: Model, batch_and_states: tuple[EncoderInput, EncoderOutput], is_train: bool
) -> tuple[tuple[Any, Any], Callable[[Any], ArgsKwargs]]:
    """*Shapes:* -> ((batch, pieces, hidden), (batch, entities, hidden) or None)"""
    output = batch_and_states[1]
    assert output.pieces is not None

    def backprop(d_states: Any) -> ArgsKwargs:
        raise NotImplementedError("An encoder is trained by the task models that share it.")

    return (torch2xp(output.pieces), None if output.entities is None else torch2xp(output.entities)), backprop


def _is_of_head(name: str) -> bool:
    """Whether a parameter is new in a head that is trained: states of mentions, which Longformer has not, too."""
    return not name.startswith("encoder.") or name.startswith("encoder.mention_states.")


def _to_bytes(module: nn.Module) -> bytes:
    return save({name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()})


def _from_bytes(module: nn.Module, data: bytes, device: torch.device) -> nn.Module:
    module.load_state_dict(load(data))
    return module.to(device)
