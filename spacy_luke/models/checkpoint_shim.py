"""An encoder inside a Thinc model that saves itself as a checkpoint, for a component that is not ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import srsly
from thinc.api import ArgsKwargs, Optimizer, get_torch_default_device

from ..checkpoints.checkpoint import Checkpoint, Description
from ..checkpoints.source import locate
from ..checkpoints.writer import checkpoint_bytes, unpacked
from ..default_model import bundled_encoder
from ..encoders.batches import BatchedEncoder
from ..encoders.encoder import Encoder
from ..errors import LukeError
from .encoder_settings import apply_settings, open_for_encoder, require_precision
from .shared import SHARED
from .wrapper import EncoderShim

# For messages: a model does not know what its component is called.
COMPONENT = "transformer"
WHERE = f"[components.{COMPONENT}.model] checkpoint"


class CheckpointShim(EncoderShim):
    """Weights, configuration, tokenizer and entity vocabulary of an encoder that come from a checkpoint.

    Our own components write a checkpoint beside spaCy's files. Another component only asks its Thinc model for bytes:
    here they are the files of a checkpoint, so that the encoder is there again with all that belongs to it.

    settings: attributes of the encoder's model; L047 if that is no encoder of its own.
    """

    _model: BatchedEncoder | None

    def __init__(self, settings: Mapping[str, Any]):
        super().__init__(None)
        if SHARED in settings:
            reason = "only components of this package can share the encoder of another one"
            raise LukeError("L047", setting="encoder", value="spacy-luke.SharedEncoder.v1", reason=reason)
        self._settings = dict(settings)
        self._description: Description | None = None
        self._awaits_gradient = False
        self._owed_step: Optimizer | None = None

    @property
    def description(self) -> Description | None:
        """All but the weights; None before there are any."""
        return self._description

    @property
    def encoder(self) -> Encoder | None:
        """The encoder; None before there are weights."""
        return None if self._model is None else self._model.encoder

    def load(self, name: str | None, revision: str | None) -> None:
        """Take the encoder of a checkpoint, which may have a head.

        name, revision: as for `locate`; None = the encoder of the bundled model.
        """
        path = locate(name, revision) if name is not None else bundled_encoder()
        checkpoint = open_for_encoder(path, self._settings, COMPONENT, where=WHERE, to_train=True)
        self._take(checkpoint, self._settings["entity_vocab"])

    def _take(self, checkpoint: Checkpoint, entity_vocab: str) -> None:
        require_precision(self._settings)
        encoder: Any = checkpoint.load_encoder(entity_vocab, pooling=False)
        apply_settings(encoder, self._settings)
        kept, _ = checkpoint.select_entities(entity_vocab)
        self._model = BatchedEncoder(encoder).eval().to(get_torch_default_device())
        self.is_sound = True
        self._adamw = None  # it knows the parameters that were there before
        self._awaits_gradient, self._owed_step = False, None
        self._description = replace(checkpoint.describe(encoder.config), entity_vocab=kept)

    def begin_update(self, inputs: ArgsKwargs) -> tuple[Any, Callable[[ArgsKwargs], Any]]:
        output, backprop = super().begin_update(inputs)
        self._awaits_gradient = True

        def then_step(gradient: ArgsKwargs) -> Any:
            result = backprop(gradient)
            self._awaits_gradient = False
            if self._owed_step is not None:
                optimizer, self._owed_step = self._owed_step, None
                self.finish_update(optimizer)
            return result

        return output, then_step

    def finish_update(self, optimizer: Optimizer) -> None:
        """One step, after the gradient that is still to come.

        `nlp.update(examples, sgd=...)` lets each component step before the next one is updated, so the encoder before
        the components that send it gradients: the step would be that of the update before, between a forward pass and
        its backward pass.
        """
        if self._awaits_gradient:
            self._owed_step = optimizer
        else:
            super().finish_update(optimizer)

    def to_bytes(self) -> bytes:
        """The files of the checkpoint; none before there are weights."""
        files = checkpoint_bytes(self._description, self.encoder) if self._description and self.encoder else {}
        return srsly.msgpack_dumps(files)

    def from_bytes(self, bytes_data: bytes) -> CheckpointShim:
        """Load what `to_bytes` gave."""
        files = srsly.msgpack_loads(bytes_data)
        if files:
            with unpacked(files) as folder:
                self._take(open_for_encoder(folder, self._settings, COMPONENT, where=WHERE), "full")
        return self
