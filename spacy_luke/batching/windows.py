"""Windows of a Doc's pieces that the encoder reads.

A window is the piece sequence of one forward pass. Mentions of a sentence are scored in a window of that sentence,
pairs in a window of their sentences; `strided.py` has windows that know no sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from ..checks import require_at_least
from ..errors import LukeError

Context = Literal["document", "none"]


@dataclass(frozen=True)
class Window:
    """A half-open range of a Doc's pieces, and the range whose mentions it scores, if they lie in it: a sentence or
    the Doc."""

    start: int
    end: int
    scores: tuple[int, int]


@runtime_checkable
class Windows(Protocol):
    """Cuts a Doc: number of pieces, piece ranges of its sentences, longest mention in pieces -> windows."""

    @property
    def max_pieces(self) -> int:
        """Longest window in pieces, without special pieces."""

    def shortened(self, max_pieces: int) -> Windows:
        """The same with windows of at most `max_pieces`."""

    def __call__(self, pieces: int, sentences: np.ndarray, longest_mention: int) -> list[Window]:
        """Every mention of at most `longest_mention` pieces in a sentence lies in a window that scores it.

        Windows are in the order of the ranges that they score, which are equal or do not overlap, then of the text.
        """


@runtime_checkable
class PassageWindows(Protocol):
    """Finds the window in which given spans are seen together."""

    @property
    def max_pieces(self) -> int:
        """Longest window in pieces, without special pieces."""

    def shortened(self, max_pieces: int) -> PassageWindows:
        """The same with windows of at most `max_pieces`."""

    def around(
        self, hull: tuple[int, int], passage: tuple[int, int], pieces: int, reserved: int
    ) -> tuple[int, int] | None:
        """The piece range that shows the hull of some spans with their passage (the sentences that they are in), or
        with as much of it as fits; None if the hull does not fit.

        pieces: of the Doc. reserved: places of the window that markers take.
        """


@dataclass(frozen=True)
class SentenceWindows:
    """One window a sentence, with the pieces around it as context if wanted, as in the paper (section 4.3).

    A sentence longer than a window is covered by overlapping windows, so that each mention lies in one of them.
    """

    max_pieces: int
    context: Context

    def shortened(self, max_pieces: int) -> SentenceWindows:
        return replace(self, max_pieces=min(self.max_pieces, max_pieces))

    def __call__(self, pieces: int, sentences: np.ndarray, longest_mention: int) -> list[Window]:
        if self.max_pieces < 2 * longest_mention:
            raise LukeError("L046", max_pieces=self.max_pieces, minimum=2 * longest_mention)
        windows = []
        for start, end in sentences.tolist():
            if start == end:
                continue
            if end - start > self.max_pieces:
                windows += [Window(a, b, (start, end)) for a, b in self._cover(start, end, longest_mention)]
            elif self.context == "document":
                windows.append(Window(*_with_context(start, end, (0, pieces), self.max_pieces), (start, end)))
            else:
                windows.append(Window(start, end, (start, end)))
        return windows

    def around(
        self, hull: tuple[int, int], passage: tuple[int, int], pieces: int, reserved: int
    ) -> tuple[int, int] | None:
        limit = self.max_pieces - reserved
        if hull[1] - hull[0] > limit:
            return None
        if passage[1] - passage[0] > limit:
            return _with_context(*hull, passage, limit)
        return _with_context(*passage, (0, pieces), limit) if self.context == "document" else passage

    def _cover(self, start: int, end: int, longest_mention: int) -> list[tuple[int, int]]:
        overlap = max(longest_mention, self.max_pieces // 4)
        starts = range(start, end - overlap, self.max_pieces - overlap)
        return [(min(a, end - self.max_pieces), min(a + self.max_pieces, end)) for a in starts]


@dataclass(frozen=True)
class JoinedSentences:
    """Windows of neighbouring sentences, so that what needs no context has some at no cost.

    max_pieces: longest window. A longer sentence is covered by overlapping windows, as by `SentenceWindows`.
    joined_pieces: most pieces of several sentences together.
    """

    max_pieces: int
    joined_pieces: int

    def shortened(self, max_pieces: int) -> JoinedSentences:
        return JoinedSentences(min(self.max_pieces, max_pieces), min(self.joined_pieces, max_pieces))

    def __call__(self, pieces: int, sentences: np.ndarray, longest_mention: int) -> list[Window]:
        joined: list[list[int]] = []
        for start, end in sentences.tolist():
            if joined and start == joined[-1][1] and end - joined[-1][0] <= self.joined_pieces:
                joined[-1][1] = end
            else:
                joined.append([start, end])
        ranges = np.array(joined, dtype=np.int64).reshape(-1, 2)
        return SentenceWindows(self.max_pieces, "none")(pieces, ranges, longest_mention)


def _with_context(start: int, end: int, within: tuple[int, int], max_pieces: int) -> tuple[int, int]:
    """Fill up with pieces of both sides: half of the room for the shorter side, the rest for the other.

    As in the paper's code (studio-ousia/luke, examples/legacy/ner/utils.py, `convert_examples_to_features`).
    """
    room = max_pieces - (end - start)
    before, after = start - within[0], within[1] - end
    if before < after:
        left = min(before, room // 2)
        right = min(after, room - left)
    else:
        right = min(after, room // 2)
        left = min(before, room - right)
    return start - left, end + right


def build_joined_sentences(max_pieces: int = 510, joined_pieces: int = 256) -> JoinedSentences:
    """Windows of neighbouring sentences, as `spacy-luke.joined_sentences.v1`.

    max_pieces: longest window in pieces, without the two special pieces; an encoder with fewer positions lowers it.
    joined_pieces: most pieces of several sentences together; a longer sentence is alone. 0 = sentences are not joined.
    """
    require_at_least(2, max_pieces=max_pieces)
    require_at_least(0, joined_pieces=joined_pieces)
    return JoinedSentences(max_pieces, joined_pieces)


def best_windows(ranges: np.ndarray, windows: Sequence[Window], offsets: np.ndarray | None = None) -> np.ndarray:
    """Index, for each piece range, of the window that scores it and shows most on its poorer side; -1 for none.

    windows: in the order that `Windows` gives. offsets: added to the numbers of each window, for those of several
        Docs whose ranges count on from Doc to Doc. *Shape:* (windows,)

    *Shapes:* (ranges, 2) -> (ranges,)
    """
    best = np.full(len(ranges), -1, dtype=np.int64)
    if not len(ranges) or not windows:
        return best
    places = np.array([(w.start, w.end, *w.scores) for w in windows])
    if offsets is not None:
        places += offsets[:, None]
    starts, ends, scored = places[:, 0], places[:, 1], places[:, 2:]
    if (starts[1:] >= ends[:-1]).all() and (places[:, :2] == scored).all():  # no piece is in several windows
        window = np.searchsorted(starts, ranges[:, 0], side="right") - 1
        return np.where((window >= 0) & (ranges[:, 1] <= ends[window]), window, -1)
    far = int(ends.max()) + 1  # one key for sentence and position: the windows of a sentence lie side by side
    place = np.maximum(np.searchsorted(scored[:, 0], ranges[:, 0], side="right") - 1, 0)
    window_key = scored[place, 0] * far
    first = np.searchsorted(scored[:, 0] * far + ends, window_key + ranges[:, 1], side="left")
    last = np.searchsorted(scored[:, 0] * far + starts, window_key + ranges[:, 0], side="right") - 1
    most = np.full(len(ranges), -1)
    for step in range(int((last - first).max(initial=-1)) + 1):
        window = np.minimum(first + step, len(windows) - 1)
        room = np.minimum(ranges[:, 0] - starts[window], ends[window] - ranges[:, 1])
        better = (first + step <= last) & (room > most)
        best[better], most[better] = window[better], room[better]
    return best


def build_sentence_windows(max_pieces: int = 510, context: Context = "document") -> SentenceWindows:
    """Windows of a sentence each, as `spacy-luke.sentence_windows.v1`.

    max_pieces: longest window in pieces, without the two special pieces; an encoder with fewer positions lowers it.
    context: "document" fills each window with the pieces around the sentence, as in the paper; "none" does not, which
        is faster and leaves a sentence's entities independent of its neighbours.
    """
    if context not in ("document", "none"):
        raise LukeError("L047", setting="context", value=context, reason="it must be 'document' or 'none'")
    if not isinstance(max_pieces, int) or max_pieces < 2:
        raise LukeError("L047", setting="max_pieces", value=max_pieces, reason="it must be a number of pieces")
    return SentenceWindows(max_pieces, context)
