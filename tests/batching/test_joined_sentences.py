"""Windows of neighbouring sentences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_luke.batching.windows import Window, Windows, build_joined_sentences, build_sentence_windows
from spacy_luke.errors import LukeError


def ranges(lengths: list[int]) -> np.ndarray:
    """Sentences of these lengths, one after the other. *Shape:* (sentences, 2)"""
    ends = np.cumsum(lengths, dtype=np.int64)
    return np.stack([ends - lengths, ends], axis=1).astype(np.int64).reshape(-1, 2)


@pytest.mark.parametrize(
    ("joined", "expected"),
    [(0, [(0, 4), (4, 7), (7, 8), (8, 20)]), (7, [(0, 7), (7, 8), (8, 20)]), (8, [(0, 8), (8, 20)]), (99, [(0, 20)])],
)
def test_neighbours_are_joined_as_long_as_they_fit(joined: int, expected: list[tuple[int, int]]) -> None:
    windows = build_joined_sentences(50, joined)
    assert isinstance(windows, Windows)
    assert windows(20, ranges([4, 3, 1, 12]), 5) == [Window(*window, window) for window in expected]


def test_sentences_with_something_between_them_are_not_joined() -> None:
    windows = build_joined_sentences(50, 20)(9, np.array([[0, 4], [6, 9]]), 5)
    assert windows == [Window(0, 4, (0, 4)), Window(6, 9, (6, 9))]


def test_a_long_sentence_is_covered_as_by_windows_of_sentences() -> None:
    sentences = ranges([3, 40, 3])
    alone = build_sentence_windows(20, "none")(46, sentences[1:2], 5)
    assert build_joined_sentences(20, 10)(46, sentences, 5) == [
        Window(0, 3, (0, 3)),
        *alone,
        Window(43, 46, (43, 46)),
    ]


@given(lengths=st.lists(st.integers(0, 30), max_size=12), joined=st.integers(0, 60), longest=st.integers(20, 60))
def test_every_sentence_is_scored_whole_and_once(lengths: list[int], joined: int, longest: int) -> None:
    sentences = ranges(lengths)
    windows = build_joined_sentences(longest, joined).shortened(longest)(sum(lengths), sentences, 10)
    scored = sorted({window.scores for window in windows})
    assert [edge for window in scored for edge in window] == sorted(edge for window in scored for edge in window)
    assert sum(end - start for start, end in scored) == sum(lengths)
    for start, end in sentences.tolist():
        if start < end:
            assert sum(first <= start and end <= after for first, after in scored) == 1
    for first, after in scored:
        inside = [
            length for (start, end), length in zip(sentences.tolist(), lengths, strict=True) if first <= start < after
        ]
        assert after - first <= joined or sum(length > 0 for length in inside) == 1
    assert all(window.end - window.start <= longest for window in windows)


def test_an_encoder_with_fewer_positions_shortens_both() -> None:
    shortened = build_joined_sentences(510, 256).shortened(100)
    assert (shortened.max_pieces, shortened.joined_pieces) == (100, 100)


@pytest.mark.parametrize("settings", [{"max_pieces": 1}, {"joined_pieces": -1}, {"joined_pieces": "many"}])
def test_impossible_lengths_are_an_error(settings: dict) -> None:
    with pytest.raises(LukeError, match=f"L047.*{next(iter(settings))}"):
        build_joined_sentences(**settings)
