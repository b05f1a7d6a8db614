"""One encoder's weights in several task models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from spacy.tokens import Doc

from ..checkpoints.checkpoint import Description
from ..encoders.encoder import Encoder
from .piece_store import PieceStore

# The attribute of a layer that stands for the encoder of another component.
SHARED = "shared_encoder"
UPSTREAM = "upstream"


class EncoderProvider(Protocol):
    """The component whose encoder is shared: it alone steps the weights.

    piece_store: pieces that are encoded once for all components that read them.
    update_trains: in an update, whether the gradients of the component that is being updated reach the encoder.
    """

    name: str
    piece_store: PieceStore
    update_trains: bool

    def piece_readers(self, windows: Any) -> frozenset[str]:
        """Names of the components of the pipeline that attach entities to the pieces of such windows, which they
        share."""

    @property
    def description(self) -> Description | None:
        """Description of the encoder; None before it has weights."""

    @property
    def encoder(self) -> Encoder:
        """The encoder; L040 before it has weights."""

    def join_update(self, component: str, *, trains: bool) -> None:
        """Before the forward passes of an update of a component: decides whether their gradients reach the encoder.

        trains: whether the component wants them to.
        """

    def end_update(self) -> None:
        """After the backward passes of an update of a component."""

    def flush_step(self, docs: Sequence[Doc] = ()) -> None:
        """Take the step that waits for the gradients of all components, if one does.

        docs: that are to be predicted; those of an update that is under way do not end it.
        """


class EncoderUser(Protocol):
    """A component that uses the encoder of another."""

    name: str

    @property
    def read_windows(self) -> Any:
        """The windows of the pieces that it attaches entities to and others may have encoded; None if it attaches none,
        or has no weights yet."""

    def check_encoder(self, source: Description, encoder: Encoder) -> None:
        """An error if the component's head cannot stand on an encoder.

        source: what is known of it.
        """

    def bind_encoder(self) -> None:
        """Use the encoder of the provider, as soon as it and the head have weights."""

    def own_encoder(self, encoder: Encoder) -> None:
        """Use an encoder of one's own from now on."""


class SharedEncoder:
    """The link from a task model to the component whose encoder it uses.

    upstream: name of the provider; "*" = the nearest one before the component. It follows one that is renamed.
    configured: the same as the config has it.
    """

    def __init__(self, upstream: str):
        self.upstream = self.configured = upstream
        self.provider: EncoderProvider | None = None
        self.user: EncoderUser | None = None

    def connect(self, provider: EncoderProvider) -> None:
        """Use the encoder of this component from now on."""
        self.provider = provider
        if self.upstream != "*":
            self.upstream = provider.name
        if self.user is not None:
            self.user.bind_encoder()

    @property
    def cfg(self) -> dict[str, Any]:
        """The entry of a saved component's `cfg` with the name of a provider that was renamed: the config that is saved
        with it has the old one."""
        return {UPSTREAM: [self.configured, self.upstream]} if self.upstream != self.configured else {}

    def read_cfg(self, cfg: Mapping[str, Any]) -> None:
        """Take what `cfg` gave, unless another provider is configured by now."""
        configured, upstream = cfg.get(UPSTREAM) or (self.configured, self.upstream)
        if configured == self.configured and upstream != self.upstream:
            self.upstream, self.provider = upstream, None  # spaCy links the components of a pipeline once more

    def __deepcopy__(self, memo: dict[int, Any]) -> SharedEncoder:
        """A copy of the task model shares the same encoder."""
        copied = SharedEncoder(self.configured)
        copied.upstream, copied.provider = self.upstream, self.provider
        return copied
