"""Results as plain data: what JSON takes, in a form that stays."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import spacy
import srsly
from hypothesis import given, settings
from spacy.tokens import Doc, DocBin, Span, SpanGroup

import spacy_luke
from spacy_luke import Answer, to_dict
from spacy_luke.annotations import get_link, set_entity_vectors
from spacy_luke.errors import LukeError
from tests.tokenization.ugly import texts

NLP = spacy.blank("en")
TEXT = "Zoë 🚀 met Ada in London. Who?"


@pytest.fixture
def doc() -> Doc:
    """Annotated with everything."""
    doc = NLP.make_doc(TEXT)
    zoe, ada, london = Span(doc, 0, 2, label="PER"), Span(doc, 3, 4, label="PER"), Span(doc, 5, 6, "LOC", kb_id="Q84")
    doc.set_ents([zoe, ada, london])
    doc.spans["luke_ner"] = SpanGroup(doc, spans=[zoe, london], attrs={"scores": [0.5, 0.75]})
    doc.spans["sc"] = SpanGroup(doc, spans=[doc[0:1], zoe], attrs={"scores": np.array([0.25, 0.5], dtype=np.float32)})
    doc.spans["rules"] = [london]
    zoe._.score, london._.score = 0.5, 0.75
    doc[1]._.luke_tag = "SYM"
    zoe._.entity_types = ["person"]
    zoe._.entity_type_scores = {"person": 0.75, "city": 0.125}
    london._.entity_types = []
    london._.linked_entities = [("Q84", 0.75), ("Q92561", 0.25)]
    doc._.relations = [(zoe, ada, "met", 0.5), (doc[0:1], london, "in")]
    doc._.questions = ["Who?"]
    doc._.answers = [
        Answer("Who?", ada, "d", 0.5, 3.25, 11),
        Answer("Who?", None, score=0.25, logit=-2.0),
        ("Who?", zoe),
    ]
    doc._.choices = [("Where?", ["London", "Paris"]), ("", ["So.", "No."])]
    doc._.chosen = [1, None]
    doc.cats = {"good": 1, "poor": 0.25}
    doc.user_data["mine"] = {"a": object()}
    doc.tensor = np.ones((len(doc), 2))
    set_entity_vectors(doc, [zoe], np.ones((1, 2)))
    return doc


def place(start: int, end: int) -> dict[str, Any]:
    return {"start": start, "end": end, "text": TEXT[start:end]}


ZOE, ADA, LONDON = place(0, 5), place(10, 13), place(17, 23)
PER, LOC = {"label": "PER", "kb_id": None}, {"label": "LOC", "kb_id": "Q84"}
# Never to be changed, but for new keys: people read them.
GOLDEN = {
    "text": TEXT,
    "entities": [
        {**ZOE, **PER, "score": 0.5},
        {**ADA, **PER, "score": None},
        {**LONDON, **LOC, "score": 0.75},
    ],
    "spans": {
        "luke_ner": [{**ZOE, **PER, "score": 0.5}, {**LONDON, **LOC, "score": 0.75}],
        "sc": [{**place(0, 3), "label": None, "kb_id": None, "score": 0.25}, {**ZOE, **PER, "score": 0.5}],
        "rules": [{**LONDON, **LOC, "score": None}],
    },
    "tags": [{**place(4, 5), "tag": "SYM"}],
    "types": [
        {**ZOE, "types": ["person"], "scores": {"person": 0.75, "city": 0.125}},
        {**LONDON, "types": [], "scores": {}},
    ],
    "links": [{**LONDON, "candidates": [{"id": "Q84", "score": 0.75}, {"id": "Q92561", "score": 0.25}]}],
    "relations": [
        {"head": {**place(0, 3), "label": None}, "tail": {**LONDON, "label": "LOC"}, "label": "in", "score": 1.0},
        {"head": {**ZOE, "label": "PER"}, "tail": {**ADA, "label": "PER"}, "label": "met", "score": 0.5},
    ],
    "questions": ["Who?"],
    "answers": [
        {"question": "Who?", **place(11, 12), "score": 0.5, "logit": 3.25},
        {"question": "Who?", "start": None, "end": None, "text": "", "score": 0.25, "logit": -2.0},
        {"question": "Who?", **ZOE, "score": 1.0, "logit": None},
    ],
    "choices": [{"question": "Where?", "options": ["London", "Paris"]}, {"question": "", "options": ["So.", "No."]}],
    "chosen": [{"question": "Where?", "number": 0, "index": 1, "text": "Paris", "score": 1.0, "logit": None}],
    "cats": {"good": 1.0, "poor": 0.25},
}


def test_the_form_stays(doc) -> None:
    assert to_dict(doc) == GOLDEN
    assert list(to_dict(doc)) == list(GOLDEN)
    assert doc._.luke == GOLDEN


def test_it_is_json_as_the_standard_has_it(doc) -> None:
    written = json.dumps(to_dict(doc), allow_nan=False)
    assert json.loads(written) == GOLDEN
    assert srsly.json_loads(srsly.json_dumps(to_dict(doc))) == GOLDEN


def test_numbers_are_pythons_own(doc) -> None:
    def leaves(value: Any) -> list[Any]:
        if isinstance(value, dict):
            return [leaf for one in value.values() for leaf in leaves(one)]
        return [leaf for one in value for leaf in leaves(one)] if isinstance(value, list) else [value]

    assert {type(leaf) for leaf in leaves(to_dict(doc))} == {str, int, float, type(None)}


def test_a_doc_that_is_not_annotated_has_its_text_only() -> None:
    assert to_dict(NLP.make_doc("Ada met Bo")) == {"text": "Ada met Bo"}
    assert to_dict(NLP.make_doc("")) == {"text": "", "entities": []}, "spaCy takes an empty Doc as annotated"


def test_what_was_not_found_is_an_empty_list() -> None:
    doc = NLP.make_doc("Ada met Bo")
    doc.set_ents([])
    doc.spans["luke_ner"] = []
    doc._.relations = doc._.questions = doc._.answers = doc._.choices = doc._.chosen = []
    names = ("entities", "relations", "questions", "answers", "choices", "chosen")
    assert to_dict(doc) == {"text": doc.text, "spans": {"luke_ner": []}, **{name: [] for name in names}}


def test_a_copy_of_a_doc_gives_the_same(doc) -> None:
    del doc.user_data["mine"]
    [copy] = DocBin(docs=[doc], store_user_data=True).get_docs(NLP.vocab)
    assert to_dict(copy) == GOLDEN
    assert to_dict(Doc(NLP.vocab).from_bytes(doc.to_bytes())) == GOLDEN
    assert to_dict(doc) == GOLDEN, "and nothing was changed"


def test_what_is_no_number_in_json_is_none(doc) -> None:
    doc.cats = {"a": math.nan, "b": math.inf}
    doc.spans["sc"].attrs["scores"] = [math.nan, 0.5]
    found = to_dict(doc)
    assert found["cats"] == {"a": None, "b": None}
    assert [span["score"] for span in found["spans"]["sc"]] == [None, 0.5]
    doc.spans["sc"].attrs["scores"] = [0.5]
    assert [span["score"] for span in to_dict(doc)["spans"]["sc"]] == [None, None], "of which span is not known"


@pytest.mark.parametrize("wrong", ["Ada", None, [NLP.make_doc("Ada")], NLP.make_doc("Ada")[:]])
def test_only_docs_have_results(wrong) -> None:
    with pytest.raises(LukeError, match=r"L070.*to_dict"):
        to_dict(wrong)


@settings(max_examples=60)
@given(text=texts)
def test_characters_are_those_of_the_text(text) -> None:
    doc = NLP.make_doc(text)
    doc.set_ents([Span(doc, i, i + 1, "X") for i in range(0, len(doc), 2)])
    found = json.loads(json.dumps(to_dict(doc)))
    assert [one["text"] for one in found["entities"]] == [
        found["text"][o["start"] : o["end"]] for o in found["entities"]
    ]


# Doc.to_json

WRITTEN = ("relations", "answers", "choices", "chosen", "questions")


def test_to_json_takes_everything_under_one_name(doc) -> None:
    found = json.loads(json.dumps(doc.to_json(underscore=["luke"])))
    assert found["_"]["luke"] == GOLDEN
    assert Doc(NLP.vocab).from_json(found).text == TEXT


@pytest.mark.parametrize("name", WRITTEN)
def test_to_json_takes_attributes_of_docs(doc, name) -> None:
    found = doc.to_json(underscore=[name])
    assert srsly.json_loads(srsly.json_dumps(found))["_"] == {name: GOLDEN[name]}


def test_to_json_takes_scores(doc) -> None:
    values = doc.to_json(underscore=["score"])["underscore_span"]["score"]
    assert values == [{"start": 0, "end": 5, "value": 0.5}, {"start": 17, "end": 23, "value": 0.75}]


@pytest.mark.parametrize("name", ["entity_types", "entity_type_scores", "linked_entities", "luke_tag", "entity_vector"])
def test_to_json_refuses_computed_attributes_of_spans_and_tokens(doc, name) -> None:
    """spaCy's rule; docs/json.md says what to take instead."""
    with pytest.raises(ValueError, match=r"E106"):
        doc.to_json(underscore=[name])


def test_the_package_has_it() -> None:
    assert spacy_luke.to_dict is to_dict
    assert "to_dict" in spacy_luke.__all__


def test_a_link_to_nothing_is_null() -> None:
    doc = spacy.blank("en")("Ada")
    doc.set_ents([Span(doc, 0, 1, "PER", kb_id="NIL")])
    assert to_dict(doc)["entities"][0]["kb_id"] is None
    assert get_link(doc.ents[0]) == ""
    doc.set_ents([Span(doc, 0, 1, "PER", kb_id="Q7259")])
    assert get_link(doc.ents[0]) == "Q7259"
