"""All that was found in a Doc, with its text once: entities with arcs between them, and below them what was asked.

What a person does not look for at first is kept back: a pointer over an entity shows its types and what it is linked
to, one over an arc the score, and a list that can be opened has all of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from spacy.tokens import Doc

from ..annotations import get_link, get_score, typed_spans
from . import check
from .answers import COLOR, NO_ANSWER, NOT_ANSWERED, answer_ends
from .entities import link_url
from .graph import Graph, Mark
from .legend import legend
from .options import Options, score_text
from .page import Settings, document, fine_print, widths
from .parse import Parsed, questions_of, relations_of, types_of
from .relations import draw_blocks, strokes
from .svg import Frame
from .text import escape, one_line

STYLE = "overview"
_NO_OPTIONS: Mapping[str, Any] = {}
_SHOUTED = re.compile(r"[A-Z][A-Z_]{4,}")


def parse_overview(doc: Doc, options: Mapping[str, Any] = _NO_OPTIONS) -> Parsed:
    """All that was found in a Doc.

    As `parse_relations`, with more of each span, and with the questions of `parse_answers`:

        {"tokens": [...], "spaces": [...], "sents": [...],
         "spans": [{"start_token": 0, "end_token": 1, "label": "PER", "score": 0.98,
                    "types": [{"label": "person", "score": 0.99}], "kb_id": "Ada Lovelace"}, ...],
         "relations": [{"head": 0, "tail": 1, "label": "met", "score": 0.97}],
         "text": "Ada met Mary.", "questions": [{"question": "Who met Mary?", "answers": [...]}],
         "title": None, "settings": {"lang": "en", "direction": "ltr"}}

    In a dict written by hand, all but "tokens", "spans" and "relations" may be left out; "text" not beside "questions".
    """
    entities = {(ent.start, ent.end): ent for ent in (*typed_spans(doc), *doc.ents)}
    parsed = relations_of(doc, sorted(entities.values(), key=lambda ent: (ent.start, ent.end)))
    for span in parsed["spans"]:
        ent = entities.get((span["start_token"], span["end_token"]))
        if ent is not None:
            span |= {"score": get_score(ent), "types": types_of(ent), "kb_id": get_link(ent)}
    return {**parsed, "text": doc.text, "questions": questions_of(doc)}


def render_overview(
    parsed: Sequence[Mapping[str, Any]], options: Options, whole: Sequence[Mapping[str, Any]] | None = None
) -> list[str]:
    """The markup of each parsed Doc. whole: Docs of which these are a part, and whose colours they keep."""
    stroke = _strokes(whole or parsed, options)
    return [_render(one, stroke, options) for one in parsed]


def overview_legend(
    parsed: Sequence[Mapping[str, Any]], options: Options, whole: Sequence[Mapping[str, Any]] | None = None
) -> str:
    """Names of the colours in Docs. whole: as for `render_overview`."""
    graphs = [_read(one, options)[0].shown(options) for one in parsed]
    return legend(graphs, _strokes(whole or parsed, options), options)


def readable_label(label: str) -> str:
    """A label as words, if it is written as PLACE_OF_BIRTH or place_of_birth: "place of birth"."""
    words = label.replace("_", " ")
    return words.lower() if _SHOUTED.fullmatch(label) else words


def _strokes(parsed: Sequence[Mapping[str, Any]], options: Options) -> dict[str, str]:
    return strokes([arc for one in parsed for arc in _read(one, options)[0].arcs], options)


def _read(parsed: Mapping[str, Any], options: Options) -> tuple[Graph, dict[Mark, Found]]:
    """The graph of a Doc, and what is told of each mark."""
    graph = Graph.read(parsed)
    found = [
        Found.read(span, graph.text(number), options) for number, span in enumerate(check.items(STYLE, parsed, "spans"))
    ]
    marks = tuple(
        replace(mark, label=mark.label or one.kind, note=one.note, url=one.url)
        for mark, one in zip(graph.marks, found, strict=True)
    )
    arcs = tuple(replace(arc, name=readable_label(arc.label)) for arc in graph.arcs)
    return replace(graph, marks=marks, arcs=arcs), dict(zip(marks, found, strict=True))


def _render(parsed: Mapping[str, Any], stroke: dict[str, str], options: Options) -> str:
    settings = Settings.read(parsed, options)
    graph, found = _read(parsed, options)
    graph = graph.shown(options)
    frame = Frame(options, settings.direction, settings.lang, stroke, frozenset(options.line_colors), numbered=False)

    def draw(fitted: Options) -> str:
        return draw_blocks(graph, graph.flow(), replace(frame, options=replace(fitted, scores=False)))

    content = (
        widths(draw, options)
        + _questions(parsed, options)
        + _details(graph, [found[mark] for mark in graph.marks], options)
        + fine_print(graph.hidden, len(graph.arcs), options)
    )
    return document("luke-overview", content, settings, options)


@dataclass(frozen=True)
class Found:
    """What is told of a span.

    types: label and score of each, as text.
    kind: its best type; "" if it has none.
    score: as text.
    note: all in a few lines.
    url: of what it is linked to, if the options have an address for it.
    """

    types: str
    kind: str
    score: str
    kb_id: str
    note: str
    url: str

    @classmethod
    def read(cls, span: Mapping[str, Any], text: str, options: Options) -> Found:
        """Check one of "spans"."""
        listed = [] if span.get("types") is None else check.items(STYLE, span, "types")
        types = [(check.string(STYLE, t, "label"), check.score(STYLE, t)) for t in listed]
        label, kb_id = str(span.get("label") or ""), str(span.get("kb_id") or "")
        score = score_text(check.score(STYLE, span), options)
        kinds = ", ".join(f"{name} {number}".strip() for name, s in types for number in (score_text(s, options),))
        lines = [": ".join(filter(None, (text, f"{label} {score}".strip()))), kinds, f"→ {kb_id}" if kb_id else ""]
        return cls(
            types=", ".join(name for name, _ in types),
            kind=next((name for name, _ in types), ""),
            score=score,
            kb_id=kb_id,
            note="\n".join(filter(None, lines)),
            url=link_url(kb_id, options.kb_url_template),
        )


def _questions(parsed: Mapping[str, Any], options: Options) -> str:
    """Each question with its best answer."""
    questions = check.items(STYLE, parsed, "questions") if parsed.get("questions") else []
    if not questions:
        return ""
    text = check.string(STYLE, parsed, "text")
    parts = []
    for question in questions:
        asked = escape(one_line(check.string(STYLE, question, "question")))
        answer = next(iter(check.items(STYLE, question, "answers")), None)
        parts.append(f"<dt><bdi>{asked}</bdi></dt><dd>{_answer(answer, text, options)}</dd>")
    return f'<dl class="luke-questions">{"".join(parts)}</dl>'


def _answer(answer: Mapping[str, Any] | None, text: str, options: Options) -> str:
    if answer is None:
        return f'<span class="luke-score">{NOT_ANSWERED}</span>'
    stretch = answer_ends(answer, text)
    found = text[slice(*stretch)] if stretch else ""
    if not found:
        return f'<span class="luke-score">{NO_ANSWER}</span>'
    shown = escape(one_line(found) or found)
    color = escape(options.label_colors.get("ANSWER", f"var(--luke-answer, {COLOR})"))
    mark = f'<mark class="luke-answer" style="background: {color}; color: #000"><bdi>{shown}</bdi></mark>'
    return mark + _score(score_text(check.score(STYLE, answer), options))


def _details(graph: Graph, found: Sequence[Found], options: Options) -> str:
    """All spans and relations as tables, which can be opened: what only a pointer shows is for nobody who has none."""
    spans = [
        f"<tr><td>{_linked(graph.text(number), one)}</td>"
        f"<td>{escape(' · '.join(filter(None, (graph.marks[number].label, one.types))))}</td>"
        f"<td>{_score(one.score)}</td></tr>"
        for number, one in enumerate(found)
    ]
    arrow = "→"
    relations = [
        f"<tr><td><bdi>{escape(graph.text(arc.head))}</bdi> {arrow} <bdi>{escape(graph.text(arc.tail))}</bdi></td>"
        f"<td>{escape(arc.name)}</td><td>{_score(score_text(arc.score, options))}</td></tr>"
        for arc in graph.arcs
    ]
    parts = [
        f"{_count(len(rows), name)}"
        for rows, name in ((spans, "entity entities"), (relations, "relation relations"))
        if rows
    ]
    if not parts:
        return ""
    tables = "".join(
        f"<table><thead><tr><th>{name}</th><th>{kind}</th><th>score</th></tr></thead><tbody>{''.join(rows)}</tbody></table>"
        for name, kind, rows in (("entity", "types", spans), ("relation", "kind", relations))
        if rows
    )
    return f'<details class="luke-details"><summary>{", ".join(parts)}</summary>{tables}</details>'


def _linked(text: str, found: Found) -> str:
    shown = f"<bdi>{escape(text)}</bdi>"
    target = f"<bdi>{escape(found.kb_id)}</bdi>"
    if found.url:
        target = f'<a href="{escape(found.url)}" target="_blank" rel="noopener">{target}</a>'
    return f"{shown} → {target}" if found.kb_id else shown


def _score(score: str) -> str:
    return f' <span class="luke-score">{escape(score)}</span>' if score else ""


def _count(number: int, names: str) -> str:
    one, several = names.split()
    return f"{number} {one if number == 1 else several}"
