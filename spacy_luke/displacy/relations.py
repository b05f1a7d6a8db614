"""Relations as arcs over the text, and those between distant sentences as a list below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any

from .graph import Arc, Block, Graph
from .legend import legend
from .options import Options, line_colors, score_text
from .page import Settings, document, fine_print, pill, scroll, widths
from .svg import Frame, describe, render_block
from .text import escape, one_line

CELL = "padding: 0.2em 1em 0.2em 0; border: 0; text-align: start; vertical-align: top; background: none; color: inherit"


def render_relations(parsed: Sequence[Mapping[str, Any]], options: Options) -> list[str]:
    """The markup of each parsed Doc."""
    graphs = [Graph.read(one) for one in parsed]
    stroke = strokes([arc for graph in graphs for arc in graph.arcs], options)
    return [_render(graph, one, stroke, options) for graph, one in zip(graphs, parsed, strict=True)]


def strokes(arcs: Sequence[Arc], options: Options) -> dict[str, str]:
    """Label -> colour of its lines: the user's own, or one of ours per label if the ground is our white."""
    labels = dict.fromkeys(arc.label for arc in arcs)
    ours = repeat(options.color) if options.own_look else line_colors()
    return {label: options.line_colors.get(label.upper(), color) for label, color in zip(labels, ours, strict=False)}


def _render(graph: Graph, parsed: Mapping[str, Any], stroke: dict[str, str], options: Options) -> str:
    settings = Settings.read(parsed, options)
    graph = graph.shown(options)
    far = [arc for arc in graph.arcs if not graph.near(arc, options.join_sentences)]
    frame = Frame(options, settings.direction, settings.lang, stroke, frozenset(options.line_colors), bool(far))
    blocks = graph.blocks(options.join_sentences)
    drawn = widths(lambda fitted: draw_blocks(graph, blocks, replace(frame, options=fitted)), options)
    hidden = fine_print(graph.hidden, len(graph.arcs), options, "padding: 0 16px 0.5em; ")
    return document("luke-relations", drawn + _listed(graph, far, frame) + hidden, settings, options)


def relations_legend(parsed: Sequence[Mapping[str, Any]], options: Options) -> str:
    """Names of the colours in Docs."""
    graphs = [Graph.read(one) for one in parsed]
    stroke = strokes([arc for graph in graphs for arc in graph.arcs], options)
    return legend([graph.shown(options) for graph in graphs], stroke, options)


def draw_blocks(graph: Graph, blocks: Sequence[Block], frame: Frame) -> str:
    """The SVGs of blocks. Each can be scrolled, unless a page fits it in."""
    svgs = [render_block(graph, block, frame) for block in blocks]
    return "".join(svgs if frame.options.responsive else map(scroll, svgs))


def _listed(graph: Graph, far: Sequence[Arc], frame: Frame) -> str:
    """Relations between sentences that do not lie in one block: head, label, tail, each with its sentence."""
    if not far:
        return ""
    arrow = "←" if frame.direction == "rtl" else "→"
    rows = []
    for arc in far:
        ends = [f'<td style="{CELL}">{_end(graph, number, frame.options)}</td>' for number in (arc.head, arc.tail)]
        color, own = frame.stroke[arc.label], arc.label.upper() in frame.own_colors
        score = score_text(arc.score, frame.options)
        label = pill(one_line(arc.label), score, color) if own else _label(arc.label, score, color)
        line = "" if own or frame.options.own_look else f"; --line: {escape(color)}"
        title = escape(describe(graph, arc))
        middle = f'<td class="luke-relation" style="{CELL}{line}" title="{title}">{label} {arrow}</td>'
        rows.append(f"<tr>{ends[0]}{middle}{ends[1]}</tr>")
    heading = "Between sentences, whose numbers are beside the text"
    heading = f'<div style="margin: 0.5em 16px 0.3em; font-size: 0.85em; opacity: 0.75">{heading}</div>'
    return f'{heading}<table style="border-collapse: collapse; border: 0; margin: 0 16px 1em">{"".join(rows)}</table>'


def _label(label: str, score: str, color: str) -> str:
    shown = f' <span style="font-weight: normal">{escape(score)}</span>' if score else ""
    style = f"color: var(--luke-line, {escape(color)}); font-weight: bold; font-size: 0.85em"
    return f'<span style="{style}"><bdi>{escape(one_line(label))}</bdi>{shown}</span>'


def _end(graph: Graph, number: int, options: Options) -> str:
    mark = graph.marks[number]
    style = f"background: {options.label_color(mark.label)}; color: #000; padding: 0.15em 0.35em; border-radius: 0.35em"
    sentence = f'<span style="font-size: 0.75em; opacity: 0.75">({graph.sentence(mark.start) + 1})</span>'
    return f'<mark style="{escape(style)}"><bdi>{escape(graph.text(number))}</bdi></mark> {sentence}'
