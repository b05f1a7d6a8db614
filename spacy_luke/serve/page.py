"""The page to type into. It gets what was found as plain data, and drawings of it from here: no text becomes HTML in
the browser that was not escaped, and a policy (CSP) lets the page load and run nothing but its own files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Annotated, Any

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from spacy.language import Language
from spacy.tokens import Doc

from ..annotations.results import to_dict
from ..displacy import QUIET_COLORS, parse_overview, stylesheet
from ..displacy.check import index, items, mapping, score
from ..displacy.options import Options
from ..displacy.overview import STYLE, overview_legend, render_overview
from ..errors import LukeError
from ..scale.rows import Row
from .jobs import Jobs, to_json
from .schema import Text

MEDIA_TYPES = {"page.html": "text/html", "page.css": "text/css", "page.js": "text/javascript"}
# The drawings have their colours as attributes `style`; scripts and all else come from this server alone.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache"}
Parsed = Mapping[str, Any]


class PageRequest(BaseModel):
    """A text and questions about it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: Text
    questions: list[Text] = []


class DrawRequest(BaseModel):
    """What was found in a text, as `parse_overview` has it, and the least score of what is to be drawn."""

    model_config = ConfigDict(extra="forbid")

    parsed: dict[str, Any]
    min_score: Annotated[float, Field(ge=0, le=1)] = 0.0


def add_page(app: FastAPI, jobs: Jobs, nlp: Language) -> None:
    """Add the routes of the page, which are no part of the interface for programs."""

    def add_file(path: str, name: str) -> None:
        @app.get(path, include_in_schema=False)
        async def send_file() -> Response:
            return Response(read_file(name), media_type=MEDIA_TYPES[name], headers=HEADERS)

    for path, name in (("/", "page.html"), ("/page.css", "page.css"), ("/page.js", "page.js")):
        add_file(path, name)

    @app.post("/page/annotate", include_in_schema=False)
    async def annotate(request: Request, body: PageRequest) -> Response:
        def make(docs: Sequence[Doc]) -> bytes:
            return to_json({"result": to_dict(docs[0]), "parsed": parse_overview(docs[0])})

        found = await jobs.annotate(request, [Row(1, body.text, {}, body.questions or None)], make)
        return Response(found, media_type="application/json")

    @app.post("/page/draw", include_in_schema=False)
    def draw_found(body: DrawRequest) -> Response:
        most = jobs.settings.max_characters
        if sum(len(word) for word in items(STYLE, body.parsed, "tokens", str)) > most:
            raise LukeError("L197", what="The text", most=f"{most:,} characters", option="--max-characters")
        drawn = draw(body.parsed, body.min_score, jobs.settings.kb_url_template)
        return Response(to_json(drawn), media_type="application/json")


@lru_cache(maxsize=len(MEDIA_TYPES))
def read_file(name: str) -> str:
    """A file of the page. Its style sheet starts with the look of all pages."""
    text = files(__package__).joinpath(name).read_text(encoding="utf8")
    return stylesheet() + text if name == "page.css" else text


def draw(parsed: Parsed, min_score: float, kb_url_template: str | None = None) -> dict[str, Any]:
    """Drawing and names of colours as HTML, and how much of what was found is in it.

    Each label keeps its colour, whatever the least score.
    """
    options = Options.read(
        {"responsive": True, "colors": QUIET_COLORS, "fine_print": False, "kb_url_template": kb_url_template}
    )
    options = options.tell_apart(_labels(parsed))
    kept = keep(parsed, min_score)
    counted = [(len(one["spans"]), len(one["relations"])) for one in (kept, parsed)]
    return {
        "html": render_overview([kept], options, [parsed])[0],
        "legend": overview_legend([kept], options, [parsed]),
        "shown": sum(counted[0]),
        "found": sum(counted[1]),
    }


def keep(parsed: Parsed, min_score: float) -> Parsed:
    """What is at least so probable, or has no score. A relation goes with its ends; a question that loses its answers
    is one that the text does not answer.
    """
    places: dict[int, int] = {}
    spans: list[Parsed] = []
    all_spans = items(STYLE, parsed, "spans")
    for number, span in enumerate(all_spans):
        if _is_kept(span, min_score):
            places[number] = len(spans)
            types = items(STYLE, span, "types") if span.get("types") else []
            spans.append({**span, "types": [one for one in types if _is_kept(one, min_score)]})
    relations = []
    for relation in items(STYLE, parsed, "relations"):
        ends = {key: places.get(index(STYLE, relation, key, len(all_spans), "spans")) for key in ("head", "tail")}
        if None not in ends.values() and _is_kept(relation, min_score):
            relations.append({**relation, **ends})
    questions = []
    for question in items(STYLE, parsed, "questions") if parsed.get("questions") else ():
        answers = items(STYLE, question, "answers")
        probable = [answer for answer in answers if _is_kept(answer, min_score)]
        none: list[dict[str, Any]] = [{"start": None, "end": None, "score": None}] if answers else []
        questions.append({**question, "answers": probable or none})
    return {**parsed, "spans": spans, "relations": relations, "questions": questions}


def _is_kept(item: Parsed, min_score: float) -> bool:
    value = score(STYLE, item)
    return value is None or value >= min_score


def _labels(parsed: Parsed) -> list[str]:
    """The labels by which spans are coloured: their own, or those of their types."""
    found = []
    for span in items(STYLE, parsed, "spans"):
        types = [mapping(STYLE, one).get("label") for one in span.get("types") or ()]
        found += [span.get("label")] if span.get("label") else types
    return [label for label in found if isinstance(label, str)]
