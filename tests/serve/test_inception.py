"""Suggestions for INCEpTION: what it sends to an external recommender, and what it gets."""

from __future__ import annotations

from pathlib import Path

import pytest

cassis = pytest.importorskip("cassis", reason="dkpro-cassis is not installed")

NAMED_ENTITY = "de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity"
PREDICTED = "inception_internal_predicted"
TEXT = "\U0001f44d Ada met Babbage in London."
FEATURES = {"custom.Span": "label", "custom.Relation": "label", NAMED_ENTITY: "value"}
TYPES = Path(__file__).parents[1] / "data" / "annotation_tools" / "inception" / "TypeSystem.xml"


@pytest.fixture
def cas():
    """A document as INCEpTION sends it: its types have features for predictions."""
    types = cassis.load_typesystem(TYPES.read_text(encoding="utf8"))
    for layer, feature in FEATURES.items():
        types.create_feature(types.get_type(layer), f"{feature}_score", "uima.cas.Double")
        types.create_feature(types.get_type(layer), PREDICTED, "uima.cas.Boolean")
    types.create_feature(types.get_type(NAMED_ENTITY), "identifier_score", "uima.cas.Double")
    cas = cassis.Cas(typesystem=types)
    cas.sofa_string, cas.sofa_mime = TEXT, "text/plain"
    return cas


def ask(client, cas, recommender: str, layer: str, feature: str, **changes: object):
    body = {
        "metadata": {
            "layer": layer,
            "feature": feature,
            "projectId": 1,
            "anchoringMode": "tokens",
            "crossSentence": False,
            "range": {"begin": 0, "end": len(TEXT) + 1},
        },
        "document": {"xmi": cas.to_xmi(), "documentId": 1, "userId": "ann"},
        "typeSystem": cas.typesystem.to_xml(),
        **changes,
    }
    return client.post(f"/inception/{recommender}/predict", json=body)


def predicted(answer, cas, layer: str) -> list:
    assert answer.status_code == 200, answer.text
    found = cassis.load_cas_from_xmi(answer.json()["document"], typesystem=cas.typesystem)
    assert found.sofa_string == TEXT
    return [one for one in found.select(layer) if getattr(one, PREDICTED)]


def test_entities_are_suggested_with_their_scores(client, cas):
    found = predicted(ask(client, cas, "entities", "custom.Span", "label"), cas, "custom.Span")
    assert [(one.get_covered_text(), one.label, one.label_score) for one in found] == [
        ("Ada", "PER", 0.9),
        ("Babbage", "PER", 0.7),
        ("London", "LOC", 0.4),
    ]


def test_types_are_suggested_for_another_layer(client, cas):
    found = predicted(ask(client, cas, "types", NAMED_ENTITY, "value"), cas, NAMED_ENTITY)
    assert {(one.get_covered_text(), one.value) for one in found} == {
        ("Ada", "person"),
        ("Babbage", "person"),
        ("London", "person"),
    }


def test_what_is_linked_to_nothing_is_no_link(client, cas):
    assert predicted(ask(client, cas, "links", NAMED_ENTITY, "identifier"), cas, NAMED_ENTITY) == []


def test_relations_are_suggested_between_what_people_have_marked(client, cas):
    span = cas.typesystem.get_type("custom.Span")
    cas.add_all([span(begin=2, end=5, label="PER"), span(begin=21, end=27, label="LOC")])
    (found,) = predicted(ask(client, cas, "relations", "custom.Relation", "label"), cas, "custom.Relation")
    assert (found.Governor.get_covered_text(), found.Dependent.get_covered_text()) == ("Ada", "London")
    assert (found.label, found.label_score) == ("met", 0.6)
    assert (found.begin, found.end) == (21, 27)


def test_without_marked_spans_there_are_no_relations(client, cas):
    assert predicted(ask(client, cas, "relations", "custom.Relation", "label"), cas, "custom.Relation") == []


def test_types_without_a_feature_for_scores_get_none(client, cas):
    types = cassis.load_typesystem(TYPES.read_text(encoding="utf8"))
    types.create_feature(types.get_type("custom.Span"), PREDICTED, "uima.cas.Boolean")
    plain = cassis.Cas(typesystem=types)
    plain.sofa_string, plain.sofa_mime = TEXT, "text/plain"
    assert len(predicted(ask(client, plain, "entities", "custom.Span", "label"), plain, "custom.Span")) == 3


@pytest.mark.parametrize(
    ("recommender", "layer", "feature", "code"),
    [
        ("other", "custom.Span", "label", "L047"),
        ("entities", "custom.None", "label", "L178"),
        ("entities", "custom.Span", "role", "L178"),
        ("relations", "custom.Span", "label", "L178"),
    ],
)
def test_layers_that_there_are_not_are_refused(client, cas, recommender, layer, feature, code):
    answer = ask(client, cas, recommender, layer, feature)
    assert answer.status_code == 422
    assert f"[{code}]" in answer.json()["detail"]


@pytest.mark.parametrize(
    "changes",
    [
        {"typeSystem": "<a>"},
        {"typeSystem": '<!DOCTYPE a [<!ENTITY b "c">]><a/>'},
        {"document": {"xmi": "no XML"}},
        {"document": {"xmi": '<!DOCTYPE a [<!ENTITY b "c">]><a/>'}},
    ],
)
def test_what_is_no_cas_is_refused(client, cas, changes):
    answer = ask(client, cas, "entities", "custom.Span", "label", **changes)
    assert answer.status_code == 422
    assert "[L060]" in answer.json()["detail"]


def test_without_cassis_the_reason_is_told(client, cas, monkeypatch):
    xmi, types = cas.to_xmi(), cas.typesystem.to_xml()
    monkeypatch.setitem(__import__("sys").modules, "cassis", None)
    body = {"metadata": {"layer": "a", "feature": "b"}, "document": {"xmi": xmi}, "typeSystem": types}
    answer = client.post("/inception/entities/predict", json=body)
    assert answer.status_code == 501
    assert "pip install 'spacy-luke[inception]'" in answer.json()["detail"]
