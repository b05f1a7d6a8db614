"""The base of all components with a head: labels, weights, training and saving."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from spacy.language import Language
from spacy.training import Example, validate_examples
from spacy.vocab import Vocab
from thinc.api import Model, Optimizer

from ...checkpoints.checkpoint import Checkpoint, Description
from ...checkpoints.heads import with_new_head
from ...checkpoints.source import locate
from ...checkpoints.writer import HEAD_WEIGHTS
from ...default_model import bundled_component, bundled_encoder
from ...encoders.encoder import Encoder
from ...encoders.heads import TaskModule
from ...encoders.inputs import EncoderInput
from ...encoders.layers import set_dropout
from ...errors import LukeError, warn
from ...models.wrapper import EncoderShim, attach_module, torch_module
from ...tokenization.entity_vocab import EntityVocab
from .calibration import BIASES, Calibration, apply_to_head, calibrated_logits, find_calibration
from .checkpoint_component import CFG, MODEL, CheckpointComponent, RowsT
from .encoder_source import OwnEncoder
from .score_weights import ScoreWeights, fit_score_weights
from .stored_head import HEAD, StoredHead
from .training_length import warn_of_short_training

ComponentT = TypeVar("ComponentT", bound="TaskComponent")


@dataclass
class Training(Generic[RowsT]):
    """Batches and loss of an update.

    batches: encoder inputs, each with the rows that it is made of.
    total: of what the loss is the mean: the number of items in all batches.
    loss_of: rows, logits and encoder input of a batch -> gradient on the logits and loss, both summed over the items
        of the batch. The logits are NumPy's; the gradient has their shape.
    """

    batches: Iterable[tuple[RowsT, EncoderInput]]
    total: int
    loss_of: Callable[[RowsT, np.ndarray, EncoderInput], tuple[np.ndarray, float]]


class TaskComponent(CheckpointComponent):
    """A component with a head, on an encoder of its own or on that of a `luke_encoder` earlier in the pipeline
    (`SharedEncoder`). In the latter case the component owns its head alone: that is what it saves, and what its
    optimiser steps.

    Labels come from a checkpoint or from the data.
    """

    architecture: ClassVar[str]  # the transformers class that a saved component is, with a LUKE encoder
    needs_labels: ClassVar[bool] = True
    gold_place: ClassVar[str]  # where references have the gold annotation
    head_options: ClassVar[tuple[str, ...]] = ()  # names of the settings that `_head_options` may give

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
        super().__init__(vocab, model, name, windows=windows, max_batch_pieces=max_batch_pieces, scorer=scorer)
        # Labels that were added before there was a head.
        self._added_labels: list[str] = []
        # A head that was loaded before the encoder which it is used with.
        self._stored_head: StoredHead | None = None
        self._encoder_frozen = False

    # Labels

    @property
    def label_data(self) -> tuple[str, ...] | None:
        """Labels for `[initialize.components.X] labels`: those that can be predicted; None if there are none."""
        return self.labels or None

    def add_label(self, label: str) -> int:
        """Add a label to those that can be predicted. RETURNS: 1; 0 if it is there already.

        Before the component has weights, the label is one of the head that `initialize` makes, or that of the bundled
        model is given. A head that is there gets new rows, with random weights, which are still to be trained; its
        other rows, and what the optimiser keeps of them, stay as they are. L131 if the component cannot learn it; L066
        if the component is loaded, and the encoder that it uses is not there yet.
        """
        if self._stored_head is not None and self._description is None:
            self._encoder_source.prepare(self.name)
            self._require_weights()
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
        if self._owns_encoder:
            self._encoder.requires_grad_(not frozen)
            self._freeze_parameters()
        self._encoder_frozen = frozen

    def _take_bundled(self, *, to_train: bool = False) -> None:
        added = list(self._added_labels)
        super()._take_bundled(to_train=to_train)
        if self._description is not None:
            for label in added:
                self.add_label(label)

    def _load_bundled(self, *, to_train: bool = False) -> bool:
        folder = bundled_component(self.factory) if self._owns_encoder else None
        if folder is None:
            return False
        cfg = self._read_cfg(folder)
        if HEAD in cfg:
            encoder, described = self._load_encoder(self._open(bundled_encoder(), to_train=to_train))
            self._attach_saved_head(StoredHead.read(folder, cfg[HEAD]), described, encoder)
        else:
            self._from_checkpoint(self._open(folder, to_train=to_train))
        return True

    def _from_checkpoint(self, checkpoint: Checkpoint) -> None:
        found, expected = checkpoint.architecture, checkpoint.architecture_of(self.architecture)
        if found != expected:
            raise LukeError("L042", name=self.name, expected=expected, path=checkpoint.path, found=found)
        self._check_labels(checkpoint.labels)
        self._build_module(checkpoint, checkpoint.labels, new_head=False)

    def _check_labels(self, labels: tuple[str, ...]) -> None:
        """An error if the labels of a checkpoint do not suit the settings."""

    def _build_module(self, source: Description, labels: tuple[str, ...], *, new_head: bool) -> None:
        """Make the module: the encoder that `source` describes, with the head of the checkpoint or a new one."""
        options = self._head_options(source, new_head=new_head)
        self._check_encoder(source, options)
        rows = len(labels) if new_head else None
        module, entity_vocab = self._encoder_source.load_module(
            source, self.architecture, self._encoder_settings, rows, **options
        )
        self._set_module(module, source, entity_vocab, labels, options, new_head=new_head)

    def _set_module(
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
        self._check_head(source, entity_vocab, labels)
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
        self._stored_head, self._encoder_frozen = None, False
        self._added_labels.clear()
        self._freeze_parameters()
        for label in labels:  # which outlive a memory zone
            self.vocab.strings.add(label, allow_transient=False)  # type: ignore[call-arg]

    def _check_head(self, source: Description, entity_vocab: EntityVocab, labels: tuple[str, ...]) -> None:
        """An error if a head does not suit the settings, before anything has changed.

        source: of its encoder. entity_vocab: as it is used. labels: of the head's rows.
        """

    def _freeze_parameters(self) -> None:
        """Take the gradients from parameters of the module that are never trained."""

    def _check_encoder(self, source: Description, settings: Mapping[str, Any]) -> None:
        """An error if the component cannot run on an encoder, before anything has changed.

        settings: of the head, some of which are of those that `_head_options` gives.
        """

    def _head_options(self, source: Description, *, new_head: bool) -> dict[str, Any]:
        """Further arguments of `with_new_head`, by the names in `head_options`: dataclasses of settings that are saved
        with the model. new_head: whether it is not that of the checkpoint."""
        return {}

    def _config_entries(self, labels: tuple[str, ...], *, new_head: bool) -> dict[str, Any]:
        """Entries of config.json that the head needs."""
        return {}

    def _settings_to_save(self, source: Description, options: Mapping[str, Any]) -> dict[str, Any]:
        settings = dict(source.settings)
        if source.architecture != source.architecture_of(self.architecture):  # windows of another task
            settings = source.encoder_settings()
            if not self._owns_encoder and self._attaches_entities(source, options):
                settings |= source.window_settings()  # one set of windows for all that share the encoder
        if is_dataclass(self._windows_setting):
            settings["windows"] = vars(self._windows_setting)
        kept = {name: value for name, value in settings.items() if name not in self.head_options}
        return {**kept, **{name: vars(option) for name, option in options.items()}}

    # Before training

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
        had and has no more, W051 that [training] is too short for its schedule.
        """
        before = self.labels
        wanted = tuple(labels) if labels is not None else self._labels_of(get_examples)
        wanted = tuple(dict.fromkeys((*wanted, *self._added_labels)))
        new = self._labels_of_new_head(wanted)
        self._look_at(get_examples)
        self._init_weights(checkpoint, revision, wanted, new)
        if dropped := [label for label in before if label not in self.labels]:
            kept = ", ".join(self.labels) or "none"
            warn("W039", name=self.name, dropped=", ".join(dropped), kept=kept, stacklevel=4)
        self._prepare(get_examples)
        if nlp is not None:
            warn_of_short_training(nlp, get_examples, stacklevel=4)
            if self.score_weights is not None:
                fit_score_weights(nlp, self)

    def _init_weights(
        self, checkpoint: str | None, revision: str | None, wanted: tuple[str, ...], new: tuple[str, ...]
    ) -> None:
        """Take the weights of a checkpoint, with its head if that has the labels that are wanted, else a new one."""
        if checkpoint is None:
            if not new and self._load_bundled(to_train=True):
                return
            self._require_labels(new)
            source = self._encoder_source.start(self.name, lambda path: self._open(path, to_train=True))
            self._build_module(source, new, new_head=True)
            return
        self._encoder_source.require_own(self.name)
        opened = self._open(locate(checkpoint, revision), to_train=True)
        has_head = opened.architecture == opened.architecture_of(self.architecture)
        if has_head and (not new or self._has_all(opened.labels, wanted)):
            self._from_checkpoint(opened)
            return
        self._require_labels(new)
        if has_head:
            warn("W006", name=self.name, data=", ".join(wanted), checkpoint=", ".join(opened.labels))
        self._build_module(opened, new, new_head=True)

    def _require_labels(self, labels: tuple[str, ...]) -> None:
        if self.needs_labels and not labels:
            raise LukeError("L043", name=self.name, where=self._gold_place)

    @property
    def _gold_place(self) -> str:
        """Name of the gold annotation, for messages."""
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

    def _look_at(self, get_examples: Callable[[], Iterable[Any]]) -> None:
        """Without weights: learn from the data what a new head is made with, beside its labels."""

    def _prepare(self, get_examples: Callable[[], Iterable[Any]]) -> None:
        """Learn from the data what is not learned by gradients, with weights and labels there, and warn of gold
        annotation that cannot be learned."""

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
        set_dropout(self._module, drop)
        self._encoder_source.begin_update(self.name, frozen=self._encoder_frozen)
        for loss in self._learn(training):
            losses[self.name] += loss / training.total
        self._encoder_source.end_update(self.name)
        if sgd is not None:
            self.finish_update(sgd)
        return losses

    @abstractmethod
    def _training(self, examples: Sequence[Example]) -> Training[Any]:
        """Return what is learned from examples. The component has weights by then."""

    def _learn(self, training: Training[Any]) -> Iterator[float]:
        """Accumulate the gradients of one batch after the other. YIELDS: the loss of each, summed over its items."""
        for rows, batch in self._prefetched(training.batches):
            logits, backprop = self.model.begin_update(batch)
            gradient, loss = training.loss_of(rows, self.model.ops.to_numpy(logits), batch)
            backprop(self._mean_gradient(gradient, training.total))
            yield loss

    def _mean_gradient(self, gradient: np.ndarray, total: int) -> Any:
        """Divide a summed gradient by the number of items, as an array of the model's device. *Shape:* any, float32"""
        return self.model.ops.asarray((gradient / total).astype(np.float32))  # type: ignore[arg-type]

    # Calibration

    @property
    def _calibration_scores(self) -> tuple[str, str] | None:
        """Names of F1 and of the expected calibration error among the component's scores; None if it has none."""
        return None

    @property
    def _biased_row(self) -> int | None:
        """The row of the head whose bias is chosen; None = calibration leaves the head's biases alone."""
        return None

    @property
    def _biases(self) -> Sequence[float]:
        """Those that calibration chooses from."""
        return () if self._biased_row is None else BIASES

    def calibrate(self, examples: Iterable[Example]) -> Calibration:
        """Choose a temperature, with the least calibration error, and apply it to the weights of the head.

        `luke_ner` gets a bias of its negative label, too, and `luke_qa` of "no answer" (its setting `no_answer_bias`,
        which `nlp.config` does not have then): the one with the best F1. Otherwise the temperature (Guo et
        al. 2017, "On Calibration of Modern Neural Networks", section 4.2) changes no prediction, apart from thresholds
        and joint decoding. The predicted Docs are left as they are.

        examples: predicted Docs as the component gets them, references with gold annotation; not those that it was
            trained on, nor those that scores are reported for.

        RETURNS: what was applied. L159 if nothing is predicted that has gold annotation beside it; L080 for a component
        whose scores cannot be calibrated.
        """
        found = self.find_calibration([list(examples)])
        self.apply_calibration(found)
        return found

    def find_calibration(self, corpora: Sequence[Sequence[Example]]) -> Calibration:
        """Choose as `calibrate` does, but change nothing; F1 is the mean over several corpora."""
        return find_calibration(self, corpora)

    def apply_calibration(self, calibration: Calibration) -> None:
        """Change the weights of the head by a calibration: the bias first, then all of them by the temperature."""
        apply_to_head(self._module.output, calibration, self._biased_row)

    def _calibrated(self, scored: Any, calibration: Calibration) -> Any:
        """The raw scores of a Doc, as `predict` gives them, with a calibration."""
        return replace(scored, logits=calibrated_logits(scored.logits, calibration, self._biased_row))

    # The encoder of another component

    def check_encoder(self, source: Description, encoder: Encoder) -> None:
        """L068 and others if the head, as far as there is one, cannot stand on an encoder; L130 if it has stood on none
        since it was loaded and was saved with another."""
        head = self._stored_head
        if head is not None:
            head.check_fingerprint(self.name, self._provider.name, encoder)
        if self._description is not None:
            head = StoredHead.from_module(self._description, self._module)
        if head is not None:
            head.check_fit(self.name, source.config)
            self._check_encoder(source, head.settings)

    def bind_encoder(self) -> None:
        """Use the encoder of the provider, as soon as it and the head have weights; L068 if they do not fit."""
        provider = self._encoder_source.provider
        if provider is None or provider.description is None:
            return
        module = torch_module(self.model)
        if module is None and self._stored_head is not None:
            self._stored_head.check_fingerprint(self.name, provider.name, provider.encoder)
            self._attach_saved_head(self._stored_head, provider.description, provider.encoder)
        elif module is not None and module.encoder is not provider.encoder:
            self._change_encoder(provider.description, provider.encoder)

    def own_encoder(self, encoder: Encoder) -> None:
        """Use an encoder of one's own from now on: the layer of the model that stands for it is about to say so."""
        self._module.encoder = encoder
        attach_module(self.model, self._module)
        self._encoder_source = OwnEncoder()

    def _attach_saved_head(self, head: StoredHead, source: Description, encoder: Encoder) -> None:
        """Put a saved head on an encoder. source: what is known of it."""
        head.check_fit(self.name, source.config)
        self._check_encoder(source, head.settings)
        settings = {**source.encoder_settings(), **head.settings}
        described = replace(source, architecture=source.architecture_of(self.architecture), settings=settings)
        options = self._head_options(described, new_head=False)
        module = with_new_head(encoder, self.architecture, len(head.labels), **options)
        head.fill(module, self.name)
        self._set_module(module, described, source.entity_vocab, head.labels, options, new_head=False)
        self._description = head.configured(self._require_weights())

    def _change_encoder(self, source: Description, encoder: Encoder) -> None:
        """Put the head on another encoder."""
        head = StoredHead.from_module(self._require_weights(), self._module)
        head.check_fit(self.name, source.config)
        self._check_encoder(source, head.settings)
        self._module.encoder = encoder
        shim: Any = self.model.shims[0]
        shim.is_sound = True
        described = replace(source, architecture=source.architecture_of(self.architecture), labels=head.labels)
        self._description = head.configured(replace(described, settings={**head.settings, **source.encoder_settings()}))

    # Saving

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Save as a Hugging Face checkpoint folder with spaCy's `cfg` beside it; see `save_checkpoint`.

        With the encoder of another component, only the head is saved; W030 if that component is not beside it, where
        spaCy saves it before.

        exclude: "model", the weights, and "cfg"; other names mean nothing here.
        """
        exclude = set(exclude)
        super().to_disk(path, exclude=exclude)
        if self._description is not None and MODEL not in exclude:
            self._encoder_source.check_place(Path(path), self.name)

    def from_disk(self: ComponentT, path: str | Path, *, exclude: Iterable[str] = ()) -> ComponentT:
        """Load what `to_disk` saved, or leave the component as it was; L069 if the encoder was shared then and is not
        now, or the other way round.

        exclude: as for `to_disk`. A head that was saved alone cannot be loaded without its `cfg`: L048.
        """
        path, exclude = Path(path), set(exclude)
        cfg = self._read_cfg(path, exclude)
        if MODEL not in exclude and cfg["weights"]:
            self._encoder_source.check_saved(path, self.name, head_alone=HEAD in cfg)
        self._encoder_source.read_cfg(cfg)
        if HEAD in cfg and MODEL not in exclude:
            self._load_head(StoredHead.read(path, cfg[HEAD]))
            return self
        if CFG in exclude and MODEL not in exclude and (path / HEAD_WEIGHTS).is_file():
            raise LukeError("L048", path=path, reason=f"what its {HEAD_WEIGHTS} is stands in {CFG!r}, not loaded")
        return super().from_disk(path, exclude=exclude)

    def _load_head(self, head: StoredHead) -> None:
        """Take a head that was saved alone, and put it on the provider's encoder as soon as that has weights."""
        before = self._stored_head, self._description, list(self.model.shims)
        try:
            self._stored_head, self._description = head, None
            self.model.shims.clear()
            self.bind_encoder()
        except LukeError:
            self._stored_head, self._description, self.model.shims[:] = before
            raise

    def _saves_checkpoint(self, exclude: Collection[str]) -> bool:
        return self._owns_encoder and super()._saves_checkpoint(exclude)

    def _more_files(self, exclude: Collection[str]) -> dict[str, bytes]:
        return {**super()._more_files(exclude), **self._encoder_source.files(self._saved_head(exclude))}

    def _cfg(self, exclude: Collection[str]) -> dict[str, Any]:
        encoder = self._encoder if self._description is not None else None
        return {**super()._cfg(exclude), **self._encoder_source.cfg(self._saved_head(exclude), encoder)}

    def _saved_head(self, exclude: Collection[str]) -> StoredHead | None:
        """Return the head as it is saved without its encoder; None before it has weights, or if they are excluded."""
        if MODEL in exclude:
            return None
        return (
            self._stored_head if self._description is None else StoredHead.from_module(self._description, self._module)
        )
