"""The component whose encoder others share: spaCy's `ListenedToComponent`, but for weights, not for states."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example, validate_examples
from spacy.vocab import Vocab
from thinc.api import Model, Optimizer
from torch import Tensor, nn

from ...checkpoints.checkpoint import Checkpoint, Description
from ...checkpoints.source import locate
from ...checks import require_at_least
from ...default_model import bundled_encoder
from ...encoders.encoder import Encoder
from ...errors import LukeError, warn
from ...models.piece_store import PieceStore
from ...models.shared import SHARED
from ...models.wrapper import attach_module, torch_module
from .checkpoint_component import STATE_LOCK, CheckpointComponent

# Largest norm of a gradient, for all components or by their names.
GradClip = float | Mapping[str, float | None] | None


class SharedEncoderProvider(CheckpointComponent):
    """A component with an encoder and no head, whose encoder others may share.

    LUKE's states of a text depend on the entities that are asked about, so components cannot share them as those of
    spaCy share a `tok2vec`: each runs the encoder on its own inputs. They share the weights: one set in memory and on
    disk. In training the gradients of all of them add up, and this component takes one step.

    Under independent attention pieces are the same whatever entities are asked about: those that several components
    read are encoded once (`PieceStore`).

    max_kept_bytes: most memory of what is kept of them from one component to the next.
    component_grad_clip: largest norm of what a component adds, for all or by their names; null = any. Tasks may differ
        in it by a factor of 100 (docs/shared_encoder.md), and the largest then decides alone where the encoder goes.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str,
        *,
        windows: Any,
        max_batch_pieces: int,
        component_grad_clip: GradClip,
        max_kept_bytes: int,
        nlp: Language | None,
    ):
        super().__init__(vocab, model, name, windows=windows, max_batch_pieces=max_batch_pieces, scorer=None)
        bounds = component_grad_clip.values() if isinstance(component_grad_clip, Mapping) else [component_grad_clip]
        if not all(bound is None or bound > 0 for bound in bounds):
            reason = "norms must be numbers above 0, or null"
            raise LukeError("L047", setting="component_grad_clip", value=component_grad_clip, reason=reason)
        require_at_least(0, max_kept_bytes=max_kept_bytes)
        self.component_grad_clip = component_grad_clip
        self.piece_store = PieceStore(max_kept_bytes, max_batch_pieces)
        self.update_trains = False
        # The pipeline, which knows what components are disabled.
        self._nlp = PipelineLink(nlp)
        self._warned_bounds = False
        # The component whose gradient is now on the encoder.
        self._adding = ""
        # What the components before the present one have added, where that is bounded.
        self._accumulated_grads: dict[nn.Parameter, Tensor] = {}
        self.model.attrs["replace_listener"] = _replace_listener
        self.listener_map: dict[str, list[Model]] = {}
        # Components whose gradients the update that has begun may still get, and whether it has any.
        self._awaited: set[str] = set()
        self._has_gradients = False
        # Those of that update.
        self._examples: list[Example] = []
        # The optimiser of a step that was asked for before there were gradients.
        self._waiting: Optimizer | None = None
        # Parameters that are not to get the gradients of the component that is being updated.
        self._frozen_params: list[nn.Parameter] = []

    # Weights

    @property
    def description(self) -> Description | None:
        """Description of the encoder; None before it has weights."""
        return self._description

    @property
    def encoder(self) -> Encoder:
        """The PyTorch module; L040 before there are weights."""
        return self._module

    def freeze_encoder(self, frozen: bool = True) -> None:
        """Train only heads from now on. Lasts until weights are loaded again; it is not saved."""
        self._frozen_params.clear()
        self.encoder.requires_grad_(not frozen)

    def _from_checkpoint(self, checkpoint: Checkpoint) -> None:
        self._check_checkpoint(checkpoint)
        encoder, described = self._load_encoder(checkpoint)
        settings = dict(checkpoint.settings)
        if checkpoint.architecture != described.architecture:  # windows of a task
            settings = checkpoint.encoder_settings()
        if is_dataclass(self._windows_setting):
            settings["windows"] = vars(self._windows_setting)
        description = replace(described, settings=settings)
        for listener in self.listeners:
            if (user := listener.attrs[SHARED].user) is not None:
                user.check_encoder(description, encoder)  # while nothing has changed
        attach_module(self.model, encoder)
        self._description = description
        self._awaited, self._has_gradients, self._waiting = set(), False, None
        self._examples = []
        self._accumulated_grads.clear()
        self._frozen_params.clear()
        for listener in self.listeners:
            listener.attrs[SHARED].connect(self)

    def _check_checkpoint(self, checkpoint: Checkpoint) -> None:
        """An error if a checkpoint does not suit the settings."""

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Any]],
        *,
        nlp: Language | None = None,
        checkpoint: str | None = None,
        revision: str | None = None,
    ) -> None:
        """Prepare for training.

        checkpoint: folder or Hub id to start from: LUKE or Longformer, as the config has it, with any head, or BERT,
            RoBERTa and XLM-R, which are read as that; default: the encoder of the bundled model, a LUKE.
        revision: branch, tag or commit on the Hub.
        """
        source = locate(checkpoint, revision) if checkpoint is not None else bundled_encoder()
        self._from_checkpoint(self._open(source, to_train=True))

    def _require_weights_or_bundled(self, docs: Sequence[Doc]) -> Description:
        description = super()._require_weights_or_bundled(docs)
        self.flush_step(docs)
        return description

    def _load_bundled(self, *, to_train: bool = False) -> bool:
        self._from_checkpoint(self._open(bundled_encoder(), to_train=to_train))
        return True

    # Sharing: spaCy's `ListenedToComponent`

    @property
    def listeners(self) -> list[Model]:
        """The layers of other components that stand for this encoder."""
        return [listener for listeners in self.listener_map.values() for listener in listeners if self._is_of(listener)]

    @property
    def listening_components(self) -> list[str]:
        """Names of the components that share the encoder."""
        return [name for name, listeners in self.listener_map.items() if any(map(self._is_of, listeners))]

    def piece_readers(self, windows: Any) -> frozenset[str]:
        """Names of the components of the pipeline that attach entities to the pieces of such windows."""
        users = (listener.attrs[SHARED].user for listener in self.listeners)
        readers = frozenset(user.name for user in users if user is not None and user.read_windows == windows)
        nlp = self._nlp()
        if nlp is not None and any(pipe is self for _, pipe in nlp.components):
            readers &= frozenset(nlp.pipe_names)
        return readers | {self.name} if self.read_windows == windows else readers

    def _is_of(self, listener: Model) -> bool:
        """Whether no provider after this one is nearer to the component of the layer."""
        return listener.attrs[SHARED].provider is self

    def add_listener(self, listener: Model, component_name: str) -> None:
        """Share the encoder with a component."""
        listeners = self.listener_map.setdefault(component_name, [])
        if listener not in listeners:
            listeners.append(listener)
            listener.attrs[SHARED].connect(self)

    def remove_listener(self, listener: Model, component_name: str) -> bool:
        """Forget a layer of a component. RETURNS: whether it was known."""
        listeners = self.listener_map.get(component_name, [])
        if listener not in listeners:
            return False
        listeners.remove(listener)
        if not listeners:
            del self.listener_map[component_name]
        return True

    def find_listeners(self, component: Any) -> None:
        """Share the encoder with a component whose model wants it."""
        model = getattr(component, "model", None)
        if not isinstance(model, Model):
            return
        for node in model.walk():
            shared = node.attrs.get(SHARED)
            # One that has this encoder follows when the component is renamed.
            if shared is not None and (shared.upstream in ("*", self.name) or shared.provider is self):
                self.add_listener(node, component.name)

    # Training

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Let the updates of the components that share the encoder, which come after this one, add gradients to it."""
        losses = losses if losses is not None else {}
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, f"{type(self).__name__}.update")
        self._require_weights_to_learn()
        self.flush_step()
        if self.component_grad_clip is None:  # of an update before, to which this one is added
            self._take_piece_gradients()
        self._accumulate_grads()
        self.piece_store.forget_update()
        self._warn_of_bounds()
        self._awaited = set(self.listening_components)
        self._has_gradients = False
        self._examples = examples
        if sgd is not None:
            self.finish_update(sgd)
        return losses

    def _warn_of_bounds(self) -> None:
        """Warn once of names that look misspelt: they are not there, and a component that is there has no bound. In a
        part of a pipeline, names that are not there mean nothing."""
        bounds = self.component_grad_clip
        if self._warned_bounds or not isinstance(bounds, Mapping):
            return
        unknown, unbounded = bounds.keys() - {*self.listening_components}, {*self.listening_components} - bounds.keys()
        if unknown and unbounded:
            self._warned_bounds = True
            warn("W038", name=self.name, unknown=", ".join(sorted(unknown)), unbounded=", ".join(sorted(unbounded)))

    def join_update(self, component: str, *, trains: bool) -> None:
        """Before the forward passes of an update of a component: its gradients reach the encoder if the encoder's own
        update came before, once for each of them, and if the component wants them to (`trains`)."""
        self._accumulate_grads()
        self._adding = component
        joins = component in self._awaited
        self._awaited.discard(component)
        self._has_gradients |= joins
        self.update_trains = joins and trains
        self._unfreeze()
        if not self.update_trains:
            self._frozen_params = [p for p in self.encoder.parameters() if p.requires_grad]
            for parameter in self._frozen_params:
                parameter.requires_grad_(False)

    def _unfreeze(self) -> None:
        """Let parameters have gradients again that were not to have those of one component."""
        for parameter in self._frozen_params:
            parameter.requires_grad_(True)
        self._frozen_params.clear()

    def end_update(self) -> None:
        """After the backward passes of an update of a component: the gradients on pieces that all have read go back to
        the weights."""
        self._unfreeze()
        if self.component_grad_clip is None and not self._awaited:
            self._take_piece_gradients()

    def _take_piece_gradients(self, *, retain: bool = False) -> None:
        """Take the gradients that components left on pieces back to the weights, also if the last component does not
        train them. retain: whether there will be more."""
        self._unfreeze()  # an update that failed may not have
        self.piece_store.backward(retain=retain)

    def _accumulate_grads(self) -> None:
        """Bound what the last component has added, and put it with what those before it have."""
        bounds = self.component_grad_clip
        if bounds is None:
            return
        self._take_piece_gradients(retain=bool(self._awaited))
        parameters = [p for p in self.encoder.parameters() if p.grad is not None]
        bound = bounds.get(self._adding) if isinstance(bounds, Mapping) else bounds
        if bound is not None:
            nn.utils.clip_grad_norm_(parameters, bound)
        for parameter in parameters:
            before = self._accumulated_grads.get(parameter)
            assert parameter.grad is not None
            self._accumulated_grads[parameter] = parameter.grad if before is None else before.add_(parameter.grad)
            parameter.grad = None

    def finish_update(self, sgd: Optimizer) -> None:
        """One step on the gradients of all components.

        spaCy's `nlp.update` with an optimiser asks for the step before the other components have been updated: then it
        waits, and is taken when the encoder is next used on other Docs or saved, or with the next update.
        """
        self._waiting = sgd
        if self._has_gradients:
            self.flush_step()

    def flush_step(self, docs: Sequence[Doc] = ()) -> None:
        """Take the step that waits for the gradients of all components, if one does.

        docs: that are to be predicted. Components that annotate in an update (`annotates`) predict its Docs before all
            gradients are there: the step goes on waiting.
        """
        if self._waiting is None:
            return
        with STATE_LOCK:
            sgd = self._waiting
            predicted = {id(example.predicted) for example in self._examples}
            if sgd is None or (self._awaited and any(id(doc) in predicted for doc in docs)):
                return
            self._has_gradients = False
            if self.component_grad_clip is None:
                self._take_piece_gradients()
            self._accumulate_grads()
            self.piece_store.forget_update()
            self._examples = []  # not before: what is known of their pieces goes with them
            for parameter, gradient in self._accumulated_grads.items():
                parameter.grad = gradient
            self._accumulated_grads.clear()
            try:
                self.model.finish_update(sgd)
            finally:
                self._waiting = None  # not before: another thread would predict with half of the step

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Save as a Hugging Face checkpoint folder with spaCy's `cfg` beside it; see `save_checkpoint`."""
        self.flush_step()
        super().to_disk(path, exclude=exclude)

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """The files that `to_disk` writes, as one byte string."""
        self.flush_step()
        return super().to_bytes(exclude=exclude)


class PipelineLink:
    """The pipeline that a component was made for; a copy is in none that is known."""

    def __init__(self, nlp: Language | None = None):
        self._reference = None if nlp is None else weakref.ref(nlp)

    def __call__(self) -> Language | None:
        return None if self._reference is None else self._reference()

    def __reduce__(self) -> Any:
        return type(self), ()


def _replace_listener(copied: Model, listener: Model, provider: SharedEncoderProvider) -> Model:
    """Give the component of a listener a copy of the encoder for its own, for spaCy's `nlp.replace_listeners`.

    RETURNS: the copied model as what an encoder is in a task model: settings.
    """
    encoder = torch_module(copied)
    copied.shims.clear()
    user = listener.attrs[SHARED].user
    if encoder is not None and user is not None:
        user.own_encoder(encoder)
    return copied
