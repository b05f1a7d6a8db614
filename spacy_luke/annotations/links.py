"""What an entity may be linked to, best first: by the characters of the span, a list of [id, probability]."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from spacy.tokens import Doc, Span

from ..errors import LukeError
from .store import LINKED_ENTITIES, Characters, by_span, check_score, check_span, data_of, key_of, listed

_ATTRIBUTE = "span._.linked_entities"


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
