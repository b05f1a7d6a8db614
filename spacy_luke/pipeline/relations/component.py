"""`luke_relations`: two entities are marked in their text, and the classifier says how they are related."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.vocab import Vocab
from thinc.api import Model

from ...annotations import RELATIONS, Relation, get_relations, has_annotation, set_relations
from ...batching.windows import PassageWindows, Windows
from ...checkpoints.heads import PAIR_CLASSIFIER
from ...checks import require_at_least
from ...errors import LukeError, warn
from ...user_functions import naming_key_errors
from ..base.factory import component_factory
from ..base.negative_label import NO_RELATION, find_negative
from ..entity_markers.component import EntityMarkerComponent, ScoredItems, Targets
from ..entity_markers.inputs import Placement
from .candidates import CandidatePairs, EntityPairs, PairGetter, checked_pairs, nearest_pairs
from .gold import gold_pairs, related_types, relation_targets, with_some_negatives
from .labels import (
    BACKWARD,
    FORWARD,
    RelationLabels,
    both_directions,
    in_text_order,
    is_directed,
    split_direction,
)
from .single_tail import checked_single_tail, learned_single_tails, with_single_tails

TYPE_PAIRS = "type_pairs"
# Pieces and entities of a pair at least: its two entities.
_SMALLEST_PAIR = 2
SINGLE_TAIL = "single_tail"
DEFAULT_CONFIG = """
[luke_relations]
markers = null
windows = null
max_mention_pieces = 30
max_negatives = null
multi_label = null
threshold = null
label_thresholds = []
negative_label = null
directed_labels = null
symmetric = []
single_tail = null
max_batch_pieces = 4096
max_doc_pieces = 32768

[luke_relations.model]
@architectures = "spacy-luke.PairClassifier.v1"

[luke_relations.pairs]
@misc = "spacy-luke.entity_pairs.v1"
spans_key = null
across_sentences = false
max_distance = null
type_pairs = null
both_directions = true
max_pairs = null

