"""Charts of results as SVG: how many times as fast as transformers, and the cost of lists of names against their size.

`python -m benchmarks --update-docs` draws them with the table of docs/benchmarks.md; the second of other results is
drawn by `python -m benchmarks.plot metrics/benchmark.json plot.svg`.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from .rows import Row

WIDTH, HEIGHT = 380, 280  # of a panel, in px, labels included
LEFT, RIGHT, TOP, BOTTOM = 58, 18, 52, 44  # px around the axes
FOOT = 34  # px below the panels
OURS, OTHER = "#0b6e99", "#c4501b"
PANELS = {"CPU s": "CPU seconds, one thread", "MB": "peak memory, MB"}
Point = tuple[float, float]


def draw(results: dict[str, Any]) -> str | None:
    """The SVG of the rows that have a size: a panel for each unit, both axes logarithmic; None if there are none."""
    rows = [row for row in (Row(**values) for values in results["rows"]) if row.size is not None]
    if not rows:
        return None
    panels = [(title, [row for row in rows if row.unit == unit]) for unit, title in PANELS.items()]
    drawn = [line for i, (title, some) in enumerate(panels) if some for line in _panel(i * WIDTH, title, some)]
    return _page(drawn, WIDTH * len(panels), HEIGHT + FOOT, results)


def draw_ratios(results: dict[str, Any]) -> str | None:
    """The SVG of the rows that compare speed with transformers: a bar for each, with a line at equal speed; None if
    there are none."""
    rows = [Row(**values) for values in results["rows"]]
    rows = [row for row in rows if row.against == "transformers" and row.ours and row.other and row.unit.endswith("/s")]
    if not rows:
        return None
    ratios = [row.ours / row.other for row in rows if row.ours and row.other]
    width, left, top, step = 2 * WIDTH, 330, 44, 22
    height = top + step * len(rows) + FOOT
    across = _Scale(min(0.5, *ratios), max(2.0, *ratios), left, width - 60)
    drawn = [
        _text(
            LEFT,
            20,
            "Times as fast as transformers, with the same weights and answers (logarithmic)",
            anchor="start",
            weight="bold",
        ),
        f'<path d="M{across(1):.1f},{top - 8} V{height - FOOT}" stroke="{OTHER}"/>',
        _text(across(1), top - 12, "transformers", fill=OTHER),
    ]
    for i, (row, ratio) in enumerate(zip(rows, ratios, strict=True)):
        y = top + step * i
        case = row.case.replace("transformers in ", "").replace("transformers ", "")
        drawn.append(_text(left - 8, y + 12, f"{row.part}: {case}", anchor="end"))
        drawn.append(f'<rect x="{left}" y="{y}" width="{across(ratio) - left:.1f}" height="{step - 6}" fill="{OURS}"/>')
        drawn.append(_text(across(ratio) + 4, y + 12, f"{ratio:.2f} ×", anchor="start"))
    return _page(drawn, width, height, results)


def _page(drawn: Sequence[str], width: float, height: float, results: dict[str, Any]) -> str:
    """A white page with the machine and the versions at its foot."""
    about = results["about"]
    foot = " · ".join(about[name] for name in ("machine", "versions") if name in about)
    style = "font-family: sans-serif; background: #fff"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" style="{style}">'
    page = f'<rect width="{width}" height="{height}" fill="#fff"/>'
    return "\n".join([head, page, *drawn, _text(width / 2, height - 10, foot, size=9, fill="#555"), "</svg>", ""])


def write(svg: str | None, path: Path) -> None:
    """Write a chart, if there is something to show."""
    if svg is not None:
        path.write_text(svg, encoding="utf8")


def _panel(x: float, title: str, rows: Sequence[Row]) -> Iterator[str]:
    sides = {
        "encoded once": (OURS, [(row.size, row.ours) for row in rows]),
        rows[0].against: (OTHER, [(row.size, row.other) for row in rows]),
    }
    lines: dict[str, tuple[str, list[Point]]] = {
        name: (color, [(a, b) for a, b in points if a and b]) for name, (color, points) in sides.items()
    }
    sizes = sorted({a for _, points in lines.values() for a, _ in points})
    costs = [b for _, points in lines.values() for _, b in points]
    powers = range(math.floor(math.log10(min(costs))), math.ceil(math.log10(max(costs))) + 1)
    across = _Scale(sizes[0], sizes[-1], x + LEFT, x + WIDTH - RIGHT)
    up = _Scale(10.0 ** powers[0], 10.0 ** powers[-1], HEIGHT - BOTTOM, TOP)
    yield _text(x + LEFT, 18, title, anchor="start", weight="bold")
    for power in powers:
        y = up(10.0**power)
        yield f'<path d="M{across.start:.1f},{y:.1f} H{across.end:.1f}" stroke="#ddd"/>'
        yield _text(across.start - 6, y + 4, f"{10.0**power:,g}", anchor="end")
    for size in sizes:
        yield _text(across(size), up.start + 16, f"{size:,g}")
    yield _text((across.start + across.end) / 2, up.start + 34, "names in the list")
    for i, (name, (color, points)) in enumerate(lines.items()):
        yield _text(across.start + 100 * i, 36, f"● {name}", anchor="start", fill=color)
        places = [(across(a), up(b)) for a, b in points]
        line = " L".join(f"{a:.1f},{b:.1f}" for a, b in places)
        yield f'<path d="M{line}" fill="none" stroke="{color}" stroke-width="2"/>'
        for (a, b), (_, cost) in zip(places, points, strict=True):
            yield f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="{color}"><title>{cost:,.3g}</title></circle>'


class _Scale:
    """A logarithmic axis: low and high are at start and end, in px."""

    def __init__(self, low: float, high: float, start: float, end: float):
        self.start, self.end = start, end
        self._low, self._range = math.log(low), math.log(high / low) or 1.0

    def __call__(self, value: float) -> float:
        return self.start + (self.end - self.start) * (math.log(value) - self._low) / self._range


def _text(
    x: float, y: float, text: str, *, anchor: str = "middle", size: int = 11, fill: str = "#222", weight: str = "normal"
) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}" font-weight="{weight}"'
    return f"<text {place}>{escape(text)}</text>"


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    write(draw(json.loads(source.read_text(encoding="utf8"))), target)
