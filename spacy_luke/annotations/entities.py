"""What is said of an entity, by the characters of its span: a list of types, and beside it the scores of all of them; a
vector.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from spacy.tokens import Doc, Span

from ..errors import LukeError
from .store import (
    ENTITY_TYPES,
    ENTITY_VECTOR,
    Characters,
    by_span,
    check_score,
    check_span,
    clear,
    data_of,
    key_of,
    listed,
)


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
