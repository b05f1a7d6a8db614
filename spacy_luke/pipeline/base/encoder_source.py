"""Source of the encoder of a component: a checkpoint of its own, or a `luke_encoder` earlier in the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from spacy.tokens import Doc
from thinc.api import Model

from ...checkpoints.checkpoint import Checkpoint, Description
from ...checkpoints.heads import with_new_head
from ...default_model import bundled_encoder
from ...encoders.encoder import Encoder
from ...encoders.heads import TaskModule
from ...errors import LukeError, warn
from ...models.encoder_settings import apply_settings, require_precision
from ...models.shared import SHARED, EncoderProvider, EncoderUser, SharedEncoder
from ...tokenization.entity_vocab import EntityVocab
from .stored_head import HEAD, StoredHead

# For L069.
OWN, ANOTHERS = "an encoder of its own", "the encoder of another component"


class EncoderSource(Protocol):
    """Source of the encoder of a component: who steps its weights, and what of them is saved.

    name: in all methods that of the component, for messages and for the provider of a shared encoder.
    """

    @property
    def owns_encoder(self) -> bool:
        """Whether the component steps and saves the encoder."""

    @property
    def provider(self) -> EncoderProvider | None:
        """The component whose encoder is used; None if there is none, or none yet."""

    def connect(self, user: Any) -> None:
        """Tell a component, an `EncoderUser`, when there is another encoder to use."""

    def require_own(self, name: str) -> None:
        """Refuse to load an encoder for a component that uses another's: L067."""

    def how_to_load(self, name: str) -> str:
        """Return how the component gets weights, for L040; L066 if the provider is not in the pipeline."""

    def prepare(self, name: str, docs: Sequence[Doc] = ()) -> None:
        """Take the step of the provider that waits, before a prediction on `docs`; L066 if there is no provider."""

    def begin_update(self, name: str, *, frozen: bool) -> None:
        """Announce the forward passes of an update. frozen: whether their gradients are to stop at the encoder."""

    def end_update(self, name: str) -> None:
        """Tell of the end of the backward passes of an update."""

    def start(self, name: str, open_checkpoint: Callable[[Path], Checkpoint]) -> Description:
        """Return what is known of the encoder that training starts from, if no checkpoint is named: that of the
        bundled model, or the provider's."""

    def load_module(
        self, source: Description, architecture: str, settings: Mapping[str, Any], labels: int | None, **options: Any
    ) -> tuple[TaskModule, EntityVocab]:
        """Make a head on the encoder that `source` describes.

        settings: of the encoder. labels: of a new head; None = the head of the checkpoint. options: of the head.
        """

    def files(self, head: StoredHead | None) -> dict[str, bytes]:
        """Return the weights that are saved beside a checkpoint or in its place, by file name."""

    def cfg(self, head: StoredHead | None, encoder: Encoder | None) -> dict[str, Any]:
        """Return the entries of a saved component's `cfg` that tell of the encoder. encoder: None before weights."""

    def read_cfg(self, cfg: Mapping[str, Any]) -> None:
        """Take what `cfg` gave."""

    def check_saved(self, path: Path, name: str, *, head_alone: bool) -> None:
        """Refuse what was saved with the other kind of encoder: L069. head_alone: whether it has no encoder."""

    def check_place(self, path: Path, name: str) -> None:
        """Warn (W030) if what was saved to `path` lacks its encoder, which spaCy saves before."""


class OwnEncoder:
    """An encoder that is loaded from a checkpoint, trained and saved with the head of the component."""

    owns_encoder = True
    provider = None

    def connect(self, user: Any) -> None:
        pass

    def require_own(self, name: str) -> None:
        pass

    def how_to_load(self, name: str) -> str:
        return f" with [initialize.components.{name}] checkpoint, or nlp.get_pipe({name!r}).load_checkpoint(...)"

    def prepare(self, name: str, docs: Sequence[Doc] = ()) -> None:
        pass

    def begin_update(self, name: str, *, frozen: bool) -> None:
        pass

    def end_update(self, name: str) -> None:
        pass

    def start(self, name: str, open_checkpoint: Callable[[Path], Checkpoint]) -> Description:
        return open_checkpoint(bundled_encoder())

    def load_module(
        self, source: Description, architecture: str, settings: Mapping[str, Any], labels: int | None, **options: Any
    ) -> tuple[TaskModule, EntityVocab]:
        assert isinstance(source, Checkpoint)
        require_precision(settings)
        module, vocab = source.load_task_module(architecture, settings["entity_vocab"], labels=labels, **options)
        configure_encoder(module.encoder, source, settings)
        return module, vocab

    def files(self, head: StoredHead | None) -> dict[str, bytes]:
        return {}

    def cfg(self, head: StoredHead | None, encoder: Encoder | None) -> dict[str, Any]:
        return {}

    def read_cfg(self, cfg: Mapping[str, Any]) -> None:
        pass

    def check_saved(self, path: Path, name: str, *, head_alone: bool) -> None:
        if head_alone:
            raise LukeError("L069", path=path, name=name, saved=ANOTHERS, configured=OWN)

    def check_place(self, path: Path, name: str) -> None:
        pass


