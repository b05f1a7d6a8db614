"""One encoder's weights in several task models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from spacy.tokens import Doc

from ..checkpoints.checkpoint import Description
from ..encoders.encoder import Encoder

# The attribute of a layer that stands for the encoder of another component.
SHARED = "shared_encoder"


class EncoderOwner(Protocol):
    """The component whose encoder is shared: it alone steps the weights."""

    name: str

    @property
    def description(self) -> Description | None:
        """What is known of the encoder; None before it has weights."""

    @property
    def encoder(self) -> Encoder:
        """The encoder; L040 before it has weights."""

    def join_update(self, component: str, *, trains: bool) -> None:
        """Before the forward passes of an update of a component: decides whether their gradients reach the encoder.

        trains: whether the component wants them to.
        """

    def settle(self, docs: Sequence[Doc] = ()) -> None:
        """Take the step that waits for the gradients of all components, if one does.

        docs: that are to be predicted; those of an update that is under way do not end it.
        """


class EncoderUser(Protocol):
    """A component that uses the encoder of another."""

    def check_encoder(self, source: Description) -> None:
        """An error if the component's head cannot stand on an encoder."""

    def bind_encoder(self) -> None:
        """Use the encoder of the owner, as soon as it and the head have weights."""

    def own_encoder(self, encoder: Encoder) -> None:
        """Use an encoder of one's own from now on."""


class SharedEncoder:
    """The link from a task model to the component that owns its encoder.

    upstream: name of the owner; "*" = the nearest one before the component.
    """

    def __init__(self, upstream: str):
        self.upstream = upstream
        self.owner: EncoderOwner | None = None
        self.user: EncoderUser | None = None

    def connect(self, owner: EncoderOwner) -> None:
        """Use the encoder of this component from now on."""
        self.owner = owner
        if self.user is not None:
            self.user.bind_encoder()

    def __deepcopy__(self, memo: dict[int, Any]) -> SharedEncoder:
        """A copy of the task model shares the same encoder."""
        copied = SharedEncoder(self.upstream)
        copied.owner = self.owner
        return copied
