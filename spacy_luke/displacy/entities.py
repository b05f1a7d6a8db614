"""displaCy's view of entities, with the score that `luke_ner` gave each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from spacy.displacy import parse_ents as spacy_parse_ents
from spacy.displacy.render import EntityRenderer
from spacy.displacy.templates import TPL_ENT, TPL_ENT_RTL, TPL_KB_LINK
from spacy.tokens import Doc, Span

from ..annotations import get_link
from . import check
from .options import Options, score_text
from .page import Settings, document, fine_print
from .parse import Parsed
from .text import clean, escape

STYLE = "ent"
_NO_OPTIONS: Mapping[str, Any] = {}
WIKIPEDIA = ".wikipedia.org/wiki/"  # whose addresses have underscores for spaces
SCORE = '<span style="font-weight: normal"> {score}</span>'


def parse_ents(doc: Doc, options: Mapping[str, Any] = _NO_OPTIONS) -> Parsed:
    """displaCy's dict of the entities of a Doc, each with its "score", which may be None; a link to none is empty."""
    parsed: Parsed = spacy_parse_ents(doc, dict(options))
    for ent, found in zip(doc.ents, parsed["ents"], strict=True):
        found["score"] = _score(ent)
        kb_id = get_link(ent)
        found |= {"kb_id": kb_id, "kb_url": link_url(kb_id, options.get("kb_url_template")) or "#"}
    return parsed


def link_url(kb_id: str, template: str | None) -> str:
    """Address of an entity; "" without a template or an id, and for what is no address of a page, as javascript:."""
    if not kb_id or not template:
        return ""
    title = kb_id.replace(" ", "_") if WIKIPEDIA in template else kb_id
    url = template.replace("{}", quote(title, safe="(),:", errors="replace"))
    return url if urlsplit(url.strip()).scheme in ("https", "http", "") else ""


def render_ents(parsed: Sequence[Mapping[str, Any]], options: Options) -> list[str]:
    """The markup of each parsed Doc."""
    return [_render(one, options) for one in parsed]


def _render(parsed: Mapping[str, Any], options: Options) -> str:
    text = check.string(STYLE, parsed, "text")
    settings = Settings.read(parsed, options)
    shown, hidden = [], 0
    for ent in check.items(STYLE, parsed, "ents"):
        start, end = check.ends(STYLE, ent, "start", "end", len(text), "characters")
        label, score = check.string(STYLE, ent, "label"), check.score(STYLE, ent)
        if options.ents is not None and label not in options.ents:
            continue
        if not options.shows(label, score):
            hidden += 1
            continue
        # displaCy escapes the text, but not what it puts beside it
        kb_id, kb_url = ent.get("kb_id"), ent.get("kb_url", "#")
        number = score_text(score, options)
        params = {
            "label": escape(label) + (SCORE.format(score=escape(number)) if number else ""),
            "bg": escape(options.label_color(label)),
            "kb_link": TPL_KB_LINK.format(kb_id=escape(kb_id), kb_url=escape(kb_url)) if kb_id else "",
        }
        shown.append({"start": start, "end": end, "label": "", "params": params})
    shown.sort(key=lambda ent: (ent["start"], ent["end"]))
    renderer = EntityRenderer(options={"template": TPL_ENT_RTL if settings.direction == "rtl" else TPL_ENT})
    renderer.direction = settings.direction
    markup = renderer.render_ents(clean(text), shown, None).strip()
    return document("luke-entities", markup + fine_print(hidden, len(shown), options), settings)


def _score(ent: Span) -> float | None:
    score = ent._.score if Span.has_extension("score") else None
    return score if isinstance(score, int | float) and not isinstance(score, bool) else None
