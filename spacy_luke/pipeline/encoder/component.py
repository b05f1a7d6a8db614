"""`luke_encoder`: vectors of pieces, tokens and entities, and one encoder for any number of components."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

import srsly
from spacy.language import Language
from spacy.training import Example
from spacy.vocab import Vocab
from thinc.api import Config, Model, Optimizer

from ...batching.windows import Windows
from ...checkpoints.checkpoint import Checkpoint, Description
from ...checkpoints.writer import save_files
from ...encoders.encoder import Encoder
from ...errors import LukeError
from ...models.shared import SHARED, EncoderProvider
from ...models.wrapper import attach_module
from ..base.encoder_source import OwnEncoder
from ..base.shared_encoder import GradClip, SharedEncoderProvider
from .vectors import VectorPipe

DEFAULT_CONFIG = """
[luke_encoder]
windows = null
entities = "mask"
spans_key = null
set_vectors = true
max_batch_pieces = 4096
component_grad_clip = null
max_kept_bytes = 536870912

[luke_encoder.model]
@architectures = "spacy-luke.LukeEncoder.v1"
entity_vocab = "special"
precision = "float32"
"""


@Language.factory(
    "luke_encoder",
    assigns=["doc.tensor", "span._.entity_vector"],
    default_config=Config().from_str(DEFAULT_CONFIG)["luke_encoder"],
)
def make_luke_encoder(
    nlp: Language,
    name: str,
    model: Model,
    windows: Windows | None,
    entities: str,
    spans_key: str | None,
    set_vectors: bool,
    max_batch_pieces: int,
    component_grad_clip: float | dict[str, float | None] | None,
    max_kept_bytes: int,
) -> LukeEncoderPipe | SharedVectorsPipe:
    """Make a `luke_encoder` component; see `LukeEncoderPipe` for the settings, `SharedVectorsPipe` for one whose model
    is `spacy-luke.SharedEncoder.v1`."""
    settings: dict[str, Any] = {
        "windows": windows,
        "entities": entities,
        "spans_key": spans_key,
        "set_vectors": set_vectors,
        "max_batch_pieces": max_batch_pieces,
    }
    if SHARED not in model.attrs:
        sharing: dict[str, Any] = {"component_grad_clip": component_grad_clip, "max_kept_bytes": max_kept_bytes}
        return LukeEncoderPipe(nlp.vocab, model, name, nlp=nlp, **settings, **sharing)
    if component_grad_clip is not None:
        reason = f"component {name!r} shares the encoder of another one, which has this setting"
        raise LukeError("L047", setting="component_grad_clip", value=component_grad_clip, reason=reason)
    return SharedVectorsPipe(nlp.vocab, model, name, **settings)


class LukeEncoderPipe(VectorPipe, SharedEncoderProvider):
    """An encoder without a head. Components whose model has `spacy-luke.SharedEncoder.v1` use its weights.

    windows: how a Doc is cut; null = windows as long as the encoder reads, each three quarters of that further than
        the one before. A piece in several windows is read from the one that shows most around it. On an encoder with
        independent attention, new heads that share it take these windows where they have none of their own.
    entities: entity inputs of LUKE: "none"; "mask": each span as [MASK]; "title": as the entity whose title its text
        is; "kb_id": as the entity that its `kb_id_` names. Entities that are not in the entity vocabulary (which
        `entity_vocab` of the model trims) are [MASK]s.
    spans_key: key of `doc.spans` with the spans that get vectors; null = `doc.ents`.
    set_vectors: write `doc.tensor` and `span._.entity_vector`; false for an encoder that is only to be shared, which
        then costs nothing by itself.
    max_batch_pieces: most pieces and entities of one forward pass, padding included.
    component_grad_clip: largest norm of the gradient that each component adds to the encoder in an update: a number for
        all, or a mapping from their names; null, or not in the mapping = any.
    max_kept_bytes: most memory, in bytes, of what is kept of the pieces of Docs from one component to the next, on an
        encoder with independent attention, where the components that share it encode them once; 0 = nothing is kept.
        What does not fit is encoded again: the results are the same. An update of training keeps what its backward
        pass needs of at most `max_batch_pieces` pieces, and encodes others again for it.
    nlp: the pipeline, whose disabled components are not waited for.

    It has no loss of its own: the components that share it train it, unless it is among the frozen components.
    """

    factory = "luke_encoder"
    bundled_warning = "W026"

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str,
        *,
        windows: Windows | None,
        entities: str,
        spans_key: str | None,
        set_vectors: bool,
        max_batch_pieces: int,
        component_grad_clip: GradClip,
        max_kept_bytes: int,
        nlp: Language | None = None,
    ):
        super().__init__(
            vocab,
            model,
            name,
            windows=windows,
            max_batch_pieces=max_batch_pieces,
            component_grad_clip=component_grad_clip,
            max_kept_bytes=max_kept_bytes,
            nlp=nlp,
        )
        self._set_vector_settings(entities=entities, spans_key=spans_key, set_vectors=set_vectors)

    @property
    def _piece_provider(self) -> EncoderProvider | None:
        return self

    def _check_checkpoint(self, checkpoint: Checkpoint) -> None:
        self._check_entities(checkpoint, trimmed=self._encoder_settings["entity_vocab"] == "special")

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> LukeEncoderPipe:
        """Load what `to_disk` saved, or leave the component as it was; L069 if the encoder was another's then.

        exclude: as for `to_disk`.
        """
        exclude = set(exclude)
        if self._read_cfg(Path(path), exclude).get(SHARED):
            OwnEncoder().check_saved(Path(path), self.name, head_alone=True)
        return super().from_disk(path, exclude=exclude)


class SharedVectorsPipe(VectorPipe):
    """A `luke_encoder` that writes vectors with the encoder of another one (`spacy-luke.SharedEncoder.v1`).

    The provider of a shared encoder comes before the components that find entities, so that it cannot give these
    vectors; this one comes after them. It has no weights: it saves its settings, and its updates do nothing.
    """

    factory = "luke_encoder"

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str,
        *,
        windows: Windows | None,
        entities: str,
        spans_key: str | None,
        set_vectors: bool,
        max_batch_pieces: int,
    ):
        super().__init__(vocab, model, name, windows=windows, max_batch_pieces=max_batch_pieces, scorer=None)
        self._set_vector_settings(entities=entities, spans_key=spans_key, set_vectors=set_vectors)

    def _no_weights(self) -> LukeError:
        return LukeError("L040", name=self.name, how=f" for the encoder of {self._provider.name!r}")

    def _load_bundled(self, *, to_train: bool = False) -> bool:
        return False

    def _from_checkpoint(self, checkpoint: Checkpoint) -> None:
        self._encoder_source.require_own(self.name)

    def initialize(self, get_examples: Callable[[], Iterable[Example]], *, nlp: Language | None = None) -> None:
        """Nothing: the component whose encoder is used is initialised."""

    # The encoder of another component: `EncoderUser`

    def check_encoder(self, source: Description, encoder: Encoder) -> None:
        """L047 if an encoder does not suit the settings."""
        self._check_entities(source, trimmed=not source.entity_vocab.title_of)

    def bind_encoder(self) -> None:
        """Use the encoder of the provider, as soon as it has weights."""
        provider = self._encoder_source.provider
        if provider is not None and provider.description is not None:
            self.check_encoder(provider.description, provider.encoder)
            attach_module(self.model, provider.encoder)
            self._description = provider.description

    def own_encoder(self, encoder: Encoder) -> None:
        """Refuse `nlp.replace_listeners`, which cannot replace a whole model: L047."""
        reason = "its model stands for the encoder of another component as a whole; add a luke_encoder instead"
        raise LukeError("L047", setting="replace_listeners", value=self.name, reason=reason)

    # Training

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Tell the provider that no gradient comes from here."""
        self._encoder_source.begin_update(self.name, frozen=True)
        self._encoder_source.end_update(self.name)
        return losses if losses is not None else {}

    def finish_update(self, sgd: Optimizer) -> None:
        """Nothing: the provider steps the encoder."""

    # Saving

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Save that there are no weights.

        exclude: "cfg", which says that; other names mean nothing here.
        """
        save_files(Path(path), self._more_files(set(exclude)))

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """The files that `to_disk` writes, as one byte string."""
        return srsly.msgpack_dumps(self._more_files(set(exclude)))

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> SharedVectorsPipe:
        """Nothing to load; L069 if what was saved has an encoder of its own.

        exclude: as for `to_disk`.
        """
        cfg = self._read_cfg(Path(path), set(exclude))
        self._encoder_source.check_saved(Path(path), self.name, head_alone=not cfg["weights"])
        self._encoder_source.read_cfg(cfg)
        return self

    def _cfg(self, exclude: Collection[str]) -> dict[str, Any]:
        return {**self._encoder_source.cfg(None, None), SHARED: True}
