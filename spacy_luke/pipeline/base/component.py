"""The base of the components: a head on an encoder of its own, or on that of another component."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic

import numpy as np
import srsly
from spacy.tokens import Doc
from spacy.training import Example, validate_examples
from spacy.vocab import Vocab
from thinc.api import Model, Optimizer

from ...checkpoints.checkpoint import Description
from ...checkpoints.heads import with_new_head
from ...checkpoints.writer import HEAD_WEIGHTS, save_files
from ...default_model import bundled_component, bundled_encoder
from ...encoders.encoder import Encoder
from ...encoders.heads import TaskModule
from ...encoders.inputs import EncoderInput
from ...errors import LukeError, warn
from ...models.shared import SHARED, EncoderOwner, SharedEncoder
from ...models.wrapper import attach_module, torch_module
from .checkpoint_component import CFG, MODEL, RowsT
from .head import HeadPipe
from .stored_head import HEAD, StoredHead


@dataclass
class Training(Generic[RowsT]):
    """What a task learns from the examples of an update.

    batches: encoder inputs, each with the rows that it is made of.
    total: of what the loss is the mean: the number of items in all batches.
    loss_of: rows, logits and encoder input of a batch -> gradient on the logits and loss, both summed over the items
        of the batch. The logits are NumPy's; the gradient has their shape.
    """

    batches: Iterable[tuple[RowsT, EncoderInput]]
    total: int
    loss_of: Callable[[RowsT, np.ndarray, EncoderInput], tuple[np.ndarray, float]]


class LukePipe(HeadPipe):
    """A component with a head, on an encoder of its own or on that of a `luke_encoder` earlier in the pipeline
    (`SharedEncoder`). In the latter case the component owns its head alone: that is what it saves, and what its
    optimiser steps.
    """

    def __init__(self, vocab: Vocab, model: Model, name: str, **settings: Any):
        super().__init__(vocab, model, name, **settings)
        self._stored_head: StoredHead | None = None
        self._frozen = False
        if self._shared is not None:
            self._shared.user = self

    @property
    def _shared(self) -> SharedEncoder | None:
        """The link to the component whose encoder is used; None = it is the component's own."""
        return self._encoder_settings.get(SHARED)

    @property
    def _owns_encoder(self) -> bool:
        return self._shared is None

    @property
    def _owner(self) -> EncoderOwner:
        """The component whose encoder is used; L066 if it is not in the pipeline."""
        assert self._shared is not None
        if self._shared.owner is None:
            raise LukeError("L066", name=self.name, upstream=self._shared.upstream)
        return self._shared.owner

    # Weights

    def load_checkpoint(self, name: str | Path, *, revision: str | None = None) -> Any:
        """Take weights, labels, tokenizer and entity vocabulary from a checkpoint with the component's head.

        name: folder or Hub id. revision: branch, tag or commit on the Hub.

        If anything is wrong with it (a coded error says what), the component stays as it was. L067 if the encoder is
        that of another component.
        """
        self._refuse_checkpoint()
        return super().load_checkpoint(name, revision=revision)

    def _load_bundled(self, *, to_train: bool = False) -> bool:
        folder = bundled_component(self.factory)
        if folder is None:
            return False
        cfg = self._read_cfg(folder)
        if HEAD in cfg:
            encoder, described = self._load_encoder(self._open(bundled_encoder(), to_train=to_train))
            self._restore(StoredHead.read(folder, cfg[HEAD]), described, encoder)
        else:
            self._load(self._open(folder, to_train=to_train))
        return True

    def add_label(self, label: str) -> int:
        """As for every component with a head; L066 if it is loaded, and the encoder that it uses is not there yet."""
        if self._stored_head is not None and self._description is None:
            self._owner.settle()
            self._require_weights()
        return super().add_label(label)

    def freeze_encoder(self, frozen: bool = True) -> None:
        """Train only the head from now on. Lasts until weights are loaded again; it is not saved."""
        if self._owns_encoder:
            super().freeze_encoder(frozen)
        self._frozen = frozen

    def _no_weights(self) -> LukeError:
        if self._shared is None:
            return super()._no_weights()
        return LukeError("L040", name=self.name, how=f" for a new head on the encoder of {self._owner.name!r}")

    def _refuse_checkpoint(self) -> None:
        if self._shared is not None:
            raise LukeError("L067", name=self.name, upstream=self._shared.upstream)

    def _require_weights_or_bundled(self, docs: Sequence[Doc]) -> Description:
        if self._owns_encoder:
            return super()._require_weights_or_bundled(docs)
        self._owner.settle(docs)
        return self._require_weights()

    def _require_weights_to_learn(self) -> Description:
        return super()._require_weights_to_learn() if self._owns_encoder else self._require_weights()

    def _begin_update(self, drop: float) -> None:
        super()._begin_update(drop)
        if not self._owns_encoder:
            self._owner.join_update(self.name, trains=not self._frozen)

    def _take(self, module: TaskModule, *args: Any, **settings: Any) -> None:
        super()._take(module, *args, **settings)
        self._stored_head, self._frozen = None, False

    def _start(
        self, checkpoint: str | None, revision: str | None, wanted: tuple[str, ...], new: tuple[str, ...]
    ) -> None:
        if self._owns_encoder:
            super()._start(checkpoint, revision, wanted, new)
            return
        if checkpoint is not None:
            self._refuse_checkpoint()
        self._require_labels(new)
        encoder, source = self._owner.encoder, self._owner.description
        assert source is not None
        self._check_encoder(source)
        options = self._head_options(source)
        module = with_new_head(encoder, self.architecture, len(new), **options)
        self._take(module, source, source.entity_vocab, new, options, new_head=True)

    # Training

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Accumulate the gradient of the task's mean loss, and step if `sgd` is given.

        drop: every dropout rate of the model; default 0 (0.1 in the paper).

        Several updates before a step add up. `_training` of a task says what its loss is, and which examples are left
        out.
        """
        losses = losses if losses is not None else {}
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, f"{type(self).__name__}.update")
        self._require_weights_to_learn()
        training = self._training(examples)
        self._begin_update(drop)
        for loss in self._learn(training):
            losses[self.name] += loss / training.total
        if sgd is not None:
            self.finish_update(sgd)
        return losses

    @abstractmethod
    def _training(self, examples: Sequence[Example]) -> Training[Any]:
        """Return what is learned from examples. The component has weights by then."""

    def _learn(self, training: Training[Any]) -> Iterator[float]:
        """Accumulate the gradients of one batch after the other. YIELDS: the loss of each, summed over its items."""
        for rows, batch in self._ahead(training.batches):
            logits, backprop = self.model.begin_update(batch)
            gradient, loss = training.loss_of(rows, self.model.ops.to_numpy(logits), batch)
            backprop(self._mean_gradient(gradient, training.total))
            yield loss

    def _mean_gradient(self, gradient: np.ndarray, total: int) -> Any:
        """Divide a summed gradient by the number of items, as an array of the model's device. *Shape:* any, float32"""
        return self.model.ops.asarray((gradient / total).astype(np.float32))  # type: ignore[arg-type]

    # The encoder of another component

    def check_encoder(self, source: Description, encoder: Encoder) -> None:
        """L068 and others if the head, as far as there is one, cannot stand on an encoder; L130 if it has stood on none
        since it was loaded and was saved with another."""
        head = self._stored_head
        if head is not None:
            head.check_fingerprint(self.name, self._owner.name, encoder)
        if self._description is not None:
            head = StoredHead.of(self._description, self._module)
        if head is not None:
            head.check_fit(self.name, source.config)
            self._check_encoder(source)

    def bind_encoder(self) -> None:
        """Use the encoder of the owner, as soon as it and the head have weights; L068 if they do not fit."""
        owner = self._owner
        if owner.description is None:
            return
        module = torch_module(self.model)
        if module is None and self._stored_head is not None:
            self._stored_head.check_fingerprint(self.name, owner.name, owner.encoder)
            self._restore(self._stored_head, owner.description, owner.encoder)
        elif module is not None and module.encoder is not owner.encoder:
            self._change_encoder(owner.description, owner.encoder)

    def own_encoder(self, encoder: Encoder) -> None:
        """Use an encoder of one's own from now on: the layer of the model that stands for it is about to say so."""
        self._module.encoder = encoder
        attach_module(self.model, self._module)

    def _restore(self, head: StoredHead, source: Description, encoder: Encoder) -> None:
        """Put a saved head on the encoder of the owner."""
        head.check_fit(self.name, source.config)
        self._check_encoder(source)
        settings = {**source.of_encoder(), **head.settings}
        described = replace(source, architecture=source.architecture_of(self.architecture), settings=settings)
        options = self._head_options(described)
        module = with_new_head(encoder, self.architecture, len(head.labels), **options)
        head.fill(module, self.name)
        self._take(module, described, source.entity_vocab, head.labels, options, new_head=False)
        self._description = head.configured(self._require_weights())

    def _change_encoder(self, source: Description, encoder: Encoder) -> None:
        """Put the head on another encoder."""
        head = StoredHead.of(self._require_weights(), self._module)
        head.check_fit(self.name, source.config)
        self._check_encoder(source)
        self._module.encoder = encoder
        shim: Any = self.model.shims[0]
        shim.is_sound = True
        described = replace(source, architecture=source.architecture_of(self.architecture), labels=head.labels)
        self._description = head.configured(replace(described, settings={**head.settings, **source.of_encoder()}))

    # Saving

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Save as a Hugging Face checkpoint folder with spaCy's `cfg` beside it; see `save_checkpoint`.

        With the encoder of another component, only the head is saved; W030 if that component is not beside it, where
        spaCy saves it before.

        exclude: "model", the weights, and "cfg"; other names mean nothing here.
        """
        exclude = set(exclude)
        if self._shared is None:
            super().to_disk(path, exclude=exclude)
            return
        save_files(Path(path), self._head_files(exclude))
        upstream = self._shared.upstream if self._shared.owner is None else self._shared.owner.name
        if self._description is None or MODEL in exclude:
            return
        if not (Path(path).parent / upstream).is_dir():
            warn("W030", name=self.name, reason=f"there is no {upstream!r} beside {path}")
        elif self._owner.description is None:
            warn("W030", name=self.name, reason=f"{upstream!r} has no weights yet")

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """The files that `to_disk` writes, as one byte string."""
        exclude = set(exclude)
        if self._shared is None:
            return super().to_bytes(exclude=exclude)
        return srsly.msgpack_dumps(self._head_files(exclude))

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> LukePipe:
        """Load what `to_disk` saved, or leave the component as it was; L069 if the encoder was shared then and is not
        now, or the other way round.

        exclude: as for `to_disk`. A head that was saved alone cannot be loaded without its `cfg`: L048.
        """
        path, exclude = Path(path), set(exclude)
        cfg = self._read_cfg(path, exclude)
        if MODEL not in exclude and cfg["weights"] and (HEAD in cfg) == self._owns_encoder:
            kinds = ["an encoder of its own", "the encoder of another component"]
            saved, configured = kinds if self._owns_encoder is False else reversed(kinds)
            raise LukeError("L069", path=path, name=self.name, saved=saved, configured=configured)
        if self._shared is not None:
            self._shared.read_cfg(cfg)
        if HEAD not in cfg or MODEL in exclude:
            if CFG in exclude and MODEL not in exclude and (path / HEAD_WEIGHTS).is_file():
                raise LukeError("L048", path=path, reason=f"what its {HEAD_WEIGHTS} is stands in {CFG!r}, not loaded")
            return super().from_disk(path, exclude=exclude)
        before = self._stored_head, self._description, list(self.model.shims)
        try:
            self._stored_head, self._description = StoredHead.read(path, cfg[HEAD]), None
            self.model.shims.clear()
            if self._shared is not None and self._shared.owner is not None:
                self.bind_encoder()
        except LukeError:
            self._stored_head, self._description, self.model.shims[:] = before
            raise
        return self

    def _head_files(self, exclude: Collection[str]) -> dict[str, bytes]:
        """The head with what it needs to know, without the encoder."""
        assert self._shared is not None
        head = self._saved_head() if MODEL not in exclude else None
        files = {**self._more_files(exclude), **(head.files if head else {})}
        if CFG in files:
            of_head = {"weights": head is not None, **({HEAD: head.cfg} if head else {})}
            files[CFG] = srsly.json_dumps({**self._cfg(exclude), **self._shared.cfg, **of_head}).encode("utf8")
        return files

    def _saved_head(self) -> StoredHead | None:
        """The head as it is saved beside the encoder that it is used with; None before it has weights."""
        if self._description is None:
            return self._stored_head
        if self._shared is not None and self._shared.owner is not None:
            self._shared.owner.settle()
        return StoredHead.of(self._description, self._module).with_fingerprint(self._module.encoder)
