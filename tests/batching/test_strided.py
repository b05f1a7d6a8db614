"""Windows over a long context."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_luke.batching.strided import ContextWindows, StridedWindows, build_strided_windows, max_context
from spacy_luke.batching.windows import Windows, best_windows, build_sentence_windows
from spacy_luke.errors import LukeError


def test_windows_advance_by_the_stride_until_the_end_is_shown() -> None:
    windows = StridedWindows(max_pieces=6, stride=2)
    assert windows.cover(7, reserved=2) == [(0, 4), (2, 6), (4, 7)]
    assert windows.cover(4, reserved=2) == [(0, 4)]
    assert windows.cover(0, reserved=2) == []


@given(max_pieces=st.integers(2, 40), stride=st.integers(1, 50), pieces=st.integers(0, 200), share=st.floats(0, 1))
def test_every_piece_is_in_a_window_that_fits(max_pieces: int, stride: int, pieces: int, share: float) -> None:
    reserved = int(share * (max_pieces - 1))
    windows = StridedWindows(max_pieces, stride).cover(pieces, reserved)
    assert {piece for start, end in windows for piece in range(start, end)} == set(range(pieces))
    assert all(0 < end - start <= max_pieces - reserved for start, end in windows)
    assert windows == sorted(set(windows))


def reference_window(windows: list[tuple[int, int]], piece: int) -> int:
    """`_check_is_max_context` of BERT's run_squad.py, for one piece."""
    best_score, best = None, -1
    for index, (start, end) in enumerate(windows):
        if start <= piece <= end - 1:
            score = min(piece - start, end - 1 - piece) + 0.01 * (end - start)
            if best_score is None or score > best_score:
                best_score, best = score, index
    return best


@given(max_pieces=st.integers(2, 30), stride=st.integers(1, 30), pieces=st.integers(1, 120))
def test_max_context_is_the_rule_of_the_reference(max_pieces: int, stride: int, pieces: int) -> None:
    windows = StridedWindows(max_pieces, stride).cover(pieces, 0)
    assert max_context(windows).tolist() == [reference_window(windows, piece) for piece in range(pieces)]


def test_no_windows_no_context() -> None:
    np.testing.assert_array_equal(max_context([]), np.zeros(0))


def test_an_encoder_with_fewer_positions_shortens_the_windows() -> None:
    windows = build_strided_windows()
    assert (windows.max_pieces, windows.stride) == (508, 128), "the paper's"
    assert windows.shortened(100) == StridedWindows(100, 128)
    assert windows.shortened(1000) == windows


@pytest.mark.parametrize("settings", [{"max_pieces": 1}, {"stride": 0}, {"stride": True}, {"max_pieces": 100.5}])
def test_settings_that_make_no_windows_are_errors(settings) -> None:
    with pytest.raises(LukeError, match=f"L047.*{next(iter(settings))}"):
        build_strided_windows(**settings)


def test_windows_of_sentences_and_of_contexts_are_told_apart() -> None:
    assert isinstance(build_strided_windows(), ContextWindows)
    assert isinstance(build_strided_windows(), Windows)
    assert not isinstance(build_sentence_windows(), ContextWindows)


