"""Scores of relations, beside numbers computed by hand."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_luke.annotations import set_relations
from spacy_luke.pipeline.relations.scorer import build_relations_scorer

NLP = spacy.blank("en")
WORDS = ["Ada", "founded", "Acme", "in", "London", "with", "Bo"]
ADA, ACME, LONDON, WITH_BO, BO = "Ada", "Acme", "London", "with Bo", "Bo"
Entities = dict[str, str]
Relations = list[tuple[str, str, str]]


def span(doc: Doc, text: str, label: str = "") -> Span:
    start = doc.text.index(text)
    found = doc.char_span(start, start + len(text), label=label)
    assert found is not None
    return found


def annotated(doc: Doc, entities: Entities, relations: Relations | None) -> Doc:
    ents = [span(doc, text, label) for text, label in entities.items()]
    doc.set_ents(ents)
    if relations is not None:
        by_text = dict(zip(entities, ents, strict=True))
        set_relations(doc, [(by_text.get(h, span(doc, h)), by_text.get(t, span(doc, t)), r) for h, t, r in relations])
    return doc


def words(joint: str = " ") -> Doc:
    return NLP.make_doc(joint.join(WORDS))


def halves() -> Doc:
    """The same text with other tokens: every word is cut in two."""
    pieces, spaces = [], []
    for word in WORDS:
        pieces += [word[:1], word[1:]]
        spaces += [False, True]
    return Doc(NLP.vocab, words=pieces, spaces=[*spaces[:-1], False])


GOLD_ENTITIES = {ADA: "PER", ACME: "ORG", LONDON: "LOC", BO: "PER"}
GOLD = [
    (ADA, ACME, "founder"),
    (BO, ACME, "founder"),
    (ACME, LONDON, "located"),
    (ADA, BO, "knows"),
    (ADA, LONDON, "lives"),
]
# Acme has the wrong label, Bo the wrong boundaries; "located" has the wrong direction, and "knows" was not found.
FOUND_ENTITIES = {ADA: "PER", ACME: "LOC", LONDON: "LOC", WITH_BO: "PER"}
FOUND = [
    (ADA, ACME, "founder"),
    (WITH_BO, ACME, "founder"),
    (LONDON, ACME, "located"),
    (ADA, LONDON, "lives"),
]


def end_to_end() -> Example:
    return Example(annotated(words(), FOUND_ENTITIES, FOUND), annotated(words(), GOLD_ENTITIES, GOLD))


def example(predicted: Relations | None, gold: Relations | None) -> Example:
    return Example(annotated(words(), GOLD_ENTITIES, predicted), annotated(words(), GOLD_ENTITIES, gold))


def prf(scores: dict[str, Any], prefix: str) -> Any:
    return pytest.approx([scores[f"{prefix}_{part}"] for part in "prf"])


def test_end_to_end_scores_count_every_relation() -> None:
    scores = build_relations_scorer()([end_to_end()])
    assert prf(scores, "rel_micro") == [2 / 4, 2 / 5, 4 / 9]


def test_strict_scores_ask_for_the_labels_of_both_entities() -> None:
    scores = build_relations_scorer()([end_to_end()])
    assert prf(scores, "rel_strict") == [1 / 4, 1 / 5, 2 / 9]


@pytest.mark.parametrize(("label", "right"), [("ORG", 1), ("LOC", 0), ("", 1)])
def test_labels_are_those_of_the_spans_of_a_relation_or_of_the_entities_there(label: str, right: int) -> None:
    doc = annotated(words(), {ADA: "PER", ACME: "ORG"}, [])
    set_relations(doc, [(span(doc, ADA, "PER"), span(doc, ACME, label), "founder")])
    scores = build_relations_scorer()([Example(doc, annotated(words(), GOLD_ENTITIES, GOLD[:1]))])
    assert prf(scores, "rel_strict") == [right, right, right]


def test_relations_of_found_entities_are_scored_beside() -> None:
    scores = build_relations_scorer()([end_to_end()])
    assert prf(scores, "rel_found") == [2 / 3, 2 / 3, 2 / 3]


def test_scores_by_label() -> None:
    per_type = build_relations_scorer()([end_to_end()])["rel_per_type"]
    assert list(per_type) == ["founder", "knows", "lives", "located"]
    assert per_type["founder"] == pytest.approx({"p": 1 / 2, "r": 1 / 2, "f": 1 / 2})
    assert per_type["knows"] == per_type["located"] == {"p": 0, "r": 0, "f": 0}
    assert per_type["lives"] == pytest.approx({"p": 1, "r": 1, "f": 1})


def test_the_direction_of_symmetric_labels_does_not_count() -> None:
    scores = build_relations_scorer(symmetric=["located"])([end_to_end()])
    assert prf(scores, "rel_micro") == [3 / 4, 3 / 5, 2 / 3]
    assert prf(scores, "rel_strict") == [1 / 4, 1 / 5, 2 / 9]
    assert prf(scores, "rel_found") == [1, 1, 1]


def test_a_symmetric_relation_in_both_directions_is_one() -> None:
    twice = example([(ADA, BO, "knows"), (BO, ADA, "knows")], [(BO, ADA, "knows")])
    assert prf(build_relations_scorer(symmetric=["knows"])([twice]), "rel_micro") == [1, 1, 1]
    assert prf(build_relations_scorer()([twice]), "rel_micro") == [1 / 2, 1, 2 / 3]


def test_the_negative_label_is_ignored_on_both_sides() -> None:
    negative = example(
        [(ADA, ACME, "NA"), (BO, ACME, "founder")], [(ADA, BO, "NA"), (BO, ACME, "founder"), (ACME, BO, "NA")]
    )
    for scorer in (build_relations_scorer(negative_label="NA"), build_relations_scorer()):
        scores = scorer([negative])
        assert prf(scores, "rel_micro") == [1, 1, 1]
        assert list(scores["rel_per_type"]) == ["founder"]
    assert list(build_relations_scorer(negative_label="none")([negative])["rel_per_type"]) == ["NA", "founder"]


def test_a_reference_without_annotation_is_not_scored() -> None:
    scores = build_relations_scorer()([example(GOLD, None)])
    assert len(scores) == 12
    assert set(scores.values()) == {None}


def test_a_reference_that_says_there_is_none_is_scored() -> None:
    scores = build_relations_scorer()([example([(ADA, BO, "knows")], []), example([(ADA, BO, "knows")] * 2, GOLD)])
    assert prf(scores, "rel_micro") == [1 / 2, 1 / 5, 2 / 7]


def test_nothing_gold_and_nothing_predicted_has_no_score() -> None:
    assert set(build_relations_scorer()([example([], [])]).values()) == {None}


def test_a_predicted_doc_without_annotation_has_found_nothing() -> None:
    assert prf(build_relations_scorer()([example(None, GOLD)]), "rel_micro") == [0, 0, 0]


def test_tokens_do_not_matter() -> None:
    gold = annotated(words(), GOLD_ENTITIES, GOLD)
    scores = build_relations_scorer()([Example(annotated(halves(), FOUND_ENTITIES, FOUND), gold)])
    assert scores == build_relations_scorer()([end_to_end()])


def test_a_span_that_ends_inside_a_gold_token_is_wrong_and_counts() -> None:
    predicted = halves()
    set_relations(predicted, [(predicted[0:1], predicted[4:6], "founder")])
    scores = build_relations_scorer()([Example(predicted, annotated(words(), GOLD_ENTITIES, GOLD[:1]))])
    assert prf(scores, "rel_micro") == [0, 0, 0]
    assert scores["rel_per_type"]["founder"]["p"] == 0


def test_white_space_does_not_matter() -> None:
    gold = Doc(NLP.vocab, words=WORDS, spaces=[True] * 7)
    predicted = words("\n  ")
    pair = Example(annotated(predicted, GOLD_ENTITIES, GOLD), annotated(gold, GOLD_ENTITIES, GOLD))
    scores = build_relations_scorer()([pair])
    for prefix in ("rel_micro", "rel_strict", "rel_found"):
        assert prf(scores, prefix) == [1, 1, 1]


def test_different_texts_are_spacys_error() -> None:
    with pytest.raises(ValueError, match="E949"):
        build_relations_scorer()([Example(NLP.make_doc("Someone else"), annotated(words(), GOLD_ENTITIES, GOLD))])


def test_ends_without_label_have_that_of_the_entity() -> None:
    """Gold relations of plain `doc[2:4]`, predicted ones of `doc.ents`."""
    gold, predicted = annotated(words(), GOLD_ENTITIES, None), annotated(words(), GOLD_ENTITIES, GOLD)
    set_relations(gold, [(span(gold, head), span(gold, tail), label) for head, tail, label in GOLD])
    assert prf(build_relations_scorer()([Example(predicted, gold)]), "rel_strict") == [1, 1, 1]


def test_without_gold_labels_there_are_no_strict_scores() -> None:
    scores = build_relations_scorer()([Example(annotated(words(), {}, GOLD), annotated(words(), {}, GOLD))])
    assert prf(scores, "rel_micro") == [1, 1, 1]
    assert [scores[f"rel_strict_{part}"] for part in "prf"] == [None] * 3


def test_entities_can_be_spans_under_a_key() -> None:
    """Overlapping spans: London is found, Acme is not."""
    gold, predicted = annotated(words(), {}, GOLD), annotated(words(), {}, GOLD)
    gold.spans["found"] = [span(gold, text, label) for text, label in GOLD_ENTITIES.items()]
    predicted.spans["found"] = [span(predicted, t, "X") for t in (ADA, "Acme in London", LONDON, BO)]
    scores = build_relations_scorer(spans_key="found")([Example(predicted, gold)])
    assert prf(scores, "rel_micro") == [1, 1, 1]
    assert prf(scores, "rel_strict") == [0, 0, 0]
    assert prf(scores, "rel_found") == [1, 1, 1]
    of_none = build_relations_scorer(spans_key="elsewhere")([Example(predicted, gold)])
    assert prf(of_none, "rel_micro") == [1, 1, 1], "a Doc without such spans has no entities"
    assert [of_none[f"rel_strict_{part}"] for part in "prf"] == [None] * 3
    set_relations(predicted, [(span(predicted, ADA), span(predicted, ACME), "founder")])
    scores = build_relations_scorer(spans_key="found")([Example(predicted, gold)])
    assert prf(scores, "rel_micro") == [1, 1 / 5, 1 / 3]
    assert prf(scores, "rel_found") == [0, 0, 0]


def test_the_scorer_can_be_pickled() -> None:
    scorer = build_relations_scorer(symmetric=["located"], negative_label="NA")
    assert pickle.loads(pickle.dumps(scorer))([end_to_end()]) == scorer([end_to_end()])


# Properties

NAMES = st.sampled_from([ADA, ACME, LONDON, BO])
RELATIONS = st.lists(st.tuples(NAMES, NAMES, st.sampled_from(["founder", "knows", "located"])), max_size=6)
ENTITIES = st.dictionaries(NAMES, st.sampled_from(["PER", "ORG"]))
SIDES = st.tuples(ENTITIES, RELATIONS)
PAIRS = st.lists(st.tuples(SIDES, SIDES), max_size=4)
SYMMETRIC = st.lists(st.just("knows"), max_size=1)


@given(st.lists(SIDES, max_size=4), SYMMETRIC)
def test_perfect_predictions_score_1(sides: Any, symmetric: list[str]) -> None:
    examples = [Example(annotated(halves(), *side), annotated(words(), *side)) for side in sides]
    scores = build_relations_scorer(symmetric=symmetric)(examples)
    per_type = scores.pop("rel_per_type")
    assert (scores["rel_micro_f"] is None) == (per_type is None) == (not any(relations for _, relations in sides))
    assert scores.pop("rel_ece") in (0, None)
    bins = scores.pop("rel_calibration")
    assert bins is None or [(one["probability"], one["right"]) for one in bins] == [(1.0, 1.0)]
    assert {value for value in scores.values() if value is not None} <= {1.0}
    assert all(values == {"p": 1, "r": 1, "f": 1} for values in (per_type or {}).values())


@given(PAIRS, SYMMETRIC, st.randoms(use_true_random=False))
def test_the_order_of_examples_does_not_matter(pairs: Any, symmetric: list[str], random: Any) -> None:
    examples = [Example(annotated(words(), *a), annotated(words(), *b)) for a, b in pairs]
    scorer = build_relations_scorer(symmetric=symmetric)
    before = scorer(examples)
    random.shuffle(examples)
    assert scorer(examples) == before


@given(PAIRS, PAIRS)
def test_references_without_annotation_change_nothing(pairs: Any, others: Any) -> None:
    examples = [Example(annotated(words(), *a), annotated(words(), *b)) for a, b in pairs]
    unannotated = [Example(annotated(words(), *a), annotated(words(), b, None)) for a, (b, _) in others]
    assert build_relations_scorer()([*examples, *unannotated]) == build_relations_scorer()(examples)


@given(PAIRS, SYMMETRIC)
def test_precision_and_recall_change_places_with_the_docs(pairs: Any, symmetric: list[str]) -> None:
    docs = [(annotated(words(), *a), annotated(halves(), *b)) for a, b in pairs]
    scorer = build_relations_scorer(symmetric=symmetric)
    one, other = scorer([Example(a, b) for a, b in docs]), scorer([Example(b, a) for a, b in docs])
    for prefix in ("rel_micro", "rel_found"):
        assert [one[f"{prefix}_{part}"] for part in "prf"] == [other[f"{prefix}_{part}"] for part in "rpf"]
    turned = {label: {"p": v["r"], "r": v["p"], "f": v["f"]} for label, v in (one["rel_per_type"] or {}).items()}
    assert turned == (other["rel_per_type"] or {})
