"""What every component shares: weights that come from a checkpoint, and saving as one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import srsly
from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Model, get_torch_default_device
from torch import nn

from ..batching.strided import build_strided_windows
from ..box import box_checkpoint, box_encoder
from ..checkpoints.checkpoint import OF_ENCODER, Checkpoint, Description
from ..checkpoints.reader import open_checkpoint
from ..checkpoints.source import locate
from ..checkpoints.writer import checkpoint_bytes, save_checkpoint
from ..checks import require_at_least
from ..encoders.config import LukeConfig
from ..encoders.linear import require_int8
from ..errors import LukeError, warn
from ..models.architectures import ENCODERS
from ..models.wrapper import attach_module, torch_module

CFG = "cfg"


class LukePipe(TrainablePipe):
    """A component whose weights, labels, tokenizer and entity vocabulary come from a checkpoint.

    A component that was added and never given weights takes those of the model in the box when it is first used, if
    the box has them.
    """

    architecture: ClassVar[str]  # the transformers class that a saved component is, with a LUKE encoder
    factory: ClassVar[str]
    needs_labels: ClassVar[bool] = True
    gold_place: ClassVar[str]  # where references have the gold annotation

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
        self._warned_sentences = False

    # Weights

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels in the order of the logits, the negative label included; () before the component has weights."""
        return self._description.labels if self._description else ()

    @property
    def label_data(self) -> tuple[str, ...]:
        """Labels for `[initialize.components.X] labels`: those that can be predicted."""
        return self.labels

    @property
    def has_weights(self) -> bool:
        """Whether a checkpoint was loaded or the component initialised."""
        return self._description is not None

    def load_checkpoint(self, name: str | Path, *, revision: str | None = None) -> LukePipe:
        """Take weights, labels, tokenizer and entity vocabulary from a checkpoint with the component's head.

        name: folder or Hub id. revision: branch, tag or commit on the Hub.

        If anything is wrong with it (a coded error says what), the component stays as it was.
        """
        self._load(self._open(locate(name, revision)))
        return self

    def freeze_encoder(self, frozen: bool = True) -> None:
        """Train only the head from now on. Lasts until weights are loaded again; it is not saved."""
        self._module.encoder.requires_grad_(not frozen)

    @property
    def _module(self) -> nn.Module:
        module = torch_module(self.model)
        if module is None:
            raise LukeError("L040", name=self.name)
        return module

    def _require_weights(self) -> Description:
        if self._description is None:
            raise LukeError("L040", name=self.name)
        return self._description

    def _require_weights_or_box(self) -> Description:
        """Before predictions: a component that nobody gave weights takes those in the box, with a warning."""
        if self._description is None and (path := box_checkpoint(self.factory)) is not None:
            self._load(self._open(path))
            warn("W001", name=self.name, labels=", ".join(self.label_data))
        return self._require_weights()

    def _open(self, path: Path, *, to_train: bool = False) -> Checkpoint:
        """Open a checkpoint of the encoder in the config, which plain encoders are read as; L051 if it has another,
        L054 if its entities attend otherwise than configured and it is not to be trained to."""
        configured = self.model.layers[0].attrs["model_type"]
        checkpoint = open_checkpoint(path, plain_as=configured)
        found = checkpoint.config.model_type
        if found != configured and path in (box_checkpoint(self.factory), box_encoder()):
            raise LukeError("L052", name=self.name, encoder=ENCODERS[configured])
        if found != configured:
            encoder, needed = ENCODERS[configured], ENCODERS[found]
            raise LukeError("L051", name=self.name, encoder=encoder, path=path, found=found, needed=needed)
        attention = self.model.layers[0].attrs["entity_attention"]
        if attention and isinstance(checkpoint.config, LukeConfig) and attention != checkpoint.config.entity_attention:
            if not to_train or attention == "full":
                found = checkpoint.config.entity_attention
                raise LukeError("L054", name=self.name, path=path, found=found, configured=attention)
            return checkpoint.with_independent_attention()
        return checkpoint

    def _load(self, checkpoint: Checkpoint) -> None:
        """Take over a checkpoint with this component's head. Nothing changes until all of it has been read."""
        found, expected = checkpoint.architecture, checkpoint.architecture_of(self.architecture)
        if found != expected:
            raise LukeError("L042", name=self.name, expected=expected, path=checkpoint.path, found=found)
        self._check_labels(checkpoint.labels)
        self._adopt(checkpoint, checkpoint.labels, new_head=False)

    def _check_labels(self, labels: tuple[str, ...]) -> None:
        """An error if the labels of a checkpoint do not suit the settings."""

    def _adopt(self, checkpoint: Checkpoint, labels: tuple[str, ...], *, new_head: bool) -> None:
        settings = self.model.layers[0].attrs
        options = self._head_options(checkpoint)
        if settings["precision"] == "int8":
            require_int8(get_torch_default_device())
        module, entity_vocab = checkpoint.load_task_module(
            self.architecture, settings["entity_vocab"], labels=len(labels) if new_head else None, **options
        )
        module.encoder.precision = settings["precision"]
        module.encoder.gradient_checkpointing = settings["gradient_checkpointing"]
        attach_module(self.model, module)
        config: Any = module.encoder.config
        self._description = Description(
            checkpoint.architecture_of(self.architecture),
            replace(config, extra={**config.extra, **self._config_entries(labels, new_head=new_head)}),
            checkpoint.tokenizer,
            entity_vocab,
            labels,
            self._settings_to_save(checkpoint, options),
        )
        for label in labels:
            self.vocab.strings.add(label)
        if checkpoint.tokenizer.lowercase and not checkpoint.tokenizer.case_types:
            warn("W008", name=str(checkpoint.path))

    def _head_options(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """Further arguments of `Checkpoint.load_task_module`: dataclasses of settings that are saved with the model."""
        return {}

    def _config_entries(self, labels: tuple[str, ...], *, new_head: bool) -> dict[str, Any]:
        """Entries of config.json that the head needs."""
        return {}

    def _settings_to_save(self, checkpoint: Checkpoint, options: Mapping[str, Any]) -> dict[str, Any]:
        settings = dict(checkpoint.settings)
        if checkpoint.architecture != checkpoint.architecture_of(self.architecture):  # windows of another task
            settings = {name: value for name, value in settings.items() if name in OF_ENCODER}
        if is_dataclass(self._windows_setting):
            settings["windows"] = vars(self._windows_setting)
        return {**settings, **{name: vars(option) for name, option in options.items()}}

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Any]],
        *,
        nlp: Language | None = None,
        checkpoint: str | None = None,
        revision: str | None = None,
        labels: list[str] | None = None,
    ) -> None:
        """Prepare for training.

        checkpoint: folder or Hub id to start from: LUKE or Longformer, as the config has it, or BERT, RoBERTa and
            XLM-R, which are read as that; default: the encoder of the model in the box, a LUKE.
        revision: branch, tag or commit on the Hub.
        labels: labels of the head without the negative one; default: those of the data, else of the checkpoint.

        A checkpoint with this component's head keeps it if it has all labels of the data; otherwise a new head is
        trained. L043 if there are no labels.
        """
        from_box = checkpoint is None
        source = locate(checkpoint, revision) if checkpoint is not None else box_checkpoint(self.factory)
        opened = self._open(source or box_encoder(), to_train=True)
        has_head = opened.architecture == opened.architecture_of(self.architecture)
        wanted = tuple(labels) if labels is not None else self._labels_of(get_examples)
        new = self._labels_of_new_head(wanted)
        if has_head and (not new or (not from_box and self._has_all(opened.labels, wanted))):
            self._load(opened)
        elif self.needs_labels and not new:
            raise LukeError("L043", name=self.name, where=self._gold_place)
        else:
            if has_head and not from_box:
                warn("W006", name=self.name, data=", ".join(wanted), checkpoint=", ".join(opened.labels))
            self._adopt(opened, new, new_head=True)
        self._prepare(get_examples)

    @property
    def _gold_place(self) -> str:
        """Where the gold annotation stands, for messages."""
        return f"{self.gold_place}, which a DocBin keeps with store_user_data=True"

    def _labels_of(self, get_examples: Callable[[], Iterable[Any]]) -> tuple[str, ...]:
        """The labels of the gold annotation, sorted."""
        return ()

    def _has_all(self, labels: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
        """Whether a head with `labels` can learn the labels that are wanted."""
        return set(wanted) <= set(labels)

    def _labels_of_new_head(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        """Labels of a new head in the order of its rows, for the labels wanted; () for no labels."""
        return labels

    def _prepare(self, get_examples: Callable[[], Iterable[Any]]) -> None:
        """With weights and labels there: learn from the data what is not learned by gradients, and warn of gold
        annotation that cannot be learned."""

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
            windows = build_strided_windows(**saved)
        elif saved or description.config.entity_inputs:
            windows = build(**saved)
        else:
            windows = build_strided_windows(longest, max(3 * longest // 4, 1))
        return windows.shortened(longest)

    @staticmethod
    def _listed(docs: Iterable[Doc]) -> list[Doc]:
        """The Docs of a call as a list; L080 for one Doc alone, which iterates over its tokens."""
        if isinstance(docs, (Doc, str)):
            raise LukeError("L080", argument="docs", value=docs, wanted="a list of Docs; for one Doc, [doc]")
        return list(docs)

    def _warn_without_sentences(self, docs: Iterable[Doc]) -> None:
        if not self._warned_sentences and any(len(doc) and not doc.has_annotation("SENT_START") for doc in docs):
            self._warned_sentences = True
            warn("W002", name=self.name)

    # Saving

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Save as a Hugging Face checkpoint folder with spaCy's `cfg` beside it; see `save_checkpoint`."""
        cfg = srsly.json_dumps(self._cfg()).encode("utf8")
        if self._description is None:
            Path(path).mkdir(parents=True, exist_ok=True)
            (Path(path) / CFG).write_bytes(cfg)
        else:
            save_checkpoint(Path(path), self._description, self._module, more_files={CFG: cfg})

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> LukePipe:
        """Load what `to_disk` saved, or leave the component as it was."""
        path = Path(path)
        if not (path / CFG).is_file():
            raise LukeError("L048", path=path, reason=f"it has no {CFG!r} file")
        if srsly.read_json(path / CFG)["weights"]:
            self._load(self._open(path))
        return self

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """The files that `to_disk` writes, as one byte string."""
        files = checkpoint_bytes(self._description, self._module) if self._description else {}
        return srsly.msgpack_dumps({**files, CFG: srsly.json_dumps(self._cfg()).encode("utf8")})

    def from_bytes(self, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> LukePipe:
        """Load what `to_bytes` gave."""
        with tempfile.TemporaryDirectory() as folder:
            for name, data in srsly.msgpack_loads(bytes_data).items():
                (Path(folder) / Path(name).name).write_bytes(data)
            return self.from_disk(folder)

    def _cfg(self) -> dict[str, Any]:
        return {"weights": self.has_weights}
