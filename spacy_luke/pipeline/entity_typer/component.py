"""`luke_entity_typer`: an entity is marked in its text, and the classifier gives its types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.vocab import Vocab
from thinc.api import Model

from ...annotations import get_entity_types, set_entity_type_scores, set_entity_types, typed_spans
from ...batching.device import is_finite
from ...batching.windows import PassageWindows, Windows
from ...checkpoints.heads import ENTITY_CLASSIFIER
from ..base.factory import component_factory
from ..base.gold import aligned_tokens
from ..entity_markers.component import EntityMarkerComponent, ScoredItems, Targets
from ..entity_markers.inputs import Placement

DEFAULT_CONFIG = """
[luke_entity_typer]
markers = null
windows = null
max_mention_pieces = 30
multi_label = null
threshold = null
label_thresholds = []
spans_key = null
max_batch_pieces = 4096

[luke_entity_typer.model]
@architectures = "spacy-luke.EntityClassifier.v1"

[luke_entity_typer.scorer]
@scorers = "spacy-luke.entity_typer_scorer.v1"
"""


class LukeEntityTyper(EntityMarkerComponent):
    """Types of given entities (Yamada et al. 2020, section 4.1).

    spans_key: type the spans under this key of `doc.spans`; null = `doc.ents`.

    The other settings are those of `EntityMarkerComponent`.
    """

    architecture = ENTITY_CLASSIFIER
    factory = "luke_entity_typer"
    gold_place = "span._.entity_types"
    default_multi_label = True
    what = gold_what = "spans"
    no_item = "they are no spans of the predicted Doc"

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
        spans_key: str | None,
        max_batch_pieces: int,
        scorer: Callable[..., dict[str, Any]] | None,
    ):
        super().__init__(
            vocab,
            model,
            name,
            markers=markers,
            windows=windows,
            max_mention_pieces=max_mention_pieces,
            multi_label=multi_label,
            threshold=threshold,
            label_thresholds=label_thresholds,
            max_batch_pieces=max_batch_pieces,
            scorer=scorer,
        )
        self.spans_key = spans_key

    @property
    def _calibration_scores(self) -> tuple[str, str]:
        return ("types_micro_f", "types_ece")

    def logits(self, docs: Iterable[Doc]) -> list[tuple[list[Span], np.ndarray]]:
        """Per Doc its spans and their raw scores, before sigmoid or softmax.

        *Shape:* (spans, labels), float32; labels in the order of `labels`.
        """
        return [([span for (span,) in scored.items], scored.logits) for scored in self.predict(docs)]

    def set_annotations(self, docs: Iterable[Doc], scores: Sequence[ScoredItems]) -> None:
        """Write types, most probable first, and the probabilities of all labels to the spans; none of an output that is
        not finite."""
        least = self._least_probabilities()
        for scored in scores:
            probabilities = self.probabilities(scored.logits)
            for (span,), row in zip(scored.items, probabilities, strict=True):
                if not is_finite(row):
                    set_entity_types(span, None)
                    continue
                order = np.argsort(-row, kind="stable")
                chosen = [i for i in (order if self.multi_label else order[:1]) if row[i] >= least[i]]
                set_entity_types(span, [self.labels[i] for i in chosen])
                set_entity_type_scores(span, dict(zip(self.labels, row.tolist(), strict=True)))

    def _items(self, doc: Doc, layout: Placement, example: Example | None = None) -> list[tuple[Span, ...]]:
        spans = doc.ents if self.spans_key is None else doc.spans.get(self.spans_key, ())
        return [(span,) for span in {(span.start, span.end): span for span in spans}.values()]

    # Training

    def _labels_of(self, get_examples: Callable[[], Iterable[Example]]) -> tuple[str, ...]:
        spans = (span for example in get_examples() for span in typed_spans(example.reference))
        return tuple(sorted({label for span in spans for label in get_entity_types(span)}))

    def _is_annotated(self, reference: Doc) -> bool:
        return bool(typed_spans(reference))

    def _targets(self, example: Example, items: Sequence[tuple[Span, ...]]) -> Targets:
        index = {(span.start, span.end): i for i, (span,) in enumerate(items)}
        targets = Targets(np.zeros((len(items), len(self.labels)), dtype=np.float32), np.zeros(len(items), dtype=bool))
        unknown: set[str] = set()
        for span in typed_spans(example.reference):
            targets.gold += 1
            types = get_entity_types(span)
            unknown |= set(types) - set(self.labels)
            tokens = aligned_tokens(example, span)
            i = index.get(tokens) if tokens is not None else None
            if i is None:
                targets.missed.append(repr(span.text))
                continue
            known = [self.labels.index(label) for label in types if label in self.labels]
            targets.labels[i, known if self.multi_label else known[:1]] = 1.0
            targets.known[i] = self.multi_label or bool(known)
            targets.several_labels += not self.multi_label and len(known) > 1
        if unknown:
            raise self._unknown_labels(unknown)
        return targets


make_luke_entity_typer = component_factory(
    LukeEntityTyper,
    DEFAULT_CONFIG,
    requires=["doc.ents"],
    assigns=["span._.entity_types", "span._.entity_type_scores"],
    score_weights={
        "types_micro_f": 1.0,
        "types_micro_p": 0.0,
        "types_micro_r": 0.0,
        "types_macro_f": 0.0,
        "types_per_type": None,
    },
)
