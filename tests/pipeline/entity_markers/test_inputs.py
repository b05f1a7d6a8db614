"""Rows with many items: mentions at their pieces, global attention where it belongs, nothing lost unsaid."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc

from spacy_luke.batching.collate import collate
from spacy_luke.batching.pieces import DocPieces, sentence_ranges
from spacy_luke.batching.strided import StridedWindows
from spacy_luke.errors import LukeError
from spacy_luke.pipeline.entity_markers.inputs import item_rows
from spacy_luke.tokenization.loading import SpecialPieces
from spacy_luke.tokenization.pieces import WordPieces

VOCAB = spacy.blank("en").vocab
SPECIAL = SpecialPieces(bos=0, pad=1, eos=2, unk=3, mask=4)


def make(lengths: list[int], space_at: tuple[int, ...] = ()) -> tuple[Doc, DocPieces]:
    """A Doc whose tokens have so many pieces, with ids from 10."""
    doc = Doc(VOCAB, words=["\n" if i in space_at else f"w{i}" for i in range(len(lengths))])
    ends = np.cumsum(lengths, dtype=np.int64)
    ids = np.arange(10, 10 + sum(lengths))
    visible = np.array([i not in space_at for i in range(len(lengths))], dtype=bool)
    return doc, DocPieces(WordPieces(ids, np.zeros_like(ids), ends - lengths, ends), sentence_ranges(doc), visible)


def test_a_doc_is_one_row_whose_mentions_are_global() -> None:
    doc, pieces = make([1, 2, 1, 1, 3])
    items = [((0, 1), (3, 4)), ((3, 4), (0, 1)), ((1, 2), (0, 1))]
    [row], left_out = item_rows(7, doc, pieces, items, StridedWindows(100, 50))
    assert not +left_out
    assert (row.doc, row.pieces, row.items.tolist()) == (7, 10, [0, 1, 2])
    made = row.make(SPECIAL)
    assert made.piece_ids.tolist() == [0, 10, 11, 12, 13, 14, 15, 16, 17, 2]
    assert made.entity_spans.tolist() == [[1, 2], [2, 4], [5, 6]]
    assert made.items.tolist() == [[0, 2], [2, 0], [1, 0]]
    assert np.flatnonzero(made.global_mask).tolist() == [0, 1, 2, 3, 5]


@given(st.data())
def test_each_item_is_in_one_row_with_its_own_pieces(data) -> None:
    lengths = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=60))
    doc, pieces = make(lengths)
    span = st.integers(0, len(lengths) - 1).flatmap(
        lambda a: st.tuples(st.just(a), st.integers(a + 1, min(a + 4, len(lengths))))
    )
    items = data.draw(st.lists(st.tuples(span, span), max_size=20))
    windows = StridedWindows(data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40)))
    rows, left_out = item_rows(0, doc, pieces, items, windows)
    seen = np.concatenate([row.items for row in rows]).tolist() if rows else []
    assert len(set(seen)) == len(seen) == len(items) - left_out.total()
    for row in rows:
        assert row.pieces <= windows.max_pieces + 2
        made = row.make(SPECIAL)
        for item, members in zip(row.items.tolist(), made.items.tolist(), strict=True):
            for (start, end), member in zip(items[item], members, strict=True):
                wanted = range(10 + sum(lengths[:start]), 10 + sum(lengths[:end]))
                first, last = made.entity_spans[member].tolist()
                assert made.piece_ids[first:last].tolist() == list(wanted)
                assert made.global_mask[first:last].all()


def test_items_that_cannot_be_shown_are_counted() -> None:
    doc, pieces = make([1, 1, 1, 1, 9], space_at=(1,))
    rows, left_out = item_rows(0, doc, pieces, [((0, 1),), ((1, 2),), ((4, 5),)], StridedWindows(5, 5))
    assert [row.items.tolist() for row in rows] == [[0]]
    assert left_out == {"white space only": 1, "too long for a window": 1}
    _, left_out = item_rows(0, doc, pieces, [((0, 1), (4, 5))], StridedWindows(5, 5))
    assert +left_out == {"too far apart for a window": 1}


def test_no_items_no_rows_and_wrong_items_are_errors() -> None:
    doc, pieces = make([1, 1])
    assert item_rows(0, doc, pieces, [], StridedWindows(5, 5))[0] == []
    with pytest.raises(LukeError, match="L045"):
        item_rows(0, doc, pieces, [((1, 3),)], StridedWindows(5, 5))


def test_rows_with_different_numbers_of_items_are_padded() -> None:
    doc, pieces = make([1, 2, 1, 1])
    windows = StridedWindows(100, 50)
    [many], _ = item_rows(0, doc, pieces, [((0, 1), (1, 2)), ((1, 2), (0, 1)), ((2, 3), (3, 4))], windows)
    short, short_pieces = make([1, 1])
    [one], _ = item_rows(1, short, short_pieces, [((0, 1), (1, 2))], windows)
    batch = collate([many.make(SPECIAL), one.make(SPECIAL)], piece_pad=1, entity_pad=0)
    assert batch.items.tolist() == [[[0, 1], [1, 0], [2, 3]], [[0, 1], [0, 0], [0, 0]]]
    assert batch.global_mask.tolist() == [[True] * 6 + [False], [True] * 3 + [False] * 4]
    assert batch.entity_mask.tolist() == [[True] * 4, [True, True, False, False]]
