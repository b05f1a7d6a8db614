"""Windows of one length, each a stride further than the one before: for questions, and for encoders that read whole
documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from ..errors import LukeError
from .windows import Window, best_windows

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
    """Windows that are as long as the question allows and start `stride` pieces apart (Yamada et al. 2020, 4.5).

    With a stride of 2 and room for 4 pieces of the context beside the question:

        a b c d e f g        a b c d
                                 c d e f
                                     e f g

    As in the code of the paper, which takes it from BERT's (google-research/bert, run_squad.py,
    `convert_examples_to_features`).

    They are `ContextWindows` for questions, `Windows` for mentions, and have a place for items of several mentions.
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

    def __call__(self, pieces: int, sentences: np.ndarray, longest_mention: int) -> list[Window]:
        """Neighbours share at least `longest_mention` pieces, whatever the stride."""
        if self.max_pieces < 2 * longest_mention:
            raise LukeError("L046", max_pieces=self.max_pieces, minimum=2 * longest_mention)
        overlapping = replace(self, stride=min(self.stride, self.max_pieces - longest_mention))
        return [Window(start, end, (0, pieces)) for start, end in overlapping.cover(pieces, 0)]

    def place(self, hulls: np.ndarray, pieces: int) -> tuple[list[Window], np.ndarray]:
        """The windows of a Doc and, for each of some piece ranges, the one that shows most around it.

        A range in none of them gets a window of its own, which it is in the middle of; so do its neighbours that fit.
        RETURNS: Windows, and the index of that of each range, -1 if the range is longer than a window.
            *Shapes:* (ranges, 2) -> (ranges,)
        """
        windows = [Window(start, end, (0, pieces)) for start, end in self.cover(pieces, 0)]
        window_of = best_windows(hulls, windows)
        length = hulls[:, 1] - hulls[:, 0]
        todo = np.flatnonzero((window_of < 0) & (length <= self.max_pieces))
        todo = todo[np.argsort(hulls[todo, 0], kind="stable")]
        while len(todo):
            margin = (self.max_pieces - int(length[todo[0]])) // 2
            # Not below 0: the first window shows all that lies in the first `max_pieces`.
            start = min(int(hulls[todo[0], 0]) - margin, pieces - self.max_pieces)
            end = start + self.max_pieces
            inside = hulls[todo, 1] <= end
            window_of[todo[inside]] = len(windows)
            windows.append(Window(start, end, (0, pieces)))
            todo = todo[~inside]
        return windows, window_of


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
    """Windows of one length over a Doc, whatever its sentences, as `spacy-luke.strided_windows.v1`.

    max_pieces: longest window in pieces, question and context together, without special pieces; an encoder with fewer
        positions lowers it.
    stride: pieces from the start of a window to the start of the next. A larger one is faster and shows less around
        an answer near an edge.
    """
    for setting, value, minimum in (("max_pieces", max_pieces, 2), ("stride", stride, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            reason = f"it must be a number of pieces, at least {minimum}"
            raise LukeError("L047", setting=setting, value=value, reason=reason)
    return StridedWindows(max_pieces, stride)
