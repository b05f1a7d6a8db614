"""Gold relations -> what the candidate pairs of a Doc should be labelled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from spacy.tokens import Doc, Span
from spacy.training import Example

from ...annotations import RELATIONS, Relation, get_relations, has_annotation
from ..base.gold import aligned_tokens
from ..entity_markers.component import Targets
from .labels import Range, RelationLabels


def relation_targets(
    example: Example, pairs: Sequence[tuple[Span, ...]], scheme: RelationLabels, *, multi_label: bool
) -> tuple[Targets, set[str]]:
    """Targets of the candidate pairs of the predicted Doc, and gold labels that the head does not have."""
    labels = scheme.labels
    targets = Targets(
        np.zeros((len(pairs), len(labels)), dtype=np.float32),
        np.full(len(pairs), has_annotation(example.reference, RELATIONS)),
    )
    index: dict[tuple[Any, ...], list[int]] = {}
    for i, pair in enumerate(pairs):
        index.setdefault(tuple((s.start, s.end) for s in pair), []).append(i)
    column = {label: i for i, label in enumerate(labels)}
    unknown: set[str] = set()
    several: set[int] = set()
    for relation, readings in _gold_readings(example, scheme):
        targets.gold += 1
        if any(label not in column for _, label in readings):
            unknown.add(relation.label)
            continue
        rows = [(i, column[label]) for ranges, label in readings for i in index.get(ranges, ())]
        if not rows:
            targets.missed.append(f"{relation.head.text!r} {relation.label} {relation.tail.text!r}")
        for i, label in rows:
            if multi_label or not targets.labels[i].any():
                targets.labels[i, label] = 1.0
            elif not targets.labels[i, label]:
                several.add(i)
    targets.several_labels = len(several)
    if scheme.negative is not None:
        targets.labels[~targets.labels.any(axis=1), column[scheme.negative]] = 1.0
    elif not multi_label:
        targets.known &= targets.labels.any(axis=1)
    return targets, unknown


def gold_pairs(example: Example, scheme: RelationLabels) -> set[tuple[Range, Range]]:
    """Token ranges, in the predicted Doc, of head and tail of the pairs that gold relations make related."""
    return {ranges for _, readings in _gold_readings(example, scheme) for ranges, _ in readings}


def _gold_readings(
    example: Example, scheme: RelationLabels
) -> Iterator[tuple[Relation, list[tuple[tuple[Range, Range], str]]]]:
    """The gold relations but those that mean "not related", each with its readings in tokens of the predicted Doc."""
    for relation in get_relations(example.reference):
        if not scheme.means_unrelated(relation.label):
            head, tail = (aligned_tokens(example, span) for span in (relation.head, relation.tail))
            yield relation, scheme.readings(head, tail, relation.label)


def with_some_negatives(targets: Targets, negative: int, maximum: int) -> Targets:
    """Targets that leave out all but `maximum` of the pairs with the negative label, drawn at random.

    negative: column of that label.
    """
    free = np.flatnonzero(targets.known & (targets.labels[:, negative] > 0))
    drawn = np.random.permutation(free)[:maximum]  # noqa: NPY002
    known = targets.known.copy()
    known[free] = False
    known[drawn] = True
    log_rates = np.zeros(targets.labels.shape[1], dtype=np.float32)
    if len(drawn):
        log_rates[negative] = np.log(len(drawn) / len(free))
    return replace(targets, known=known, log_rates=log_rates)


def related_types(
    references: Iterable[Doc], spans_of: Callable[[Doc], Iterable[Span]], scheme: RelationLabels
) -> set[tuple[str, ...]]:
    """The labels of head and tail of all relations of some Docs; both ways round where the direction says nothing.

    spans_of: the entities of a Doc, which have the labels that the spans of a relation may lack.
    """
    seen: set[tuple[str, ...]] = set()
    for reference in references:
        label_of = {(span.start, span.end): span.label_ for span in spans_of(reference)}
        for relation in get_relations(reference):
            if scheme.means_unrelated(relation.label):
                continue
            ends = (relation.head, relation.tail)
            pair = tuple(span.label_ or label_of.get((span.start, span.end), "") for span in ends)
            seen.add(pair)
            if scheme.directed or relation.label in scheme.symmetric:
                seen.add(pair[::-1])
    return seen
