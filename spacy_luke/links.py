"""What an entity may be linked to, best first: plain data in the Doc, as all annotations.

By the characters of the span, a list of [id, probability].
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from spacy.tokens import Span

from .annotations import _check_score, _data, _key, _listed, check_span
from .errors import LukeError

ATTRIBUTE = "span._.linked_entities"


def get_linked_entities(span: Span) -> tuple[tuple[str, float], ...]:
    """Ids of a knowledge base with their probabilities, best first; () if the span was not linked."""
    return tuple((kb_id, score) for kb_id, score in _data(span.doc).get(_links_key(span)) or ())


def set_linked_entities(span: Span, links: Iterable[tuple[str, float]] | None) -> None:
    """Replace what a span may be; None removes the annotation."""
    check_span(span.doc, span, "linked span")
    if links is None:
        _data(span.doc).pop(_links_key(span), None)
        return
    stored = []
    for link in _listed(links, ATTRIBUTE):
        if not isinstance(link, tuple | list) or len(link) != 2 or not isinstance(link[0], str):
            raise LukeError("L070", attribute=ATTRIBUTE, value=link, wanted="pairs (id, score)")
        _check_score(link[1], ATTRIBUTE)
        stored.append([link[0], float(link[1])])
    _data(span.doc)[_links_key(span)] = stored


def _links_key(span: Span) -> tuple[Any, ...]:
    return _key("linked_entities", span.start_char, span.end_char)
