"""Scores of entity types, beside numbers computed by hand."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc
from spacy.training import Example

from spacy_luke.annotations import set_entity_types
from spacy_luke.pipeline.entity_typer.scorer import build_entity_typer_scorer

NLP = spacy.blank("en")
SCORE = build_entity_typer_scorer()
NAMES = ["Ada", "Acme", "London", "Bo"]
# A name that is not in the dict is not annotated.
Types = dict[str, list[str]]


def typed(types: Types, *, pieces: bool = False) -> Doc:
    """pieces: with other tokens, each name cut in two."""
    words = [part for name in NAMES for part in ([name[:1], name[1:]] if pieces else [name])]
    spaces = [i % 2 == 1 or not pieces for i in range(len(words))]
    doc = Doc(NLP.vocab, words=words, spaces=[*spaces[:-1], False])
    for name, named_types in types.items():
        start = doc.text.index(name)
        set_entity_types(doc.char_span(start, start + len(name)), named_types)
    return doc


def example(predicted: Types, gold: Types) -> Example:
    return Example(typed(predicted), typed(gold))


def prf(scores: dict[str, Any], prefix: str) -> Any:
    return pytest.approx([scores[f"{prefix}_{part}"] for part in "prf"])


GOLD = {"Ada": ["person", "writer"], "Acme": ["organization"], "London": ["place", "city", "capital"], "Bo": []}
# Right: person, writer; place. Wrong: poet; person. Missed: organization; city, capital.
FOUND = {"Ada": ["person", "writer", "poet"], "London": ["place"], "Bo": ["person"]}


def test_micro_scores_count_pairs_of_span_and_type() -> None:
    assert prf(SCORE([example(FOUND, GOLD)]), "types_micro") == [3 / 5, 3 / 6, 6 / 11]


def test_macro_scores_are_means_over_spans_with_predicted_and_with_gold_types() -> None:
    p, r = (2 / 3 + 1 + 0) / 3, (1 + 0 + 1 / 3) / 3
    assert prf(SCORE([example(FOUND, GOLD)]), "types_macro") == [p, r, 2 * p * r / (p + r)]


def test_accuracy_is_the_share_of_spans_with_exactly_the_gold_types() -> None:
    assert SCORE([example(FOUND, GOLD)])["types_acc"] == 0
    assert SCORE([example({"Ada": ["writer", "person"], "Acme": []}, GOLD)])["types_acc"] == 2 / 4


def test_scores_by_type() -> None:
    per_type = SCORE([example(FOUND, GOLD)])["types_per_type"]
    assert list(per_type) == ["capital", "city", "organization", "person", "place", "poet", "writer"]
    assert per_type["person"] == pytest.approx({"p": 1 / 2, "r": 1, "f": 2 / 3})
    assert per_type["poet"] == per_type["city"] == {"p": 0, "r": 0, "f": 0}


def test_only_annotated_spans_of_the_reference_count() -> None:
    scores = SCORE([example({"Ada": ["person"], "Bo": ["poet"]}, {"Ada": ["person"]})])
    assert prf(scores, "types_micro") == [1, 1, 1]
    assert prf(scores, "types_macro") == [1, 1, 1]


def test_without_annotated_spans_there_are_no_scores() -> None:
    scores = SCORE([example(FOUND, {})])
    assert len(scores) == 10
    assert set(scores.values()) == {None}


def test_no_prediction_scores_0() -> None:
    scores = SCORE([example({}, GOLD)])
    assert prf(scores, "types_micro") == [0, 0, 0]
    assert prf(scores, "types_macro") == [0, 0, 0]
    assert scores["types_acc"] == 1 / 4  # Bo has no type


def test_a_gold_span_without_type_is_measured_by_accuracy_alone() -> None:
    scores = SCORE([example({}, {"Bo": []})])
    assert scores.pop("types_acc") == 1
    assert set(scores.values()) == {None}


def test_tokens_do_not_matter() -> None:
    assert SCORE([Example(typed(FOUND, pieces=True), typed(GOLD))]) == SCORE([example(FOUND, GOLD)])


def test_the_scorer_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(SCORE))([example(FOUND, GOLD)]) == SCORE([example(FOUND, GOLD)])


# Properties

LABELS = st.lists(st.sampled_from(["person", "place", "city"]), unique=True, max_size=3)
SIDES = st.dictionaries(st.sampled_from(NAMES), LABELS)
PAIRS = st.lists(st.tuples(SIDES, SIDES), max_size=4)
EVERY = st.fixed_dictionaries(dict.fromkeys(NAMES, LABELS))


@given(st.lists(SIDES, max_size=4))
def test_perfect_predictions_score_1(sides: list[Types]) -> None:
    scores = SCORE([Example(typed(side, pieces=True), typed(side)) for side in sides])
    per_type = scores.pop("types_per_type")
    assert (scores["types_acc"] is None) == (not any(sides))
    assert (scores["types_micro_f"] is None) == (per_type is None) == (not any(v for s in sides for v in s.values()))
    assert {value for value in scores.values() if value is not None} <= {1.0}
    assert all(values == {"p": 1, "r": 1, "f": 1} for values in (per_type or {}).values())


@given(PAIRS, st.randoms(use_true_random=False))
def test_the_order_of_examples_does_not_matter(pairs: Any, random: Any) -> None:
    examples = [example(*pair) for pair in pairs]
    before = SCORE(examples)
    random.shuffle(examples)
    after = SCORE(examples)
    assert before.pop("types_per_type") == after.pop("types_per_type")
    assert after == pytest.approx(before)


@given(PAIRS, SIDES)
def test_references_without_annotation_change_nothing(pairs: Any, predicted: Types) -> None:
    examples = [example(*pair) for pair in pairs]
    assert SCORE([*examples, example(predicted, {})]) == SCORE(examples)


@given(st.lists(st.tuples(EVERY, EVERY), max_size=4))
def test_precision_and_recall_change_places_with_the_docs(pairs: Any) -> None:
    one, other = SCORE([example(a, b) for a, b in pairs]), SCORE([example(b, a) for a, b in pairs])
    assert one["types_acc"] == other["types_acc"]
    for prefix in ("types_micro", "types_macro"):
        assert [one[f"{prefix}_{part}"] for part in "pr"] == [other[f"{prefix}_{part}"] for part in "rp"]
