"""Candidates: what the default suggester enumerates, and what is done with the spans of any suggester."""

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc
from thinc.api import NumpyOps
from thinc.types import Ragged

from spacy_luke.batching.mentions import (
    SpanCandidates,
    SpanSuggester,
    build_span_suggester,
    distinct_ranges,
    find_candidates,
    suggest,
)
from spacy_luke.batching.pieces import DocBatch, DocPieces, sentence_ranges
from spacy_luke.batching.windows import SentenceWindows, Window
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
    visible = np.array([not token.is_space for token in doc], dtype=bool) & (np.array(lengths) > 0)
    return doc, DocPieces(WordPieces(zeros, zeros, ends - lengths, ends), sentence_ranges(doc), visible)


def enumerated(pieces: DocPieces, limit: int) -> list[list[int]]:
    """Spans that the default suggester gives for one Doc."""
    return SpanSuggester(limit).suggest_batch(DocBatch.from_pieces([pieces])).tolist()


def find_all(made: list[tuple[Doc, DocPieces]], spans: list[list[tuple[int, int]]]) -> list[SpanCandidates]:
    """The candidates of several Docs, for what a suggester says of each."""

    def suggester(docs, *, ops):
        flat = np.array([span for doc_spans in spans for span in doc_spans], dtype=np.int64).reshape(-1, 2)
        return Ragged(flat, np.array([len(doc_spans) for doc_spans in spans]))

    docs, pieces = [doc for doc, _ in made], [pieces for _, pieces in made]
    batch = DocBatch.from_pieces(pieces)
    return find_candidates(pieces, batch, suggest(suggester, docs, batch, NumpyOps(), "ner"), WINDOWS, 16)


def find(doc: Doc, pieces: DocPieces, spans: list[tuple[int, int]]) -> SpanCandidates:
    [found] = find_all([(doc, pieces)], [spans])
    return found


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
        assert enumerated(pieces, limit) == brute_force(doc, pieces, limit)


def test_default_suggester_is_a_spacy_suggester_that_counts_tokens() -> None:
    doc, pieces = make(["a", "b", "c"], [1, 1, 1])
    ragged = SpanSuggester(2)([doc, Doc(VOCAB)], ops=NumpyOps())
    assert ragged.lengths.tolist() == [5, 0]
    assert ragged.data.tolist() == brute_force(doc, pieces, 2)
    ragged = SpanSuggester(2)([doc, Doc(VOCAB), doc])
    assert ragged.lengths.tolist() == [5, 0, 5]
    assert ragged.data.tolist() == brute_force(doc, pieces, 2) * 2, "each in its own tokens"


def test_a_token_longer_than_the_limit_is_in_no_candidate() -> None:
    _, pieces = make(["a", "long", "b"], [1, 20, 1])
    assert enumerated(pieces, 16) == [[0, 1], [2, 3]]


def test_spans_that_differ_in_white_space_share_a_mention() -> None:
    doc, pieces = make(["\n", "Ada", "\n", "met"], [1, 1, 1, 1])
    found = find(doc, pieces, [(0, 3), (1, 2), (1, 2), (3, 4)])
    assert found.spans.tolist() == [[0, 3], [1, 2], [3, 4]]
    assert found.mention_of.tolist() == [0, 0, 1]
    assert found.mentions.tolist() == [[1, 2], [3, 4]]


def test_spans_left_out_are_counted_by_reason() -> None:
    doc, pieces = make(["\n", "a", "b", "c", "long"], [1, 1, 1, 1, 40], (0, 3))
    found = find(doc, pieces, [(0, 1), (1, 2), (2, 4), (4, 5)])
    assert found.spans.tolist() == [[1, 2]]
    assert dict(found.left_out) == {
        "white space only": 1,
        "across a sentence boundary": 1,
        "longer than 16 pieces": 1,
    }


def test_a_span_as_long_as_the_limit_is_a_candidate() -> None:
    doc, pieces = make(["a", "b", "c"], [8, 8, 9])
    found = find(doc, pieces, [(0, 2), (1, 3)])
    assert (found.spans.tolist(), found.mentions.tolist()) == ([[0, 2]], [[0, 16]])


def test_windows_with_context_reach_over_the_whole_doc() -> None:
    _, pieces = make(["a", "b", "c"], [4, 3, 2], (0, 1, 2))
    joined = DocBatch.from_pieces([pieces])
    [found] = find_candidates([pieces], joined, np.array([[1, 2]]), SentenceWindows(64, "document"), 16)
    assert found.windows[found.window_of[0]] == Window(0, 9, (4, 7))


