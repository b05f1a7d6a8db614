"""Relations, entity types, answers and attention as pictures, in the manner of `spacy.displacy`.

    from spacy_luke import displacy
    displacy.render(doc, style="relations")

displaCy draws arcs between the tokens of a tree; relations run between spans, several from one span and across
sentences, so they have a view of their own here. What displaCy has (its colours and registry, its pages, its Jupyter
output and render wrapper, its markup of entities) is used as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spacy import displacy as _spacy
from spacy.tokens import Doc, Span

from ..errors import LukeError
from ..pipeline.encoder.states import DocStates
from .answers import render_answers
from .attention import parse_attention, render_attention
from .check import mapping
from .entities import parse_ents, render_ents
from .options import QUIET_COLORS, Options
from .overview import overview_legend, parse_overview, render_overview
from .page import Settings, stylesheet, whole_page
from .parse import Parser, parse_answers, parse_relations, parse_types
from .relations import relations_legend, render_relations
from .types import render_types

__all__ = [
    "QUIET_COLORS",
    "parse_answers",
    "parse_attention",
    "parse_ents",
    "parse_overview",
    "parse_relations",
    "parse_types",
    "render",
    "stylesheet",
]

Renderer = Callable[[Sequence[Mapping[str, Any]], Options], list[str]]
_NO_OPTIONS: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Style:
    """A view.

    parse: Doc to dict.
    draw: dicts to the markup of each Doc.
    legend: dicts to names of the colours of a page; None if the view has them beside what is coloured.
    """

    parse: Parser
    draw: Renderer
    legend: Callable[[Sequence[Mapping[str, Any]], Options], str] | None = None


STYLES: dict[str, Style] = {
    "relations": Style(parse_relations, render_relations, relations_legend),
    "types": Style(parse_types, render_types),
    "answers": Style(parse_answers, render_answers),
    "ent": Style(parse_ents, render_ents),
    "attention": Style(parse_attention, render_attention),
    "overview": Style(parse_overview, render_overview, overview_legend),
}


def render(
    docs: Iterable[Doc | Span | DocStates | Mapping[str, Any]] | Doc | Span | DocStates | Mapping[str, Any],
    style: str = "relations",
    page: bool = False,
    minify: bool = False,
    jupyter: bool | None = None,
    options: Mapping[str, Any] = _NO_OPTIONS,
    manual: bool = False,
) -> Any:
    """Draw what the components found, as `spacy.displacy.render` does.

    docs: Docs, Spans, or, if `manual`, the dicts that `parse_relations` and its like return; for "attention", what
        `luke_encoder.states(docs, attentions=True)` gives.
    style: "relations", "types", "answers", "ent" for displaCy's entities with their scores, "attention" for the
        weights of one layer, or "overview" for all that was found, with the text once.
    page: a whole HTML page. It is to be saved in UTF-8 and loads nothing from elsewhere.
    minify: without line ends and indentation, those of the text excepted.
    jupyter: display it in a notebook; None = if there is one.
    options: see `Options`, and for "ent" those of displaCy, for "attention" those of `parse_attention`.
    Returns the markup; None if it was displayed in a notebook.
    """
    if style not in STYLES:
        raise LukeError("L076", style=style, known=", ".join(STYLES))
    view = STYLES[style]
    if isinstance(docs, Doc | Span | DocStates | Mapping):
        listed: list[Any] = [docs]
    elif isinstance(docs, Iterable):
        listed = list(docs)
    else:
        raise LukeError("L077", style=style, problem=f"it is neither a Doc nor several but {docs!r}")
    read = Options.read(options, page=page)
    parsed: list[Mapping[str, Any]] = []
    for doc in listed:  # a comprehension would hide from a warning who called
        parsed.append(mapping(style, doc) if manual else view.parse(_input(style, doc), options))
    read = read.tell_apart(_labels(parsed))
    rendered = view.draw(parsed, read)
    markup = "".join(rendered)
    if page:
        settings = Settings.read(parsed[0] if parsed else {}, read)
        legend = view.legend(parsed, read) if view.legend else ""
        markup = whole_page(rendered, settings, read, legend=legend, minify=minify)
    return _show(markup, jupyter)


def _input(style: str, doc: Any) -> Doc | DocStates:
    if style == "attention":
        if not isinstance(doc, DocStates):
            problem = f"it is not what luke_encoder.states(docs, attentions=True) gives but {doc!r}"
            raise LukeError("L077", style=style, problem=problem)
        return doc
    if isinstance(doc, Span):
        return doc.as_doc(copy_user_data=True)
    if not isinstance(doc, Doc):
        problem = f"it is neither a Doc nor a Span but {doc!r}; for dicts, say manual=True"
        raise LukeError("L077", style=style, problem=problem)
    return doc


def _labels(parsed: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The labels by which spans are coloured: a span's own, or its types. What is malformed is for `draw` to tell."""
    for one in parsed:
        for key in ("spans", "ents", "entities"):
            for span in _dicts(one.get(key)):
                labels = (
                    [span.get("label")] if span.get("label") else [t.get("label") for t in _dicts(span.get("types"))]
                )
                yield from (label for label in labels if isinstance(label, str))


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list | tuple) else []


def _show(markup: str, jupyter: bool | None) -> Any:
    """The end of `spacy.displacy.render`, which cannot be given a style of our own."""
    if _spacy.RENDER_WRAPPER is not None:
        markup = _spacy.RENDER_WRAPPER(markup)
    if jupyter or (jupyter is None and _spacy.is_in_jupyter()):
        from IPython.display import HTML, display

        return display(HTML(f'<span class="tex2jax_ignore">{markup}</span>'))
    return markup
