"""What every component with a head shares: weights and labels of the head."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import is_dataclass, replace
from typing import Any, ClassVar

from spacy.language import Language
from spacy.vocab import Vocab
from thinc.api import Model

from ...checkpoints.checkpoint import Checkpoint, Description
from ...checkpoints.source import locate
from ...default_model import bundled_encoder
from ...encoders.heads import TaskModule
from ...encoders.layers import set_dropout
from ...errors import LukeError, warn
from ...models.encoder_settings import require_precision
from ...models.wrapper import EncoderShim, attach_module
from ...tokenization.entity_vocab import EntityVocab
from .checkpoint_component import CheckpointPipe
from .score_weights import ScoreWeights, fit_score_weights


class HeadPipe(CheckpointPipe):
    """A component with a head. Its labels come from a checkpoint or from the data."""

    architecture: ClassVar[str]  # the transformers class that a saved component is, with a LUKE encoder
    needs_labels: ClassVar[bool] = True
    gold_place: ClassVar[str]  # where references have the gold annotation

    def __init__(self, vocab: Vocab, model: Model, name: str, **settings: Any):
        super().__init__(vocab, model, name, **settings)
        # Labels that were added before there was a head.
        self._added_labels: list[str] = []

    @property
    def _encoder_settings(self) -> dict[str, Any]:
        return self.model.layers[0].attrs

    @property
    def label_data(self) -> tuple[str, ...] | None:
        """Labels for `[initialize.components.X] labels`: those that can be predicted; None if there are none."""
        return self.labels or None

    def add_label(self, label: str) -> int:
        """Add a label to those that can be predicted. RETURNS: 1; 0 if it is there already.

        Before the component has weights, the label is one of the head that `initialize` makes, or that of the bundled
        model is given. A head that is there gets new rows, with random weights, which are still to be trained; its
        other rows, and what the optimiser keeps of them, stay as they are. L131 if the component cannot learn it.
        """
        if not isinstance(label, str) or not label:
            raise LukeError("L131", name=self.name, label=label, reason="a label is a string that is not empty")
        if not self.needs_labels:
            raise LukeError("L131", name=self.name, label=label, reason="it has no labels")
        known = (*self.labels, *self.logit_labels, *self._added_labels)
        rows = self._rows_of(label) if label not in known else ()
        if not rows:
            return 0
        if self._description is None:
            self._added_labels.append(label)
        else:
            self._grow_head(rows)
        return 1

    def _rows_of(self, label: str) -> tuple[str, ...]:
        """The rows of the head, as far as they are not there, that learn a label; L131 if it has none for it."""
        return (label,)

    def _grow_head(self, rows: tuple[str, ...]) -> None:
        description, shim = self._require_weights(), self.model.shims[0]
        assert isinstance(shim, EncoderShim)
        shim.grow_head(len(rows))
        self._description = replace(description, labels=(*description.labels, *rows))
        for label in rows:
            self.vocab.strings.add(label, allow_transient=False)  # type: ignore[call-arg]

    @property
    def score_weights(self) -> ScoreWeights | None:
        """Default weights of the scores that the component gives, where its settings decide which; None = those of the
        factory."""
        return None

    # Weights

    def freeze_encoder(self, frozen: bool = True) -> None:
        """Train only the head from now on. Lasts until weights are loaded again; it is not saved."""
        self._module.encoder.requires_grad_(not frozen)

    @property
    def _owns_encoder(self) -> bool:
        """Whether the encoder's weights are the component's own."""
        return True

    def _begin_update(self, drop: float) -> None:
        """Before the forward passes of an update. drop: every dropout rate of the model."""
        self._require_weights()
        set_dropout(self._module, drop)

    def _load(self, checkpoint: Checkpoint) -> None:
        found, expected = checkpoint.architecture, checkpoint.architecture_of(self.architecture)
        if found != expected:
            raise LukeError("L042", name=self.name, expected=expected, path=checkpoint.path, found=found)
        self._check_labels(checkpoint.labels)
        self._adopt(checkpoint, checkpoint.labels, new_head=False)

    def _check_labels(self, labels: tuple[str, ...]) -> None:
        """An error if the labels of a checkpoint do not suit the settings."""

    def _adopt(self, checkpoint: Checkpoint, labels: tuple[str, ...], *, new_head: bool) -> None:
        """Take the encoder of a checkpoint, and its head or a new one."""
        self._check_encoder(checkpoint)
        require_precision(self._encoder_settings)
        options = self._head_options(checkpoint)
        module, entity_vocab = checkpoint.load_task_module(
            self.architecture,
            self._encoder_settings["entity_vocab"],
            labels=len(labels) if new_head else None,
            **options,
        )
        self._configure(module.encoder, checkpoint)
        self._take(module, checkpoint, entity_vocab, labels, options, new_head=new_head)

    def _take(
        self,
        module: TaskModule,
        source: Description,
        entity_vocab: EntityVocab,
        labels: tuple[str, ...],
        options: Mapping[str, Any],
        *,
        new_head: bool,
    ) -> None:
        """Take over a module, and what there is to know of it. source: of its encoder."""
        attach_module(self.model, module, owns_encoder=self._owns_encoder)
        config: Any = module.encoder.config
        self._description = Description(
            source.architecture_of(self.architecture),
            replace(config, extra={**config.extra, **self._config_entries(labels, new_head=new_head)}),
            source.tokenizer,
            entity_vocab,
            labels,
            self._settings_to_save(source, options),
        )
        self._added_labels.clear()
        for label in labels:  # which outlive a memory zone
            self.vocab.strings.add(label, allow_transient=False)  # type: ignore[call-arg]

    def _take_bundled(self, *, to_train: bool = False) -> None:
        added = list(self._added_labels)
        super()._take_bundled(to_train=to_train)
        if self._description is not None:
            for label in added:
                self.add_label(label)

    def _check_encoder(self, source: Description) -> None:
        """An error if the component cannot run on an encoder, before anything has changed."""

    def _head_options(self, source: Description) -> dict[str, Any]:
        """Further arguments of `with_new_head`: dataclasses of settings that are saved with the model."""
        return {}

    def _config_entries(self, labels: tuple[str, ...], *, new_head: bool) -> dict[str, Any]:
        """Entries of config.json that the head needs."""
        return {}

    def _settings_to_save(self, source: Description, options: Mapping[str, Any]) -> dict[str, Any]:
        settings = dict(source.settings)
        if source.architecture != source.architecture_of(self.architecture):  # windows of another task
            settings = source.of_encoder()
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
            XLM-R, which are read as that; default: the encoder of the bundled model, a LUKE. L067 if the encoder is
            that of another component.
        revision: branch, tag or commit on the Hub.
        labels: labels of the head without the negative one; default: those of the data, else of the checkpoint.
            Those of `add_label` come on top.

        A checkpoint with this component's head keeps it if it has all labels of the data; otherwise, and on the encoder
        of another component, a new head is trained. L043 if there are no labels. W039 tells which labels the component
        had and has no more.
        """
        before = self.labels
        wanted = tuple(labels) if labels is not None else self._labels_of(get_examples)
        wanted = tuple(dict.fromkeys((*wanted, *self._added_labels)))
        new = self._labels_of_new_head(wanted)
        self._start(checkpoint, revision, wanted, new)
        if dropped := [label for label in before if label not in self.labels]:
            kept = ", ".join(self.labels) or "none"
            warn("W039", name=self.name, dropped=", ".join(dropped), kept=kept, stacklevel=4)
        self._prepare(get_examples)
        if nlp is not None and self.score_weights is not None:
            fit_score_weights(nlp, self)

    def _start(
        self, checkpoint: str | None, revision: str | None, wanted: tuple[str, ...], new: tuple[str, ...]
    ) -> None:
        """Take the weights of a checkpoint, with its head if that has the labels that are wanted, else a new one."""
        if checkpoint is None:
            if not new and self._load_bundled(to_train=True):
                return
            self._require_labels(new)
            self._adopt(self._open(bundled_encoder(), to_train=True), new, new_head=True)
            return
        opened = self._open(locate(checkpoint, revision), to_train=True)
        has_head = opened.architecture == opened.architecture_of(self.architecture)
        if has_head and (not new or self._has_all(opened.labels, wanted)):
            self._load(opened)
            return
        self._require_labels(new)
        if has_head:
            warn("W006", name=self.name, data=", ".join(wanted), checkpoint=", ".join(opened.labels))
        self._adopt(opened, new, new_head=True)

    def _require_labels(self, labels: tuple[str, ...]) -> None:
        if self.needs_labels and not labels:
            raise LukeError("L043", name=self.name, where=self._gold_place)

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
