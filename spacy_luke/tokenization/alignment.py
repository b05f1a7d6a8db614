"""Cuts of a text before it is tokenised: LukeTokenizer's rule for entity boundaries.

Every boundary of a span cuts the text, and each segment is tokenised alone. A boundary just after a U+0020 moves left
over that one space, so that the space goes with what follows it, as byte-level BPE wants it (transformers,
tokenization_luke.py, `get_input_ids_and_entity_token_spans`). With spans on "Ana" and "Bo":

    "Ana met  Bo ."   ->   "Ana" " met " " Bo" " ."
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable


def moved(text: str, boundary: int) -> int:
    """The cut that stands for `boundary`: itself, or one to the left of it after a single U+0020."""
    return boundary - 1 if boundary > 0 and text[boundary - 1] == " " else boundary


def segments(text: str, boundaries: Iterable[int]) -> list[tuple[int, int]]:
    """The non-empty segments (start, end), in characters, that `boundaries` cut `text` into."""
    cuts = sorted({0, len(text), *(moved(text, b) for b in boundaries)})
    return list(itertools.pairwise(cuts))
