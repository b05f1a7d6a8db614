"""Scores of relations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from spacy.scorer import PRFScore
from spacy.tokens import Doc, Span
from spacy.training import Example

from ..annotations import RELATIONS, Relation, get_relations, has_annotation

Chars = tuple[int, int]
Key = tuple[Chars, Chars, str]


def build_relations_scorer(
    symmetric: list[str] | None = None, negative_label: str | None = None, spans_key: str | None = None
) -> Callable[..., dict[str, Any]]:
    """Exact-match scores of relations, as `spacy-luke.relations_scorer.v1`.

    symmetric: labels whose direction does not count.
    negative_label: a label in gold or predicted relations that means "not related" and is left out.
    spans_key: the entities are the spans under this key of `doc.spans`; null = `doc.ents`.

    A relation is right if its head, its tail (by characters) and its label are. Over all labels, and Docs whose reference
    has annotation, None if none has:

    - `rel_micro_p`, `rel_micro_r`, `rel_micro_f`, and `rel_per_type`: all gold relations count, so with predicted
      entities these are end-to-end scores, with gold ones those of the relations alone
    - `rel_strict_p` …: the labels of both entities have to be right as well
    - `rel_found_p` …: only relations, gold and predicted, whose entities are both in the reference and in the predicted
      Doc: what the relation component does with the entities that were found
    """
    return partial(
        score_relations, symmetric=tuple(symmetric or ()), negative_label=negative_label, spans_key=spans_key
    )


def score_relations(
    examples: Iterable[Example],
    *,
    symmetric: tuple[str, ...] = (),
    negative_label: str | None = None,
    spans_key: str | None = None,
    **kwargs: Any,
) -> dict[str, Any]:
    """See `build_relations_scorer`."""
    micro, strict, found = PRFScore(), PRFScore(), PRFScore()
    per_type: dict[str, PRFScore] = {}
    annotated = False

    def key(relation: Relation) -> Key:
        head, tail = chars(relation.head), chars(relation.tail)
        if relation.label in symmetric and tail < head:
            head, tail = tail, head
        return head, tail, relation.label

    for example in examples:
        if not has_annotation(example.reference, RELATIONS):
            continue
        annotated = True
        gold, predicted = (
            {key(relation): relation for relation in get_relations(doc) if relation.label != negative_label}
            for doc in (example.reference, example.predicted)
        )
        micro.score_set(set(predicted), set(gold))
        strict.score_set(*({(k, *labels(r, k)) for k, r in side.items()} for side in (predicted, gold)))
        common = entities(example.reference, spans_key) & entities(example.predicted, spans_key)
        found.score_set(*({k for k in side if k[0] in common and k[1] in common} for side in (predicted, gold)))
        for label in {k[2] for k in [*gold, *predicted]}:
            of_label = ({k for k in side if k[2] == label} for side in (predicted, gold))
            per_type.setdefault(label, PRFScore()).score_set(*of_label)
    scores: dict[str, Any] = {}
    for name, score in (("rel_micro", micro), ("rel_strict", strict), ("rel_found", found)):
        values = (score.precision, score.recall, score.fscore) if annotated else (None, None, None)
        scores.update(zip((f"{name}_p", f"{name}_r", f"{name}_f"), values, strict=True))
    scores["rel_per_type"] = {label: per_type[label].to_dict() for label in sorted(per_type)} if annotated else None
    return scores


def chars(span: Span) -> Chars:
    """The characters of a span: what tokenisations have in common."""
    return span.start_char, span.end_char


def labels(relation: Relation, key: Key) -> tuple[str, str]:
    """The labels of the two entities, in the order of the key."""
    pair = (relation.head.label_, relation.tail.label_)
    return pair if chars(relation.head) == key[0] else pair[::-1]


def entities(doc: Doc, spans_key: str | None) -> set[Chars]:
    """The characters of the entities of a Doc."""
    return {chars(span) for span in (doc.ents if spans_key is None else doc.spans.get(spans_key, ()))}
