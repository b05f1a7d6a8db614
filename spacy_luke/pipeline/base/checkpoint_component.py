"""The base of every component: an encoder that comes from a checkpoint, windows, and saving as a checkpoint."""

from __future__ import annotations

import math
import threading
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice, repeat
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import srsly
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Model, Ops, get_current_ops, set_current_ops

from ...batching.collate import batch_rows, collate
from ...batching.device import is_finite, prefetch, read_back
from ...batching.strided import StridedWindows, build_strided_windows
from ...batching.windows import JoinedSentences, SentenceWindows, build_joined_sentences
from ...checkpoints.checkpoint import Checkpoint, Description
from ...checkpoints.source import locate
from ...checkpoints.writer import (
    CHECKPOINT_FILES,
    CONFIG,
    OF_COMPONENTS,
    checkpoint_bytes,
    save_checkpoint,
    save_files,
    unpacked,
)
from ...checks import require_at_least
from ...checksums import check_files
from ...encoders.encoder import Encoder
from ...encoders.inputs import EncoderInput
from ...errors import LukeError, warn
from ...files import parse_json_object
from ...models.encoder_settings import open_for_encoder, require_precision
from ...models.piece_store import words_to_keep
from ...models.shared import EncoderProvider
from ...models.wrapper import torch_module
from ...progress import track
from ...tokenization.entity_vocab import PAD
from ...user_functions import NamedWindows, naming_key_errors
from .encoder_source import SharedEncoderLink, configure_encoder, encoder_source
from .stored_head import CFG

# What `exclude` may name when a component is saved or loaded.
MODEL = "model"
# Held by a thread whose prediction changes what others read: it loads the bundled weights, takes a step that waited,
# gives a warning that comes once. One for all components: what happens to an encoder happens to all that share it, and
# a lock of each could not be copied.
STATE_LOCK = threading.RLock()
ComponentT = TypeVar("ComponentT", bound="CheckpointComponent")
RowsT = TypeVar("RowsT")


