from __future__ import annotations

import pytest
from spacy.tokens import Span

from spacy_luke import LukeError, displacy

from .markup import classes, parse, text


def typed(nlp, words: str, spans: list[tuple[int, int, dict[str, float]]]):
    doc = nlp(words)
    for start, end, scores in spans:
        span = Span(doc, start, end)
        span._.entity_types = list(scores)
        span._.entity_type_scores = {**scores, "other": 0.01}
    return doc


def manual(words: str, *spans: tuple[int, int, str], **options) -> str:
    parsed = [{"start": s, "end": e, "types": [{"label": label, "score": None}]} for s, e, label in spans]
    return displacy.render({"text": words, "spans": parsed}, style="types", manual=True, options=options)


def test_each_type_is_shown_once_with_its_score_best_first(nlp):
    doc = typed(nlp, "Ada met Bob", [(0, 1, {"woman": 0.6, "person": 0.99}), (2, 3, {"person": 0.98})])
    markup = displacy.render(doc, style="types")
    assert classes(markup, "luke-label") == ["person 0.99", "woman 0.60", "person 0.98"]
    assert classes(markup, "entity") == ["Ada person 0.99 woman 0.60", "Bob person 0.98"]


def test_types_without_scores(nlp):
    doc = nlp("Ada met Bob")
    doc[0:1]._.entity_types = ["person", "woman"]
    assert classes(displacy.render(doc, style="types"), "luke-label") == ["person", "woman"]


def test_min_score_and_labels(nlp):
    doc = typed(nlp, "Ada met Bob", [(0, 1, {"woman": 0.6, "person": 0.99}), (2, 3, {"man": 0.5})])
    markup = displacy.render(doc, style="types", options={"min_score": 0.7})
    assert classes(markup, "entity") == ["Ada person 0.99"]
    assert classes(markup, "luke-fine-print") == ["2 of 3 not shown: score below 0.7"]
    markup = displacy.render(doc, style="types", options={"labels": ["man"]})
    assert classes(markup, "entity") == ["Bob man 0.50"]


def test_a_span_that_has_no_type(nlp):
    doc = typed(nlp, "Ada met Bob", [(0, 1, {})])
    assert classes(displacy.render(doc, style="types"), "entity") == ["Ada no type"]


def test_marks_lie_in_each_other():
    markup = manual("Bank of England", (8, 15, "place"), (0, 15, "company"))
    (outer,) = [e for e in parse(markup).iter("mark") if e.find("mark") is not None]
    assert text(outer) == "Bank of England place company"
    assert text(outer.find("mark")) == "England place"


def test_marks_that_cross_are_cut_and_show_their_types_once():
    markup = manual("old town hall of Prague", (0, 13, "building"), (4, 23, "place"), (17, 23, "city"))
    assert classes(markup, "luke-label") == ["building", "city", "place"]
    assert classes(markup, "entity") == [
        "old town hall … building",
        "town hall …",
        " of Prague city place",
        "Prague city",
    ]


def test_identical_marks():
    assert classes(manual("Ada", (0, 3, "a"), (0, 3, "b")), "luke-label") == ["b", "a"]


def test_hostile_text_and_types(nlp):
    bad = "<script>\"'&</script>"
    markup = displacy.render(
        typed(nlp, f"Ada {bad}", [(0, 1, {bad: 0.9})]), style="types", options={"colors": {bad: bad}}
    )
    assert "<script" not in markup
    assert classes(markup, "luke-label") == [f"{bad} 0.90"]
    assert text(parse(markup)) == f"Ada {bad} 0.90 {bad}"


def test_white_space_is_kept(nlp):
    doc = typed(nlp, "Ada\n\n  met\tBob ", [])
    doc[0:1]._.entity_types = []
    assert text(parse(displacy.render(doc, style="types"))) == "Ada no type\n\n  met\tBob "


@pytest.mark.parametrize("ends", [(0, 9), (2, 2), (-1, 1), (None, 2)])
def test_a_wrong_stretch(ends):
    with pytest.raises(LukeError, match="is no stretch of the 3 characters") as error:
        manual("Ada", (*ends, "person"))
    assert error.value.code == "L077"
