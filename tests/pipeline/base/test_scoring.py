"""Expected calibration error, and where scorers give it."""

from __future__ import annotations

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.scorer import PRFScore
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example

from spacy_luke.annotations import set_entity_labels, set_entity_type_scores, set_entity_types, set_relations
from spacy_luke.pipeline.base.scoring import (
    calibration_bins,
    calibration_error,
    char_ranges,
    per_label,
    prf,
    with_annotated_labels,
)
from spacy_luke.pipeline.entity_typer.scorer import build_entity_typer_scorer
from spacy_luke.pipeline.ner.scorer import build_ner_scorer
from spacy_luke.pipeline.relations.scorer import build_relations_scorer

NLP = spacy.blank("en")


def test_it_is_the_mean_distance_of_the_bins() -> None:
    right = [(0.95, True)] * 9 + [(0.95, False)]  # one bin, 5 points too sure
    assert calibration_error(right) == pytest.approx(0.05)
    both = right + [(0.25, False)] * 10  # 25 points too sure in another
    assert calibration_error(both) == pytest.approx(0.15)
    assert calibration_error([(1.0, True), (0.0, False)]) == 0
    assert calibration_error([(1.0, False), (0.0, True)]) == 1
    assert calibration_error([]) is None


def test_a_bin_has_its_upper_edge() -> None:
    """0.1 is in the first of ten bins, as in the paper."""
    assert calibration_error([(0.1, False), (0.05, True)]) == pytest.approx(abs(0.15 - 1) / 2)


def test_bins_are_apart() -> None:
    """Errors in opposite directions cancel out within a bin only."""
    assert calibration_error([(0.05, True), (0.15, False)]) == pytest.approx((0.95 + 0.15) / 2)
    assert calibration_error([(0.05, True), (0.15, False)], bins=5) == pytest.approx(0.8 / 2)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1), st.integers(1, 20))
def test_it_lies_between_the_distance_of_the_means_and_that_of_each(pairs: list[tuple[float, bool]], bins: int) -> None:
    found = calibration_error(pairs, bins)
    assert found is not None
    mean = abs(sum(p - r for p, r in pairs)) / len(pairs)
    each = sum(abs(p - r) for p, r in pairs) / len(pairs)
    assert mean - 1e-9 <= found <= each + 1e-9


def test_the_bins_of_the_calibration_error_are_those_that_are_not_empty() -> None:
    pairs = [(0.95, True), (0.31, False), (0.97, False), (0.35, True), (0.33, True)]
    assert calibration_bins(pairs) == [
        {"probability": pytest.approx(0.33), "right": pytest.approx(2 / 3), "count": 3},
        {"probability": pytest.approx(0.96), "right": 0.5, "count": 2},
    ]
    assert calibration_bins(pairs) == calibration_bins(pairs[::-1])
    assert calibration_bins([]) is None


def test_scorers_give_the_bins_with_the_error() -> None:
    one = example()
    for doc in (one.predicted, one.reference):
        set_entity_types(doc.ents[0], ["person"])
        set_relations(doc, [(doc.ents[0], doc.ents[1], "met", 0.75)])
    set_entity_type_scores(one.predicted.ents[0], {"person": 0.75})
    bins = [{"probability": 0.75, "right": 1.0, "count": 1}]
    assert build_relations_scorer()([one])["rel_calibration"] == bins
    assert build_entity_typer_scorer()([one])["types_calibration"] == bins
    assert build_ner_scorer()([])["ents_calibration"] is None


def example() -> Example:
    docs = [Doc(NLP.vocab, words=["Ada", "met", "Bo", "in", "Rome"]) for _ in range(2)]
    for doc in docs:
        doc.set_ents([Span(doc, 0, 1, "PER"), Span(doc, 2, 3, "PER"), Span(doc, 4, 5, "LOC")])
    return Example(*docs)


def test_of_entities() -> None:
    one = example()
    doc = one.predicted
    doc.set_ents([Span(doc, 0, 1, "PER"), Span(doc, 2, 3, "ORG"), Span(doc, 4, 5, "LOC")])
    doc.spans["luke_ner"] = SpanGroup(doc, name="luke_ner", spans=list(doc.ents), attrs={"scores": [0.9, 0.6, 1.0]})
    score = build_ner_scorer()
    assert score([one])["ents_ece"] == pytest.approx((0.1 + 0.6) / 3)
    set_entity_labels(one.reference, ["PER", "LOC"])
    assert score([one])["ents_ece"] == pytest.approx(0.1 / 2)
    del doc.spans["luke_ner"]
    assert score([one])["ents_ece"] is None
    assert score([])["ents_ece"] is None


