"""Levels of the arcs on one line, and places for their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .layout import Box
from .text import text_width

ARC_LABEL_SIZE = 12
GAP = 5  # px between what lies on one level
MOVES = 30  # attempts to find a free place for every label


@dataclass
class Piece:
    """An arc, or the part of an arc on one line.

    left, right: x of its ends.
    feet: box that it stands on at each end; None where it leaves the line.
    roles: "head" or "tail" at each end.
    label, more: the label; what stands behind it, in a lighter face.
    level: 1 is the lowest.
    label_x: x of the middle of the label.
    """

    arc: int
    left: float
    right: float
    feet: tuple[Box | None, Box | None]
    roles: tuple[str, str]
    label: str
    more: str
    level: int = 0
    label_x: float = 0.0

    @property
    def label_width(self) -> float:
        """Width of the label with its margins."""
        return text_width(self.label, ARC_LABEL_SIZE, bold=True) + text_width(self.more, ARC_LABEL_SIZE) + 8

    @property
    def narrow(self) -> bool:
        """Whether the label would hide the arc, and so has to stand over it."""
        return self.right - self.left < self.label_width + 16

    @property
    def posts(self) -> list[float]:
        """x of its upright lines."""
        return [x for foot, x in zip(self.feet, (self.left, self.right), strict=True) if foot is not None]

    @property
    def extent(self) -> tuple[float, float]:
        """Range from the left end of the arc or its label to the right end."""
        half = self.label_width / 2
        return min(self.left, self.label_x - half), max(self.right, self.label_x + half)


def stack(pieces: list[Piece], width: float) -> None:
    """Give each piece a level, and its label a place on it through which no higher arc comes down.

    A piece lies over the shorter pieces that it overlaps. Where that leaves no free place for a label, its piece goes
    over the longer ones as well: of several such pieces, the longest first. That may cover another label in turn, so
    the best of MOVES attempts is taken.
    """
    order = sorted(pieces, key=lambda p: (p.right - p.left, p.arc))
    lifted = {id(piece): 0 for piece in pieces}
    best, fewest = order, len(order) + 1
    for _ in range(MOVES):
        covered = _arrange(order, width)
        if len(covered) < fewest:
            best, fewest = order, len(covered)
        if not covered:
            return
        piece = min(reversed(covered), key=lambda p: lifted[id(p)])
        lifted[id(piece)] += 1
        order = [*(p for p in order if p is not piece), piece]
    _arrange(best, width)


def _arrange(order: Sequence[Piece], width: float) -> list[Piece]:
    """Stack pieces in this order. Returns those whose labels found no free place."""
    _set_levels(order, width)
    return [piece for piece in order if not _set_label(piece, order, width)]


def _set_levels(order: Sequence[Piece], width: float) -> None:
    placed: list[tuple[float, float, int]] = []
    for piece in order:
        half = piece.label_width / 2
        piece.label_x = min(max((piece.left + piece.right) / 2, half), max(width - half, half))
        left, right = piece.extent
        levels = [level for lo, hi, level in placed if lo < right + GAP and left - GAP < hi]
        piece.level = 1 + max(levels, default=0)
        placed.append((left, right, piece.level))


def _set_label(piece: Piece, pieces: Sequence[Piece], width: float) -> bool:
    """Whether there is a free place for the label."""
    half = piece.label_width / 2
    posts = [x for p in pieces if p.level > piece.level for x in p.posts]
    beside = [p.extent for p in pieces if p.level == piece.level and p is not piece]
    least = max([0.0, *(hi + GAP for _, hi in beside if hi <= piece.left)]) + half
    most = min([width, *(lo - GAP for lo, _ in beside if lo >= piece.right)]) - half
    over = half - GAP if piece.narrow else -half - GAP
    place = free_place(piece.label_x, half, posts, max(least, piece.left - over), min(most, piece.right + over))
    piece.label_x = piece.label_x if place is None else place
    return place is not None


def free_place(x: float, half: float, posts: Sequence[float], least: float, most: float) -> float | None:
    """The place nearest to x for the middle of a label through which no line comes down."""
    for step in range(int(max(x - least, most - x, 0) // 4) + 1):
        for place in (x - 4 * step, x + 4 * step):
            if (step == 0 or least <= place <= most) and not any(abs(post - place) < half + 2 for post in posts):
                return place
    return None
