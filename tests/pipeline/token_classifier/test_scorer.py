"""Scores of classified tokens, counted by hand."""

from __future__ import annotations

import pickle

import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_luke.pipeline.token_classifier.scorer import build_token_classifier_scorer

NLP = spacy.blank("en")
SCORE = build_token_classifier_scorer()


def example(words: str, predicted: list, gold: list, *, attribute: str, gold_words: str = "") -> Example:
    docs = Doc(NLP.vocab, words=words.split()), Doc(NLP.vocab, words=(gold_words or words).split())
    for doc, tags in zip(docs, (predicted, gold), strict=True):
        for token, tag in zip(doc, tags, strict=True):
            if attribute == "luke_tag":
                token._.luke_tag = tag
            elif tag:
                setattr(token, f"{attribute}_", tag)
    return Example(*docs)


@pytest.mark.parametrize("attribute", ["luke_tag", "tag", "pos"])
def test_accuracy_is_the_share_of_annotated_tokens_with_the_gold_tag(attribute: str) -> None:
    gold = example("a b c d", ["NOUN", "VERB", None, "ADJ"], ["NOUN", "ADJ", "VERB", None], attribute=attribute)
    assert SCORE([gold], attribute=attribute) == {f"{attribute}_acc": pytest.approx(1 / 3)}


def test_tokens_that_are_cut_in_another_way_are_wrong() -> None:
    gold = example("ab c", ["X", "Y"], ["X", "X", "Y"], attribute="luke_tag", gold_words="a b c")
    assert SCORE([gold], attribute="luke_tag")["luke_tag_acc"] < 1


def test_without_annotation_there_is_no_score() -> None:
    gold = example("a", ["X"], [None], attribute="luke_tag")
    assert SCORE([gold], attribute="luke_tag") == {"luke_tag_acc": None}
    assert SCORE([], attribute="tag") == {"tag_acc": None}


def test_entities_are_scored_as_spacy_does() -> None:
    gold = example("Ada met Bo", [None] * 3, [None] * 3, attribute="luke_tag")
    gold.reference.set_ents([Span(gold.reference, 0, 1, "PER"), Span(gold.reference, 2, 3, "PER")])
    gold.predicted.set_ents([Span(gold.predicted, 0, 1, "PER"), Span(gold.predicted, 1, 3, "PER")])
    scores = SCORE([gold])
    assert (scores["ents_p"], scores["ents_r"], scores["ents_f"]) == (0.5, 0.5, 0.5)
    assert scores["ents_per_type"]["PER"]["f"] == 0.5


def test_the_scorer_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(SCORE))([], attribute="pos") == {"pos_acc": None}
