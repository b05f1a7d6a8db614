"""Accuracy of multiple choice."""

from __future__ import annotations

import spacy
from spacy.training import Example

from spacy_luke import Choice
from spacy_luke.pipeline.multiple_choice.scorer import build_multiple_choice_scorer

NLP = spacy.blank("en")
ASKED = [("Who?", ["Ada", "Bo"]), ("", ["Yes.", "No."]), ("Why?", ["So.", "Thus."])]
SCORE = build_multiple_choice_scorer()


def example(gold, predicted, asked=ASKED) -> Example:
    made = Example(NLP.make_doc("Ada ran."), NLP.make_doc("Ada ran."))
    made.reference._.choices, made.predicted._.choices = ASKED, asked
    made.reference._.chosen, made.predicted._.chosen = gold, predicted
    return made


def test_the_share_of_right_choices_is_that_of_questions_with_a_gold_choice() -> None:
    assert SCORE([example([0, 1, None], [0, 0, 0])]) == {"choice_acc": 0.5}
    assert SCORE([example([0, 1, None], [0, 1, 1]), example([1, 0, 0], [0, None, 1])]) == {"choice_acc": 0.4}


def test_the_first_of_several_predicted_choices_counts() -> None:
    best = [Choice("Who?", "Bo", 0, 1, 0.7), Choice("Who?", "Ada", 0, 0, 0.3)]
    assert SCORE([example([1, None, None], best)]) == {"choice_acc": 1.0}
    assert SCORE([example([0, None, None], best)]) == {"choice_acc": 0.0}


def test_choices_among_other_options_are_wrong() -> None:
    assert SCORE([example([0, None, None], [0], [("Who?", ["Cy", "Bo"])])]) == {"choice_acc": 0.0}


def test_without_gold_choices_there_is_no_score() -> None:
    assert SCORE([]) == SCORE([example(None, [0, 0, 0])]) == {"choice_acc": None}
