"""How a long context is cut for questions: windows of one length, each a stride further than the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from ..errors import LukeError

# Half-open range of a context's pieces.
ContextWindow = tuple[int, int]


@runtime_checkable
class ContextWindows(Protocol):
    """Cuts a context into windows that share their room with a question."""

    @property
    def max_pieces(self) -> int:
        """Most pieces of question and context together, without special pieces."""

    def shortened(self, max_pieces: int) -> ContextWindows:
        """The same with windows of at most `max_pieces`."""

    def cover(self, pieces: int, reserved: int) -> list[ContextWindow]:
        """Windows, in text order, that every piece of the context is in; [] for a context without pieces.

        pieces: of the context. reserved: pieces of the question.
        """


@dataclass(frozen=True)
class StridedWindows:
    """Windows that are as long as the question allows and begin `stride` pieces apart (Yamada et al. 2020, 4.5).

    With a stride of 2 and room for 4 pieces of the context beside the question:

        a b c d e f g        a b c d
                                 c d e f
                                     e f g

    As in the code of the paper, which takes it from BERT's (google-research/bert, run_squad.py,
    `convert_examples_to_features`).
    """

    max_pieces: int
    stride: int

    def shortened(self, max_pieces: int) -> StridedWindows:
        return replace(self, max_pieces=min(self.max_pieces, max_pieces))

    def cover(self, pieces: int, reserved: int) -> list[ContextWindow]:
        room = max(self.max_pieces - reserved, 1)
        windows: list[ContextWindow] = []
        start = 0
        while start < pieces and (not windows or windows[-1][1] < pieces):
            windows.append((start, min(start + room, pieces)))
            start += min(room, self.stride)
        return windows


def max_context(windows: Sequence[ContextWindow]) -> np.ndarray:
    """The index of the window in which each piece has most context; the first of equals.

    The context of a piece in a window is the smaller number of pieces beside it, plus 0.01 x the window's length
    (BERT's `_check_is_max_context`, which the paper's code uses). So an answer that several windows show is read from
    the one that shows most around it.

    *Shape:* (pieces,), int64
    """
    window_of = np.zeros(windows[-1][1] if windows else 0, dtype=np.int64)
    most = np.full(len(window_of), -1.0)
    for index, (start, end) in enumerate(windows):
        place = np.arange(end - start)
        context = np.minimum(place, place[::-1]) + 0.01 * (end - start)
        better = start + np.flatnonzero(context > most[start:end])
        window_of[better] = index
        most[better] = context[better - start]
    return window_of


def build_strided_windows(max_pieces: int = 508, stride: int = 128) -> StridedWindows:
    """Windows for questions about long contexts, as `spacy-luke.strided_windows.v1`.

    max_pieces: question and context together, in pieces, without the four special pieces; an encoder with fewer
        positions lowers it.
    stride: pieces from the begin of a window to the begin of the next. A larger one is faster and shows less around
        an answer near an edge.
    """
    for setting, value, minimum in (("max_pieces", max_pieces, 2), ("stride", stride, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            reason = f"it must be a number of pieces, at least {minimum}"
            raise LukeError("L047", setting=setting, value=value, reason=reason)
    return StridedWindows(max_pieces, stride)