class CheckpointComponent(TrainablePipe):
    """A component whose weights, tokenizer and entity vocabulary come from a checkpoint.

    A component that was added and never given weights takes those of the bundled model when it is first used, if
    that has such a component.
    """

    factory: ClassVar[str]
    bundled_warning: ClassVar[str] = "W001"

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str,
        *,
        windows: Any,
        max_batch_pieces: int,
        scorer: Callable[..., dict[str, Any]] | None,
    ):
        require_at_least(1, max_batch_pieces=max_batch_pieces)
        self.vocab = vocab
        self.model = model
        self.name = name
        self.cfg: dict[str, Any] = {}
        self.scorer = scorer
        self.max_batch_pieces = max_batch_pieces
        self._windows_setting = windows
        self._description: Description | None = None
        self._encoder_source = encoder_source(self._encoder_layer)
        self._encoder_source.connect(self)
        # Whether a prediction has found weights. Before, another thread may be loading them.
        self._has_predicted = False
        self._warned_sentences = False
        # `read_windows`, and the description that they were found for.
        self._read_windows: tuple[Description | None, Any] = (None, None)

    def pipe(self, stream: Iterable[Doc], *, batch_size: int | Iterable[int] = 128) -> Iterator[Doc]:
        """Annotate Docs as spaCy does, `batch_size` at a time, or fewer if they have many words: about those whose
        pieces are all kept for the components that share them."""
        handle_error = self.get_error_handler()
        for docs in self._minibatches(stream, batch_size):
            try:
                self.set_annotations(docs, self.predict(docs))
            except Exception as error:
                handle_error(self.name, self, docs, error)
            else:
                yield from docs

    def _minibatches(self, stream: Iterable[Doc], batch_size: int | Iterable[int]) -> Iterator[list[Doc]]:
        left = iter(stream)
        for size in repeat(batch_size) if isinstance(batch_size, int) else batch_size:
            docs: list[Doc] = []
            words, most = 0, self._most_words
            for doc in islice(left, int(size)):
                docs.append(doc)
                words += len(doc)
                if words >= most:
                    break
            if not docs:
                return
            yield docs

    @property
    def _most_words(self) -> float:
        """Words after which a batch of `pipe` ends, in all components of an encoder: one that passed on more at a time
        would be the end of what was kept for those behind it. Not on a GPU, where it was not measured."""
        provider = self._piece_provider
        if provider is None or provider.description is None or not provider.encoder.packs(training=False):
            return math.inf
        return words_to_keep(provider.encoder)

    # Weights

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of what the component predicts; () if it has none, or has no weights yet."""
        return self.logit_labels

    @property
    def logit_labels(self) -> tuple[str, ...]:
        """Labels in the order of the logits: `labels` and, where there is one, the label for "nothing here"; tags where
        tokens are tagged, and both directions where labels have them."""
        return self._description.labels if self._description else ()

    @property
    def has_weights(self) -> bool:
        """Whether a checkpoint was loaded or the component initialised."""
        return self._description is not None

    @property
    def _provider(self) -> EncoderProvider:
        """The component whose encoder is used; L066 if it is not in the pipeline."""
        assert isinstance(self._encoder_source, SharedEncoderLink)
        return self._encoder_source.require_provider(self.name)

    def load_checkpoint(self: ComponentT, name: str | Path, *, revision: str | None = None) -> ComponentT:
        """Take weights, labels, tokenizer and entity vocabulary from a checkpoint that has what the component needs.

        name: folder or Hub id. revision: branch, tag or commit on the Hub.

        If anything is wrong with it (a coded error says what), the component stays as it was. L067 if the encoder is
        that of another component.
        """
        self._encoder_source.require_own(self.name)
        self._from_checkpoint(self._open(locate(name, revision)))
        return self

    @property
    def _encoder_layer(self) -> Model:
        """The layer of the model that stands for the encoder, or the model, if it is no more than that."""
        return self.model.layers[0] if self.model.layers else self.model

    @property
    def _encoder_settings(self) -> dict[str, Any]:
        """The settings of the encoder's architecture."""
        return self._encoder_layer.attrs

    @property
    def _owns_encoder(self) -> bool:
        """Whether the encoder's weights are the component's own."""
        return self._encoder_source.owns_encoder

    @abstractmethod
    def _from_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Take over a checkpoint. Nothing changes until all of it has been read."""

    @property
    def _module(self) -> Any:
        """The PyTorch module; L040 before there are weights."""
        module = torch_module(self.model)
        if module is None:
            raise self._no_weights()
        return module

    @property
    def _encoder(self) -> Encoder:
        """The encoder in this module."""
        encoder: Encoder = self._module.encoder
        return encoder

    def _no_weights(self) -> LukeError:
        return LukeError("L040", name=self.name, how=self._encoder_source.how_to_load(self.name))

    def _require_weights(self) -> Description:
        if self._description is None:
            raise self._no_weights()
        return self._description

    def _require_weights_or_bundled(self, docs: Sequence[Doc]) -> Description:
        """Before predictions on Docs: a component that nobody gave weights takes the bundled ones, with a warning."""
        self._encoder_source.prepare(self.name, docs)
        if not self._has_predicted:
            with STATE_LOCK, _current_ops(self.model.ops):
                if self._description is None:
                    self._take_bundled()
                self._has_predicted = self._description is not None
        return self._require_weights()

    def _require_weights_to_learn(self) -> Description:
        """The same before an update."""
        if self._description is None:
            self._take_bundled(to_train=True)
        return self._require_weights()

    def _take_bundled(self, *, to_train: bool = False) -> None:
        """Take the bundled weights, if it has some for the component, with a warning."""
        if self._load_bundled(to_train=to_train):
            labels = ", ".join(self.labels)
            warn(self.bundled_warning, name=self.name, factory=self.factory, labels=labels and f"; labels {labels}")

    @abstractmethod
    def _load_bundled(self, *, to_train: bool = False) -> bool:
        """Take over what the bundled model has of such a component. RETURNS: whether it has one."""

    def _open(self, path: Path, *, to_train: bool = False) -> Checkpoint:
        """Open a checkpoint for the encoder in the config; see `open_for_encoder`."""
        where = f"[initialize.components.{self.name}] checkpoint"
        return open_for_encoder(path, self._encoder_settings, self.name, where=where, to_train=to_train)

    def _load_encoder(self, checkpoint: Checkpoint) -> tuple[Encoder, Description]:
        """The encoder of a checkpoint, as the settings have it, and what is known of it."""
        require_precision(self._encoder_settings)
        wanted = self._encoder_settings["entity_vocab"]
        vocab, _ = checkpoint.select_entities(wanted)
        encoder = checkpoint.load_encoder(wanted, mentions=True)
        configure_encoder(encoder, checkpoint, self._encoder_settings)
        return encoder, replace(checkpoint.describe(encoder.config), entity_vocab=vocab)  # type: ignore[arg-type]

    # Docs

    def _windows(self, build: Callable[..., Any], *, special_pieces: int) -> Any:
        """The windows in use: those of the config, else those that the checkpoint was trained with, else `build`'s or,
        for an encoder without entity inputs, as long as they can be; never longer than the encoder's positions allow.

        special_pieces: those of a row.
        """
        description = self._require_weights()
        longest = description.config.max_pieces - special_pieces
        saved = description.settings.get("windows", {})
        if self._windows_setting is not None:
            windows = self._windows_setting
        elif "stride" in saved:
            windows = description.build_setting("windows", build_strided_windows)
        elif "joined_pieces" in saved:
            windows = description.build_setting("windows", build_joined_sentences)
        elif saved or description.config.entity_inputs:
            windows = description.build_setting("windows", build)
        else:
            windows = build_strided_windows(longest, max(3 * longest // 4, 1))
        if isinstance(windows, SentenceWindows | JoinedSentences | StridedWindows):
            return windows.shortened(longest)
        with naming_key_errors(self.name, "windows", windows):
            return NamedWindows(windows.shortened(longest), self.name)

    @property
    @abstractmethod
    def windows(self) -> Any:
        """How a Doc is cut; L040 before there are weights."""

    @property
    def reads_pieces(self) -> bool:
        """Whether the component attaches entities to pieces which other components may have encoded."""
        return self.read_windows is not None

    @property
    def read_windows(self) -> Any:
        """The windows of the pieces that the component attaches entities to and others may have encoded; None if it
        attaches none."""
        known_for, windows = self._read_windows
        if known_for is not self._description:
            description = self._description
            attaches = description is not None and self._attaches_entities(description, description.settings)
            windows = self.windows if attaches else None
            self._read_windows = description, windows
        return windows

    def _attaches_entities(self, source: Description, settings: Mapping[str, Any]) -> bool:
        """Whether the entities of the component attend to pieces that do not attend to them: pieces that are the same
        for other components. settings: of the head."""
        return False

    @property
    def _piece_provider(self) -> EncoderProvider | None:
        """The component that keeps encoded pieces; None for an encoder that nobody shares."""
        return self._encoder_source.provider

    def _window_batches(
        self, docs: Sequence[Doc], rows: Sequence[Any], *, training: bool = False
    ) -> Iterator[tuple[list[Any], EncoderInput]]:
        """Padded inputs and the windows that they are made of. Pieces that other components read, too, are encoded
        once. docs: that the windows are of."""
        description, provider = self._require_weights(), self._piece_provider
        special, entity_pad = description.tokenizer.special, description.entity_vocab[PAD]
        if provider is None or not self._shares_with(provider):
            packed = self._encoder.packs(training=training)
            for group in batch_rows(rows, self.max_batch_pieces, packed=packed):
                yield group, collate([row.make(special) for row in group], piece_pad=special.pad, entity_pad=entity_pad)
            return
        yield from provider.piece_store.batches(
            provider.encoder,
            docs,
            rows,
            self.max_batch_pieces,
            special,
            entity_pad=entity_pad,
            trains=provider.update_trains if training else None,
        )

    def _has_read(self, docs: Iterable[Doc]) -> None:
        """After a prediction: the component needs the pieces of these Docs no more."""
        provider = self._piece_provider
        if provider is not None and (readers := self._shares_with(provider)):
            provider.piece_store.has_read(docs, self.name, readers)

    def _shares_with(self, provider: EncoderProvider) -> frozenset[str]:
        """Names of the components that read the same pieces as this one, and its own; none if it is alone."""
        readers = provider.piece_readers(self.read_windows) if self.reads_pieces else frozenset()
        return readers if readers > {self.name} else frozenset()

    def _prefetched(self, batches: Iterable[tuple[RowsT, EncoderInput]]) -> Iterator[tuple[RowsT, EncoderInput]]:
        """Batches on the device of the model; on a GPU they are made while earlier ones are computed."""
        return prefetch(batches, next(self._module.parameters()).device)

    def _predict_batches(self, batches: Iterable[tuple[RowsT, EncoderInput]]) -> Iterator[tuple[RowsT, np.ndarray]]:
        """Predict batches, one after the other; on a GPU the next batch is under way when one is returned."""
        predicted = read_back((rows, self.model.predict(batch)) for rows, batch in self._prefetched(batches))
        for rows, scores in track(predicted, self.name, "batches"):
            self._check_finite(scores)
            yield rows, scores

    def _check_finite(self, scores: np.ndarray) -> None:
        """W031 if the model gave what are no numbers, once for the weights that it has. *Shape:* any"""
        shim: Any = self.model.shims[0]
        if not is_finite(scores) and shim.is_sound:
            with STATE_LOCK:
                was_sound, shim.is_sound = shim.is_sound, False
            if was_sound:
                warn("W031", name=self.name)

    @staticmethod
    def _as_list(docs: Iterable[Doc]) -> list[Doc]:
        """The Docs of a call as a list; L080 for one Doc alone, which iterates over its tokens."""
        if isinstance(docs, (Doc, str)):
            raise LukeError("L080", argument="docs", value=docs, wanted="a list of Docs; for one Doc, [doc]")
        return list(docs)

    def _warn_without_sentences(self, docs: Iterable[Doc]) -> None:
        if not self._warned_sentences and any(len(doc) and not doc.has_annotation("SENT_START") for doc in docs):
            with STATE_LOCK:
                warned, self._warned_sentences = self._warned_sentences, True
            if not warned:
                warn("W002", name=self.name)

    # Saving

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Save as a Hugging Face checkpoint folder with spaCy's `cfg` beside it; see `save_checkpoint`.

        exclude: "model", the checkpoint, and "cfg"; other names mean nothing here.
        """
        exclude = set(exclude)
        files = self._more_files(exclude)
        if self._saves_checkpoint(exclude):
            save_checkpoint(Path(path), self._require_weights(), self._module, more_files=files, checksums=True)
        else:
            save_files(Path(path), files)

    def from_disk(self: ComponentT, path: str | Path, *, exclude: Iterable[str] = ()) -> ComponentT:
        """Load what `to_disk` saved, or leave the component as it was.

        exclude: as for `to_disk`.
        """
        path, exclude = Path(path), set(exclude)
        if MODEL not in exclude and self._read_cfg(path, exclude)["weights"]:
            check_files(path, set(CHECKPOINT_FILES).difference(OF_COMPONENTS))
            self._from_checkpoint(replace(self._open(path), saved=True))
        return self

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """The files that `to_disk` writes, as one byte string."""
        exclude = set(exclude)
        files = checkpoint_bytes(self._require_weights(), self._module) if self._saves_checkpoint(exclude) else {}
        return srsly.msgpack_dumps({**files, **self._more_files(exclude)})

    def from_bytes(self: ComponentT, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> ComponentT:
        """Load what `to_bytes` gave."""
        with unpacked(srsly.msgpack_loads(bytes_data)) as folder:
            return self.from_disk(folder, exclude=exclude)

    def _saves_checkpoint(self, exclude: Collection[str]) -> bool:
        """Whether the weights are saved as a checkpoint."""
        return self._description is not None and MODEL not in exclude

    def _more_files(self, exclude: Collection[str]) -> dict[str, bytes]:
        """Files beside those of the checkpoint, by name."""
        return {} if CFG in exclude else {CFG: srsly.json_dumps(self._cfg(exclude)).encode("utf8")}

    def _cfg(self, exclude: Collection[str]) -> dict[str, Any]:
        return {"weights": self.has_weights and MODEL not in exclude}

    @staticmethod
    def _read_cfg(path: Path, exclude: Collection[str] = ()) -> dict[str, Any]:
        """Read what `_cfg` gave, L022 if that is damaged; if it is excluded, just whether a checkpoint is there."""
        if CFG in exclude:
            return {"weights": (path / CONFIG).is_file()}
        if not (path / CFG).is_file():
            raise LukeError("L048", path=path, reason=f"it has no {CFG!r} file")
        check_files(path, [CFG])
        cfg = parse_json_object((path / CFG).read_bytes(), path / CFG)
        if not isinstance(cfg.get("weights"), bool):
            raise LukeError("L022", file=path / CFG, reason="it does not say whether there are weights")
        return cfg


@contextmanager
def _current_ops(ops: Ops) -> Iterator[None]:
    """Weights that are loaded inside the block go to the device of `ops`: a thread starts with the CPU, whatever GPU
    the others use."""
    before = get_current_ops()
    set_current_ops(ops)
    try:
        yield
    finally:
        set_current_ops(before)
