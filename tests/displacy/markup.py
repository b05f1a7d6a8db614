"""Content that a person sees on a page, read from its markup."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Rect:
    """x and y of the edges."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Rect, slack: float = 1.0) -> bool:
        return (
            self.left + slack < other.right
            and other.left + slack < self.right
            and self.top + slack < other.bottom
            and other.top + slack < self.bottom
        )


def parse(markup: str) -> ET.Element:
    """Well-formed markup of any number of Docs."""
    return ET.fromstring(f"<root>{markup}</root>")


def text(element: ET.Element) -> str:
    """The visible text: without titles, which only show under a pointer."""
    inner = "".join(text(child) + (child.tail or "") for child in element if not child.tag.endswith("title"))
    return (element.text or "") + inner


def svgs(markup: str) -> list[ET.Element]:
    return list(parse(markup).iter(f"{SVG}svg"))


def classes(markup: str, name: str) -> list[str]:
    """The visible text of every element of a class."""
    return [text(e) for e in parse(markup).iter() if name in e.get("class", "").split()]


def arc_labels(markup: str) -> list[str]:
    """Labels of the arcs, without the arrows that show where an arc continues on another line."""
    return [label.split(" \u2190 ")[0].split(" \u2192 ")[0] for label in classes(markup, "luke-label")]


def words(svg: ET.Element) -> list[tuple[str, Rect]]:
    """The words of a block with the room that they take."""
    return [(text(e), _room(e)) for e in svg.findall(f"{SVG}text") if e.get("font-size") == "16"]


def label_rects(svg: ET.Element) -> list[Rect]:
    """The room of the labels on arcs."""
    return _rects(svg, "luke-relation")


def box_rects(svg: ET.Element) -> list[Rect]:
    """The boxes of marks."""
    return _rects(svg, "luke-span")


def _rects(svg: ET.Element, name: str) -> list[Rect]:
    """The rectangles in the groups of a class."""
    return [
        Rect(x, y, x + float(r.get("width", 0)), y + float(r.get("height", 0)))
        for g in svg.findall(f"{SVG}g")
        if g.get("class") == name
        for r in g.iter(f"{SVG}rect")
        for x, y in ((float(r.get("x", 0)), float(r.get("y", 0))),)
    ]


def _room(element: ET.Element) -> Rect:
    x, y = float(element.get("x", 0)), float(element.get("y", 0))
    half = float(element.get("textLength", 0)) / 2
    return Rect(x - half, y - 12, x + half, y + 3)