class SharedEncoderLink:
    """The encoder of a `luke_encoder`, its provider, which steps and saves it: the component has its head alone."""

    owns_encoder = False

    def __init__(self, shared: SharedEncoder):
        self._shared = shared

    def connect(self, user: EncoderUser) -> None:
        self._shared.user = user

    @property
    def provider(self) -> EncoderProvider | None:
        return self._shared.provider

    def require_provider(self, name: str) -> EncoderProvider:
        """Return the provider; L066 if it is not in the pipeline."""
        if self._shared.provider is None:
            raise LukeError("L066", name=name, upstream=self._shared.upstream)
        return self._shared.provider

    def require_own(self, name: str) -> None:
        raise LukeError("L067", name=name, upstream=self._shared.upstream)

    def how_to_load(self, name: str) -> str:
        return f" for a new head on the encoder of {self.require_provider(name).name!r}"

    def prepare(self, name: str, docs: Sequence[Doc] = ()) -> None:
        self.require_provider(name).flush_step(docs)

    def begin_update(self, name: str, *, frozen: bool) -> None:
        self.require_provider(name).join_update(name, trains=not frozen)

    def end_update(self, name: str) -> None:
        self.require_provider(name).end_update()

    def start(self, name: str, open_checkpoint: Callable[[Path], Checkpoint]) -> Description:
        provider = self.require_provider(name)
        _, description = provider.encoder, provider.description  # L040 comes from the former
        assert description is not None
        return description

    def load_module(
        self, source: Description, architecture: str, settings: Mapping[str, Any], labels: int | None, **options: Any
    ) -> tuple[TaskModule, EntityVocab]:
        assert self.provider is not None
        assert labels is not None, "the head of a shared encoder's component is new, or attached later"
        return with_new_head(self.provider.encoder, architecture, labels, **options), source.entity_vocab

    def files(self, head: StoredHead | None) -> dict[str, bytes]:
        return head.files if head else {}

    def cfg(self, head: StoredHead | None, encoder: Encoder | None) -> dict[str, Any]:
        if head is not None and encoder is not None:
            if self.provider is not None:
                self.provider.flush_step()
            head = head.with_fingerprint(encoder)
        return {"weights": head is not None, **self._shared.cfg, **({HEAD: head.cfg} if head else {})}

    def read_cfg(self, cfg: Mapping[str, Any]) -> None:
        self._shared.read_cfg(cfg)

    def check_saved(self, path: Path, name: str, *, head_alone: bool) -> None:
        if not head_alone:
            raise LukeError("L069", path=path, name=name, saved=OWN, configured=ANOTHERS)

    def check_place(self, path: Path, name: str) -> None:
        upstream = self._shared.upstream if self.provider is None else self.provider.name
        if not (path.parent / upstream).is_dir():
            warn("W030", name=name, reason=f"there is no {upstream!r} beside {path}")
        elif self.require_provider(name).description is None:
            warn("W030", name=name, reason=f"{upstream!r} has no weights yet")


def encoder_source(layer: Model) -> EncoderSource:
    """Return the source that the layer of a model which stands for the encoder is configured for."""
    shared: SharedEncoder | None = layer.attrs.get(SHARED)
    return OwnEncoder() if shared is None else SharedEncoderLink(shared)


def configure_encoder(encoder: Encoder, checkpoint: Checkpoint, settings: Mapping[str, Any]) -> None:
    """Give a new encoder its settings, and warn of a tokenizer that loses the case of the text."""
    apply_settings(encoder, settings)
    if checkpoint.tokenizer.lowercase and not checkpoint.tokenizer.case_types:
        warn("W008", name=str(checkpoint.path))
