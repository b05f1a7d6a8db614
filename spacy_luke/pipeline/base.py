"""The base of the components: a head on an encoder of its own, or on that of another component."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import srsly
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Model

from ..box import box_component, box_encoder
from ..checkpoints.checkpoint import Description
from ..checkpoints.new_heads import with_new_head
from ..checkpoints.writer import save_files
from ..encoders.encoder import Encoder
from ..encoders.heads import TaskModule
from ..errors import LukeError, warn
from ..models.shared import SHARED, EncoderOwner, SharedEncoder
from ..models.wrapper import attach_module, torch_module
from .checkpoint_pipe import CFG
from .head import HeadPipe
from .stored_head import HEAD, StoredHead


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

    def _load_box(self, *, to_train: bool = False) -> bool:
        folder = box_component(self.factory)
        if folder is None:
            return False
        cfg = self._read_cfg(folder)
        if HEAD in cfg:
            encoder, described = self._load_encoder(self._open(box_encoder(), to_train=to_train))
            self._restore(StoredHead.read(folder, cfg[HEAD]), described, encoder)
        else:
            self._load(self._open(folder, to_train=to_train))
        return True

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

    def _require_weights_or_box(self, docs: Sequence[Doc]) -> Description:
        if self._owns_encoder:
            return super()._require_weights_or_box(docs)
        self._owner.settle(docs)
        return self._require_weights()

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

    # The encoder of another component

    def check_encoder(self, source: Description) -> None:
        """L068 and others if the head, as far as there is one, cannot stand on an encoder."""
        head = self._stored_head
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
        head.fill(module)
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
        """
        if self._shared is None:
            super().to_disk(path, exclude=exclude)
            return
        save_files(Path(path), self._head_files())
        upstream = self._shared.upstream if self._shared.owner is None else self._shared.owner.name
        if self._description is not None and not (Path(path).parent / upstream).is_dir():
            warn("W030", name=self.name, upstream=upstream, path=path)

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """The files that `to_disk` writes, as one byte string."""
        if self._shared is None:
            return super().to_bytes(exclude=exclude)
        return srsly.msgpack_dumps(self._head_files())

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> LukePipe:
        """Load what `to_disk` saved, or leave the component as it was; L069 if the encoder was shared then and is not
        now, or the other way round."""
        cfg = self._read_cfg(Path(path))
        if cfg["weights"] and (HEAD in cfg) == self._owns_encoder:
            kinds = ["an encoder of its own", "the encoder of another component"]
            saved, configured = kinds if self._owns_encoder is False else reversed(kinds)
            raise LukeError("L069", path=path, name=self.name, saved=saved, configured=configured)
        if HEAD not in cfg:
            return super().from_disk(path, exclude=exclude)
        before = self._stored_head, self._description, list(self.model.shims)
        try:
            self._stored_head, self._description = StoredHead.read(Path(path), cfg[HEAD]), None
            self.model.shims.clear()
            if self._shared is not None and self._shared.owner is not None:
                self.bind_encoder()
        except LukeError:
            self._stored_head, self._description, self.model.shims[:] = before
            raise
        return self

    def _head_files(self) -> dict[str, bytes]:
        head = self._stored_head
        if self._description is not None:
            head = StoredHead.of(self._description, self._module)
        cfg = {**self._cfg(), "weights": head is not None, **({HEAD: head.cfg} if head else {})}
        return {**self._more_files(), CFG: srsly.json_dumps(cfg).encode("utf8"), **(head.files if head else {})}