[luke_relations.scorer]
@scorers = "spacy-luke.relations_scorer.v1"
"""


class LukeRelations(EntityMarkerComponent):
    """Relations by classifying pairs of entities (Yamada et al. 2020, section 4.2).

    pairs: the candidate pairs (head, tail) of a Doc; default: all ordered pairs of `doc.ents` in one sentence.
    negative_label: label for "not related"; null = found among the labels by its name (no_relation, NA, Other, …).
        With `multi_label` there is usually none.
    directed_labels: the labels say which entity is the head ("Cause-Effect(e2,e1)"), and each pair is scored once, in
        text order; null = if the checkpoint's labels look so. Gold and predicted relations have plain labels.
    max_negatives: unrelated pairs of a Doc in training, drawn at random; the loss makes up for their
        number; null = all, as in the paper. It needs a negative label, and no `multi_label`.
    symmetric: labels whose direction means nothing: learned in both directions, predicted once, in text order.
    single_tail: labels with at most one tail for a head in a Doc, such as that of the date of birth: of several
        predicted ones the most probable stays. "learned" = those of which at least 50 heads were in the training data
        and at most 2 % of them with several tails; null = none. Mentions with the same `kb_id_` or `ent_id_` are one
        entity, and so are tails that read the same. L190 for a label that the component does not have.
    max_doc_pieces: most pieces and entities that the encoder computes for the pairs of a Doc: in classic mode those of
        the row of each pair, its passage with markers; without markers the two entities of each, which count twice, and
        with Longformer once.
        Of more pairs, those with the fewest tokens between the two are taken, with a warning (W013); null = no bound.
        In training, where this bounds an update as well, the pairs that are related are always taken, however many
        they are and however far apart, and then the nearest.

    The other settings are those of `EntityMarkerComponent`.
    """

    architecture = PAIR_CLASSIFIER
    factory = "luke_relations"
    gold_place = "doc._.relations"
    default_multi_label = False
    what = "pairs"
    gold_what = "relations"
    no_item = "their spans are no candidate pair"

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str,
        *,
        markers: bool | None,
        windows: PassageWindows | Windows | None,
        pairs: PairGetter,
        max_mention_pieces: int,
        max_negatives: int | None,
        multi_label: bool | None,
        threshold: float | None,
        label_thresholds: Any,
        negative_label: str | None,
        directed_labels: bool | None,
        symmetric: list[str],
        single_tail: Any,
        max_batch_pieces: int,
        max_doc_pieces: int | None,
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
        if not callable(pairs):
            reason = "it must be a function from a Doc to pairs of its Spans"
            raise LukeError("L047", setting="pairs", value=pairs, reason=reason)
        if max_negatives is not None:
            require_at_least(0, max_negatives=max_negatives)
        if max_doc_pieces is not None:
            require_at_least(1, max_doc_pieces=max_doc_pieces)
        self.pairs = pairs
        self.max_negatives = max_negatives
        self.max_doc_pieces = max_doc_pieces
        self.symmetric = frozenset(symmetric)
        self.single_tail = checked_single_tail(single_tail)
        self._negative_setting = negative_label
        self._directed_setting = directed_labels

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of relations, without the negative one and without directions; () before the component has weights."""
        return self._names(directed=self.directed_labels)

    @property
    def label_data(self) -> tuple[str, ...] | None:
        """Labels for `[initialize.components.X] labels`: those of relations, without directions if the settings say
        that labels are directed; None if there are none."""
        return self._names(directed=self._directed_setting) or None

    def _names(self, *, directed: bool | None) -> tuple[str, ...]:
        related = (label for label in self.logit_labels if label != self.negative_label)
        return tuple(dict.fromkeys(split_direction(label)[0] if directed else label for label in related))

    @property
    def negative_label(self) -> str | None:
        """The label that means "not related"; None if there is none."""
        return self._negative_of(self.logit_labels)

    def _negative_of(self, labels: tuple[str, ...]) -> str | None:
        return find_negative(self.name, labels, self._negative_setting, NO_RELATION)

    @property
    def directed_labels(self) -> bool:
        """Whether the labels of the classifier carry the direction."""
        return self._directs(self.logit_labels)

    def _directs(self, labels: Iterable[str]) -> bool:
        return any(map(is_directed, labels)) if self._directed_setting is None else self._directed_setting

    def _row_names(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(split_direction(label)[0] for label in labels) if self._directs(labels) else labels

    def _predictable(self, labels: tuple[str, ...]) -> set[str]:
        negative = self._negative_of(labels)
        return set(self._row_names(tuple(label for label in labels if label != negative)))

    @property
    def _labels_in_settings(self) -> dict[str, Iterable[str]]:
        named = () if self.single_tail in (None, "learned") else self.single_tail
        return {**super()._labels_in_settings, "single_tail": named}

    def _scheme(self, labels: tuple[str, ...]) -> RelationLabels:
        """Meaning of the labels of a head under the settings."""
        negative = self._negative_of(labels)
        is_set = self._negative_setting is not None
        return RelationLabels(labels, negative, is_set, self._directs(labels), self.symmetric)

    def _check_labels(self, labels: tuple[str, ...]) -> None:
        negative = self._negative_of(labels)
        plain = [label for label in labels if label not in self.symmetric and label != negative]
        if self._directed_setting and plain and not any(map(is_directed, plain)):
            reason = f"no label of the checkpoint ends with {FORWARD} or {BACKWARD}: {', '.join(labels)}"
            raise LukeError("L047", setting="directed_labels", value=True, reason=reason)

    @property
    def _calibration_scores(self) -> tuple[str, str]:
        return ("rel_micro_f", "rel_ece")

    def logits(self, docs: Iterable[Doc]) -> list[tuple[list[tuple[Span, Span]], np.ndarray]]:
        """Per Doc its candidate pairs (head, tail) and their raw scores, before softmax or sigmoid.

        *Shape:* (pairs, labels), float32; labels in the order of `logit_labels`, the negative one included.
        """
        return [([(head, tail) for head, tail in scored.items], scored.logits) for scored in self.predict(docs)]

    def set_annotations(self, docs: Iterable[Doc], scores: Sequence[ScoredItems]) -> None:
        """Decode raw scores into `doc._.relations`."""
        for doc, scored in zip(docs, scores, strict=True):
            set_relations(doc, self._decode(scored))

    def _decode(self, scored: ScoredItems) -> list[Relation]:
        if not scored.items:
            return []
        probabilities = self.probabilities(scored.logits)
        scheme = self._scheme(self.logit_labels)
        chosen = probabilities >= self._least_probabilities()
        if not self.multi_label:
            chosen &= np.arange(len(self.logit_labels)) == probabilities.argmax(axis=1)[:, None]
        best: dict[tuple[Any, ...], Relation] = {}
        for i, label in np.argwhere(chosen).tolist():
            name = self.logit_labels[label]
            if name == scheme.negative:
                continue
            head, tail = scored.items[i]
            relation = scheme.relation(head, tail, name, float(probabilities[i, label]))
            key = (*((s.start, s.end, s.label) for s in (relation.head, relation.tail)), relation.label)
            if key not in best or best[key].score < relation.score:
                best[key] = relation
        return with_single_tails(best.values(), self._single_tail_labels, self.symmetric)

    @property
    def _single_tail_labels(self) -> Collection[str]:
        """The labels with at most one tail for a head, with those that were learned."""
        if self.single_tail == "learned":
            learned: list[str] = self._require_weights().settings.get(SINGLE_TAIL, [])
            return learned
        return self.single_tail or ()

    # Candidates

    def _items(self, doc: Doc, layout: Placement, example: Example | None = None) -> list[tuple[Span, ...]]:
        getter, most = self._getter, None
        if isinstance(getter, EntityPairs):
            candidates, most = getter.candidates(doc), getter.max_pairs
        else:
            with naming_key_errors(self.name, "pairs", getter):
                pairs = checked_pairs(doc, getter(doc))
            candidates = CandidatePairs.from_pairs(self._distinct(pairs))
        related = () if example is None else gold_pairs(example, self._scheme(self.logit_labels))
        if self.max_doc_pieces is None:
            found = nearest_pairs(candidates, most, related)
            taken = found.pairs
        else:
            at_most = self.max_doc_pieces // _SMALLEST_PAIR
            found = nearest_pairs(candidates, at_most if most is None else min(at_most, most), related)
            taken = found.within(self.max_doc_pieces, partial(layout.sizes, doc))
        if len(taken) < found.count:
            by_number = most is not None and len(taken) >= most
            setting, value = ("max_pairs", most) if by_number else ("max_doc_pieces", self.max_doc_pieces)
            source = f"Component {self.name!r}"
            warn("W013", source=source, count=found.count, taken=len(taken), setting=setting, value=value)
        return [*taken]

    def _distinct(self, pairs: Iterable[tuple[Span, Span]]) -> list[tuple[Span, Span]]:
        """Pairs, each once, with directed labels in text order."""
        if self.directed_labels:
            pairs = [in_text_order(head, tail) for head, tail in pairs]
        unique = {tuple((s.start, s.end, s.label) for s in pair): pair for pair in pairs}
        return list(unique.values())

    @property
    def _getter(self) -> PairGetter:
        """The pair getter, with the types that were learned; with directed labels it gives each pair once."""
        pairs = self.pairs
        if not isinstance(pairs, EntityPairs):
            return pairs
        types = pairs.type_pairs
        if types == "learned":
            learned = self._require_weights().settings.get(TYPE_PAIRS)
            types = None if learned is None else frozenset((head, tail) for head, tail in learned)
        if not self.directed_labels:
            return replace(pairs, type_pairs=types)
        if types is not None and pairs.both_directions:
            types = types | {(tail, head) for head, tail in types}
        return replace(pairs, type_pairs=types, both_directions=False)

    # Training

    def score(self, examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
        """Scores of `doc._.relations`; see the scorer."""
        settings: dict[str, Any] = {"symmetric": self.symmetric, "negative_label": self._negative_setting}
        if isinstance(self.pairs, EntityPairs):
            settings["spans_key"] = self.pairs.spans_key
        return super().score(examples, **{**settings, **kwargs})

    def _labels_of(self, get_examples: Callable[[], Iterable[Example]]) -> tuple[str, ...]:
        return tuple(sorted({r.label for example in get_examples() for r in get_relations(example.reference)}))

    def _has_all(self, labels: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
        if self._negative_setting is not None and self._negative_setting not in labels:
            return False
        scheme = self._scheme(labels)
        wanted = tuple(label for label in wanted if not scheme.means_unrelated(label))
        if scheme.directed:
            wanted = both_directions(wanted, self.symmetric.intersection(labels))
        return set(wanted) <= set(labels)

    def _labels_of_new_head(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        negative = self._negative_setting or next((n for n in NO_RELATION if n in labels), None)
        if negative is None and not self._multi_label_setting:
            negative = NO_RELATION[0]
        related = tuple(label for label in labels if label != negative)
        if self._directs(related):
            related = both_directions(related, self.symmetric)
        return (negative, *related) if negative and related else related

    def _rows_of(self, label: str) -> tuple[str, ...]:
        if self._directs(self.logit_labels):
            return tuple(row for row in both_directions([label], self.symmetric) if row not in self.logit_labels)
        if self.logit_labels and self._directs([label]):
            reason = "its labels have no directions; set directed_labels"
            raise LukeError("L131", name=self.name, label=label, reason=reason)
        return (label,)

    def _is_annotated(self, reference: Doc) -> bool:
        return has_annotation(reference, RELATIONS)

    def _targets(self, example: Example, items: Sequence[tuple[Span, ...]]) -> Targets:
        targets, unknown = relation_targets(
            example, items, self._scheme(self.logit_labels), multi_label=self.multi_label
        )
        if unknown:
            raise self._unknown_labels(unknown)
        return targets

    def _sampled(self, targets: Targets) -> Targets:
        if self.max_negatives is None:
            return targets
        if self.multi_label or self.negative_label is None:
            reason = "negative pairs can be drawn only with a negative label and without multi_label"
            raise LukeError("L047", setting="max_negatives", value=self.max_negatives, reason=reason)
        return with_some_negatives(targets, self.logit_labels.index(self.negative_label), self.max_negatives)

    def _look_at(self, get_examples: Callable[[], Iterable[Example]]) -> None:
        types: set[str] = set()
        for example in get_examples():
            for relation in get_relations(example.reference):
                types |= {relation.head.label_, relation.tail.label_}
            if isinstance(self.pairs, EntityPairs):
                types |= {span.label_ for span in self.pairs.spans(example.reference)}
        self._types_of_new_head = tuple(sorted(types - {""}))

    def _prepare(self, get_examples: Callable[[], Iterable[Example]]) -> None:
        if isinstance(self.pairs, EntityPairs) and self.pairs.type_pairs == "learned":
            references = (example.reference for example in get_examples())
            seen = related_types(references, self.pairs.spans, self._scheme(self.logit_labels))
            self._learn_setting(TYPE_PAIRS, sorted(map(list, seen)))
        if self.single_tail == "learned":
            references = (example.reference for example in get_examples())
            self._learn_setting(SINGLE_TAIL, learned_single_tails(references, self._scheme(self.logit_labels)))
        super()._prepare(get_examples)

    def _learn_setting(self, name: str, value: list[Any]) -> None:
        """Keep with the head what was learned from the data."""
        description = self._require_weights()
        self._description = replace(description, settings={**description.settings, name: value})


make_luke_relations = component_factory(
    LukeRelations,
    DEFAULT_CONFIG,
    requires=["doc.ents"],
    assigns=["doc._.relations"],
    score_weights={"rel_micro_f": 1.0, "rel_micro_p": 0.0, "rel_micro_r": 0.0, "rel_per_type": None},
)
