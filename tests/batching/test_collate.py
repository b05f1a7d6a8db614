"""Rows and batches: chunks as in the paper, batches within the budget, nothing lost."""

import math
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spacy_luke.batching.collate import RowInput, batch_bundles, batch_rows, collate, padded_size
from spacy_luke.batching.mentions import Candidates
from spacy_luke.batching.windows import Window
from spacy_luke.pipeline.ner.inputs import MentionRow, mention_rows
from spacy_luke.tokenization.pieces import WordPieces

TEXT = WordPieces(*[np.zeros(0, dtype=np.int64)] * 4)  # rows are made of it, but not their tensors


def candidates(counts: list[int]) -> Candidates:
    """Candidates of which `counts[i]` lie in window i."""
    total = sum(counts)
    window_of = np.repeat(np.arange(len(counts)), counts)
    spans = np.zeros((total, 2), dtype=np.int64)
    windows = [Window(i, i + 10, (i, i + 1)) for i in range(len(counts))]
    return Candidates(spans, np.arange(total), spans, window_of, windows, Counter())


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
def test_bundles_stay_together_within_the_budget(bundles: list[list[MentionRow]], budget: int) -> None:
    batches = list(batch_bundles(bundles, budget))
    assert sorted(id(bundle) for batch in batches for bundle in batch) == sorted(map(id, bundles))
    for batch in batches:
        assert len(batch) == 1 or padded_size([row for bundle in batch for row in bundle]) <= budget
