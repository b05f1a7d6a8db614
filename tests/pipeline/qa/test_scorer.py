"""Scores of answers, beside numbers computed by hand and those of transformers' copy of SQuAD's evaluate-v2.0.py."""

from __future__ import annotations

import pickle
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc
from spacy.training import Example
from transformers.data.metrics import squad_metrics

from spacy_luke.annotations import Answer, get_answers, set_answers, set_questions
from spacy_luke.pipeline.qa.scorer import answer_f1, build_qa_scorer, normalised

NLP = spacy.blank("en")
SCORE = build_qa_scorer()
TEXT = "The Royal Society of London was founded in 1660, by a dozen men; the King came later."
# Question -> answers, "" = there is none; no list = no Answer.
Answers = dict[str, list[str]]


def answered(answers: Answers, text: str = TEXT) -> Doc:
    doc = NLP.make_doc(text)
    set_questions(doc, list(answers))
    found = []
    for question, texts in answers.items():
        for answer in texts:
            start = text.index(answer)
            span = doc.char_span(start, start + len(answer), alignment_mode="expand") if answer else None
            found.append(Answer(question, span, answer, start_char=start if answer else -1))
    set_answers(doc, found)
    return doc


def score(predicted: Answers, gold: Answers) -> dict[str, Any]:
    return SCORE([Example(answered(predicted), answered(gold))])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The  Royal\tSociety,", "royal society"),
        ("", ""),
        ("The a an", ""),
        ("U.S.A.", "usa"),
        ("the-end", "theend"),  # punctuation goes first: no article is left
        ("A.N.", ""),  # and here one comes to be
        ("a_b", "ab"),
        ("Another theatre", "another theatre"),
        ("“The” King", "“ ” king"),  # punctuation beyond ASCII stays
        ("1660–1700", "1660–1700"),
        ("l'an 1660", "lan 1660"),
        ("café\u00a0au\u3000lait", "café au lait"),
        ("über-a", "übera"),
        ("İ", "i̇"),
        ("$1,660.50", "166050"),
    ],
)
def test_texts_are_normalised_as_by_the_script(text: str, wanted: str) -> None:
    assert normalised(text) == wanted


@pytest.mark.parametrize(
    ("gold", "predicted", "wanted"),
    [
        ("the Royal Society of London", "Royal Society", 2 * (2 / 2) * (2 / 4) / (2 / 2 + 2 / 4)),
        ("to be or not to be", "to be to be to", 2 * (4 / 5) * (4 / 6) / (4 / 5 + 4 / 6)),  # words as often as in both
        ("London", "Paris", 0),
        ("", "", 1),
        ("", "the", 1),  # nothing is left of "the"
        ("the", "", 1),
        ("", "London", 0),
        ("London", ".", 0),
    ],
)
def test_f1_of_two_answers(gold: str, predicted: str, wanted: float) -> None:
    assert answer_f1(gold, predicted) == pytest.approx(wanted)
    assert answer_f1(predicted, gold) == pytest.approx(wanted)


def test_scores_are_means_over_questions() -> None:
    gold = {"what": ["Royal Society"], "when": ["1660"], "why": [""], "how": [""], "who": ["a dozen men"]}
    predicted = {"what": ["The Royal Society of London"], "when": ["1660,"], "why": [""], "how": ["later"], "who": [""]}
    what = 2 * (2 / 4) * 1 / (2 / 4 + 1)
    scores = score(predicted, gold)
    bins = scores.pop("qa_calibration")
    assert scores == pytest.approx(
        {
            "qa_em": 2 / 5,
            "qa_f1": (what + 1 + 1 + 0 + 0) / 5,
            "qa_has_answer_em": 1 / 3,
            "qa_has_answer_f1": (what + 1 + 0) / 3,
            "qa_no_answer_em": 1 / 2,
            "qa_ece": 3 / 5,  # each answer has the score 1
        }
    )
    assert bins == [{"probability": 1, "right": pytest.approx(2 / 5), "count": 5}]


