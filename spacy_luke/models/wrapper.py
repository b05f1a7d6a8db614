"""A PyTorch module inside a Thinc model: conversion, optimiser step, serialisation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from safetensors.torch import load, save
from thinc.api import ArgsKwargs, Model, Optimizer, PyTorchShim, torch2xp, xp2torch
from thinc.layers.pytorchwrapper import forward
from torch import Tensor, nn

from ..checkpoints.weights import require_finite
from ..encoders.inputs import EncoderInput, EncoderOutput, Recording
from ..errors import LukeError
from .adamw import ThincAdamW
from .multiprocessing import compute_alone_in_forks


class EncoderShim(PyTorchShim):
    """Thinc's shim with an optimiser step that is not the slow part, weights that are never pickled, and predictions
    that any number of threads may make at once.

    Thinc's own step updates one parameter at a time through NumPy; see `ThincAdamW` for this one. Thinc's own
    predictions switch the module to evaluation and back to training, while another thread may be computing with it, or
    with the encoder that both share. Here a module is always in evaluation mode but while an update computes.

    head_rate: learning rate of the head's weights, as a multiple of the encoder's.
    owns_encoder: whether the encoder's weights are stepped here; if not, its provider steps them (`SharedEncoder`).

    is_sound: whether all that it has predicted with its weights is finite, as far as that was looked at.
    """

    def __init__(self, module: nn.Module | None, head_rate: float = 1.0, *, owns_encoder: bool = True):
        super().__init__(module, serialize_model=_to_bytes, deserialize_model=_from_bytes)
        compute_alone_in_forks()
        self._head_rate = head_rate
        self._owns_encoder = owns_encoder
        self._adamw: ThincAdamW | None = None
        self.is_sound = True
        if module is not None:
            module.eval()

    def predict(self, inputs: ArgsKwargs) -> Any:
        """Call the module on the inputs."""
        with torch.no_grad():
            return self._model(*inputs.args, **inputs.kwargs)

    def begin_update(self, inputs: ArgsKwargs) -> tuple[Any, Callable[[ArgsKwargs], Any]]:
        """Call the module in training. RETURNS: its output and the callback that takes the gradient on it."""
        with _evaluating_afterwards(self._model):
            output, backprop = super().begin_update(inputs)

        def backprop_in_training(gradient: ArgsKwargs) -> Any:
            # Checkpointed layers compute once more, with the same dropout.
            with _evaluating_afterwards(self._model.train()):
                return backprop(gradient)

        return output, backprop_in_training

    def finish_update(self, optimizer: Optimizer) -> None:
        """One AdamW step on the accumulated gradients, which are then cleared. Another Thinc optimiser starts without
        state."""
        parameters = dict(self._parameters())
        if all(p.grad is None for p in parameters.values()):
            return
        if self._adamw is None or self._adamw.driver is not optimizer:
            rates = {name: self._head_rate for name in parameters if _is_of_head(name)}
            self._adamw = ThincAdamW(parameters.items(), optimizer, rates)
        self._adamw.step()

    def grow_head(self, labels: int) -> None:
        """Give the head of a task module rows for so many further labels."""
        self._model.add_labels(labels)
        if self._adamw is not None:
            self._adamw.grow()

    def _parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters that are stepped here, with their names."""
        for name, parameter in self._model.named_parameters():
            if self._owns_encoder or not name.startswith("encoder."):
                yield name, parameter

    def __getstate__(self) -> dict[str, Any]:
        # The optimiser belongs to a training run, not to the model.
        return {**self.__dict__, "_adamw": None}


@contextmanager
def _evaluating_afterwards(module: nn.Module) -> Iterator[None]:
    try:
        yield
    finally:
        module.eval()


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


def record(model: Model, batch: EncoderInput, recording: Recording) -> EncoderOutput:
    """Encode a batch and record states and attention weights of layers.

    model: an encoder by itself, not one under a head, with weights.
    """
    shim: Any = model.shims[0]
    output: EncoderOutput = shim.predict(ArgsKwargs(args=(batch.to(shim.device),), kwargs={"recording": recording}))
    return output


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
    """Whether a parameter is new in a head that is trained: states of mentions, which Longformer lacks, too."""
    return not name.startswith("encoder.") or name.startswith("encoder.mention_states.")


def _to_bytes(module: nn.Module) -> bytes:
    return save({name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()})


def _from_bytes(module: nn.Module, data: bytes, device: torch.device) -> nn.Module:
    state = load(data)
    for name, tensor in state.items():
        require_finite(tensor, name, "the bytes of the model")
    module.load_state_dict(state)
    return module.to(device)
