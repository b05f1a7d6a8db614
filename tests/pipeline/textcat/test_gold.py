"""Gold categories as targets, and the windows of a text."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab

from spacy_luke.batching.strided import StridedWindows, max_context
from spacy_luke.errors import LukeError
from spacy_luke.pipeline.base.gold import GoldReport
from spacy_luke.pipeline.textcat.gold import gold_cats
from spacy_luke.pipeline.textcat.inputs import text_rows
from spacy_luke.tokenization.loading import SpecialPieces
from spacy_luke.tokenization.pieces import TextPieces

LABELS = ("A", "B", "C")


def targets(cats: dict[str, float], *, multi_label: bool, words: tuple[str, ...] = ("Ada", "met")) -> tuple:
    reference = Doc(Vocab(), words=list(words))
    reference.cats = cats
    report = GoldReport()
    gold = gold_cats(Example(reference.copy(), reference), LABELS, multi_label, "textcat", report)
    assert (gold.values.dtype, gold.known.dtype) == (np.float32, bool)
    return gold.values.tolist(), gold.known.tolist(), report


def test_labels_that_the_reference_lacks_are_0_if_one_alone_is_right_and_unknown_otherwise() -> None:
    values, known, report = targets({"B": 1.0}, multi_label=False)
    assert (values, known, report.total, report.missed) == ([0, 1, 0], [True] * 3, 1, Counter())
    values, known, report = targets({"B": 1.0, "C": 0.0}, multi_label=True)
    assert (values, known, report.total) == ([0, 1, 0], [False, True, True], 1)
    assert targets({"A": 1, "B": 1, "C": 0}, multi_label=True)[:2] == ([1, 1, 0], [True] * 3)
    assert targets({"A": 0, "B": 0, "C": 0}, multi_label=True)[:2] == ([0, 0, 0], [True] * 3)


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_doc_without_categories_says_nothing(multi_label: bool) -> None:
    values, known, report = targets({}, multi_label=multi_label)
    assert (values, known, report.total) == ([0, 0, 0], [False] * 3, 0)


def test_what_cannot_be_learned_is_counted() -> None:
    values, known, report = targets({"A": 0.0, "B": 0.0}, multi_label=False)
    assert (values, known) == ([0, 0, 0], [False] * 3)
    assert (report.total, report.missed, report.first) == (1, Counter({"without a label that is 1": 1}), ["'Ada met '"])
    values, known, report = targets({"A": 1.0}, multi_label=True, words=("\n",))
    assert (known, report.total, report.missed) == ([False] * 3, 1, Counter({"without text": 1}))
    assert report.first == ["'\\n '"]
    doc = Doc(Vocab(), words=["Ada"])
    doc.cats = {"A": 1.0}
    gold_cats(Example(doc.copy(), doc), LABELS, False, "textcat", report)
    assert report.total == 2


@pytest.mark.parametrize(
    ("cats", "multi_label", "message"),
    [
        ({"A": 1.0, "D": 0.0, "E": 1.0}, True, r"L041.*D, E.*textcat.*A, B, C"),
        ({"A": 0.5}, True, r"L081.*'A': 0.5.*Ada met.*0 or 1"),
        ({"A": 1.0, "C": 1.0}, False, r"L081.*one label alone"),
    ],
)
def test_categories_that_cannot_be_are_errors(cats: dict[str, float], multi_label: bool, message: str) -> None:
    with pytest.raises(LukeError, match=message):
        targets(cats, multi_label=multi_label)


def text_of(pieces: int) -> TextPieces:
    return TextPieces(np.arange(10, 10 + pieces), np.zeros(pieces, dtype=np.int64), np.zeros((pieces, 2)), {})


@given(pieces=st.integers(0, 60), room=st.integers(1, 20), stride=st.integers(1, 20))
def test_each_piece_counts_in_one_window(pieces: int, room: int, stride: int) -> None:
    windows = StridedWindows(room, stride)
    rows = text_rows(3, text_of(pieces), windows)
    cut = windows.cover(pieces, 0)
    assert [(row.doc, row.start, row.end, row.window) for row in rows] == [(3, *one, i) for i, one in enumerate(cut)]
    owners = max_context(cut).tolist()
    assert [row.share for row in rows] == [owners.count(i) / pieces for i in range(len(cut))]
    assert not pieces or sum(row.share for row in rows) == pytest.approx(1)


def test_the_first_piece_of_a_row_is_global() -> None:
    [row] = text_rows(0, text_of(3), StridedWindows(9, 9))
    made = row.make(SpecialPieces(0, 2, 1, 3, 4))
    assert made.piece_ids.tolist() == [0, 10, 11, 12, 2]
    assert made.global_mask.tolist() == [True, False, False, False, False]
