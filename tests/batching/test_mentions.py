"""Candidates: what the default suggester enumerates, and what is done with the spans of any suggester."""

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc
from thinc.api import NumpyOps

from spacy_luke.batching.mentions import SpanSuggester, build_span_suggester, distinct_ranges, find_candidates
from spacy_luke.batching.pieces import DocPieces, sentence_ranges
from spacy_luke.batching.windows import SentenceWindows
from spacy_luke.errors import LukeError
from spacy_luke.tokenization.pieces import WordPieces

WINDOWS = SentenceWindows(64, "none")
VOCAB = spacy.blank("en").vocab


def make(words: list[str], lengths: list[int], sentence_starts: tuple[int, ...] = (0,)) -> tuple[Doc, DocPieces]:
    """A Doc whose tokens have the given numbers of pieces."""
    doc = Doc(VOCAB, words=words, sent_starts=[i in sentence_starts for i in range(len(words))])
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    zeros = np.zeros(total, dtype=np.int64)
    return doc, DocPieces(WordPieces(zeros, zeros, ends - lengths, ends), sentence_ranges(doc))


def brute_force(doc: Doc, pieces: DocPieces, limit: int) -> list[list[int]]:
    spans = []
    for first, last in pieces.sentences.tolist():
        for start in range(first, last):
            for end in range(start + 1, last + 1):
                size = pieces.pieces.ends[end - 1] - pieces.pieces.starts[start]
                edges_are_words = not doc[start].is_space and not doc[end - 1].is_space
                if size <= limit and edges_are_words:
                    spans.append([start, end])
    return spans


def test_default_suggester_enumerates_spans_inside_sentences_by_start_then_end() -> None:
    words = ["New", "York", "\n", "is", "big", ".", "Really", "big", "."]
    doc, pieces = make(words, [1, 2, 1, 1, 3, 1, 5, 1, 1], (0, 6))
    for limit in (1, 2, 4, 16):
        assert SpanSuggester(limit).of_pieces(doc, pieces).tolist() == brute_force(doc, pieces, limit)


def test_default_suggester_is_a_spacy_suggester_that_counts_tokens() -> None:
    doc, pieces = make(["a", "b", "c"], [1, 1, 1])
    ragged = SpanSuggester(2)([doc, Doc(VOCAB)], ops=NumpyOps())
    assert ragged.lengths.tolist() == [5, 0]
    assert ragged.data.tolist() == brute_force(doc, pieces, 2)


def test_a_token_longer_than_the_limit_is_in_no_candidate() -> None:
    doc, pieces = make(["a", "long", "b"], [1, 20, 1])
    assert SpanSuggester(16).of_pieces(doc, pieces).tolist() == [[0, 1], [2, 3]]


def test_spans_that_differ_in_white_space_share_a_mention() -> None:
    doc, pieces = make(["\n", "Ada", "\n", "met"], [1, 1, 1, 1])
    found = find_candidates(doc, pieces, np.array([[0, 3], [1, 2], [1, 2], [3, 4]]), WINDOWS, 16)
    assert found.spans.tolist() == [[0, 3], [1, 2], [3, 4]]
    assert found.mention_of.tolist() == [0, 0, 1]
    assert found.mentions.tolist() == [[1, 2], [3, 4]]


def test_spans_left_out_are_counted_by_reason() -> None:
    doc, pieces = make(["\n", "a", "b", "c", "long"], [1, 1, 1, 1, 40], (0, 3))
    suggested = np.array([[0, 1], [1, 2], [2, 4], [4, 5]])
    found = find_candidates(doc, pieces, suggested, WINDOWS, 16)
    assert found.spans.tolist() == [[1, 2]]
    assert dict(found.left_out) == {
        "white space only": 1,
        "across a sentence boundary": 1,
        "longer than 16 pieces": 1,
    }


@pytest.mark.parametrize("span", [(1, 1), (2, 1), (-1, 1), (0, 9)])
def test_an_impossible_span_is_an_error(span: tuple[int, int]) -> None:
    doc, pieces = make(["a", "b"], [1, 1])
    with pytest.raises(LukeError, match="L045"):
        find_candidates(doc, pieces, np.array([span]), WINDOWS, 16)


def test_each_mention_gets_the_window_with_most_context() -> None:
    doc, pieces = make(["w"] * 150, [1] * 150)
    suggested = np.array([[i, i + 1] for i in range(150)])
    found = find_candidates(doc, pieces, suggested, WINDOWS, 16)
    for (start, end), window in zip(found.mentions.tolist(), found.window_of.tolist(), strict=True):
        room = [min(start - w.start, w.end - end) for w in found.windows]
        assert room[window] == max(room) >= 0


def test_an_empty_doc_has_no_candidates() -> None:
    doc, pieces = make([], [])
    found = find_candidates(doc, pieces, np.zeros((0, 2)), WINDOWS, 16)
    assert len(found.spans) == len(found.mentions) == len(found.windows) == 0


def test_suggester_needs_a_positive_limit() -> None:
    with pytest.raises(LukeError, match="L047"):
        build_span_suggester(0)


@given(ranges=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5)), max_size=30))
def test_distinct_ranges_are_those_of_a_set_and_know_where_each_went(ranges):
    given_ranges = np.array([(start, start + length) for start, length in ranges], dtype=np.int64).reshape(-1, 2)
    distinct, place = distinct_ranges(given_ranges)
    assert list(map(tuple, distinct.tolist())) == sorted(set(map(tuple, given_ranges.tolist())))
    assert np.array_equal(distinct[place], given_ranges)
