"""Arcs between boxes: where they stand.

            +----- founded 0.97 -----+
            |   +- born_in 0.88 -+   |
            |   v                |   v
           [ Ada ]   in        [ London ]

An arc whose boxes lie on different lines is cut in two: it leaves its line on one side and comes back on the other
side of the line where it ends (as in brat, Stenetorp et al. 2012). Each part names the other end, so that nobody has to
follow a line around the text:

            +- born_in 0.88 → London -      - born_in ← Ada -+
           [ Ada ]   was born                          in  [ London ]
"""

from __future__ import annotations

from collections import defaultdict

from .graph import Arc, Block, Graph
from .layout import STEP, Box, Layout
from .options import Options, score_text
from .stack import Piece, stack
from .text import isolated, one_line

LONGEST_NAME = 28


def draw_arcs(
    graph: Graph, block: Block, layout: Layout, options: Options, *, width: float, base: str
) -> list[list[Piece]]:
    """The arcs on each line. width: of the lines. base: their direction."""
    boxes = {mark: layout.box_of(mark) for mark in block.marks}
    feet = _feet(graph, block, boxes)
    lines: list[list[Piece]] = [[] for _ in layout.boxes]
    for number in block.arcs:
        arc = graph.arcs[number]
        ends = [(boxes[arc.head], feet[number, "head"], "head"), (boxes[arc.tail], feet[number, "tail"], "tail")]
        ends.sort(key=lambda end: (end[0].line, end[1]))
        (first, first_x, first_role), (last, last_x, last_role) = ends
        roles = (first_role, last_role)
        label, score = one_line(arc.name or arc.label), score_text(arc.score, options)
        score = f" {score}" if score else ""
        if first.line == last.line:
            piece = Piece(number, first_x, last_x, (first, last), roles, label, score)
            lines[first.line].append(piece)
            continue
        to_last, to_first = (_towards(graph, arc, role, base) for role in (last_role, first_role))
        lines[first.line].append(Piece(number, first_x, width, (first, None), roles, label, score + to_last))
        lines[last.line].append(Piece(number, 0.0, last_x, (None, last), roles, label, to_first))
    for pieces in lines:
        stack(pieces, width)
    return lines


def _towards(graph: Graph, arc: Arc, role: str, base: str) -> str:
    """The end of an arc that lies on another line."""
    name = graph.text(arc.head if role == "head" else arc.tail)
    name = name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
    return f" {'→' if (role == 'tail') == (base == 'ltr') else '←'} {isolated(name)}"


def _feet(graph: Graph, block: Block, boxes: dict[int, Box]) -> dict[tuple[int, str], float]:
    """x of both ends of each arc: arcs that share a box stand side by side on it, and do not cross over it."""
    ends: dict[int, list[tuple[tuple[float, ...], int, str]]] = defaultdict(list)
    for number in block.arcs:
        arc = graph.arcs[number]
        for role, mark, other in (("head", arc.head, arc.tail), ("tail", arc.tail, arc.head)):
            lines = boxes[other].line - boxes[mark].line
            distance = 0.0 if lines else _middle(boxes[other]) - _middle(boxes[mark])
            right = lines > 0 or distance > 0 or (not lines and not distance and role == "tail")
            far = (abs(lines), abs(distance), number)
            # To the left the nearest first, to the right the farthest first
            key = (1.0, *(-value for value in far)) if right else (0.0, *far)
            ends[mark].append((key, number, role))
    feet = {}
    for mark, on_box in ends.items():
        box = boxes[mark]
        step = min(STEP, (box.right - box.left - 8) / len(on_box))
        x = _middle(box) - step * (len(on_box) - 1) / 2
        for i, (_, number, role) in enumerate(sorted(on_box)):
            feet[number, role] = x + i * step
    return feet


def _middle(box: Box) -> float:
    return (box.left + box.right) / 2
