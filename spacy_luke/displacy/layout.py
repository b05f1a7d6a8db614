"""Words and boxes of a block placed on lines. Everything is in px from the side on which a line starts.

A mark is a box around its words, with its label above them, and boxes lie in each other:

        slot 1    +- ORG -------------------+
        slot 0    |          +- GPE ------+ |
        words     | Bank of  | England    | |
                  +----------+------------+-+
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .graph import Block, Graph
from .text import continues, direction, one_line, text_width, visual_order

SIZE, LABEL_SIZE = 16, 10
PAD, MARGIN, STEP = 5, 2, 13
SPACE = text_width(" ", SIZE)


@dataclass
class Cell:
    """A word with the room for the boxes that start before it and end behind it.

    before, after: room that marks need there, innermost first.
    turned: the word runs against its line, so that "before" lies behind it.
    """

    text: str
    width: float
    space: float
    before: dict[int, float] = field(default_factory=dict)
    after: dict[int, float] = field(default_factory=dict)
    turned: bool = False
    x: float = 0.0
    line: int = 0

    @property
    def advance(self) -> float:
        pads = [*self.before.values(), *self.after.values()]
        return self.width + sum(pads) + MARGIN * bool(self.before) + MARGIN * bool(self.after) + self.space

    def edge(self, mark: int, *, begins: bool) -> float:
        """Edge of the box of a mark that starts or ends with this word."""
        pads = self.before if begins else self.after
        room = sum(list(pads.values())[: list(pads).index(mark) + 1])
        return self.x - room if begins != self.turned else self.x + self.width + room


@dataclass
class Box:
    """The part of a mark on one line."""

    mark: int
    line: int
    left: float
    right: float
    slot: int
    first: bool


@dataclass
class Layout:
    """words: by token. boxes: by line, outer ones first. width: of the longest line."""

    cells: dict[int, Cell]
    boxes: list[list[Box]]
    width: float

    def box_of(self, mark: int) -> Box:
        """The box of a mark on the line where it starts."""
        return next(box for line in self.boxes for box in line if box.mark == mark and box.first)


def place(graph: Graph, block: Block, *, width: float, base: str) -> Layout:
    """Set a block's words in lines of at most `width` px (0: no limit), which start on the left if `base` is "ltr"."""
    cells = _cells(graph, block)
    # Inner boxes first: the room that they take counts for those around them
    inner_first = sorted(block.marks, key=lambda m: (graph.marks[m].end - graph.marks[m].start, m))
    _make_room(graph, block, cells, inner_first)
    lines = _wrap(graph, block, cells, width)
    for number, line in enumerate(lines):
        _set_line(cells, line, number, base)
    slots = _slots(graph, inner_first)
    boxes: list[list[Box]] = [[] for _ in lines]
    for mark in inner_first:
        for box in _boxes(graph, cells, mark, slots[mark]):
            boxes[box.line].append(box)
    for on_line in boxes:
        on_line.sort(key=lambda box: (-box.slot, box.left))
    right = [cell.x + cell.width for cell in cells.values()] + [box.right for line in boxes for box in line]
    return Layout(cells, boxes, max(right, default=0.0))


def _cells(graph: Graph, block: Block) -> dict[int, Cell]:
    edges = {edge for m in block.marks for edge in (graph.marks[m].start, graph.marks[m].end)}
    cells: dict[int, Cell] = {}
    start = None  # the word that goes on
    for token in range(block.start, block.end):
        text = one_line(graph.tokens[token])
        # A line end before a sentence indents nothing.
        space = SPACE if (graph.spaces[token] if text else token not in block.breaks) else 0.0
        cells[token] = Cell(text, text_width(text, SIZE), space)
        if start is not None and token not in edges and not cells[start].space and continues(cells[start].text, text):
            text = cells[start].text + text
            cells[start] = Cell(text, text_width(text, SIZE), space)
            cells[token] = Cell("", 0.0, 0.0)
        else:
            start = token
    return cells


