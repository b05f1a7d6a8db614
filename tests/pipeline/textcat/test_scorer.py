"""Scores of categories: spaCy's, over the Docs that are annotated."""

from __future__ import annotations

import pytest
import spacy
from spacy.pipeline.textcat import textcat_score
from spacy.pipeline.textcat_multilabel import textcat_multilabel_score
from spacy.training import Example

from spacy_luke.errors import LukeError
from spacy_luke.pipeline.textcat.scorer import build_textcat_scorer

NLP = spacy.blank("en")
LABELS = ("bad", "good")


def example(gold: dict[str, float], predicted: dict[str, float]) -> Example:
    made = Example(NLP.make_doc("Ada ran."), NLP.make_doc("Ada ran."))
    made.reference.cats, made.predicted.cats = gold, predicted
    return made


EXAMPLES = [
    example({"good": 1, "bad": 0}, {"good": 0.6, "bad": 0.4}),
    example({"good": 0, "bad": 1}, {"good": 0.7, "bad": 0.3}),
    example({"bad": 1}, {"good": 0.4, "bad": 0.6}),
]


@pytest.mark.parametrize(("multi_label", "theirs"), [(False, textcat_score), (True, textcat_multilabel_score)])
def test_scores_are_those_of_spacy(multi_label, theirs) -> None:
    for threshold in (None, 0.65):
        expected = theirs(EXAMPLES, labels=LABELS, threshold=threshold)
        found = build_textcat_scorer()(EXAMPLES, labels=LABELS, multi_label=multi_label, threshold=threshold)
        assert found == expected
    assert 0 < found["cats_score"] < 1


def test_a_positive_label_is_what_counts() -> None:
    found = build_textcat_scorer("bad")(EXAMPLES, labels=LABELS, multi_label=False)
    assert found["cats_score_desc"] == "F (bad)"
    assert found["cats_score"] == found["cats_f_per_type"]["bad"]["f"]


@pytest.mark.parametrize(
    ("labels", "multi_label"), [(("bad", "fine"), False), (("bad", "good", "x"), False), (LABELS, True)]
)
def test_a_positive_label_is_one_of_two(labels, multi_label) -> None:
    with pytest.raises(LukeError, match=r"L047.*positive_label.*'good'.*bad"):
        build_textcat_scorer("good")(EXAMPLES, labels=labels, multi_label=multi_label)


@pytest.mark.parametrize("multi_label", [False, True])
def test_docs_without_gold_categories_do_not_count(multi_label: bool) -> None:
    score = build_textcat_scorer()
    unknown = example({}, {"good": 0.9, "bad": 0.1})
    settings = {"labels": LABELS, "multi_label": multi_label}
    assert score([*EXAMPLES, unknown], **settings) == score(EXAMPLES, **settings)
    assert set(score([unknown], **settings).values()) == {None}
