"""Rows of tokens: every token once, in the window that shows most around its first piece."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spacy_luke.batching.pieces import DocPieces
from spacy_luke.batching.strided import StridedWindows
from spacy_luke.batching.windows import SentenceWindows
from spacy_luke.pipeline.token_classifier.inputs import token_rows
from spacy_luke.tokenization.loading import SpecialPieces
from spacy_luke.tokenization.pieces import WordPieces

SPECIAL = SpecialPieces(bos=0, pad=1, eos=2, unk=3, mask=4)


def made(lengths: list[int], sentences: list[int]) -> DocPieces:
    """A Doc whose tokens have so many pieces each; the piece at place i has the id 10 + i."""
    ends = np.cumsum(lengths, dtype=np.int64)
    ids = np.arange(sum(lengths)) + 10
    edges = sorted({0, len(lengths), *(s for s in sentences if s < len(lengths))})
    ranges = np.array(list(pairwise(edges)), dtype=np.int64).reshape(-1, 2)
    return DocPieces(
        WordPieces(ids, ids % 3, ends - np.array(lengths, dtype=np.int64), ends), ranges, np.array(lengths) > 0
    )


windows = st.one_of(
    st.builds(StridedWindows, st.integers(2, 12), st.integers(1, 15)),
    st.builds(SentenceWindows, st.integers(2, 12), st.sampled_from(["document", "none"])),
)


@given(st.lists(st.integers(0, 15), max_size=12), st.lists(st.integers(1, 11)), windows)
def test_every_token_with_pieces_is_in_one_row_where_its_first_piece_is(lengths, sentences, cut) -> None:
    pieces = made(lengths, sentences)
    tokens = np.flatnonzero(lengths)
    rows = token_rows(7, pieces, tokens, cut)
    assert sorted(word for row in rows for word in row.words.tolist()) == list(range(len(tokens)))
    for row in rows:
        assert row.doc == 7
        assert (row.pieces, row.entities) == (row.end - row.start + 2, 0)
        assert row.pieces <= cut.max_pieces + 2
        inputs = row.make(SPECIAL)
        assert (inputs.pieces, inputs.entities) == (row.pieces, 0)
        assert (inputs.piece_ids[0], inputs.piece_ids[-1]) == (SPECIAL.bos, SPECIAL.eos)
        first = pieces.pieces.starts[tokens[row.words]]
        np.testing.assert_array_equal(inputs.piece_ids[row.places], first + 10)
        np.testing.assert_array_equal(inputs.piece_types[row.places], (first + 10) % 3)


def test_a_token_in_two_windows_is_read_where_its_poorer_side_is_longer() -> None:
    rows = token_rows(0, made([1] * 7, []), np.arange(7), StridedWindows(4, 3))
    assert [(row.start, row.words.tolist()) for row in rows] == [(0, [0, 1, 2, 3]), (3, [4, 5, 6])]
