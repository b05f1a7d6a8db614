"""One block of text with its boxes and arcs as an SVG."""

from __future__ import annotations

from dataclasses import dataclass

from .arcs import draw_arcs
from .graph import Arc, Block, Graph
from .layout import LABEL_SIZE, PAD, SIZE, Box, Layout, place
from .options import Options
from .stack import ARC_LABEL_SIZE, Piece, free_place
from .text import escape, one_line, text_width

SIDE, SENTENCE_SIDE = 16, 34  # px beside the text; with the numbers of sentences
BAR, BARE_BAR = 15, 5  # height of a box above its words, with and without a label
WORDS, DROP = 22, 6  # height of a line of words; px of it below the base line
BETWEEN = 14  # px between lines
ROUND = 7
ABOVE, DOT = 1.5, 2.6  # px from a box up to the end of an arc, which covers no label; radius of the end without arrow
UNDER_END = 3  # px of an end over the line to it
LOWEST = 37  # px from the boxes to the top of the lowest labels


@dataclass(frozen=True)
class Frame:
    """Context of the drawing of a block.

    stroke: label of a relation -> colour of its arcs.
    own_colors: labels whose colour the user chose: displaCy's are backgrounds, so theirs fill the label.
    """

    options: Options
    direction: str
    lang: str
    stroke: dict[str, str]
    own_colors: frozenset[str]
    numbered: bool


def render_block(graph: Graph, block: Block, frame: Frame) -> str:
    """The SVG of a block."""
    return _Drawing(graph, block, frame).svg()


