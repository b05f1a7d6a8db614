"""Storage of annotations in a Doc, and the checks that all of them share."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from numbers import Real
from typing import Any, cast

from spacy.tokens import Doc, Span

from ..errors import LukeError

RELATIONS, ENTITY_TYPES, LUKE_TAG = "relations", "entity_types", "luke_tag"
QUESTIONS, ANSWERS = "questions", "answers"
ENTITY_VECTOR = "entity_vector"
LINKED_ENTITIES = "linked_entities"
ENTITY_LABELS = "entity_labels"
SCORE = "score"
CHOICES, CHOSEN = "choices", "chosen"
ANNOTATIONS = (RELATIONS, ENTITY_TYPES, LUKE_TAG, QUESTIONS, ANSWERS, CHOICES, CHOSEN)


def has_annotation(doc: Doc, name: str) -> bool:
    """Whether a Doc is annotated with "relations", "entity_types" (of any span), "luke_tag" (of any token),
    "questions", "answers", "choices" or "chosen".

    True, too, where the annotation says that there is none.
    """
    if name not in ANNOTATIONS:
        raise LukeError("L073", name=name, known=", ".join(ANNOTATIONS))
    if not isinstance(doc, Doc):
        raise LukeError("L070", attribute="has_annotation", value=doc, wanted="a Doc")
    return is_stored(doc, name)


def is_stored(doc: Doc, name: str) -> bool:
    """Whether a Doc has an annotation of this name, of whatever part of it."""
    return any(key[1] == stored_name(name) for key in keys_of(doc))


def data_of(doc: Doc) -> dict[Any, Any]:
    """Extension data of a Doc."""
    return cast("dict[Any, Any]", doc.user_data)


def stored_name(name: str) -> str:
    """Name of an annotation among the extensions of all packages."""
    return f"luke_{name}"


def key_of(name: str, start: int | None = None, end: int | None = None) -> tuple[Any, ...]:
    """The key of an annotation of some characters, or of the Doc."""
    return ("._.", stored_name(name), start, end)


def keys_of(doc: Doc) -> Iterator[tuple[Any, ...]]:
    """Keys of extension data. Other packages may keep anything in `user_data`."""
    return (key for key in data_of(doc) if isinstance(key, tuple) and len(key) == 4 and key[0] == "._.")


def by_span(doc: Doc, name: str) -> list[tuple[int, int, Any]]:
    """Characters of a span, value."""
    stored = stored_name(name)
    return [(k[2], k[3], data_of(doc)[k]) for k in keys_of(doc) if k[1] == stored and k[2] is not None]


def clear(doc: Doc, name: str) -> None:
    """Remove an annotation from all spans."""
    for key in [key for key in keys_of(doc) if key[1] == stored_name(name)]:
        del data_of(doc)[key]


class Characters:
    """Spans of a Doc by their characters. One search a span: `Doc.char_span` makes the text of the Doc each time."""

    def __init__(self, doc: Doc):
        self.doc = doc
        self.text = doc.text
        self._starts = [token.idx for token in doc]
        self._ends = [token.idx + len(token) for token in doc]

    def span(self, start: int, end: int) -> Span | None:
        """The tokens that the characters touch; None outside the Doc."""
        if not 0 <= start < end <= len(self.text):
            return None
        first, last = bisect_right(self._ends, start), bisect_left(self._starts, end)
        return self.doc[first:last] if first < last else None


def span_record(span: Span) -> dict[str, Any]:
    """Range and text of a span, as in the results of `to_dict`."""
    return {"start": span.start_char, "end": span.end_char, "text": span.text}


def plain_number(value: float | None) -> float | None:
    """A float of Python's own; None for NaN and infinity, which JSON has no numbers for."""
    return None if value is None or not math.isfinite(value) else float(value)


def labelled(span: Span, label: str) -> Span:
    """The same span with a label, if there is one."""
    return Span(span.doc, span.start, span.end, label=label) if label else span


def listed(items: Any, attribute: str) -> list[Any]:
    """Convert the value that an attribute is set to into a list; L070 for anything else."""
    if isinstance(items, str | bytes | Mapping | Span) or not isinstance(items, Iterable):
        raise LukeError("L070", attribute=attribute, value=items, wanted="a list")
    return list(items)


def check_span(doc: Doc, span: Any, role: str) -> None:
    """L071 for anything that is no span of the Doc with at least one token."""
    if not isinstance(span, Span):
        raise LukeError("L071", role=role, value=span, reason="it is not a spaCy Span")
    if span.doc is not doc:
        raise LukeError("L071", role=role, value=span, reason="it belongs to another Doc")
    if span.start >= span.end:
        raise LukeError("L071", role=role, value=span, reason="it is empty")


def check_score(score: Any, attribute: str) -> None:
    """L070 for anything but a number in [0, 1]."""
    if isinstance(score, bool) or not isinstance(score, Real) or not 0 <= float(score) <= 1:  # NumPy's are Real, too
        raise LukeError("L070", attribute=attribute, value=score, wanted="a score in [0, 1]")
