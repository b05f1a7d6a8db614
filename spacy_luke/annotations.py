"""Results of the components in a Doc: plain numbers and strings, so that every way of copying a Doc carries them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spacy.tokens import Doc, Span, SpanGroup

from .errors import warn

SCORE = "score"
_ours: set[str] = set()


def register_extensions() -> None:
    """Register `span._.score`; W004 and nothing else if another package has an attribute of that name."""
    if SCORE in _ours:
        return
    if Span.has_extension(SCORE):
        owner = _owner(Span.get_extension(SCORE))
        warn("W004", extension=SCORE, owner=owner, instead='doc.spans["luke_ner"].attrs["scores"]')
        return
    Span.set_extension(SCORE, default=None)
    _ours.add(SCORE)


def write_scored_spans(doc: Doc, key: str, spans: Sequence[Span], scores: Sequence[float]) -> None:
    """Write `spans` to `doc.spans[key]` with `.attrs["scores"]`, and each score to `span._.score`."""
    values = [float(score) for score in scores]
    doc.spans[key] = SpanGroup(doc, name=key, spans=list(spans), attrs={"scores": values})
    if SCORE in _ours:
        for span, value in zip(spans, values, strict=True):
            span._.set(SCORE, value)


def _owner(extension: tuple[Any, ...]) -> str:
    """The module of the function behind an extension attribute, as far as it can be known."""
    modules = [getattr(part, "__module__", None) for part in extension if callable(part)]
    return next((m for m in modules if m), "unknown")
