"""`luke_textcat`: labels for whole Docs, one or several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab
from thinc.api import Model

from ...batching.strided import ContextWindows, build_strided_windows
from ...checkpoints.checkpoint import Checkpoint
from ...checkpoints.heads import SEQUENCE_CLASSIFIER
from ...checks import require_probability
from ...errors import LukeError
from ..base.factory import component_factory
from ..base.gold import GoldReport
from ..base.grouped import GroupedComponent, GroupedTraining
from ..base.losses import binary_cross_entropy, cross_entropy, sigmoid, softmax
from ..base.problem_type import MULTI_LABEL, REGRESSION, problem_entry, problem_of
from .gold import GoldCats, gold_cats
from .inputs import TextRow, text_rows

DEFAULT_CONFIG = """
[luke_textcat]
windows = null
multi_label = null
threshold = null
max_batch_pieces = 4096

[luke_textcat.model]
@architectures = "spacy-luke.SequenceClassifier.v1"

[luke_textcat.scorer]
@scorers = "spacy-luke.textcat_scorer.v1"
"""


class LukeTextCategorizer(GroupedComponent[TextRow]):
    """Labels for Docs, as transformers' classes for sequence classification give them.

    windows: how a long Doc is cut; null = as the checkpoint was trained, else windows of 510 pieces every 382 (LUKE),
        or the whole Doc (Longformer).
    multi_label: several labels for a Doc, each with a probability of its own (sigmoid), or just one (softmax); null =
        as the checkpoint was trained (`problem_type` in config.json), else one. A head with one label has a sigmoid,
        as in transformers' pipelines, and L082 is raised if this is false.
    threshold: least probability in [0, 1] of a label that counts as predicted in the scores; null = 0.5. Without
        `multi_label` it means nothing: the most probable label counts, as in spaCy's `textcat`.
    max_batch_pieces: most pieces of one forward pass, padding included.

    The logits of a Doc of several windows are the mean of theirs. Each piece counts in the window that shows most
    around it, so a window's weight is the number of those. A Doc without text has probability 0 for all labels.

    missed_gold: reason -> how many gold texts updates could not learn from.
    """

    architecture = SEQUENCE_CLASSIFIER
    factory = "luke_textcat"
    gold_place = "doc.cats"

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str,
        *,
        windows: ContextWindows | None,
        multi_label: bool | None,
        threshold: float | None,
        max_batch_pieces: int,
        scorer: Callable[..., dict[str, Any]] | None,
    ):
        super().__init__(vocab, model, name, windows=windows, max_batch_pieces=max_batch_pieces, scorer=scorer)
        if windows is not None and not isinstance(windows, ContextWindows):
            reason = "they must cut a text whatever its sentences, as spacy-luke.strided_windows.v1 does"
            raise LukeError("L047", setting="windows", value=windows, reason=reason)
        if threshold is not None:
            require_probability(threshold=threshold)
        self.threshold = threshold
        self._multi_label_setting = multi_label
        self.missed_gold: Counter[str] = Counter()

    @property
    def windows(self) -> ContextWindows:
        """The windows in use; never longer than the encoder's positions allow."""
        return self._windows(partial(build_strided_windows, max_pieces=510, stride=382), special_pieces=2)

    @property
    def multi_label(self) -> bool:
        """Whether a Doc may have several labels."""
        if self._multi_label_setting is not None:
            return self._multi_label_setting
        problem = problem_of(self._description.config.extra) if self._description else ""
        return problem == MULTI_LABEL or len(self.labels) == 1

    @property
    def _gold_place(self) -> str:
        return self.gold_place

    def _from_checkpoint(self, checkpoint: Checkpoint) -> None:
        is_own = checkpoint.architecture == checkpoint.architecture_of(self.architecture)
        if is_own and problem_of(checkpoint.config.extra) == REGRESSION:
            reason = f"{checkpoint.path} was trained to predict numbers (problem_type = {REGRESSION!r})"
            raise LukeError("L082", name=self.name, reason=reason)
        super()._from_checkpoint(checkpoint)

    def _check_labels(self, labels: tuple[str, ...]) -> None:
        if len(labels) == 1 and self._multi_label_setting is False:
            reason = f"with multi_label = false, {labels[0]!r} alone would always be right"
            raise LukeError("L082", name=self.name, reason=reason)

    def _labels_of_new_head(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        self._check_labels(labels)
        return labels

    def _config_entries(self, labels: tuple[str, ...], *, new_head: bool) -> dict[str, Any]:
        if self._multi_label_setting is not None:
            return problem_entry(self._multi_label_setting)
        return problem_entry(len(labels) == 1) if new_head else {}

    # Prediction

    def logits(self, docs: Iterable[Doc]) -> list[tuple[list[Doc], np.ndarray]]:
        """Per Doc itself and its raw scores, before softmax or sigmoid; neither if it has no text.

        *Shape:* (1, labels), float32; labels in the order of `labels`.
        """
        docs = self._as_list(docs)
        scores = np.split(self.predict(docs), range(1, len(docs)))
        return [([doc], row) if _has_text(row).any() else ([], row[:0]) for doc, row in zip(docs, scores, strict=False)]

    def predict(self, docs: Iterable[Doc]) -> np.ndarray:
        """Raw scores of each Doc; NaN for those without text. *Shape:* (Docs, labels), float32"""
        docs = self._as_list(docs)
        labels = len(self._require_weights_or_bundled(docs).labels)
        rows = self._rows(docs)
        found = {(row.doc, row.window): logits for row, logits in self._row_logits(row for of in rows for row in of)}
        scores = np.full((len(docs), labels), np.nan, dtype=np.float32)
        for index, doc_rows in enumerate(rows):
            if doc_rows:
                scores[index] = _mean(doc_rows, np.stack([found[row.doc, row.window] for row in doc_rows]))
        return scores

    def set_annotations(self, docs: Iterable[Doc], scores: np.ndarray) -> None:
        """Write the probability of every label to `doc.cats`; other keys stay."""
        has_text = _has_text(scores)
        probabilities = np.zeros(scores.shape, dtype=np.float64)
        if has_text.any():
            probabilities[has_text] = (sigmoid if self.multi_label else softmax)(scores[has_text])
        for doc, row in zip(docs, probabilities, strict=True):
            doc.cats.update(zip(self.labels, row.tolist(), strict=True))

    def _rows(self, docs: Sequence[Doc]) -> list[list[TextRow]]:
        """The windows of each Doc; none for one without text."""
        tokenizer, windows = self._require_weights().tokenizer, self.windows
        return [
            [] if not doc.text.strip() else text_rows(index, tokenizer.encode_text(doc.text, ()), windows)
            for index, doc in enumerate(docs)
        ]

    # Training

    def score(self, examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
        """Scores of `doc.cats`; see the scorer."""
        settings = {"multi_label": self.multi_label, "threshold": self.threshold}
        return super().score(examples, **{**settings, **kwargs})

    def _training(self, examples: Sequence[Example]) -> GroupedTraining[TextRow]:
        """Return the windows of the annotated Docs, grouped by Doc.

        The loss is the cross entropy, or with `multi_label` the binary cross entropy, averaged over all labels of the
        Docs whose value is known: a label that `doc.cats` of a reference does not have is not learned. Without
        `multi_label` it has the value 0.
        """
        report = GoldReport()
        gold = [self._gold(example, report) for example in examples]
        self.missed_gold += report.missed
        rows = self._rows([example.predicted for example in examples])
        learned = [doc_rows for doc_rows, found in zip(rows, gold, strict=True) if doc_rows and found.known.any()]
        total = sum(int(gold[row.doc].known.sum()) if self.multi_label else 1 for row, *_ in learned)

        def loss_of_doc(windows: Sequence[TextRow], logits: np.ndarray) -> tuple[np.ndarray, float]:
            doc_gold, scores = gold[windows[0].doc], _mean(windows, logits)
            if self.multi_label:
                gradient, known = np.zeros_like(scores), doc_gold.known
                found, loss = binary_cross_entropy(scores[known, None], doc_gold.values[known, None])
                gradient[known] = found[:, 0]
            else:
                found, loss = cross_entropy(scores[None], doc_gold.values[None].argmax(axis=1))
                gradient = found[0]
            return np.outer(_shares(windows), gradient), loss

        return self._grouped_training(learned, total, loss_of_doc)

    def _labels_of(self, get_examples: Callable[[], Iterable[Example]]) -> tuple[str, ...]:
        return tuple(sorted({label for example in get_examples() for label in example.reference.cats}))

    def _gold(self, example: Example, report: GoldReport) -> GoldCats:
        return gold_cats(example, self.labels, self.multi_label, self.name, report)

    def _prepare(self, get_examples: Callable[[], Iterable[Example]]) -> None:
        report = GoldReport()
        for example in get_examples():
            self._gold(example, report)
        report.warn(self.name, "W020", what="texts")


def _has_text(scores: np.ndarray) -> np.ndarray:
    """Mask of the rows of Docs with text. *Shape:* (Docs, labels) -> (Docs,), bool"""
    return ~np.isnan(scores).any(axis=1)


def _shares(rows: Sequence[TextRow]) -> np.ndarray:
    """The weights of the windows of a text. *Shape:* (windows,)"""
    return np.array([row.share for row in rows])


def _mean(rows: Sequence[TextRow], logits: np.ndarray) -> np.ndarray:
    """Logits of a text. *Shape:* (windows, labels) -> (labels,), float32"""
    return (_shares(rows) @ logits.astype(np.float64)).astype(np.float32)


make_luke_textcat = component_factory(
    LukeTextCategorizer,
    DEFAULT_CONFIG,
    assigns=["doc.cats"],
    score_weights={
        "cats_score": 1.0,
        "cats_score_desc": None,
        "cats_micro_p": None,
        "cats_micro_r": None,
        "cats_micro_f": None,
        "cats_macro_p": None,
        "cats_macro_r": None,
        "cats_macro_f": None,
        "cats_macro_auc": None,
        "cats_f_per_type": None,
        "cats_auc_per_type": None,
    },
)
