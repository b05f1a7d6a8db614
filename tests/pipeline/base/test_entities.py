"""From scored candidates to entities that do not overlap."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from spacy_luke.pipeline.base.entities import LabelledSpans, SpanLogits, greedy, joint, positive_spans, write_entities

NEGATIVE = 1
SPANS = st.lists(st.tuples(st.integers(0, 7), st.integers(1, 4), st.integers(-3, 3), st.floats(0.02, 0.98)), max_size=7)


def labelled(found: list[tuple[int, int, float, float]]) -> LabelledSpans:
    """Starts, lengths, logits and probabilities."""
    spans = np.array([(start, start + length) for start, length, *_ in found], dtype=np.int64).reshape(-1, 2)
    logits, probabilities = (np.array([one[i] for one in found], dtype=np.float64) for i in (2, 3))
    return LabelledSpans(spans, np.zeros(len(found), dtype=np.int64), logits, probabilities)


def overlap(found: LabelledSpans, i: int, j: int) -> bool:
    (a, b), (c, d) = found.spans[[i, j]].tolist()
    return a < d and c < b


@given(SPANS)
def test_greedy_takes_the_best_of_what_is_free(spans) -> None:
    found = labelled(spans)
    expected: list[int] = []
    for i in sorted(range(len(spans)), key=lambda i: -found.logits[i]):
        if not any(overlap(found, i, j) for j in expected):
            expected.append(i)
    assert greedy(found) == sorted(expected, key=lambda i: found.spans[i, 0])


@given(SPANS)
def test_joint_takes_those_that_are_most_probable_together(spans) -> None:
    found = labelled(spans)
    chosen = joint(found)
    assert chosen == sorted(chosen, key=lambda i: found.spans[i, 0])
    assert not any(overlap(found, i, j) for i, j in itertools.combinations(chosen, 2))
    odds = np.log(found.probabilities / (1 - found.probabilities))
    every = itertools.chain.from_iterable(itertools.combinations(range(len(spans)), n) for n in range(len(spans) + 1))
    possible = [some for some in every if not any(overlap(found, i, j) for i, j in itertools.combinations(some, 2))]
    assert odds[chosen].sum() == pytest.approx(max(odds[list(some)].sum() for some in possible))


def test_of_equal_spans_the_first_is_taken() -> None:
    found = labelled([(0, 2, 1.0, 0.9), (0, 2, 1.0, 0.9), (1, 2, 1.0, 0.9)])
    assert greedy(found) == [0]
    assert joint(found) in ([0], [1])


def test_sure_spans_have_finite_odds() -> None:
    odds = labelled([(0, 1, 0.0, 1.0), (0, 1, 0.0, 0.0), (0, 1, 0.0, 0.75)]).log_odds
    assert odds[0] == pytest.approx(-odds[1])
    assert 25 < odds[0] < 30
    assert odds[2] == pytest.approx(np.log(3))


def test_positive_spans_have_another_label_than_the_negative_one() -> None:
    logits = np.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0], [5.0, 5.0, 0.0]], dtype=np.float32)
    scored = SpanLogits(np.array([[0, 1], [1, 2], [2, 4], [4, 5]]), logits)
    found = positive_spans(scored, NEGATIVE, 0.0)
    assert found.spans.tolist() == [[0, 1], [2, 4], [4, 5]]
    assert found.labels.tolist() == [0, 2, 0]
    assert found.logits.tolist() == [2.0, 1.0, 5.0]
    e = np.exp
    shares = [e(2) / (e(2) + 2), e(1) / (e(1) + 2), 1 / (2 + e(-5))]
    assert found.probabilities == pytest.approx(shares, rel=1e-6)
    assert positive_spans(scored, NEGATIVE, found.probabilities[1]).spans.tolist() == [[0, 1], [2, 4]]
    assert positive_spans(scored, NEGATIVE, found.probabilities[1] + 1e-9).spans.tolist() == [[0, 1]]
    assert positive_spans(scored, NEGATIVE, 0.99).spans.shape == (0, 2)
    none = positive_spans(SpanLogits(np.zeros((0, 2), dtype=np.int64), np.zeros((0, 3))), NEGATIVE, 0.5)
    assert (len(none.spans), len(none.labels), len(none.logits), len(none.probabilities)) == (0, 0, 0, 0)


def written(overwrite: bool, decoding: str = "greedy") -> tuple[Doc, list[tuple[int, int, str, float]]]:
    """Entities of a Doc with one entity at 2, one blocked token at 7, and candidates of which some touch these."""
    doc = Doc(Vocab(), words=list("abcdefghij"))
    doc.set_ents([Span(doc, 2, 3, "OLD")], blocked=[doc[7:8]], missing=[doc[5:6]], default="outside")
    found = labelled(
        [(0, 2, 1.0, 0.9), (1, 2, 3.0, 0.6), (3, 1, 1.0, 0.8), (5, 2, 0.5, 0.7), (6, 2, 9.0, 0.9), (8, 2, 1.0, 0.95)]
    )
    found.labels[:] = [0, 1, 0, 1, 0, 1]
    write_entities(doc, found, ["A", "B"], "sc", overwrite=overwrite, decoding=decoding)
    key = doc.spans["sc"]
    scores = [(span.start, span.end, span.label_, span._.score) for span in key]
    return doc, scores


def test_entities_that_are_there_stay_and_what_overlaps_them_or_blocked_tokens_is_left_out() -> None:
    doc, scores = written(overwrite=False)
    assert [(ent.start, ent.end, ent.label_) for ent in doc.ents] == [
        (0, 2, "A"),
        (2, 3, "OLD"),
        (3, 4, "A"),
        (5, 7, "B"),
        (8, 10, "B"),
    ]
    assert scores == [(0, 2, "A", 0.9), (3, 4, "A", 0.8), (5, 7, "B", 0.7), (8, 10, "B", 0.95)]
    assert doc[7].ent_iob == 3
    assert doc[7].ent_type == 0
    assert doc[4].ent_iob == 2


def test_entities_that_are_overwritten_go_and_blocked_tokens_stay() -> None:
    doc, _ = written(overwrite=True)
    assert [(ent.start, ent.end) for ent in doc.ents] == [(1, 3), (3, 4), (5, 7), (8, 10)]
    assert (doc[7].ent_iob, doc[7].ent_type) == (3, 0)
    doc, _ = written(overwrite=True, decoding="joint")
    assert [(ent.start, ent.end) for ent in doc.ents] == [(0, 2), (3, 4), (5, 7), (8, 10)]
