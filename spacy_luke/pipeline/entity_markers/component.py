"""Base of `luke_relations` and `luke_entity_typer`: each item, a pair or a span, is marked in its text, a row each; or,
on an encoder with independent attention, is an entity or two beside the pieces, many to a row."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.vocab import Vocab
from thinc.api import Model

from ...batching.collate import batch_rows
from ...batching.strided import StridedWindows
from ...batching.windows import PassageWindows, Windows, build_sentence_windows
from ...checkpoints.checkpoint import Description
from ...checkpoints.heads import UnmarkedSettings, build_unmarked
from ...checks import require_at_least, require_probability
from ...encoders.config import has_independent_attention
from ...encoders.inputs import EncoderInput
from ...errors import LukeError, warn
from ...tokenization.entity_vocab import EntityVocab
from ..base.component import TaskComponent, Training
from ..base.gold import GoldReport, listed
from ..base.losses import binary_cross_entropy, cross_entropy, sigmoid, softmax
from ..base.problem_type import MULTI_LABEL, SINGLE_LABEL, problem_entry, problem_of
from .inputs import DocumentLayout, Layout, Placement, UnmarkedPlacement
from .markers import MarkedLayout, MarkerVocab, marker_ids

UNMARKED = "unmarked"  # settings of a head without markers, in our own block of config.json
_WINDOWS = "it must be spacy-luke.sentence_windows.v1 for LUKE, spacy-luke.strided_windows.v1 for Longformer"
# [[label, probability], …]; no mapping, which config.cfg could not keep for labels such as "per:title".
LabelThresholds = Mapping[str, float] | Iterable[Sequence[Any]]
# Items that are tokenised and sorted by length at a time: memory does not grow with their number.
_AT_A_TIME = 1024


@dataclass(frozen=True)
class ScoredItems:
    """Raw scores of the items of a Doc.

    items: pairs (head, tail), or spans as tuples of one.
    logits: *Shape:* (items, labels), float32
    """

    items: list[tuple[Span, ...]]
    logits: np.ndarray


@dataclass
class Targets:
    """Targets of the items of a Doc, and what of the gold annotation is lost on the way.

    labels: 1 for the labels of each item. *Shape:* (items, labels), float32
    known: False for items without annotation. *Shape:* (items,)
    gold: how many gold items there are; missed: those that are no items of the predicted Doc, as text.
    several_labels: how many items have several labels where only the first is learned.
    log_rates: added to the logits of every item, for classes that were drawn at a rate; None = all were taken.
        *Shape:* (labels,), float32
    """

    labels: np.ndarray
    known: np.ndarray
    gold: int = 0
    missed: list[str] = field(default_factory=list)
    several_labels: int = 0
    log_rates: np.ndarray | None = None

    def shift(self, items: int) -> np.ndarray:
        """Bias that is added to the logits of some items. *Shape:* (items, labels) or (items, 1)"""
        none = np.zeros(1, dtype=np.float32)
        return np.tile(none if self.log_rates is None else self.log_rates, (items, 1))


def _checked_thresholds(thresholds: Any) -> dict[str, float]:
    """Least probabilities by label; L047 for anything else."""
    reason = "it is a list of [label, probability in [0, 1]], each label once"
    pairs = list(thresholds.items()) if isinstance(thresholds, Mapping) else thresholds
    if not isinstance(pairs, list | tuple):
        raise LukeError("L047", setting="label_thresholds", value=thresholds, reason=reason)
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not isinstance(pair[0], str):
            raise LukeError("L047", setting="label_thresholds", value=thresholds, reason=reason)
        require_probability(label_thresholds=pair[1])
    checked = {label: float(probability) for label, probability in pairs}
    if len(checked) < len(pairs):
        raise LukeError("L047", setting="label_thresholds", value=thresholds, reason=reason)
    return checked


class EntityMarkerComponent(TaskComponent):
    """Labels for items of a text.

    markers: whether each item is marked in its text and encoded with it, as in the paper. Without markers, which needs
        a LUKE with independent attention, a window is encoded once for all of its items, and an item is an entity or
        two that see the pieces and each other. null = as the checkpoint was trained; a new head has markers unless the
        encoder's attention is independent.
    windows: how much of the Doc is seen with an item; null = as the checkpoint was trained, else its sentences (LUKE)
        or the whole Doc (Longformer). What is longer than a window is cut around the item.
    max_mention_pieces: pieces of a mention, markers included, that give it its position in LUKE; the rest does not
        count.
    multi_label: several labels for an item, each with a probability of its own (sigmoid), or just one (softmax);
        null = as the checkpoint was trained (`problem_type` in config.json), else several for types and one for
        relations.
    threshold: least probability in [0, 1] of a predicted label; null = 0.5 with `multi_label`, else 0.
    label_thresholds: the same for single labels, a list of [label, probability]; `threshold` is that of the others.
        L190 for a label that the component does not have.
    max_batch_pieces: most pieces and entities of one forward pass, padding included: bounds its memory.
    """

    head_options = (UNMARKED,)
    default_multi_label: ClassVar[bool]
    # In messages: the items, their gold annotation, and why some of that cannot be learned.
    what: ClassVar[str]
    gold_what: ClassVar[str]
    no_item: ClassVar[str]

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str,
        *,
        markers: bool | None,
        windows: PassageWindows | Windows | None,
        max_mention_pieces: int,
        multi_label: bool | None,
        threshold: float | None,
        label_thresholds: Any,
        max_batch_pieces: int,
        scorer: Callable[..., dict[str, Any]] | None,
    ):
        super().__init__(vocab, model, name, windows=windows, max_batch_pieces=max_batch_pieces, scorer=scorer)
        if windows is not None and not isinstance(windows, PassageWindows | Windows):
            raise LukeError("L047", setting="windows", value=windows, reason=_WINDOWS)
        self._markers_setting = markers
        # What the training data calls entities, for a new head without markers.
        self._types_of_new_head: tuple[str, ...] = ()
        require_at_least(1, max_mention_pieces=max_mention_pieces)
        self.max_mention_pieces = max_mention_pieces
        self._multi_label_setting = multi_label
        self.threshold = threshold
        self.label_thresholds = label_thresholds

    @property
    def markers(self) -> bool:
        """Whether items are marked in their text; L040 before there are weights."""
        return UNMARKED not in self._require_weights().settings

    @property
    def windows(self) -> PassageWindows | Windows:
        """The windows in use; never longer than the encoder's positions allow."""
        return self._windows(partial(build_sentence_windows, context="none"), special_pieces=2)

    @property
    def multi_label(self) -> bool:
        """Whether an item may have several labels."""
        if self._multi_label_setting is not None:
            return self._multi_label_setting
        problem = problem_of(self._description.config.extra) if self._description else ""
        return {MULTI_LABEL: True, SINGLE_LABEL: False}.get(problem, self.default_multi_label)

    @property
    def threshold(self) -> float:
        """Least probability of a predicted label. `None` sets the default: 0.5 with `multi_label`, else 0."""
        if self._threshold_setting is not None:
            return self._threshold_setting
        return 0.5 if self.multi_label else 0.0

    @threshold.setter
    def threshold(self, threshold: float | None) -> None:
        if threshold is not None:
            require_probability(threshold=threshold)
        self._threshold_setting = threshold

    @property
    def label_thresholds(self) -> dict[str, float]:
        """Least probabilities of the labels that have one of their own. It is set with a dictionary or with pairs."""
        return dict(self._label_thresholds)

    @label_thresholds.setter
    def label_thresholds(self, thresholds: LabelThresholds) -> None:
        checked = _checked_thresholds(thresholds)
        if self._description is not None:
            self._require_labels_of_settings({"label_thresholds": checked}, self.logit_labels)
        self._label_thresholds = checked

    def _least_probabilities(self) -> np.ndarray:
        """The threshold of each row of the head. *Shape:* (labels,), float64"""
        general = self.threshold
        return np.array([self._label_thresholds.get(name, general) for name in self._row_names(self.logit_labels)])

    def _row_names(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        """The label that each row of a head predicts. labels: of the rows."""
        return labels

    def _predictable(self, labels: tuple[str, ...]) -> set[str]:
        """The labels that a head can predict. labels: of its rows."""
        return set(labels)

    @property
    def _labels_in_settings(self) -> dict[str, Iterable[str]]:
        """The labels that settings name, by setting."""
        return {"label_thresholds": self._label_thresholds}

    def _require_labels_of_settings(self, settings: Mapping[str, Iterable[str]], labels: tuple[str, ...]) -> None:
        """L190 if settings name labels that a head does not predict. labels: of its rows."""
        known = self._predictable(labels).union(self._added_labels)
        for setting, named in settings.items():
            if unknown := sorted(set(named) - known):
                shown = ", ".join(sorted(known))
                raise LukeError("L190", name=self.name, setting=setting, unknown=", ".join(unknown), known=shown)

    def _check_head(self, source: Description, entity_vocab: EntityVocab, labels: tuple[str, ...]) -> None:
        self._require_labels_of_settings(self._labels_in_settings, labels)

    def _config_entries(self, labels: tuple[str, ...], *, new_head: bool) -> dict[str, Any]:
        if not new_head and self._multi_label_setting is None:
            return {}
        multi = self.default_multi_label if self._multi_label_setting is None else self._multi_label_setting
        return problem_entry(multi)

    def _check_encoder(self, source: Description, settings: Mapping[str, Any]) -> None:
        windows = self._windows_setting
        if UNMARKED in settings:
            if not has_independent_attention(source.config):
                raise LukeError("L186", name=self.name)
            if windows is not None and not isinstance(windows, Windows):
                raise LukeError("L047", setting="windows", value=windows, reason=_WINDOWS)
            return
        if source.config.entity_inputs:
            marker_ids(source.tokenizer, source.config.vocab_size)  # L033
        if windows is not None and isinstance(windows, PassageWindows) != source.config.entity_inputs:
            raise LukeError("L047", setting="windows", value=windows, reason=_WINDOWS)

    def _head_options(self, source: Description, *, new_head: bool) -> dict[str, Any]:
        if not new_head:
            saved = UNMARKED not in source.settings
            if self._markers_setting not in (None, saved):
                raise LukeError("L185", name=self.name, configured=self._markers_setting, saved=saved)
            return {} if saved else {UNMARKED: source.build_setting(UNMARKED, build_unmarked)}
        markers = self._markers_setting
        if markers is None:
            markers = not has_independent_attention(source.config)
        return {} if markers else {UNMARKED: UnmarkedSettings(self._types_of_new_head)}

    @abstractmethod
    def _items(self, doc: Doc, layout: Placement, example: Example | None = None) -> list[tuple[Span, ...]]:
        """The items of a Doc, each once.

        layout: knows how large they are. example: in training, the Doc's; None in prediction.
        """

    @abstractmethod
    def _is_annotated(self, reference: Doc) -> bool:
        """Whether a reference says anything about the items."""

    @abstractmethod
    def _targets(self, example: Example, items: Sequence[tuple[Span, ...]]) -> Targets:
        """Targets of the items of the predicted Doc; L041 for labels that the component does not have."""

    def _sampled(self, targets: Targets) -> Targets:
        """Targets for one update, which may leave out some of the items."""
        return targets

    # Prediction

    def predict(self, docs: Iterable[Doc]) -> list[ScoredItems]:
        """Raw scores of the items of each Doc."""
        docs = self._as_list(docs)
        labels = len(self._require_weights_or_bundled(docs).labels)
        self._warn_without_sentences(docs)
        layout = self._layout()
        items = [self._items(doc, layout) for doc in docs]
        logits = [np.zeros((len(doc_items), labels), dtype=np.float32) for doc_items in items]
        seen = [np.zeros(len(doc_items), dtype=bool) for doc_items in items]
        places = layout.place(docs, items)
        for rows, scores in self._predict_batches(self._batches(docs, layout, places)):
            for row, row_scores in zip(rows, scores.reshape(len(rows), -1, labels), strict=True):
                logits[row.doc][row.items] = row_scores[: len(row.items)]
                seen[row.doc][row.items] = True
        self._has_read(docs)
        return [
            ScoredItems([item for item, ok in zip(doc_items, mask, strict=True) if ok], scores[mask])
            for doc_items, scores, mask in zip(items, logits, seen, strict=True)
        ]

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Softmax, or sigmoid with `multi_label`, in float64. *Shape:* (items, labels) -> the same"""
        if not len(logits):
            return logits.astype(np.float64)
        return sigmoid(logits) if self.multi_label else softmax(logits)

    def _layout(self) -> Layout | UnmarkedPlacement:
        description, windows = self._require_weights(), self.windows
        if not self.markers:
            assert isinstance(windows, Windows)
            types = description.build_setting(UNMARKED, build_unmarked).types
            return UnmarkedPlacement(
                description.tokenizer,
                description.entity_vocab,
                windows,
                longest_mention=self.max_mention_pieces,
                max_row_pieces=self.max_batch_pieces,
                types={name: number for number, name in enumerate(types, start=1)},
            )
        if isinstance(windows, StridedWindows):
            return DocumentLayout(description.tokenizer, windows)
        assert isinstance(windows, PassageWindows)
        vocab = MarkerVocab(
            description.tokenizer,
            description.entity_vocab,
            marker_ids(description.tokenizer, description.config.vocab_size),
            self.max_mention_pieces,
            windows.max_pieces + 2,
        )
        return MarkedLayout(vocab, windows)

    def _attaches_entities(self, source: Description, settings: Mapping[str, Any]) -> bool:
        return UNMARKED in settings

    def _batches(
        self, docs: Sequence[Doc], layout: Layout | UnmarkedPlacement, places: Sequence[Any], *, training: bool = False
    ) -> Iterator[tuple[list[Any], Any]]:
        """Rows and their padded input. Rows of all Docs go together, sorted by length; at the end, a warning of what
        was left out."""
        if isinstance(layout, UnmarkedPlacement):
            yield from self._window_batches(docs, places, training=training)
        else:
            for start in range(0, len(places), _AT_A_TIME):
                for group in batch_rows(layout.rows(places[start : start + _AT_A_TIME]), self.max_batch_pieces):
                    yield group, layout.collate(group)
        left_out = +layout.left_out
        if left_out:
            warn("W014", name=self.name, what=self.what, count=left_out.total(), reasons=listed(left_out), stacklevel=4)

    # Training

    def _training(self, examples: Sequence[Example]) -> Training[list[Any]]:
        """Return the items with gold annotation. The loss is the cross entropy, or with `multi_label` the binary cross
        entropy, averaged over items and labels, as in the reference."""
        docs = [example.predicted for example in examples]
        self._warn_without_sentences(docs)
        layout = self._layout()
        items = [self._items(e.predicted, layout, e) if self._is_annotated(e.reference) else [] for e in examples]
        targets = [self._sampled(self._targets(e, doc_items)) for e, doc_items in zip(examples, items, strict=True)]
        known = [np.flatnonzero(gold.known) for gold in targets]
        chosen = [[doc_items[i] for i in some] for doc_items, some in zip(items, known, strict=True)]
        places = layout.place(docs, chosen)

        def loss_of(rows: list[Any], logits: np.ndarray, batch: EncoderInput) -> tuple[np.ndarray, float]:
            all_scores = logits.reshape(len(rows), -1, logits.shape[-1])
            real = np.arange(all_scores.shape[1]) < np.array([[len(row.items)] for row in rows])
            wanted = np.concatenate([targets[row.doc].labels[known[row.doc][row.items]] for row in rows])
            scores = all_scores[real] + np.concatenate([targets[row.doc].shift(len(row.items)) for row in rows])
            gradient = np.zeros_like(all_scores)
            if self.multi_label:
                gradient[real], loss = binary_cross_entropy(scores, wanted)
            else:
                gradient[real], loss = cross_entropy(scores, wanted.argmax(axis=1))
            return gradient.reshape(logits.shape), loss

        batches = self._batches(docs, layout, places, training=True)
        return Training(batches, sum(len(place.items) for place in places), loss_of)

    def _prepare(self, get_examples: Callable[[], Iterable[Example]]) -> None:
        """Tell how much of the gold annotation cannot be learned."""
        report = GoldReport()
        for example in get_examples():
            if self._is_annotated(example.reference):
                items = self._items(example.predicted, self._layout(), example)
                targets = self._targets(example, items)
                report.total += targets.gold
                report.several_labels += targets.several_labels
                for text in targets.missed:
                    report.miss(self.no_item, text)
        report.warn(self.name, "W019", what=self.gold_what, reasons=self.no_item, several=self.what)

    def _unknown_labels(self, labels: Iterable[str]) -> LukeError:
        return LukeError("L041", labels=", ".join(sorted(set(labels))), name=self.name, known=", ".join(self.labels))
