"""Rows and batches: chunks as in the paper, batches within the budget, nothing lost."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from spacy_luke.batching.collate import (
    RowInput,
    WindowRow,
    batch_groups,
    batch_rows,
    collate,
    make_batches,
    pad_candidates,
    padded_size,
)
from spacy_luke.batching.mentions import SpanCandidates
from spacy_luke.batching.windows import Window
from spacy_luke.pipeline.ner.inputs import MentionRow, mention_rows
from spacy_luke.tokenization.loading import SpecialPieces
from spacy_luke.tokenization.pieces import WordPieces

TEXT = WordPieces(*[np.zeros(0, dtype=np.int64)] * 4)  # rows are made of it, but not their tensors


def candidates(counts: list[int]) -> SpanCandidates:
    """Candidates of which `counts[i]` lie in window i."""
    total = sum(counts)
    window_of = np.repeat(np.arange(len(counts)), counts)
    spans = np.zeros((total, 2), dtype=np.int64)
    windows = [Window(i, i + 10, (i, i + 1)) for i in range(len(counts))]
    return SpanCandidates(spans, np.arange(total), spans, window_of, windows, Counter())


SPECIAL = SpecialPieces(bos=0, eos=2, pad=1, unk=3, mask=4)


@dataclass(frozen=True)
class EntityRow(WindowRow):
    """A window after one piece more, with two entities."""

    @property
    def window_offset(self) -> int:
        return 2

    def _prefix(self, special: SpecialPieces) -> tuple[list[int], list[int]]:
        return [special.bos, 77], [0, 9]

    def make(self, special: SpecialPieces) -> RowInput:
        ids, ranges = np.array([5, 6]), np.array([[3, 5], [2, 6]])
        return self._input(special, ids, ranges, max_mention_pieces=3, items=np.array([[1]]))


def test_a_window_of_a_text_is_shown_between_special_pieces() -> None:
    ids, types = np.arange(10, 18), np.arange(8)
    text = WordPieces(ids, types, np.arange(8), np.arange(1, 9))
    row = WindowRow(0, text, 2, 6)
    made = row.make(SPECIAL)
    assert made.piece_ids.tolist() == [0, 12, 13, 14, 15, 2]
    assert made.piece_types.tolist() == [0, 2, 3, 4, 5, 0]
    assert (row.pieces, row.entities) == (made.pieces, made.entities) == (6, 0)
    made = EntityRow(0, text, 1, 6).make(SPECIAL)
    assert made.piece_ids.tolist() == [0, 77, 11, 12, 13, 14, 15, 2]
    assert made.piece_types.tolist() == [0, 9, 1, 2, 3, 4, 5, 0]
    assert made.entity_ids.tolist() == [5, 6]
    assert made.entity_spans.tolist() == [[4, 6], [3, 6]], "those of the row; the first three pieces give the position"
    assert made.items.tolist() == [[1]]
    assert made.global_mask is None


def test_batches_are_made_as_they_are_asked_for() -> None:
    text = WordPieces(*[np.full(9, i) for i in (7, 1, 0, 0)])
    asked = []

    def rows() -> Iterator[WindowRow]:
        for number in range(2000):
            asked.append(number)
            yield EntityRow(number, text, 2, 6) if number % 2 else WindowRow(number, text, 0, 1 + number % 4)

    batches = make_batches(rows(), 2**20, SPECIAL, entity_pad=8)
    group, first = next(batches)
    assert len(asked) == 1024
    assert [len(row) for row in first.piece_ids.tolist()] == [max(row.pieces for row in group)] * len(group)
    groups = [group, *(group for group, _ in batches)]
    assert sorted(row.doc for group in groups for row in group) == list(range(2000))
    [(_, mixed)] = make_batches([WindowRow(0, text, 0, 1), EntityRow(0, text, 2, 6)], 99, SPECIAL, entity_pad=8)
    assert mixed.piece_ids.tolist() == [[0, 7, 2, 1, 1, 1, 1], [0, 77, 7, 7, 7, 7, 2]]
    assert mixed.entity_ids.tolist() == [[8, 8], [5, 6]]


def test_what_is_to_be_predicted_is_counted_through_all_rows() -> None:
    def row(entities: int, predicted: list[bool] | None) -> RowInput:
        ids, spans = np.arange(entities), np.zeros((entities, 2), dtype=np.int64)
        wanted = None if predicted is None else np.array(predicted)
        return RowInput(np.arange(3), np.zeros(3, dtype=np.int64), ids, spans, predicted=wanted)

    rows = [row(3, None), row(1, [True]), row(2, [False, True])]
    batch = collate(rows, piece_pad=1, entity_pad=0)
    assert batch.predicted_places is not None
    assert batch.predicted_places.tolist() == [3, 7]
    assert collate(rows[:1], piece_pad=1, entity_pad=0).predicted_places is None


def test_rows_are_padded_to_the_longest() -> None:
    first = RowInput(np.array([5, 6, 7]), np.array([0, 1, 1]), np.array([8]), np.array([[1, 3]]))
    spans = np.array([[0, 1], [1, 2]])
    second = RowInput(
        np.array([9, 10]),
        np.array([1, 1]),
        np.array([3, 4]),
        spans,
        entity_drawn=np.array([True, False]),
        items=np.array([[0, 1], [1, 0], [1, 1]]),
        global_mask=np.array([True, False]),
    )
    batch = collate([first, second], piece_pad=2, entity_pad=11)
    assert batch.piece_ids.tolist() == [[5, 6, 7], [9, 10, 2]]
    assert batch.piece_mask.tolist() == [[True, True, True], [True, True, False]]
    assert batch.piece_types.tolist() == [[0, 1, 1], [1, 1, 0]]
    assert batch.entity_ids.tolist() == [[8, 11], [3, 4]]
    assert batch.entity_spans.tolist() == [[[1, 3], [0, 0]], [[0, 1], [1, 2]]]
    assert batch.entity_mask.tolist() == [[True, False], [True, True]]
    integers = (batch.piece_ids, batch.piece_types, batch.entity_ids, batch.entity_spans)
    assert {tensor.dtype for tensor in integers} == {torch.int64}
    assert {batch.piece_mask.dtype, batch.entity_mask.dtype} == {torch.bool}
    assert batch.candidates is None
    alone = collate([second], piece_pad=2, entity_pad=11)
    assert alone.entity_drawn.tolist() == [[True, False]]
    assert alone.items.tolist() == [[[0, 1], [1, 0], [1, 1]]]
    assert alone.global_mask.tolist() == [[True, False]]


def test_a_batch_without_entities_has_no_entity_tensors() -> None:
    none = np.zeros((0, 2), dtype=np.int64)
    batch = collate([RowInput(np.arange(3), np.zeros(3, dtype=np.int64), none[:, 0], none)], piece_pad=1, entity_pad=0)
    assert batch.entity_ids is batch.entity_spans is batch.entity_mask is batch.items is batch.global_mask is None


def test_lists_of_candidates_are_filled_up_with_minus_1() -> None:
    parts = [np.array([[1, 2], [3, -1]]), np.array([[4, 5, 6]])]
    assert pad_candidates(parts).tolist() == [[1, 2, -1], [3, -1, -1], [4, 5, 6]]
    spans = np.zeros((1, 2), dtype=np.int64)
    rows = [
        RowInput(np.arange(3), np.zeros(3, dtype=np.int64), np.array([2]), spans, candidates=part) for part in parts
    ]
    batch = collate(rows, piece_pad=1, entity_pad=0)
    assert batch.candidates.tolist() == [[1, 2, -1], [3, -1, -1], [4, 5, 6]]


@dataclass(frozen=True)
class Sized:
    """A row that only has a size."""

    pieces: int
    entities: int = 0


def sizes(rows: list[Sized], budget: int) -> list[list[tuple[int, int]]]:
    return [[(row.pieces, row.entities) for row in batch] for batch in batch_rows(rows, budget)]


def test_a_batch_fills_the_budget_to_the_last_piece() -> None:
    rows = [Sized(5, 3), Sized(4, 4), Sized(4, 4)]
    assert sizes(rows, 27) == [[(4, 4), (4, 4), (5, 3)]], "three times five pieces and four entities"
    assert sizes(rows, 26) == [[(4, 4), (4, 4)], [(5, 3)]]
    assert sizes(rows, 1) == [[(4, 4)], [(4, 4)], [(5, 3)]]
    assert padded_size(rows) == 27


def test_a_batch_ends_before_a_tenth_of_it_is_padding_once_it_is_large_enough() -> None:
    large = [Sized(100)] * 40
    assert sizes([*large, Sized(110)], 10**6) == [[(100, 0)] * 40 + [(110, 0)]], "41 x 110 is within 1.1 x 4,110"
    assert sizes([*large, Sized(111)], 10**6) == [[(100, 0)] * 40, [(111, 0)]]
    assert sizes([Sized(100), Sized(200)], 10**6) == [[(100, 0), (200, 0)]], "too small to be cut for that"


def test_a_bundle_counts_as_its_largest_row_times_its_rows() -> None:
    groups = [[Sized(2, 9), Sized(8, 1)], [Sized(3, 3)]]
    assert list(batch_groups(groups, 3 * (8 + 9))) == [[groups[1], groups[0]]]
    assert list(batch_groups(groups, 3 * (8 + 9) - 1)) == [[groups[1]], [groups[0]]]


@given(st.lists(st.integers(0, 400), min_size=1, max_size=4), st.integers(1, 150))
def test_chunks_are_as_equal_as_the_paper_makes_them(counts: list[int], chunk_size: int) -> None:
    found = candidates(counts)
    rows = mention_rows(0, TEXT, found, np.arange(sum(counts)), chunk_size, mask=2)
    assert sorted(np.concatenate([r.mentions for r in rows]).tolist() if rows else []) == list(range(sum(counts)))
    for i, n in enumerate(counts):
        sizes = [len(r.mentions) for r in rows if r.start == i]
        assert len(sizes) <= (math.ceil(n / chunk_size) if n else 0)
        assert all(size <= chunk_size for size in sizes)
        if n:
            assert sizes[0] == math.ceil(n / math.ceil(n / chunk_size))


def test_mentions_of_a_window_stay_in_their_order() -> None:
    window_of = np.arange(300) % 3
    rows = mention_rows(0, TEXT, replace(candidates([100] * 3), window_of=window_of), np.arange(300), 30, mask=2)
    assert [len(row.mentions) for row in rows] == [25] * 12
    assert np.concatenate([row.mentions for row in rows]).tolist() == [
        *range(0, 300, 3),
        *range(1, 300, 3),
        *range(2, 300, 3),
    ]


rows_strategy = st.lists(
    st.tuples(st.integers(1, 300), st.integers(1, 128)).map(
        lambda p: MentionRow(0, TEXT, 0, p[0], np.zeros(p[1]), np.zeros((p[1], 2)), 2)
    ),
    max_size=60,
)


@given(rows_strategy, st.integers(50, 3000))
def test_batches_stay_within_the_budget_and_keep_every_row(rows: list[MentionRow], budget: int) -> None:
    batches = list(batch_rows(rows, budget))
    assert sorted(id(row) for batch in batches for row in batch) == sorted(id(row) for row in rows)
    for batch in batches:
        padded = len(batch) * (max(r.pieces for r in batch) + max(len(r.mentions) for r in batch))
        assert padded <= budget or len(batch) == 1


@given(st.lists(rows_strategy.filter(bool), max_size=12), st.integers(50, 3000))
def test_groups_stay_together_within_the_budget(groups: list[list[MentionRow]], budget: int) -> None:
    batches = list(batch_groups(groups, budget))
    assert sorted(id(group) for batch in batches for group in batch) == sorted(map(id, groups))
    for batch in batches:
        assert len(batch) == 1 or padded_size([row for group in batch for row in group]) <= budget
