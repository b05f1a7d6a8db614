"""Entity types as marks in the text, each with its types and their scores behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import check
from .options import Options, score_text
from .page import Settings, document, fine_print, pill
from .text import escape

STYLE = "types"
# displaCy's TPL_ENT, for marks in marks and over the end of a line
MARK = (
    '<mark class="entity" style="background: {bg}; color: #000; padding: {room}em 0.4em; margin: 0 0.15em; '
    'border-radius: 0.35em; -webkit-box-decoration-break: clone; box-decoration-break: clone{more}">{text}</mark>'
)
TEXT = '<div class="entities" style="line-height: {line}; white-space: pre-wrap; overflow-wrap: anywhere">{text}</div>'


@dataclass(frozen=True)
class Typed:
    """Characters [start, end) with their types.

    last: False for a part of a span that goes on in another part, which shows the types.
    """

    start: int
    end: int
    types: tuple[tuple[str, float | None], ...]
    last: bool = True


def render_types(parsed: Sequence[Mapping[str, Any]], options: Options) -> list[str]:
    """The markup of each parsed Doc."""
    return [_render(one, options) for one in parsed]


def _render(parsed: Mapping[str, Any], options: Options) -> str:
    text = check.string(STYLE, parsed, "text")
    spans, hidden, shown = [], 0, 0
    for span in check.items(STYLE, parsed, "spans"):
        start, end = check.ends(STYLE, span, "start", "end", len(text), "characters")
        types = [(check.string(STYLE, t, "label"), check.score(STYLE, t)) for t in check.items(STYLE, span, "types")]
        kept = tuple((label, score) for label, score in types if options.shows(label, score))
        hidden, shown = hidden + len(types) - len(kept), shown + len(kept)
        if kept or not types:
            spans.append(Typed(start, end, kept))
    content, depth = nested(text, spans, options)
    markup = TEXT.format(line=2.2 + 0.6 * depth, text=content) + fine_print(hidden, shown, options)
    return document("luke-types", markup, Settings.read(parsed, options))


def nested(text: str, spans: Sequence[Typed], options: Options) -> tuple[str, int]:
    """The text with a mark around each span, and how deep the marks lie in each other."""
    parts = _cut(spans)
    boundaries = sorted({0, len(text), *(p.start for p in parts), *(p.end for p in parts)})
    depth = _depths(parts)
    out: list[list[str]] = [[]]
    open_parts: list[Typed] = []
    waiting = iter([*parts, None])
    following = next(waiting)
    for start, end in zip(boundaries, [*boundaries[1:], len(text)], strict=True):
        while open_parts and open_parts[-1].end <= start:
            inner, part = "".join(out.pop()), open_parts.pop()
            out[-1].append(_mark(part, inner, depth[id(part)], options))
        while following is not None and following.start == start:
            open_parts.append(following)
            out.append([])
            following = next(waiting)
        out[-1].append(escape(text[start:end]))
    return "".join(out[0]), max(depth.values(), default=0)


def _cut(spans: Sequence[Typed]) -> list[Typed]:
    """Spans that overlap without lying in each other, in parts that do; outer ones before those within them.

    [ A    [ B   ]        [ A    [ B'  ]]
           ]      ]   ->                [ B ]
    """
    queue = sorted(spans, key=_outer_first)
    parts: list[Typed] = []
    around: list[Typed] = []
    while queue:
        span = queue.pop(0)
        while around and around[-1].end <= span.start:
            around.pop()
        if around and around[-1].end < span.end:
            end = around[-1].end
            queue.append(Typed(end, span.end, span.types, span.last))
            span = Typed(span.start, end, span.types, last=False)
            queue.append(span)
            queue.sort(key=_outer_first)
            continue
        parts.append(span)
        around.append(span)
    return parts


def _outer_first(span: Typed) -> tuple[int, int]:
    return span.start, -span.end


def _depths(parts: Sequence[Typed]) -> dict[int, int]:
    """Part, by identity -> how many layers of marks lie in it."""
    depths: dict[int, int] = {}
    for i in range(len(parts) - 1, -1, -1):
        inside = [depths[id(p)] + 1 for p in parts[i + 1 :] if p.start < parts[i].end]
        depths[id(parts[i])] = max(inside, default=0)
    return depths


def _mark(part: Typed, inner: str, depth: int, options: Options) -> str:
    pills = [pill(label, score_text(score, options), "rgba(255, 255, 255, 0.75)") for label, score in part.types]
    if not part.types:
        pills = ['<span class="luke-label" style="font-size: 0.75em; opacity: 0.75">no type</span>']
    color = options.label_color(part.types[0][0]) if part.types else "#eee"
    label = " " + " ".join(pills) if part.last else '<span style="opacity: 0.6"> …</span>'
    more = "; box-shadow: 0 0 0 1px #fff" if depth else ""
    return MARK.format(bg=escape(color), room=f"{0.3 + 0.3 * depth:g}", text=inner + label, more=more)
