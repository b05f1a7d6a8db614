"""Characters of a text as Python counts them, and as annotation tools do."""

from __future__ import annotations

from bisect import bisect_left
from typing import Literal, TypeAlias

from ..checks import require_one_of
from ..errors import LukeError

# "characters": Unicode code points, as in Python. "utf16": UTF-16 code units, as in JavaScript, where an emoji has two.
# "graphemes": what a reader sees as one character (UAX #29), such as a letter with its accents.
Unit: TypeAlias = Literal["characters", "utf16", "graphemes"]
UNITS = ("characters", "utf16", "graphemes")


class Offsets:
    """Ranges of a text in a unit of a tool <-> ranges of code points.

        text                👍 o k
        code points         0  1 2
        UTF-16 code units   0  2 3      starts = 0 0 1 2, ends = 1 1 2 3

    starts, ends: for each unit, the code points of the character that it belongs to, half-open; None where the units
        are the code points.
    """

    def __init__(self, text: str, unit: Unit):
        require_one_of(UNITS, offsets=unit)
        self.length = len(text)
        self.starts: list[int] | None = None
        self.ends: list[int] | None = None
        if unit == "utf16" and max(text, default="") > "\uffff":
            self.starts = [i for i, character in enumerate(text) for _ in range(1 + (character > "\uffff"))]
            self.ends = [i + 1 for i in self.starts]
        elif (unit == "graphemes" and not text.isascii()) or (unit == "graphemes" and "\r\n" in text):
            self.starts, self.ends = _graphemes(text)

    def __len__(self) -> int:
        return self.length if self.starts is None else len(self.starts)

    def to_characters(self, start: int, end: int) -> tuple[int, int] | None:
        """The code points of a range of units, whole characters; None if it is empty or outside the text."""
        if not 0 <= start < end <= len(self):
            return None
        if self.starts is None or self.ends is None:
            return start, end
        return self.starts[start], self.ends[end - 1]

    def from_characters(self, start: int, end: int) -> tuple[int, int]:
        """The units of a range of code points, those that it cuts included."""
        if self.starts is None:
            return start, end
        first = bisect_left(self.starts, start)
        if first == len(self.starts) or self.starts[first] != start:
            first -= 1
        return first, bisect_left(self.starts, end)


def _graphemes(text: str) -> tuple[list[int], list[int]]:
    try:
        import regex
    except ImportError as error:
        raise LukeError(
            "L176", what="offsets = 'graphemes'", package="regex", reason=error, extra="graphemes"
        ) from error
    edges = [match.span() for match in regex.finditer(r"\X", text)]
    return [start for start, _ in edges], [end for _, end in edges]
