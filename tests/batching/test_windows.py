"""Windows: the paper's document context, and the cover of sentences longer than a window."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_luke.batching.windows import SentenceWindows, best_windows, build_sentence_windows
from spacy_luke.errors import LukeError


def paper_context(start: int, end: int, pieces: int, limit: int) -> tuple[int, int]:
    """The rule as the paper's code states it, on lengths instead of positions."""
    left_length, right_length, sentence_length = start, pieces - end, end - start
    half = int((limit - sentence_length) / 2)
    if left_length < right_length:
        left = min(left_length, half)
        right = min(right_length, limit - left - sentence_length)
    else:
        right = min(right_length, half)
        left = min(left_length, limit - right - sentence_length)
    return start - left, end + right


@given(before=st.integers(0, 300), length=st.integers(1, 64), after=st.integers(0, 300))
def test_document_context_is_that_of_the_paper(before: int, length: int, after: int) -> None:
    windows = SentenceWindows(64, "document")
    [window] = windows(before + length + after, np.array([[before, before + length]]), 10)
    assert (window.start, window.end) == paper_context(before, before + length, before + length + after, 64)


def test_without_context_a_window_is_its_sentence() -> None:
    windows = SentenceWindows(64, "none")(30, np.array([[0, 10], [10, 30]]), 10)
    assert [(w.start, w.end, w.scores) for w in windows] == [(0, 10, (0, 10)), (10, 30, (10, 30))]


@given(
    lengths=st.lists(st.integers(0, 20), min_size=1, max_size=8),
    ranges=st.lists(st.tuples(st.integers(0, 160), st.integers(1, 12)), max_size=20),
)
def test_a_range_has_the_sentence_that_holds_it_or_no_window(lengths: list[int], ranges: list[tuple[int, int]]) -> None:
    ends = np.cumsum(lengths)
    windows = SentenceWindows(64, "none")(int(ends[-1]), np.stack([ends - lengths, ends], axis=1), 10)
    spans = np.array(sorted((a, a + n) for a, n in ranges), dtype=np.int64).reshape(-1, 2)
    expected = [next((i for i, w in enumerate(windows) if w.start <= a and b <= w.end), -1) for a, b in spans.tolist()]
    assert best_windows(spans, windows).tolist() == expected


@given(
    start=st.integers(0, 50),
    length=st.integers(65, 700),
    longest=st.integers(1, 32),
    mention=st.data(),
)
def test_every_mention_of_a_long_sentence_lies_in_a_window(start: int, length: int, longest: int, mention) -> None:
    windows = SentenceWindows(64, "document")(start + length, np.array([[start, start + length]]), longest)
    size = mention.draw(st.integers(1, longest))
    first = mention.draw(st.integers(start, start + length - size))
    assert any(w.start <= first and first + size <= w.end for w in windows)
    assert all(w.end - w.start == 64 and start <= w.start and w.end <= start + length for w in windows)


def test_a_sentence_without_pieces_has_no_window() -> None:
    assert SentenceWindows(64, "none")(3, np.array([[0, 3], [3, 3]]), 2) == SentenceWindows(64, "none")(
        3, np.array([[0, 3]]), 2
    )


def test_windows_too_short_for_a_mention_are_refused() -> None:
    with pytest.raises(LukeError, match="L046"):
        SentenceWindows(20, "none")(5, np.array([[0, 5]]), 16)


@pytest.mark.parametrize("settings", [{"context": "paragraph"}, {"max_pieces": 0}, {"max_pieces": "many"}])
def test_wrong_settings_are_named(settings: dict) -> None:
    with pytest.raises(LukeError, match="L047"):
        build_sentence_windows(**settings)