def test_a_suggester_gets_the_docs_and_where_to_make_arrays_and_that_of_the_package_gets_pieces() -> None:
    doc, pieces = make(["a", "b"], [1, 5])
    docs, joined, ops = [doc, doc], DocBatch.from_pieces([pieces] * 2), NumpyOps()
    given_to = []

    def whole(docs, *, ops):
        given_to.append((docs, ops))
        return Ragged(np.array([[0, len(doc)] for doc in docs]), np.ones(len(docs), dtype=np.int32))

    assert suggest(whole, docs, joined, ops, "ner").tolist() == [[0, 2], [2, 4]]
    assert given_to == [(docs, ops)]
    assert suggest(SpanSuggester(4), docs, joined, ops, "ner").tolist() == [[0, 1], [2, 3]], "counted in pieces"


@pytest.mark.parametrize("span", [(1, 1), (2, 1), (-1, 1), (0, 9)])
def test_an_impossible_span_is_an_error(span: tuple[int, int]) -> None:
    doc, pieces = make(["a", "b"], [1, 1])
    with pytest.raises(LukeError, match="L045"):
        find(doc, pieces, [span])


def test_each_mention_gets_the_window_with_most_context() -> None:
    doc, pieces = make(["w"] * 150, [1] * 150)
    found = find(doc, pieces, [(i, i + 1) for i in range(150)])
    for (start, end), window in zip(found.mentions.tolist(), found.window_of.tolist(), strict=True):
        room = [min(start - w.start, w.end - end) for w in found.windows]
        assert room[window] == max(room) >= 0


def test_an_empty_doc_has_no_candidates() -> None:
    doc, pieces = make([], [])
    found = find(doc, pieces, [])
    assert len(found.spans) == len(found.mentions) == len(found.windows) == 0


def test_no_docs_have_no_candidates() -> None:
    assert find_all([], []) == []


WORDS = st.lists(st.tuples(st.sampled_from(["a", "\n"]), st.integers(0, 20), st.booleans()), max_size=12)


@given(docs=st.lists(WORDS, max_size=5), data=st.data())
def test_docs_together_have_the_candidates_of_each_alone(docs, data):
    """Docs without tokens or pieces, tokens longer than the limit, several sentences, any spans."""
    made = []
    spans = []
    for words in docs:
        starts = tuple(i for i, (_, _, first) in enumerate(words) if first or i == 0)
        made.append(make([word for word, _, _ in words], [length for _, length, _ in words], starts))
        pairs = st.tuples(st.integers(0, len(words)), st.integers(0, len(words))).filter(lambda pair: pair[0] < pair[1])
        spans.append(data.draw(st.lists(pairs, max_size=8)) if words else [])
    for found, (doc, pieces), own in zip(find_all(made, spans), made, spans, strict=True):
        alone = find(doc, pieces, own)
        for name in ("spans", "mention_of", "mentions", "window_of"):
            assert getattr(found, name).tolist() == getattr(alone, name).tolist()
        assert (found.windows, found.left_out) == (alone.windows, alone.left_out)
    batch = DocBatch.from_pieces([pieces for _, pieces in made])
    together = SpanSuggester(16).suggest_batch(batch)
    expected = [
        [start + offset, end + offset]
        for (doc, pieces), offset in zip(made, batch.token_offsets.tolist(), strict=False)
        for start, end in enumerated(pieces, 16)
    ]
    assert together.tolist() == expected


def test_suggester_needs_a_positive_limit() -> None:
    with pytest.raises(LukeError, match=r"L047.*max_pieces"):
        build_span_suggester(0)


def test_the_default_suggester_has_the_limit_of_the_paper() -> None:
    for suggester, limit in ((build_span_suggester(), 16), (build_span_suggester(1), 1)):
        assert isinstance(suggester, SpanSuggester)
        assert suggester.max_pieces == limit


@given(ranges=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5)), max_size=30))
def test_distinct_ranges_are_those_of_a_set_and_know_where_each_went(ranges):
    given_ranges = np.array([(start, start + length) for start, length in ranges], dtype=np.int64).reshape(-1, 2)
    distinct, place = distinct_ranges(given_ranges)
    assert list(map(tuple, distinct.tolist())) == sorted(set(map(tuple, given_ranges.tolist())))
    assert np.array_equal(distinct[place], given_ranges)