class _Drawing:
    """Turns places along and across lines into coordinates: RTL text is mirrored here and nowhere else."""

    def __init__(self, graph: Graph, block: Block, frame: Frame) -> None:
        self.graph, self.block, self.frame, self.options = graph, block, frame, frame.options
        self.side = SENTENCE_SIDE if frame.numbered else SIDE
        room = max(0.0, self.options.width - self.side - SIDE)
        self.layout: Layout = place(graph, block, width=room, base=frame.direction)
        self.text_width = max(self.layout.width, room)
        if len(self.layout.boxes) == 1 and not block.arcs:
            self.text_width = self.layout.width
        # An arc leaves its line beside the text
        beside = self.text_width + SIDE - 4
        self.arcs = draw_arcs(graph, block, self.layout, self.options, width=beside, base=frame.direction)
        widest = max((p.label_x + p.label_width / 2 for line in self.arcs for p in line), default=0.0)
        self.width = self.side + max(self.text_width, widest) + SIDE
        self.bar = BAR if any(graph.marks[m].label.strip() for m in block.marks) else BARE_BAR
        self.tops: list[float] = []  # y of the base of each line's arcs, the top of its highest box
        self.bases: list[float] = []  # y of the base line of the words
        y = 0.0
        for boxes, pieces in zip(self.layout.boxes, self.arcs, strict=True):
            y += 4 + self._level(max((p.level for p in pieces), default=0))
            self.tops.append(y)
            y += self.bar * max((box.slot + 1 for box in boxes), default=0) + WORDS
            self.bases.append(y - DROP)
            y += BETWEEN
        self.height = y

    def svg(self) -> str:
        frame, options = self.frame, self.options
        content = [*self._numbers(), *self._boxes(), *self._words(), *self._notes(), *self._arcs()]
        width, height = f"{self.width:.1f}", f"{self.height:g}"
        size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        role = "group" if any(mark.url for mark in self.graph.marks) else "img"  # what is in an image cannot be reached
        text = self.graph.words(self.block.start, self.block.end)
        style = (
            f"max-width: none; height: {self.height:g}px; color: {options.ink}; background: {options.ground}; "
            f"font-family: {options.font}; direction: {frame.direction}"
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" xml:lang="{escape(frame.lang)}" class="displacy luke-block" '
            f'role="{role}" aria-label="{escape(text)}" {size} '
            f'direction="{frame.direction}" style="{escape(style)}">{"".join(content)}</svg>'
        )

    def _x(self, x: float) -> float:
        x += self.side
        return self.width - x if self.frame.direction == "rtl" else x

    def _level(self, level: int) -> float:
        """Height of a level of arcs over the boxes."""
        return LOWEST + (level - 1) * self.options.distance if level else 0.0

    def _text(self, x: float, y: float, text: str, size: float, **more: str) -> str:
        """A text around x, exactly as wide as the layout expects."""
        width = text_width(text, size, bold="font-weight" in more)
        attributes = "".join(f' {name}="{escape(value)}"' for name, value in more.items())
        return (
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="middle" textLength="{width:.1f}" '
            f'lengthAdjust="spacingAndGlyphs"{attributes}>{escape(text)}</text>'
        )

    def _numbers(self) -> list[str]:
        if not self.frame.numbered:
            return []
        starts = [self.block.start, *self.block.breaks]
        first, out = self.block.sentences[0], []
        for number, token in enumerate(starts, first + 1):
            y = self.bases[self.layout.cells[token].line]
            out.append(self._text(self._x(-SENTENCE_SIDE / 2), y, str(number), 11, fill="currentColor", opacity="0.65"))
        return out

    def _words(self) -> list[str]:
        marked = {t for m in self.block.marks for t in range(self.graph.marks[m].start, self.graph.marks[m].end)}
        return [
            self._text(
                self._x(cell.x + cell.width / 2),
                self.bases[cell.line],
                cell.text,
                SIZE,
                fill="#000" if token in marked else "currentColor",
            )
            for token, cell in self.layout.cells.items()
            if cell.text
        ]

    def _boxes(self) -> list[str]:
        return [self._box(box) for line in self.layout.boxes for box in line]

    def _box_top(self, box: Box) -> float:
        return self.bases[box.line] + DROP - WORDS - (box.slot + 1) * self.bar

    def _box(self, box: Box) -> str:
        label = one_line(self.graph.marks[box.mark].label)
        top, bottom = self._box_top(box), self.bases[box.line] + DROP + min(2 * box.slot, 8)
        left, right = sorted((self._x(box.left), self._x(box.right)))
        fill = self.options.label_color(self.graph.marks[box.mark].label)
        drawn = (
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}" rx="5" '
            f'fill="{escape(fill)}" stroke="{escape(self.options.bg)}"/>'
        )
        if not label:
            return f'<g class="luke-span">{drawn}</g>'
        half = text_width(label, LABEL_SIZE, bold=True) / 2
        middle = (left + right) / 2
        free = free_place(middle, half, self._posts(box), left + half + 3, right - half - 3)
        middle = middle if free is None else free
        more = {"font-weight": "bold", "fill": "#000", "stroke": fill, "stroke-width": "3", "paint-order": "stroke"}
        if box.first:
            drawn += self._text(middle, top + BAR - 3, label, LABEL_SIZE, **more)
        return f'<g class="luke-span">{drawn}</g>'

    def _notes(self) -> list[str]:
        """What a pointer finds: an area over each box and its words that has a note, and leads to an address."""
        return [self._note(box) for line in self.layout.boxes for box in line]

    def _note(self, box: Box) -> str:
        mark = self.graph.marks[box.mark]
        if not mark.note and not mark.url:
            return ""
        left, right = sorted((self._x(box.left), self._x(box.right)))
        top, base = self._box_top(box), self.bases[box.line]
        drawn = (
            f'<title>{escape(mark.note)}</title><rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
            f'height="{base + DROP - top:.1f}" rx="5" fill="transparent"/>'
        )
        if not mark.url:
            return f'<g class="luke-note">{drawn}</g>'
        line = f'<path d="M{left + PAD:.1f},{base + 3:.1f} H{right - PAD:.1f}" stroke="#000" stroke-opacity="0.45"/>'
        return f'<a class="luke-note" href="{escape(mark.url)}" target="_blank" rel="noopener">{line}{drawn}</a>'

    def _posts(self, box: Box) -> list[float]:
        """x of the arcs that come down through a box to one within it."""
        feet = [
            (foot, x)
            for piece in self.arcs[box.line]
            for foot, x in zip(piece.feet, (piece.left, piece.right), strict=True)
        ]
        return [self._x(x) for foot, x in feet if foot is not None and foot.slot < box.slot]

    def _arcs(self) -> list[str]:
        """The lines of all arcs, then their labels: no line runs over a label."""
        pieces: dict[int, list[tuple[Piece, int]]] = {number: [] for number in self.block.arcs}
        for line, on_line in enumerate(self.arcs):
            for piece in on_line:
                pieces[piece.arc].append((piece, line))
        lines = [self._group("luke-arc", number, [self._line(*p) for p in pieces[number]]) for number in pieces]
        labels = [self._group("luke-relation", n, [self._label(*p) for p in pieces[n]]) for n in pieces]
        return lines + labels

    def _group(self, kind: str, number: int, content: list[str]) -> str:
        arc = self.graph.arcs[number]
        if arc.label.upper() in self.frame.own_colors:
            kind, style = f"{kind} luke-own", ""
        else:
            style = f' style="--line: {escape(self.frame.stroke[arc.label])}"'
        return f'<g class="{kind}"{style}><title>{escape(describe(self.graph, arc))}</title>{"".join(content)}</g>'

    def _line(self, piece: Piece, line: int) -> str:
        y = self._level_y(piece, line) + 9 * piece.narrow
        ends = sorted(
            (self._x(x), None if box is None else self._box_top(box) - ABOVE, role)
            for x, box, role in zip((piece.left, piece.right), piece.feet, piece.roles, strict=True)
        )
        (x0, foot0, _), (x1, foot1, _) = ends
        r = min(ROUND, (x1 - x0) / 2)
        stop0, stop1 = (None if foot is None else foot - UNDER_END for foot in (foot0, foot1))
        path = f"M{x0:.1f},{y:.1f}"
        if stop0 is not None:
            path = f"M{x0:.1f},{stop0:.1f} V{y + r:.1f} Q{x0:.1f},{y:.1f} {x0 + r:.1f},{y:.1f}"
        path += f" H{x1:.1f}"
        if stop1 is not None:
            path = f"{path[: path.rindex('H')]}H{x1 - r:.1f} Q{x1:.1f},{y:.1f} {x1:.1f},{y + r:.1f} V{stop1:.1f}"
        color = escape(self.frame.stroke[self.graph.arcs[piece.arc].label])
        drawn = f'<path d="{path}" fill="none" stroke="{color}" stroke-width="1.6"/>'
        return drawn + "".join(self._end(role, x, foot, color) for x, foot, role in ends if foot is not None)

    def _end(self, role: str, x: float, y: float, color: str) -> str:
        if role == "head":
            return f'<circle cx="{x:.1f}" cy="{y - DOT:.1f}" r="{DOT}" fill="{color}"/>'
        return f'<path d="M{x:.1f},{y:.1f} l-4.5,-8 h9 z" fill="{color}"/>'

    def _label(self, piece: Piece, line: int) -> str:
        arc = self.graph.arcs[piece.arc]
        color, own = self.frame.stroke[arc.label], arc.label.upper() in self.frame.own_colors
        x, y, width = self._x(piece.label_x), self._level_y(piece, line), piece.label_width
        fill, ink = (color, "#000") if own else (self.options.bg, color)
        kind = "luke-label" if piece.feet[0] is not None else "luke-label-continued"
        more = f'<tspan font-weight="normal">{escape(piece.more)}</tspan>' if piece.more else ""
        return (
            f'<rect x="{x - width / 2:.1f}" y="{y - 8:.1f}" width="{width:.1f}" height="16" rx="4" '
            f'fill="{escape(fill)}"/>'
            f'<text class="{kind}" x="{x:.1f}" y="{y + 4:.1f}" font-size="{ARC_LABEL_SIZE}" font-weight="bold" '
            f'text-anchor="middle" textLength="{width - 8:.1f}" lengthAdjust="spacingAndGlyphs" '
            f'fill="{escape(ink)}">{escape(piece.label)}{more}</text>'
        )

    def _level_y(self, piece: Piece, line: int) -> float:
        """y of the middle of a piece's label."""
        return self.tops[line] - self._level(piece.level) + 12


def describe(graph: Graph, arc: Arc) -> str:
    """A relation in words, for the tooltip: "Ada → London: born_in (0.97)"."""
    score = "" if arc.score is None else f" ({arc.score:.3f})"
    return f"{graph.text(arc.head)} → {graph.text(arc.tail)}: {one_line(arc.label)}{score}"
