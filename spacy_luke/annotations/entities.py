"""Annotations of entities, by the characters of their spans: the probability of its label, and beside it that label; a
list of types, and beside it the scores of all of them; a vector. And of a Doc: the labels that its entities are
annotated with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from spacy.tokens import Doc, Span, Token

from ..errors import LukeError
from .store import (
    ENTITY_LABELS,
    ENTITY_TYPES,
    ENTITY_VECTOR,
    LINKED_ENTITIES,
    LUKE_TAG,
    SCORE,
    Characters,
    by_span,
    check_score,
    check_span,
    clear,
    data_of,
    key_of,
    listed,
)

# Under its plain name, so that `Doc.to_json` finds it.
_SCORE_KEY = ("._.", SCORE)


def get_score(span: Span) -> float | None:
    """The probability that a span has its label, in [0, 1]; None if it was not predicted, or with another label.

    A span without label, such as `doc[2:4]`, has the probability of the label that was predicted.
    """
    data = data_of(span.doc)
    label = data.get(key_of("score_label", span.start_char, span.end_char))
    if span.label_ and label is not None and span.label_ != label:
        return None
    score: float | None = data.get((*_SCORE_KEY, span.start_char, span.end_char))
    return score


def set_score(span: Span, score: float | None) -> None:
    """Set the probability that a span has its label; None removes it."""
    check_span(span.doc, span, "span with a score")
    data = data_of(span.doc)
    place = span.start_char, span.end_char
    data.pop(key_of("score_label", *place), None)
    if score is None:
        data.pop((*_SCORE_KEY, *place), None)
        return
    check_score(score, "span._.score")
    data[(*_SCORE_KEY, *place)] = float(score)
    if span.label_:
        data[key_of("score_label", *place)] = span.label_


def get_entity_types(span: Span) -> tuple[str, ...]:
    """The types of a span; () if it has none or is not annotated."""
    return tuple(data_of(span.doc).get(key_of(ENTITY_TYPES, span.start_char, span.end_char)) or ())


def set_entity_types(span: Span, types: Iterable[str] | None) -> None:
    """Replace the types of a span, without scores; None removes the annotation."""
    check_span(span.doc, span, "span with types")
    key = key_of(ENTITY_TYPES, span.start_char, span.end_char)
    if types is None:
        data_of(span.doc).pop(key, None)
        data_of(span.doc).pop(_scores_key(span), None)
        return
    labels = listed(types, "span._.entity_types")
    for label in labels:
        if not isinstance(label, str) or not label:
            raise LukeError("L070", attribute="span._.entity_types", value=label, wanted="labels that are strings")
    data_of(span.doc)[key] = list(dict.fromkeys(labels))
    data_of(span.doc).pop(_scores_key(span), None)


def get_entity_type_scores(span: Span) -> dict[str, float]:
    """Label -> probability of all labels of the component that typed the span; {} if none did."""
    return dict(data_of(span.doc).get(_scores_key(span)) or {})


def set_entity_type_scores(span: Span, scores: Mapping[str, float]) -> None:
    """Set the probability of each label."""
    check_span(span.doc, span, "span with types")
    if not isinstance(scores, Mapping):
        raise LukeError("L070", attribute="span._.entity_type_scores", value=scores, wanted="a dict label -> score")
    for score in scores.values():
        check_score(score, "span._.entity_type_scores")
    data_of(span.doc)[_scores_key(span)] = {str(label): float(score) for label, score in scores.items()}


def typed_spans(doc: Doc) -> list[Span]:
    """The spans of a Doc whose types are annotated, in text order."""
    characters = Characters(doc)
    spans = (characters.span(start, end) for start, end, _ in by_span(doc, ENTITY_TYPES))
    return sorted((s for s in spans if s is not None), key=lambda s: (s.start, s.end))


def get_entity_labels(doc: Doc) -> frozenset[str] | None:
    """The labels that the entities of a Doc are annotated with; None = all there are.

    Where that are some of the labels of a component, a span without entity may be one of the others.
    """
    labels = data_of(doc).get(key_of(ENTITY_LABELS))
    return None if labels is None else frozenset(labels)


def annotated_entities(doc: Doc, spans: Iterable[Span]) -> list[Span]:
    """Select the gold spans with labels that the entities of the Doc are annotated with."""
    labels = get_entity_labels(doc)
    return [span for span in spans if labels is None or span.label_ in labels]


def set_entity_labels(doc: Doc, labels: Iterable[str] | None) -> None:
    """Say which labels the entities of a Doc are annotated with, in `doc.ents` as in `doc.spans`; None = all.

    For training data from corpora whose labels differ: `luke_ner` and `luke_token_classifier` do not learn from a Doc
    that there are no entities of the other labels, and their scorers do not count those that were predicted. Gold
    entities with other labels are as tokens without annotation: nothing is learned there. So a Doc with () says nothing
    to these components, though it has entities for others, linked ones for instance.
    """
    if labels is None:
        data_of(doc).pop(key_of(ENTITY_LABELS), None)
        return
    names = listed(labels, "the labels of a Doc's entities")
    for label in names:
        if not isinstance(label, str) or not label:
            raise LukeError("L070", attribute="the labels of a Doc's entities", value=label, wanted="non-empty strings")
    data_of(doc)[key_of(ENTITY_LABELS)] = sorted(set(names))


def _scores_key(span: Span) -> tuple[Any, ...]:
    return key_of("entity_type_scores", span.start_char, span.end_char)


def get_entity_vector(span: Span) -> np.ndarray | None:
    """The vector that `luke_encoder` gave the span; None if it gave none. *Shape:* (hidden,), float32"""
    return data_of(span.doc).get(key_of(ENTITY_VECTOR, span.start_char, span.end_char))


def set_entity_vectors(doc: Doc, spans: Iterable[Span], vectors: np.ndarray) -> None:
    """Replace the vectors of all spans of a Doc. *Shape:* (spans, hidden)"""
    clear(doc, ENTITY_VECTOR)
    for span, vector in zip(spans, vectors, strict=True):
        data_of(doc)[key_of(ENTITY_VECTOR, span.start_char, span.end_char)] = vector


# What spaCy's entity_linker, and ours, writes as kb_id_ of an entity that is in no knowledge base.
NIL = "NIL"
_ATTRIBUTE = "span._.linked_entities"


def get_link(span: Span) -> str:
    """The id of the entity that a span is linked to; "" if it is linked to none, for which `kb_id_` may be "NIL"."""
    return "" if span.kb_id_ == NIL else span.kb_id_


def get_linked_entities(span: Span) -> tuple[tuple[str, float], ...]:
    """Ids of a knowledge base with their probabilities, best first; () if the span was not linked."""
    return tuple((kb_id, score) for kb_id, score in data_of(span.doc).get(_span_key(span)) or ())


def set_linked_entities(span: Span, links: Iterable[tuple[str, float]] | None) -> None:
    """Replace what a span may be; None removes the annotation."""
    check_span(span.doc, span, "linked span")
    if links is None:
        data_of(span.doc).pop(_span_key(span), None)
        return
    stored = []
    for link in listed(links, _ATTRIBUTE):
        if not isinstance(link, tuple | list) or len(link) != 2 or not isinstance(link[0], str):
            raise LukeError("L070", attribute=_ATTRIBUTE, value=link, wanted="pairs (id, score)")
        check_score(link[1], _ATTRIBUTE)
        stored.append([link[0], float(link[1])])
    data_of(span.doc)[_span_key(span)] = stored


def linked_spans(doc: Doc) -> list[tuple[Span, tuple[tuple[str, float], ...]]]:
    """The spans of a Doc that were linked, with what each may be, in text order."""
    characters = Characters(doc)
    spans = (characters.span(start, end) for start, end, _ in by_span(doc, LINKED_ENTITIES))
    return [(s, get_linked_entities(s)) for s in sorted((s for s in spans if s), key=lambda s: (s.start, s.end))]


def _span_key(span: Span) -> tuple[Any, ...]:
    return key_of(LINKED_ENTITIES, span.start_char, span.end_char)


def get_tag(token: Token) -> str | None:
    """The tag of a token; None if it has none."""
    return data_of(token.doc).get(_token_key(token))


def set_tag(token: Token, tag: str | None) -> None:
    """Replace the tag of a token; None removes it."""
    if tag is None:
        data_of(token.doc).pop(_token_key(token), None)
        return
    if not isinstance(tag, str) or not tag:
        raise LukeError("L070", attribute="token._.luke_tag", value=tag, wanted="a string that is not empty, or None")
    data_of(token.doc)[_token_key(token)] = tag


def _token_key(token: Token) -> tuple[Any, ...]:
    return key_of(LUKE_TAG, token.idx, token.idx + len(token))
