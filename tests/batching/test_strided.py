"""Windows over a long context."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_luke.batching.strided import ContextWindows, StridedWindows, build_strided_windows, max_context
from spacy_luke.batching.windows import Windows, build_sentence_windows
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
    assert not isinstance(build_strided_windows(), Windows)
    assert not isinstance(build_sentence_windows(), ContextWindows)