def test_the_best_gold_answer_counts_for_each_score() -> None:
    scores = score({"what": ["Royal Society"]}, {"what": ["London", "Royal Society of London", "Royal Society"]})
    assert (scores["qa_em"], scores["qa_f1"]) == (1, 1)
    scores = score({"what": ["Royal"]}, {"what": ["London", "Royal Society of London", "Royal Society"]})
    assert (scores["qa_em"], scores["qa_f1"]) == (0, pytest.approx(2 / 3))


def test_calibration_error_compares_scores_with_the_share_of_exact_matches() -> None:
    gold, predicted = answered({"what": ["London"], "why": [""]}), answered({"what": ["London"], "why": ["Royal"]})
    set_answers(predicted, [replace(answer, score=0.8) for answer in get_answers(predicted)])
    assert SCORE([Example(predicted, gold)])["qa_ece"] == pytest.approx(0.8 - 1 / 2)


def test_the_first_predicted_answer_counts() -> None:
    assert score({"what": ["London", "Royal Society"]}, {"what": ["Royal Society"]})["qa_f1"] == 0
    assert score({"what": ["Royal Society", "London"]}, {"what": ["Royal Society"]})["qa_f1"] == 1


def test_questions_without_gold_answer_are_not_scored() -> None:
    assert set(score({"what": ["London"]}, {"what": []}).values()) == {None}
    assert score({"what": ["London"], "when": ["1660"]}, {"what": [], "when": ["1660"]})["qa_em"] == 1


def test_a_doc_without_annotation_is_not_scored() -> None:
    assert set(SCORE([Example(answered({"what": ["London"]}), NLP.make_doc(TEXT))]).values()) == {None}


def test_a_question_that_was_not_answered_at_all_is_wrong() -> None:
    unasked = SCORE([Example(NLP.make_doc(TEXT), answered({"why": [""], "what": ["London"]}))])
    assert unasked.pop("qa_ece") is unasked.pop("qa_calibration") is None
    assert set(unasked.values()) == {0}
    unasked = SCORE([Example(NLP.make_doc(TEXT), answered({"what": ["London"]}))])
    assert (unasked["qa_has_answer_em"], unasked["qa_no_answer_em"]) == (0, None)


def test_there_are_scores_only_of_the_questions_that_there_are() -> None:
    scores = score({"why": [""]}, {"why": [""]})
    assert scores == {
        "qa_em": 1,
        "qa_f1": 1,
        "qa_has_answer_em": None,
        "qa_has_answer_f1": None,
        "qa_no_answer_em": 1,
        "qa_ece": 0,
        "qa_calibration": [{"probability": 1, "right": 1, "count": 1}],
    }
    assert score({"what": [""]}, {"what": ["London"]})["qa_no_answer_em"] is None


def test_a_gold_answer_beside_no_answer_is_an_answer() -> None:
    scores = score({"what": [""]}, {"what": ["", "London"]})
    assert (scores["qa_has_answer_em"], scores["qa_no_answer_em"]) == (0, None)


def test_a_gold_answer_of_articles_only_is_as_good_as_none() -> None:
    """As in the script, where the question still is one that has an answer."""
    for predicted in ("", "a", ";"):
        scores = score({"what": [predicted]}, {"what": ["The"]})
        assert (scores["qa_has_answer_em"], scores["qa_has_answer_f1"], scores["qa_no_answer_em"]) == (1, 1, None)
    assert score({"what": ["The"]}, {"what": ["The", "London"]})["qa_em"] == 0


def test_a_predicted_article_is_as_good_as_no_answer() -> None:
    assert score({"why": ["the"]}, {"why": [""]})["qa_no_answer_em"] == 1


