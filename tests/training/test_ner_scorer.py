"""Scores of `luke_ner`: its entities, or with overlap the spans under its key."""

from __future__ import annotations

import pytest
import spacy
from spacy.tokens import Doc, SpanGroup
from spacy.training import Example

from spacy_luke.pipeline.ner.scorer import build_ner_scorer

NLP = spacy.blank("en")
TEXT = "Royal Society of London"
GOLD = [(0, 13, "ORG"), (0, 23, "ORG"), (17, 23, "LOC")]


def with_spans(key: str, spans: list[tuple[int, int, str]], scores: list[float] | None = None) -> Doc:
    doc = NLP.make_doc(TEXT)
    found = [doc.char_span(start, end, label) for start, end, label in spans]
    doc.spans[key] = SpanGroup(doc, name=key, spans=found, attrs={} if scores is None else {"scores": scores})
    return doc


def example(key: str) -> Example:
    """Two of three predicted spans are right, and two of three gold ones found."""
    return Example(with_spans(key, [*GOLD[1:], (0, 5, "ORG")], [0.9, 0.9, 0.5]), with_spans(key, GOLD))


def test_the_key_of_the_component_is_scored_whatever_the_scorers_own() -> None:
    scores = build_ner_scorer("luke_ner")([example("sc")], spans_key="sc", overlap=True)
    assert [scores[f"spans_sc_{part}"] for part in "prf"] == pytest.approx([2 / 3] * 3)
    assert scores["spans_sc_per_type"]["LOC"]["f"] == 1.0
    assert set(scores) == {f"spans_sc_{name}" for name in ("p", "r", "f", "per_type", "ece", "calibration")}


def test_the_calibration_error_of_overlapping_spans_is_over_gold_spans() -> None:
    scores = build_ner_scorer()([example("sc")], spans_key="sc", overlap=True)
    assert scores["spans_sc_ece"] == pytest.approx((2 * 0.1 + 0.5) / 3)
    assert scores["spans_sc_calibration"] == [
        {"probability": 0.5, "right": 0.0, "count": 1},
        {"probability": pytest.approx(0.9), "right": 1.0, "count": 2},
    ]


def test_a_component_without_overlap_is_not_scored_by_spans() -> None:
    scores = build_ner_scorer()([example("sc")], spans_key="sc", overlap=False)
    assert not [name for name in scores if name.startswith("spans_")]
    assert "ents_f" in scores


def test_other_components_are_scored_by_what_the_references_have() -> None:
    scores = build_ner_scorer("sc")([example("sc")])
    assert scores["spans_sc_f"] == pytest.approx(2 / 3)
    assert "ents_f" in scores
    assert "spans_other_f" not in build_ner_scorer("other")([example("sc")])


def test_references_without_spans_give_no_score() -> None:
    predicted = with_spans("sc", GOLD)
    scores = build_ner_scorer()([Example(predicted, NLP.make_doc(TEXT))], spans_key="sc", overlap=True)
    assert set(scores.values()) == {None}
