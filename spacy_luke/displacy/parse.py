"""Docs to the plain dicts that the views draw, which can also be written by hand (`manual=True`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from spacy.displacy import get_doc_settings
from spacy.tokens import Doc, Span

from ..annotations import (
    get_answers,
    get_entity_type_scores,
    get_entity_types,
    get_questions,
    get_relations,
    has_annotation,
    typed_spans,
)
from ..errors import warn

Parsed = dict[str, Any]
Parser = Callable[[Any, Mapping[str, Any]], Parsed]
_NO_OPTIONS: Mapping[str, Any] = {}


def parse_relations(doc: Doc, options: Mapping[str, Any] = _NO_OPTIONS) -> Parsed:
    """The relations of a Doc, with its entities.

    options: of `render`; none of them changes what is parsed.

        {"tokens": ["Ada", "met", "Mary", "."], "spaces": [True, True, False, False],
         "sents": [0],                                               the first token of each sentence
         "spans": [{"start_token": 0, "end_token": 1, "label": "PER"}, ...],
         "relations": [{"head": 0, "tail": 1, "label": "met", "score": 0.97}],    numbers of spans
         "title": None, "settings": {"lang": "en", "direction": "ltr"}}

    In a dict written by hand, "spaces", "sents", "score", "title" and "settings" may be left out.
    """
    _expect(doc, "relations", "relations", "luke_relations", "doc._.relations")
    return relations_of(doc, doc.ents)


def relations_of(doc: Doc, entities: Iterable[Span]) -> Parsed:
    """The relations of a Doc with these spans, each of which is once in "spans"; see `parse_relations`."""
    spans: dict[tuple[int, int, str], int] = {}
    for ent in entities:
        spans.setdefault((ent.start, ent.end, ent.label_), len(spans))
    labelled = {(start, end): label for start, end, label in reversed(spans) if label}

    def number(start: int, end: int, label: str) -> int:
        return spans.setdefault((start, end, label or labelled.get((start, end), "")), len(spans))

    relations = [
        {
            "head": number(r.head.start, r.head.end, r.head.label_),
            "tail": number(r.tail.start, r.tail.end, r.tail.label_),
            "label": r.label,
            "score": r.score,
        }
        for r in get_relations(doc)
    ]
    sentences = [sent.start for sent in doc.sents] if doc.has_annotation("SENT_START") else [0] * bool(len(doc))
    return {
        "tokens": [token.text for token in doc],
        "spaces": [bool(token.whitespace_) for token in doc],
        "sents": sentences,
        "spans": [{"start_token": start, "end_token": end, "label": label} for start, end, label in spans],
        "relations": relations,
        **_frame(doc),
    }


def parse_types(doc: Doc, options: Mapping[str, Any] = _NO_OPTIONS) -> Parsed:
    """The entity types of a Doc's spans, each span's best first.

        {"text": "Ada met Mary.", "spans": [{"start": 0, "end": 3, "types": [{"label": "person", "score": 0.99}]}],
         "title": None, "settings": {...}}

    start, end: characters. A score may be None, and "title" and "settings" may be left out.
    """
    _expect(doc, "types", "entity_types", "luke_entity_typer", "span._.entity_types")
    spans = []
    for span in typed_spans(doc):
        spans.append({"start": span.start_char, "end": span.end_char, "types": types_of(span)})
    return {"text": doc.text, "spans": spans, **_frame(doc)}


def types_of(span: Span) -> list[dict[str, Any]]:
    """The "types" of a span in `parse_types`."""
    scores = get_entity_type_scores(span)
    labels = sorted(get_entity_types(span), key=lambda label: -scores.get(label, 1.0))
    return [{"label": label, "score": scores.get(label)} for label in labels]


def parse_answers(doc: Doc, options: Mapping[str, Any] = _NO_OPTIONS) -> Parsed:
    """The questions about a Doc with their answers, best first.

        {"text": "Ada met Mary.",
         "questions": [{"question": "Who met Mary?", "answers": [{"start": 0, "end": 3, "score": 0.98}]}],
         "title": None, "settings": {...}}

    start, end: characters; None for "the text does not answer this". A score may be None, and "title" and "settings"
    may be left out.
    """
    _expect(doc, "answers", "answers", "luke_qa", "doc._.answers")
    return {"text": doc.text, "questions": questions_of(doc), **_frame(doc)}


def questions_of(doc: Doc) -> list[dict[str, Any]]:
    """The "questions" of `parse_answers`."""
    questions: dict[str, list[dict[str, Any]]] = {question: [] for question in get_questions(doc)}
    for answer in get_answers(doc):
        start, end = (None, None) if answer.span is None else (answer.start_char, answer.start_char + len(answer.text))
        questions.setdefault(answer.question, []).append({"start": start, "end": end, "score": answer.score})
    return [{"question": question, "answers": answers} for question, answers in questions.items()]


def _expect(doc: Doc, style: str, name: str, component: str, attribute: str) -> None:
    if not has_annotation(doc, name):
        warn("W010", style=style, component=component, attribute=attribute, stacklevel=5)


def _frame(doc: Doc) -> Parsed:
    return {"title": doc.user_data.get("title"), "settings": get_doc_settings(doc)}
