"""Multiple choice in a Doc: what is written is read, and nothing wrong gets in."""

from __future__ import annotations

import math

import numpy as np
import pytest
import spacy

from spacy_luke import Choice, Choices, has_annotation
from spacy_luke.errors import LukeError

NLP = spacy.blank("en")
ASKED = [("Who ran?", ["Ada", "Bo", "Cy"]), ("", ["She won.", "She lost."])]


@pytest.fixture
def doc():
    doc = NLP.make_doc("Ada ran.")
    doc._.choices = ASKED
    return doc


def test_questions_are_read_as_they_were_written(doc) -> None:
    assert doc._.choices == (Choices("Who ran?", ("Ada", "Bo", "Cy")), Choices("", ("She won.", "She lost.")))
    doc._.choices = (choices for choices in doc._.choices[1:])
    assert doc._.choices == (Choices("", ("She won.", "She lost.")),)


def test_gold_choices_are_indices(doc) -> None:
    doc._.chosen = [2, np.int64(1)]
    assert [(c.question, c.text, c.number, c.index, c.score) for c in doc._.chosen] == [
        ("Who ran?", "Cy", 0, 2, 1.0),
        ("", "She lost.", 1, 1, 1.0),
    ]
    assert all(math.isnan(choice.logit) for choice in doc._.chosen)
    doc._.chosen = [None, 0]
    assert [(c.number, c.index) for c in doc._.chosen] == [(1, 0)]
    doc._.chosen = []
    assert doc._.chosen == ()
    assert has_annotation(doc, "chosen")
    doc._.chosen = None
    assert not has_annotation(doc, "chosen")


def test_several_choices_of_a_question_are_kept_in_order(doc) -> None:
    chosen = (Choice("Who ran?", "Bo", 0, 1, 0.75, 2.0), Choice("Who ran?", "Ada", 0, 0, 0.25, 1.0))
    doc._.chosen = chosen
    assert doc._.chosen == chosen
    other = NLP.make_doc("Ada ran.")
    other._.choices = doc._.choices
    other._.chosen = doc._.chosen
    assert other._.chosen == chosen


def test_other_questions_make_what_was_chosen_void(doc) -> None:
    doc._.chosen = [0, 0]
    doc._.choices = [("Who?", ["Di"])]
    assert doc._.chosen == ()
    assert not has_annotation(doc, "chosen")


@pytest.mark.parametrize(
    "value",
    ["Who?", 3, ["Ada", "Bo"], [("Who?", "Ada")], [("Who?", [])], [("Who?", [1])], [(None, ["Ada"])], [("Who?",)]],
)
def test_wrong_questions_are_coded_errors_and_change_nothing(doc, value) -> None:
    doc._.chosen = [0, 0]
    before = dict(doc.user_data)
    with pytest.raises(LukeError, match=r"L070.*doc\._\.choices"):
        doc._.choices = value
    assert doc.user_data == before


@pytest.mark.parametrize(
    "value",
    [
        1,
        "01",
        [1],
        [0, 0, 0],
        [3, 0],
        [-1, 0],
        [True, 0],
        [0.0, 0],
        ["Ada", "She won."],
        [Choice("Who ran?", "Bo", 0, 0)],
        [Choice("Who ran?", "Ada", 2, 0)],
        [Choice("Who?", "Ada", 0, 0)],
        [Choice("Who ran?", "Ada", 0, 0, 1.5)],
        [Choice("Who ran?", "Ada", 0, 0), 1],
    ],
)
def test_wrong_choices_are_coded_errors_and_change_nothing(doc, value) -> None:
    doc._.chosen = [1, None]
    before = dict(doc.user_data)
    with pytest.raises(LukeError, match=r"L070.*doc\._\.chosen"):
        doc._.chosen = value
    assert doc.user_data == before


def test_nothing_is_chosen_without_questions() -> None:
    doc = NLP.make_doc("Ada ran.")
    with pytest.raises(LukeError, match=r"L070.*0 questions"):
        doc._.chosen = [0]
