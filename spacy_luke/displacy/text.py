"""Text as it is drawn: safe in HTML and XML, its estimated width, its direction.

An SVG has to know how wide a word is before a browser has seen it. The estimate is handed on to the browser as the
word's `textLength`, so that a word never takes more room than was kept for it, whatever the font.
"""

from __future__ import annotations

import html
import re
import unicodedata
from functools import lru_cache

# Advance widths of the characters 32 to 126 in thousandths of the font size: Adobe's metrics of Helvetica, which Arial
# and Liberation Sans share (Core 14 AFM, Helvetica.afm)
_HELVETICA = (
    *(278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278),
    *(556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556),
    *(1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778),
    *(667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556),
    *(333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556),
    *(556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584),
)
_BOLD = 1.09  # Helvetica-Bold beside Helvetica
_ZERO_WIDTH_JOINER = "\u200d"
# Everything that XML 1.0 allows no character reference for either (section 2.2)
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """The text with each character that a page cannot hold replaced by U+FFFD; as long as before."""
    return _NOT_XML.sub("\ufffd", text)


def escape(value: object) -> str:
    """Text for the content or an attribute of an element."""
    return html.escape(clean(str(value)), quote=True)


def one_line(text: str) -> str:
    """The text with every run of white space as one space."""
    return " ".join(clean(text).split())


def isolated(text: str) -> str:
    """The text in isolates (Unicode bidirectional algorithm, FSI and PDI): what stands beside it keeps its order."""
    return f"\u2068{text}\u2069"


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Estimated width of a text in px, for a font size in px."""
    width, previous = 0, ""
    for char in text:
        # What is joined to an emoji is drawn into it
        width += 0 if previous == _ZERO_WIDTH_JOINER else _advance(char)
        previous = char
    return width * size / 1000 * (_BOLD if bold else 1)


def continues(previous: str, text: str) -> bool:
    """Whether a text is drawn into the last character of the one before: an accent, a part of an emoji or of a flag."""
    if not previous or not text:
        return False
    flag = _is_flag(previous[-1]) and _is_flag(text[0]) and not (len(previous) > 1 and _is_flag(previous[-2]))
    joined = _ZERO_WIDTH_JOINER in (previous[-1], text[0])
    return joined or flag or unicodedata.category(text[0]).startswith("M") or 0x1F3FB <= ord(text[0]) <= 0x1F3FF


def _is_flag(char: str) -> bool:
    return 0x1F1E6 <= ord(char) <= 0x1F1FF


@lru_cache(maxsize=4096)
def _advance(char: str) -> int:
    code = ord(char)
    if 32 <= code < 127:
        return _HELVETICA[code - 32]
    if unicodedata.category(char) in ("Mn", "Me", "Cf", "Cc") or 0x1F3FB <= code <= 0x1F3FF:  # skin tones
        return 0
    if _is_flag(char):  # half a flag
        return 620
    if code >= 0x1F000 and code < 0x20000:
        return 1240
    if unicodedata.east_asian_width(char) in "WF":
        return 1000
    base = unicodedata.normalize("NFD", char)[0]
    if base != char and ord(base) < 127:
        return _advance(base)
    return 700 if char.isupper() else 556


def direction(text: str) -> str:
    """Direction of the first letter that has one: "ltr" or "rtl"; "" without such a letter."""
    for char in text:
        kind = unicodedata.bidirectional(char)
        if kind in ("R", "AL"):
            return "rtl"
        if kind == "L":
            return "ltr"
    return ""


def visual_order(directions: list[str], base: str) -> list[tuple[int, bool]]:
    """Place of each word along a line of the direction `base`, and whether it runs against it.

    Words of the other direction, with what lies between two of them, are turned as a run (Unicode bidirectional
    algorithm, rule L2, for two levels):

        directions   ltr  rtl  ""  rtl  ltr        base ltr
        order         0    3    2   1    4
    """
    order: list[tuple[int, bool]] = []
    i = 0
    while i < len(directions):
        if directions[i] in ("", base):
            order.append((i, False))
            i += 1
            continue
        last = i
        for j in range(i, len(directions)):
            if directions[j] == base:
                break
            if directions[j]:
                last = j
        order.extend((j, True) for j in range(last, i - 1, -1))
        i = last + 1
    return order
