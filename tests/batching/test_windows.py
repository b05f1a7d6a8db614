"""Windows: the paper's document context, and the cover of sentences longer than a window."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_luke.batching.windows import SentenceWindows, Window, best_windows, build_sentence_windows
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


def test_the_defaults_and_the_limits_of_settings() -> None:
    assert build_sentence_windows() == SentenceWindows(510, "document")
    assert build_sentence_windows(2, "none") == SentenceWindows(2, "none")
    with pytest.raises(LukeError, match=r"L047.*max_pieces = 1"):
        build_sentence_windows(1)
    windows = build_sentence_windows(100, "none")
    assert windows.shortened(50) == SentenceWindows(50, "none")
    assert windows.shortened(200) == windows


def test_windows_of_twice_the_longest_mention_are_long_enough() -> None:
    assert len(SentenceWindows(20, "none")(5, np.array([[0, 5]]), 10)) == 1
    with pytest.raises(LukeError, match=r"L046.*20.*22"):
        SentenceWindows(20, "none")(5, np.array([[0, 5]]), 11)


def test_a_sentence_of_a_window_is_not_cut_and_a_longer_one_is_covered_with_overlap() -> None:
    windows = SentenceWindows(8, "document")

    def cut(length: int, longest: int) -> list[tuple[int, int]]:
        found = windows(10 + length + 5, np.array([[10, 10 + length]]), longest)
        assert {w.scores for w in found} == {(10, 10 + length)}
        return [(w.start, w.end) for w in found]

    assert cut(8, 1) == [(10, 18)]
    assert cut(9, 1) == [(10, 18), (11, 19)], "the last one ends with the sentence"
    assert cut(20, 1) == [(10, 18), (16, 24), (22, 30)], "a quarter of a window overlaps"
    assert cut(20, 4) == [(10, 18), (14, 22), (18, 26), (22, 30)], "or the longest mention, if that is more"


def test_spans_are_seen_with_their_passage_or_as_much_of_it_as_fits() -> None:
    document, none = SentenceWindows(10, "document"), SentenceWindows(10, "none")
    for windows in (document, none):
        assert windows.around((5, 14), (0, 20), 30, 2) is None, "9 pieces do not fit beside 2 markers"
        assert windows.around((5, 13), (0, 20), 30, 2) == (5, 13)
        assert windows.around((5, 7), (4, 20), 30, 2) == (4, 12), "one piece before it, all others after it"
        assert windows.around((17, 19), (4, 20), 30, 2) == (12, 20)
        assert windows.around((10, 12), (4, 20), 30, 2) == (7, 15)
    assert none.around((5, 7), (4, 12), 30, 2) == (4, 12)
    assert document.around((5, 7), (4, 12), 30, 2) == (4, 12), "as long as a window: no room for more"
    assert none.around((5, 7), (4, 9), 30, 2) == (4, 9)
    assert document.around((5, 7), (4, 9), 30, 2) == (3, 11), "with half of the room before it"
    assert document.around((5, 7), (1, 6), 30, 2) == (0, 8), "pieces before it end where the Doc starts"
    assert document.around((5, 7), (4, 9), 10, 2) == (2, 10)


def test_ranges_of_several_docs_count_on() -> None:
    windows = [Window(0, 6, (0, 10)), Window(4, 10, (0, 10)), Window(0, 6, (0, 9)), Window(3, 9, (0, 9))]
    ranges = np.array([[0, 2], [4, 5], [8, 10], [3, 8], [10, 11], [13, 15], [15, 16], [18, 19]])
    assert best_windows(ranges, windows, np.array([0, 0, 10, 10])).tolist() == [0, 0, 1, -1, 2, 2, 3, 3]


def test_a_range_is_seen_in_a_window_that_scores_it_though_another_shows_as_much_or_more() -> None:
    before = [Window(0, 12, (0, 1)), Window(0, 12, (1, 2))]
    assert best_windows(np.array([[1, 2], [0, 1]]), before).tolist() == [1, 0]
    after = [Window(0, 50, (0, 50)), Window(40, 60, (50, 60))]
    assert best_windows(np.array([[45, 46], [50, 51]]), after).tolist() == [0, 1]
    short = [Window(45, 60, (50, 51)), Window(30, 61, (51, 52))]
    assert best_windows(np.array([[50, 51], [51, 52]]), short).tolist() == [0, 1]


def test_of_windows_that_show_as_much_it_is_the_first() -> None:
    windows = [Window(0, 6, (0, 8)), Window(2, 8, (0, 8))]
    assert best_windows(np.array([[2, 4], [3, 5], [4, 6]]), windows).tolist() == [0, 0, 1]