def _make_room(graph: Graph, block: Block, cells: dict[int, Cell], inner_first: Sequence[int]) -> None:
    arcs = [graph.arcs[i] for i in block.arcs]
    for number in inner_first:
        mark = graph.marks[number]
        feet = sum((arc.head == number) + (arc.tail == number) for arc in arcs)
        needed = max(text_width(one_line(mark.label), LABEL_SIZE, bold=True), STEP * feet)
        inside = [cells[token] for token in range(mark.start, mark.end)]
        taken = sum(cell.advance for cell in inside) - inside[-1].space
        room = PAD + max(0.0, needed - taken) / 2
        inside[0].before[number] = inside[-1].after[number] = room


def _wrap(graph: Graph, block: Block, cells: dict[int, Cell], width: float) -> list[list[int]]:
    """Lines of tokens. Neither marks nor what has no space between is cut, unless it is longer than a line."""
    inside = {t for m in block.marks for t in range(graph.marks[m].start + 1, graph.marks[m].end)}
    lines: list[list[int]] = []
    left = 0.0
    for unit in _units(block, cells, inside, width):
        needed = sum(cells[token].advance for token in unit)
        if not lines or unit[0] in block.breaks or (width and needed - cells[unit[-1]].space > left):
            lines.append([])
            left = width
        lines[-1].extend(unit)
        left -= needed
    return lines


def _units(block: Block, cells: dict[int, Cell], inside: set[int], width: float) -> list[list[int]]:
    """Tokens between which a line must not end."""

    def glue(tokens: Sequence[int], *, marks: bool, words: bool) -> list[list[int]]:
        units: list[list[int]] = []
        for token in tokens:
            joined = words and token not in block.breaks and not (units and cells[token - 1].space)
            if units and (joined or (marks and token in inside)):
                units[-1].append(token)
            else:
                units.append([token])
        return units

    def fits(unit: Sequence[int]) -> bool:
        return not width or sum(cells[token].advance for token in unit) <= width

    units = []
    for unit in glue(list(cells), marks=True, words=True):
        for part in [unit] if fits(unit) else glue(unit, marks=True, words=False):
            units.extend([part] if fits(part) else glue(part, marks=False, words=False))
    return units


def _set_line(cells: dict[int, Cell], line: Sequence[int], number: int, base: str) -> None:
    x = 0.0
    for i, turned in visual_order([direction(cells[token].text) for token in line], base):
        cell = cells[line[i]]
        cell.line, cell.turned = number, turned
        first, last = (cell.after, cell.before) if turned else (cell.before, cell.after)
        space = cell.space * turned  # the space after a turned word lies before it
        cell.x = x + space + sum(first.values()) + MARGIN * bool(first)
        x = cell.x + cell.width + sum(last.values()) + MARGIN * bool(last) + cell.space - space


def _slots(graph: Graph, inner_first: Sequence[int]) -> dict[int, int]:
    """Number of boxes that lie between each box and its words."""
    slots: dict[int, int] = {}
    top: dict[int, int] = {}  # by token
    for number in inner_first:
        tokens = range(graph.marks[number].start, graph.marks[number].end)
        slots[number] = max(top.get(token, 0) for token in tokens)
        top.update(dict.fromkeys(tokens, slots[number] + 1))
    return slots


def _boxes(graph: Graph, cells: dict[int, Cell], number: int, slot: int) -> list[Box]:
    mark = graph.marks[number]
    boxes: list[Box] = []
    for token in range(mark.start, mark.end):
        cell = cells[token]
        edges = [cell.x - MARGIN, cell.x + cell.width + MARGIN]
        edges += [cell.edge(number, begins=True)] if token == mark.start else []
        edges += [cell.edge(number, begins=False)] if token == mark.end - 1 else []
        if not boxes or boxes[-1].line != cell.line:
            boxes.append(Box(number, cell.line, edges[0], edges[1], slot, token == mark.start))
        boxes[-1].left = min(boxes[-1].left, *edges)
        boxes[-1].right = max(boxes[-1].right, *edges)
    return boxes
