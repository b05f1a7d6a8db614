"""Settings of an encoder, applied to the checkpoint that is opened for it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thinc.api import get_torch_default_device

from ..checkpoints.checkpoint import Checkpoint
from ..checkpoints.reader import open_checkpoint
from ..default_model import PACKAGE, is_bundled
from ..encoders.config import LukeConfig
from ..encoders.encoder import Encoder
from ..encoders.kernels.int8 import require_int8
from ..errors import LukeError
from .architectures import ENCODERS

_logger = logging.getLogger("spacy")


def open_for_encoder(
    path: Path, settings: Mapping[str, Any], name: str, *, where: str, to_train: bool = False
) -> Checkpoint:
    """Open a checkpoint of the encoder in the config, which plain encoders are read as.

    settings: attributes of the encoder's model. name: of the component. where: the setting that names the checkpoint.

    L051 if it has another encoder (L052 if it is the bundled model), L054 if its entities attend otherwise than
    configured and it is not to be trained to.
    """
    configured = settings["model_type"]
    checkpoint = open_checkpoint(path, plain_as=configured)
    found = checkpoint.config.model_type
    if found != configured and is_bundled(path):
        raise LukeError("L052", name=name, encoder=ENCODERS[configured], where=where)
    if found != configured:
        encoder, needed = ENCODERS[configured], ENCODERS[found]
        raise LukeError("L051", name=name, encoder=encoder, path=path, found=found, needed=needed)
    attention = settings["entity_attention"]
    if attention and isinstance(checkpoint.config, LukeConfig) and attention != checkpoint.config.entity_attention:
        if not to_train:
            found = checkpoint.config.entity_attention
            raise LukeError("L054", name=name, path=path, found=found, configured=attention)
        full = attention == "full"
        checkpoint = checkpoint.with_full_attention() if full else checkpoint.with_independent_attention()
    if to_train:
        # What nobody asked for is told in any case, the rest with `spacy train --verbose`.
        config = checkpoint.config
        unasked = not attention and isinstance(config, LukeConfig) and config.entity_attention != "full"
        level = logging.WARNING if unasked else logging.INFO
        _logger.log(level, "%s starts from %s", name, _described(path, checkpoint))
    return checkpoint


def _described(path: Path, checkpoint: Checkpoint) -> str:
    """Describe what training starts from."""
    source = f"the encoder of {PACKAGE}" if is_bundled(path) else str(path)
    if not isinstance(checkpoint.config, LukeConfig):
        return f"{source}: {checkpoint.config.model_type}"
    attention = checkpoint.config.entity_attention
    closed = ' (not the paper\'s, which is entity_attention = "full"; transformers does not open what it gives)'
    closed = "" if attention == "full" else closed
    return f"{source}: {checkpoint.config.model_type} with {attention} attention of entities{closed}"


def require_precision(settings: Mapping[str, Any]) -> None:
    """L008 if the current device cannot predict with the precision in the settings."""
    if settings["precision"] == "int8":
        require_int8(get_torch_default_device())


def apply_settings(encoder: Encoder, settings: Mapping[str, Any]) -> None:
    """Give an encoder what its settings say about how it computes."""
    encoder.precision = settings["precision"]
    encoder.gradient_checkpointing = settings["gradient_checkpointing"]