def test_of_relations() -> None:
    one = example()
    (a, b, c), gold = one.predicted.ents, one.reference.ents
    set_relations(one.reference, [(gold[0], gold[1], "met"), (gold[1], gold[2], "in")])
    set_relations(one.predicted, [(b, a, "met", 0.8), (b, c, "in", 0.9), (a, c, "none", 0.7)])
    assert build_relations_scorer(negative_label="none")([one])["rel_ece"] == pytest.approx((0.8 + 0.1) / 2)
    assert build_relations_scorer(["met"], "none")([one])["rel_ece"] == pytest.approx((0.2 + 0.1) / 2)


def test_of_types() -> None:
    one = example()
    set_entity_types(one.reference.ents[0], ["person"])
    for ent in one.predicted.ents[:2]:
        set_entity_types(ent, ["person", "writer"])
        set_entity_type_scores(ent, {"person": 0.9, "writer": 0.6, "place": 0.1})
    assert build_entity_typer_scorer()([one])["types_ece"] == pytest.approx((0.1 + 0.6) / 2)


# Labels that the reference is not annotated with


def labelled(predicted: list[tuple[int, int, str]], gold: list[tuple[int, int, str]]) -> Example:
    made = Example(*(Doc(NLP.vocab, words=["Ada", "met", "Bo", "in", "Rome"]) for _ in range(2)))
    for doc, ents in ((made.predicted, predicted), (made.reference, gold)):
        doc.set_ents([Span(doc, *ent) for ent in ents])
        doc.spans["sc"] = SpanGroup(doc, name="sc", spans=list(doc.ents), attrs={"own": 1})
    made.predicted.spans["sc"].attrs["scores"] = [0.9 - i / 10 for i in range(len(predicted))]
    return made


def test_entities_and_spans_of_labels_that_are_not_annotated_do_not_count() -> None:
    one = labelled([(0, 1, "PER"), (2, 3, "ORG"), (4, 5, "LOC")], [(0, 1, "PER"), (2, 3, "ORG")])
    assert with_annotated_labels(one) is one
    set_entity_labels(one.reference, ["PER", "LOC"])
    found = with_annotated_labels(one)
    assert [ent.label_ for ent in found.predicted.ents] == ["PER", "LOC"]
    assert [ent.label_ for ent in found.reference.ents] == ["PER"]
    assert [token.ent_iob_ for token in found.reference] == ["B", "O", "", "O", "O"], "not known, where ORG was"
    group = found.predicted.spans["sc"]
    assert group.name == "sc"
    assert [span.label_ for span in group] == ["PER", "LOC"]
    assert group.attrs == {"own": 1, "scores": [0.9, pytest.approx(0.7)]}
    assert [span.label_ for span in found.reference.spans["sc"]] == ["PER"]
    assert found.reference.spans["sc"].attrs == {"own": 1}
    assert len(one.predicted.ents) == len(one.predicted.spans["sc"]) == 3, "the Example itself stays"
    assert len(one.predicted.spans["sc"].attrs["scores"]) == 3


def test_with_no_label_annotated_nothing_is_known() -> None:
    one = labelled([(0, 1, "PER")], [(2, 3, "ORG")])
    set_entity_labels(one.reference, [])
    found = with_annotated_labels(one)
    assert not found.predicted.ents
    assert not found.reference.has_annotation("ENT_IOB")


# Places and results


def test_places_do_not_depend_on_tokens_white_space_and_case() -> None:
    one = Example(
        Doc(NLP.vocab, words=["In", "New York", "Ada"]),
        Doc(NLP.vocab, words=["in", "New", "York", "\n", "ada"], spaces=[True, True, True, False, False]),
    )
    predicted, reference = char_ranges(one)
    assert predicted(one.predicted[1:2]) == reference(one.reference[1:3]) == (2, 9)
    assert predicted(one.predicted[2:3]) == reference(one.reference[4:5]) == (9, 12)
    assert predicted(one.predicted[0:1]) == (0, 2)


def test_places_of_different_texts_are_an_error() -> None:
    with pytest.raises(ValueError, match="E949"):
        char_ranges(Example(NLP.make_doc("Ada met Bo"), NLP.make_doc("Cy")))


def test_results_are_none_where_there_is_nothing() -> None:
    nothing = {"x_p": None, "x_r": None, "x_f": None}
    assert prf("x", None) == prf("x", PRFScore()) == nothing
    assert prf("x", PRFScore(tp=1, fp=1)) == {"x_p": 0.5, "x_r": pytest.approx(1.0), "x_f": pytest.approx(2 / 3)}
    assert per_label("x", {}) == {"x": None}
    found = per_label("x", {"B": PRFScore(tp=1), "A": PRFScore(fp=1)})["x"]
    assert list(found) == ["A", "B"]
    assert (found["A"]["p"], found["B"]["p"]) == (pytest.approx(0.0), pytest.approx(1.0))
