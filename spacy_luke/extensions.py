"""The extension attributes of this package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spacy.tokens import Doc, Span, SpanGroup, Token

from . import annotations as a
from .errors import warn

# Name -> how it is registered, and where the results stay reachable if the name is another package's.
_ON_DOC: dict[str, tuple[dict[str, Any], str]] = {
    "luke": ({"getter": a.to_dict}, "spacy_luke.to_dict(doc)"),
    "relations": ({"getter": a.get_relations, "setter": a.set_relations}, "spacy_luke.annotations.get_relations(doc)"),
    "questions": ({"getter": a.get_questions, "setter": a.set_questions}, "spacy_luke.annotations.get_questions(doc)"),
    "answers": ({"getter": a.get_answers, "setter": a.set_answers}, "spacy_luke.annotations.get_answers(doc)"),
    "choices": ({"getter": a.get_choices, "setter": a.set_choices}, "spacy_luke.annotations.get_choices(doc)"),
    "chosen": ({"getter": a.get_chosen, "setter": a.set_chosen}, "spacy_luke.annotations.get_chosen(doc)"),
}
_ON_SPAN: dict[str, tuple[dict[str, Any], str]] = {
    a.SCORE: ({"getter": a.get_score, "setter": a.set_score}, 'doc.spans["luke_ner"].attrs["scores"]'),
    "entity_types": (
        {"getter": a.get_entity_types, "setter": a.set_entity_types},
        "spacy_luke.annotations.get_entity_types(span)",
    ),
    "entity_type_scores": (
        {"getter": a.get_entity_type_scores, "setter": a.set_entity_type_scores},
        "spacy_luke.annotations.get_entity_type_scores(span)",
    ),
    "entity_vector": ({"getter": a.get_entity_vector}, "spacy_luke.annotations.get_entity_vector(span)"),
    "linked_entities": (
        {"getter": a.get_linked_entities, "setter": a.set_linked_entities},
        "spacy_luke.annotations.get_linked_entities(span)",
    ),
}
_ON_TOKEN: dict[str, tuple[dict[str, Any], str]] = {
    "luke_tag": ({"getter": a.get_tag, "setter": a.set_tag}, "spacy_luke.annotations.get_tag(token)"),
}
_ours: set[tuple[type, str]] = set()


def register_extensions() -> None:
    """Register every attribute that is free; W004 for one that another package has."""
    for kind, attributes in ((Doc, _ON_DOC), (Span, _ON_SPAN), (Token, _ON_TOKEN)):
        for name, (how, instead) in attributes.items():
            if (kind, name) in _ours:
                continue
            if kind.has_extension(name):
                owner = _owner(kind.get_extension(name))
                warn("W004", kind=kind.__name__, extension=name, owner=owner, instead=instead)
                continue
            kind.set_extension(name, **how)
            _ours.add((kind, name))


def write_scored_spans(doc: Doc, key: str, spans: Sequence[Span], scores: Sequence[float]) -> None:
    """Write `spans` to `doc.spans[key]` with `.attrs["scores"]`, and each score to `span._.score`.

    What was there under the key before goes, with its scores.
    """
    values = [float(score) for score in scores]
    before = doc.spans.get(key, ())
    if (Span, a.SCORE) in _ours:
        for span in before:
            if len(span):
                a.set_score(span, None)
        for span, value in zip(spans, values, strict=True):
            a.set_score(span, value)
    doc.spans[key] = SpanGroup(doc, name=key, spans=list(spans), attrs={"scores": values})


def _owner(extension: tuple[Any, ...]) -> str:
    """The module of the function behind an extension attribute, as far as it can be known."""
    modules = [getattr(part, "__module__", None) for part in extension if callable(part)]
    return next((m for m in modules if m), "unknown")
