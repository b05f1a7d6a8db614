"""Rows of given spans: nothing is cut off, and every token finds its pieces."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_luke.batching.pieces import DocPieces
from spacy_luke.batching.span_rows import span_rows, token_alignment
from tests.pipeline.token_classifier.test_inputs import SPECIAL, made

VOCAB = Vocab()


@st.composite
def examples(draw):
    """A Doc, its pieces and the token ranges of some spans in order, which may overlap, touch or be empty."""
    lengths = draw(st.lists(st.integers(0, 15), max_size=12))
    doc = Doc(VOCAB, words=["a"] * len(lengths))
    edge = st.integers(0, len(lengths))
    spans = sorted(tuple(sorted(pair)) for pair in draw(st.lists(st.tuples(edge, edge), max_size=5)))
    return doc, made(lengths, []), spans


def ids_of(pieces: DocPieces, token: int) -> list[int]:
    return pieces.pieces.ids[pieces.pieces.starts[token] : pieces.pieces.ends[token]].tolist()


@given(examples(), st.integers(1, 12))
def test_the_rows_of_a_span_are_short_enough_and_show_all_of_it(example, most) -> None:
    doc, pieces, spans = example
    for start, end in spans:
        rows = span_rows(0, [doc[start:end]], pieces, most)
        assert all(row.pieces <= most + 2 and len(row.span) for row in rows)
        shown = {i for row in rows for i in range(row.start, row.end)}
        assert shown == {i for t in range(start, end) for i in range(pieces.pieces.starts[t], pieces.pieces.ends[t])}
        assert {t for t in range(start, end) if pieces.visible[t]} <= {t.i for row in rows for t in row.span}
        assert not rows or (rows[0].span.start, rows[-1].span.end) == (start, end)
        assert len(rows) == (start < end) or max(row.pieces for row in rows) == most + 2


@given(examples(), st.integers(1, 12), st.integers(0, 3))
def test_places_of_a_token_have_its_pieces_in_every_row_that_shows_it(example, most, padding) -> None:
    doc, pieces, spans = example
    rows = span_rows(0, [doc[start:end] for start, end in spans], pieces, most)
    width = max((row.pieces for row in rows), default=0) + padding
    table = np.full((len(rows), width), -1)
    for index, row in enumerate(rows):
        table[index, : row.pieces] = row.make(SPECIAL).piece_ids
    places, counts = token_alignment(rows, len(doc), width)
    assert len(counts) == len(doc)
    for token, found in enumerate(np.split(table.ravel()[places], counts.cumsum()[:-1]) if len(doc) else []):
        shown = [set(range(row.start, row.end)) for row in rows if row.span.start <= token < row.span.end]
        own = range(pieces.pieces.starts[token], pieces.pieces.ends[token])
        assert found.tolist() == [int(pieces.pieces.ids[i]) for row in shown for i in own if i in row]


def test_a_span_that_fits_is_one_row_between_special_pieces() -> None:
    doc, pieces = Doc(VOCAB, words=list("abcd")), made([1, 2, 0, 1], [])
    (row,) = span_rows(0, [doc[1:4]], pieces, 3)
    assert row.span.text == "b c d"
    assert row.make(SPECIAL).piece_ids.tolist() == [0, 11, 12, 13, 2]


def test_a_span_that_does_not_fit_is_cut_with_an_overlap() -> None:
    doc, pieces = Doc(VOCAB, words=list("abcd")), made([1, 8, 1, 1], [])
    rows = span_rows(0, [doc[:]], pieces, 8)
    assert [(row.start, row.end) for row in rows] == [(0, 8), (6, 11)]
    assert [[t.text for t in row.span] for row in rows] == [["a", "b"], ["b", "c", "d"]]


def test_an_empty_span_has_no_row_and_those_after_it_have() -> None:
    doc, pieces = Doc(VOCAB, words=list("abc")), made([1, 0, 2], [])
    rows = span_rows(3, [doc[0:1], doc[1:1], doc[1:3]], pieces, 8)
    assert [(row.doc, row.span.text, row.start, row.end) for row in rows] == [(3, "a", 0, 1), (3, "b c", 1, 3)]


def test_a_token_that_ends_where_a_row_begins_is_not_in_it() -> None:
    doc, pieces = Doc(VOCAB, words=["a", "b"]), made([6, 4], [])
    rows = span_rows(0, [doc[:]], pieces, 8)
    assert [(row.start, row.end, row.span.text) for row in rows] == [(0, 8, "a b"), (6, 10, "b")]
    places, counts = token_alignment(rows, 2, 10)
    assert (places.dtype, counts.dtype) == (np.int32, np.int32)
    assert counts.tolist() == [6, 2 + 4]
