"""Base of both encoders: precision, gradient checkpointing, random weights, the pooler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .config import EncoderConfig
from .embeddings import PieceEmbeddings, init_weights
from .inputs import EncoderInput, EncoderOutput, Recording
from .kernels.int8 import Linear
from .kernels.routes import with_same_routes

States = Literal["all", "pieces", "entities", "pooled"]


class Encoder(nn.Module):
    """Encode a padded batch of windows: the interface of an encoder for a head.

    config: the shape, as in config.json.
    precision: "float32"; "bfloat16" for autocast; or "int8", in which the linear layers of a CPU predict (L008 on other
        devices), while training is that of "float32".
    gradient_checkpointing: while training, keep only the input of each layer and compute the rest again for the
        backward pass: about a third more time for a fraction of the memory.
    """

    def __init__(self, config: EncoderConfig, *, pooling: bool):
        super().__init__()
        self.config = config
        self.precision = "float32"
        self.gradient_checkpointing = False
        self.embeddings = PieceEmbeddings(config)
        self.pooler = nn.Linear(config.hidden_size, config.hidden_size) if pooling else None

    @property
    def precision(self) -> str:
        return self._precision

    @precision.setter
    def precision(self, precision: str) -> None:
        self._precision = precision
        for part in self.modules():
            if isinstance(part, Linear):
                part.int8 = precision == "int8"

    @property
    def device(self) -> torch.device:
        return self.embeddings.word.weight.device

    def packs(self, *, training: bool) -> bool:
        """Whether the layers compute much padding in attention only (`Packing`).

        training: in an update rather than a prediction.
        """
        return False

    def reset_parameters(self) -> None:
        """Random weights as the reference initialises them (`initializer_range`)."""
        init_weights(self, self.config.initializer_range)

    def forward(
        self, batch: EncoderInput, *, states: States = "all", recording: Recording | None = None
    ) -> EncoderOutput:
        """Encode one padded batch; states are float32 whatever the precision.

        states: what is to be read of the output: "all", only "pieces", only "entities" or only "pooled". What need not
            be computed for it is left out.
        recording: what to keep of the layers; then all last states are given. None = nothing, which costs nothing.
        """
        with self._autocast(batch):
            return self._encode(batch, states) if recording is None else self._encode_recorded(batch, recording)

    def _autocast(self, batch: EncoderInput) -> torch.autocast:
        enabled = self.precision == "bfloat16"
        return torch.autocast(batch.piece_ids.device.type, dtype=torch.bfloat16, enabled=enabled)

    def _encode(self, batch: EncoderInput, states: States) -> EncoderOutput:
        raise NotImplementedError

    def _encode_recorded(self, batch: EncoderInput, recording: Recording) -> EncoderOutput:
        raise NotImplementedError

    def _run(self, layer: Callable[..., Tensor], *inputs: Any) -> Tensor:
        """One layer, computed again in the backward pass with gradient checkpointing."""
        if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
            return checkpoint(with_same_routes(layer), *inputs, use_reentrant=False)
        return layer(*inputs)

    def _pooled(self, pieces: Tensor) -> Tensor | None:
        """*Shape:* (batch, pieces, hidden) -> (batch, hidden)."""
        return torch.tanh(self.pooler(pieces[:, 0]).float()) if self.pooler is not None else None
