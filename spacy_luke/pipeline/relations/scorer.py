"""Scores of relations: with the entities at hand, with their labels, and of the entities that were found only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from spacy.scorer import PRFScore
from spacy.tokens import Doc, Span
from spacy.training import Example

from ...annotations import RELATIONS, get_relations, has_annotation
from ..base.negative_label import NO_RELATION
from ..base.scoring import CharRange, CharRanges, calibration, char_ranges, per_label, prf

# Range and labels of an end of a relation; several labels only where spans under a key overlap completely.
End = tuple[CharRange, tuple[str, ...]]
# Head, tail, label
Fact = tuple[End, End, str]


def build_relations_scorer(
    symmetric: list[str] | None = None, negative_label: str | None = None, spans_key: str | None = None
) -> Callable[..., dict[str, Any]]:
    """Scores of `luke_relations`, as `spacy-luke.relations_scorer.v1`.

    symmetric: labels whose direction does not count.
    negative_label: label that means "not related"; relations with it are ignored, gold and predicted. null = any of
        its usual names (no_relation, NA, Other, …).
    spans_key: the entities are the spans under this key of `doc.spans`; null = `doc.ents`.

    What is not set here is as the settings of the component have it (`spans_key` that of its `pairs`).

    A relation is right if head, tail and label are. Micro-averaged precision, recall and F1 without the negative label,
    as in TACRED's scorer (Zhang et al. 2017):

    - `rel_micro_p`, `_r`, `_f`: all relations ("boundaries" in Taillé et al. 2020). With gold entities these are the
      usual scores of relation classification; with predicted entities they are end-to-end scores: a relation whose
      entities were not found is missed.
    - `rel_per_type`: the same by label.
    - `rel_strict_p`, `_r`, `_f`: the labels of both entities must be right, too ("strict" in Bekoulis et al. 2018 and
      Taillé et al. 2020). An end without a label has that of the entity in its place. None if no gold end has one.
    - `rel_ece`: expected calibration error of the scores of predicted relations (see `calibration_error`), and
      `rel_calibration` its bins.
    - `rel_found_p`, `_r`, `_f`: only relations, gold and predicted, whose two spans are entities of both Docs. Beside
      end-to-end scores, they say how much is lost by the relations and how much by the entities.

    References without annotated relations are left out. Scores are None if there is nothing gold and nothing predicted.
    """
    settings = {"symmetric": symmetric, "negative_label": negative_label, "spans_key": spans_key}
    return partial(_score_with, {name: value for name, value in settings.items() if value})


def _score_with(settings: dict[str, Any], examples: Iterable[Example], **component_settings: Any) -> dict[str, Any]:
    return score_relations(examples, **{**component_settings, **settings})


def score_relations(
    examples: Iterable[Example],
    *,
    symmetric: Iterable[str] = (),
    negative_label: str | None = None,
    spans_key: str | None = None,
    **kwargs: Any,
) -> dict[str, Any]:
    """See `build_relations_scorer`."""
    symmetric = frozenset(symmetric)
    negative = frozenset(NO_RELATION if negative_label is None else [negative_label])
    micro, strict, found = PRFScore(), PRFScore(), PRFScore()
    per_type: defaultdict[str, PRFScore] = defaultdict(PRFScore)
    gold_ends: list[End] = []
    scored: list[tuple[float, bool]] = []
    for example in examples:
        if not has_annotation(example.reference, RELATIONS):
            continue
        docs = zip((example.predicted, example.reference), char_ranges(example), strict=True)
        (cand, cand_entities), (gold, gold_entities) = (
            _facts(doc, char_range, symmetric, negative, spans_key) for doc, char_range in docs
        )
        strict.score_set(cand, gold)
        gold_ends += (end for *ends, _ in gold for end in ends)
        cand_plain, gold_plain = _without_labels(cand), _without_labels(gold)
        micro.score_set(cand_plain, gold_plain)
        for label in {fact[-1] for fact in cand_plain | gold_plain}:
            per_type[label].score_set(_labelled(cand_plain, label), _labelled(gold_plain, label))
        scored += _scored(example, gold_plain, symmetric, negative)
        both = cand_entities & gold_entities
        found.score_set(_between(cand_plain, both), _between(gold_plain, both))
    comparable = not gold_ends or any(labels for _, labels in gold_ends)
    return {
        **prf("rel_micro", micro),
        **prf("rel_strict", strict if comparable else None),
        **prf("rel_found", found),
        **per_label("rel_per_type", per_type),
        **calibration("rel", scored),
    }


def _facts(
    doc: Doc, char_range: CharRanges, symmetric: frozenset[str], negative: frozenset[str], spans_key: str | None
) -> tuple[set[Fact], set[CharRange]]:
    """The relations of a Doc, and the character ranges of its entities."""
    entities: defaultdict[CharRange, set[str]] = defaultdict(set)
    for span in doc.ents if spans_key is None else doc.spans.get(spans_key, ()):
        entities[char_range(span)].update(_label(span))

    def end(span: Span) -> End:
        labels = _label(span) or entities.get(char_range(span), set())
        return char_range(span), tuple(sorted(labels))

    facts = set()
    for relation in get_relations(doc):
        if relation.label not in negative:
            head, tail = end(relation.head), end(relation.tail)
            if relation.label in symmetric:
                head, tail = sorted((head, tail))
            facts.add((head, tail, relation.label))
    return facts, set(entities)


def _scored(
    example: Example, gold: set[tuple[CharRange, CharRange, str]], symmetric: frozenset[str], negative: frozenset[str]
) -> Iterator[tuple[float, bool]]:
    """Probability of each predicted relation, and whether it is right."""
    char_range, _ = char_ranges(example)
    for relation in get_relations(example.predicted):
        if relation.label not in negative:
            ends = [char_range(relation.head), char_range(relation.tail)]
            head, tail = sorted(ends) if relation.label in symmetric else ends
            yield relation.score, (head, tail, relation.label) in gold


def _label(span: Span) -> set[str]:
    return {span.label_} if span.label_ else set()


def _without_labels(facts: set[Fact]) -> set[tuple[CharRange, CharRange, str]]:
    return {(head, tail, label) for (head, _), (tail, _), label in facts}


def _labelled(facts: set[tuple[CharRange, CharRange, str]], label: str) -> set[tuple[CharRange, CharRange, str]]:
    return {fact for fact in facts if fact[-1] == label}


def _between(
    facts: set[tuple[CharRange, CharRange, str]], entities: set[CharRange]
) -> set[tuple[CharRange, CharRange, str]]:
    return {fact for fact in facts if fact[0] in entities and fact[1] in entities}