@given(
    max_pieces=st.integers(4, 60),
    stride=st.integers(1, 80),
    pieces=st.integers(0, 300),
    longest=st.integers(1, 40),
    data=st.data(),
)
def test_mentions_lie_in_the_window_that_shows_most_around_them(max_pieces, stride, pieces, longest, data) -> None:
    longest = min(longest, max_pieces // 2)
    windows = StridedWindows(max_pieces, stride)(pieces, np.array([[0, pieces]]), longest)
    assert all(w.end - w.start <= max_pieces and w.scores == (0, pieces) for w in windows)
    if not pieces:
        assert windows == []
        return
    start = data.draw(st.integers(0, pieces - 1))
    end = data.draw(st.integers(start + 1, min(start + longest, pieces)))
    [found] = best_windows(np.array([[start, end]]), windows)
    rooms = [min(start - w.start, w.end - end) for w in windows]
    assert rooms[found] == max(rooms) >= 0


def test_windows_too_short_for_a_mention_are_refused() -> None:
    with pytest.raises(LukeError, match="L046"):
        StridedWindows(20, 10)(5, np.array([[0, 5]]), 16)


def test_neighbours_share_the_longest_mention_whatever_the_stride() -> None:
    def cut(stride: int, longest: int) -> list[tuple[int, int]]:
        return [(w.start, w.end) for w in StridedWindows(10, stride)(25, np.array([[0, 25]]), longest)]

    assert cut(10, 4) == [(0, 10), (6, 16), (12, 22), (18, 25)]
    assert cut(5, 4) == [(0, 10), (5, 15), (10, 20), (15, 25)]
    assert cut(10, 5) == [(0, 10), (5, 15), (10, 20), (15, 25)], "twice the longest mention is long enough"
    with pytest.raises(LukeError, match=r"L046.*10.*12"):
        cut(10, 6)


def test_the_shortest_windows_and_strides() -> None:
    assert build_strided_windows(2, 1) == StridedWindows(2, 1)
    assert StridedWindows(5, 3).cover(3, reserved=7) == [(0, 1), (1, 2), (2, 3)], "at least one piece beside a question"


def test_a_window_of_its_own_has_its_range_in_the_middle() -> None:
    def own(hull: tuple[int, int]) -> tuple[int, int]:
        windows, [number] = StridedWindows(10, 10).place(np.array([hull]), 40)
        assert windows[number].scores == (0, 40)
        return windows[number].start, windows[number].end

    assert own((7, 12)) == (5, 15)
    assert own((8, 12)) == (5, 15)
    assert own((5, 15)) == (5, 15), "as long as a window"
    assert own((29, 31)) == (25, 35)
    assert StridedWindows(10, 10).place(np.array([[5, 16]]), 40)[1].tolist() == [-1]


ranges = st.tuples(st.integers(0, 250), st.integers(1, 60)).map(lambda r: (r[0], min(r[0] + r[1], 251)))


@given(st.integers(1, 50), st.integers(1, 50), st.lists(ranges, max_size=30))
def test_every_range_that_fits_has_a_window(max_pieces: int, stride: int, hulls: list[tuple[int, int]]) -> None:
    table = np.array(hulls, dtype=np.int64).reshape(-1, 2)
    windows, window_of = StridedWindows(max_pieces, stride).place(table, 251)
    assert all(w.end - w.start <= max_pieces and w.start >= 0 and w.end <= 251 for w in windows)
    for (start, end), number in zip(hulls, window_of.tolist(), strict=True):
        if end - start > max_pieces:
            assert number == -1
        else:
            assert windows[number].start <= start
            assert end <= windows[number].end


def test_far_apart_ranges_get_a_window_around_them_that_is_shared() -> None:
    windows, window_of = StridedWindows(10, 10).place(np.array([[8, 13], [9, 12], [2, 4]]), 40)
    assert [(w.start, w.end) for w in windows] == [(0, 10), (10, 20), (20, 30), (30, 40), (6, 16)]
    assert window_of.tolist() == [4, 4, 0]


def test_a_range_at_an_edge_of_the_doc_has_a_whole_window() -> None:
    windows, window_of = StridedWindows(10, 10).place(np.array([[0, 3], [29, 32]]), 34)
    assert [(w.start, w.end) for w in windows] == [(0, 10), (10, 20), (20, 30), (30, 34), (24, 34)]
    assert window_of.tolist() == [0, 4]
    assert {window.scores for window in windows} == {(0, 34)}


def test_windows_of_their_own_are_made_in_text_order() -> None:
    windows, window_of = StridedWindows(10, 10).place(np.array([[9, 12], [8, 18]]), 40)
    assert [(w.start, w.end) for w in windows[4:]] == [(8, 18)], "the range that starts first has it in the middle"
    assert window_of.tolist() == [4, 4]