def test_the_scorer_can_be_pickled() -> None:
    examples = [Example(answered({"what": ["Royal"]}), answered({"what": ["Royal Society"]}))]
    assert pickle.loads(pickle.dumps(SCORE))(examples) == SCORE(examples)


# Properties

CHOICES = st.lists(st.sampled_from(["", "The", "London", "Royal Society", "the King", ";"]), min_size=1, max_size=3)
SIDES = st.dictionaries(st.sampled_from(["what", "when", "why"]), CHOICES)
PAIRS = st.lists(st.tuples(SIDES, SIDES), max_size=4)


def scored(pairs: Any) -> dict[str, Any]:
    return SCORE([Example(answered(predicted), answered(gold)) for predicted, gold in pairs])


# Articles, punctuation, signs that only look like it, and white space of all kinds.
TEXTS = st.one_of(
    st.text(), st.lists(st.sampled_from([*"aAn .,-'–“”_\n\u00a0\u3000é", "the", "The", "king"])).map("".join)
)


@given(TEXTS, TEXTS)
def test_texts_are_compared_as_by_the_script(gold: str, predicted: str) -> None:
    assert normalised(gold) == squad_metrics.normalize_answer(gold)
    assert answer_f1(gold, predicted) == pytest.approx(squad_metrics.compute_f1(gold, predicted))


@given(st.lists(st.tuples(CHOICES, CHOICES), min_size=1, max_size=6))
def test_scores_are_those_of_the_script(questions: list[tuple[list[str], list[str]]]) -> None:
    ours = scored([({"?": predicted}, {"?": gold}) for predicted, gold in questions])
    del ours["qa_calibration"]
    assert ours.pop("qa_ece") == pytest.approx(1 - ours["qa_em"])  # answers have the score 1; not in the script
    asked = [
        SimpleNamespace(qas_id=i, answers=[{"text": text} for text in gold if text])
        for i, (_, gold) in enumerate(questions)
    ]
    theirs = squad_metrics.squad_evaluate(asked, {i: predicted[0] for i, (predicted, _) in enumerate(questions)})
    names = {
        "qa_em": "exact",
        "qa_f1": "f1",
        "qa_has_answer_em": "HasAns_exact",
        "qa_has_answer_f1": "HasAns_f1",
        "qa_no_answer_em": "NoAns_exact",
    }
    wanted = {name: theirs[theirs_name] / 100 if theirs_name in theirs else None for name, theirs_name in names.items()}
    assert ours == pytest.approx(wanted)


@given(st.lists(SIDES, max_size=4), st.randoms(use_true_random=False))
def test_any_gold_answer_is_right(sides: list[Answers], random: Any) -> None:
    """But for those that say less than another: nothing, or articles and punctuation only."""
    told = [{q: [t for t in texts if normalised(t)] or [""] for q, texts in side.items()} for side in sides]
    scores = scored(
        [({q: [random.choice(t)] for q, t in said.items()}, side) for said, side in zip(told, sides, strict=True)]
    )
    assert scores.pop("qa_ece") in (0.0, None)
    del scores["qa_calibration"]
    assert {value for value in scores.values() if value is not None} <= {1.0}
    assert (scores["qa_em"] is None) == (not any(sides))


@given(PAIRS, st.randoms(use_true_random=False))
def test_the_order_of_examples_does_not_matter(pairs: Any, random: Any) -> None:
    before = scored(pairs)
    random.shuffle(pairs)
    after = scored(pairs)
    for one in (before, after):
        for number, bin_ in enumerate(one.pop("qa_calibration") or ()):
            one.update({f"{key} {number}": value for key, value in bin_.items()})
    assert after == pytest.approx(before)


@given(PAIRS)
def test_f1_is_at_least_exact_match(pairs: Any) -> None:
    scores = scored(pairs)
    for part in ("qa", "qa_has_answer"):
        if scores[f"{part}_em"] is not None:
            assert 0 <= scores[f"{part}_em"] <= scores[f"{part}_f1"] <= 1
