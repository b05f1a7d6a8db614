from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cassis
import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from spacy_luke.annotations import RELATIONS, Relation, has_annotation, set_relations
from spacy_luke.converters import read_inception as read_with_new_vocab
from spacy_luke.converters import write_inception
from spacy_luke.errors import LukeError

from .util import entities, relations

DATA = Path(__file__).parents[1] / "data" / "annotation_tools" / "inception"
read_inception = partial(read_with_new_vocab, vocab=Vocab())
NAMED_ENTITY = "de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity"


def changed(folder: Path, change: Callable[[dict[int, dict[str, Any]], dict[str, Any]], object]) -> Path:
    """The JSON export with changes; `change` gets the feature structures by their id, and the types."""
    content = json.loads((DATA / "ann.json").read_text(encoding="utf8"))
    change({item["%ID"]: item for item in content["%FEATURE_STRUCTURES"]}, content["%TYPES"])
    (folder / "a.json").write_text(json.dumps(content), encoding="utf8")
    return folder / "a.json"


@pytest.mark.parametrize("name", ["ann.json", "ann.xmi"])
def test_an_export_is_read_with_what_was_left_out(name):
    (doc,), report = read_inception(DATA / name)
    assert [ent.kb_id_ for ent in doc.ents] == ["", "", "http://www.wikidata.org/entity/Q5"]
    assert report.not_carried == {"layer POS": 1}
    assert report.sentences == 1


def test_sentences_of_the_file_are_those_of_the_doc(tmp_path):
    def two(items: dict[int, dict[str, Any]], types: dict[str, Any]) -> None:
        items[3]["end"] = 16
        items[30].clear()
        items[30].update({"%ID": 30, "%TYPE": items[3]["%TYPE"], "@sofa": 1, "begin": 18, "end": 39})

    (doc,), report = read_inception(changed(tmp_path, two))
    assert [sentence.text.strip() for sentence in doc.sents] == ["\U0001f44d Ann Lee works", "for Acme in New Rome."]
    assert report.sentences == 2


def test_layers_can_be_chosen_by_short_or_full_names(tmp_path):
    (doc,), report = read_inception(DATA / "ann.json", layers=["Span"])
    assert entities(doc) == [("Ann Lee", "PER"), ("Acme", "ORG")]
    assert report.not_carried == {"layer POS": 1, "layer NamedEntity": 1, "layer Relation": 2}
    assert not has_annotation(doc, RELATIONS)
    (doc,), _ = read_inception(DATA / "ann.json", layers=[NAMED_ENTITY])
    assert entities(doc) == [("New Rome", "LOC")]
    with pytest.raises(LukeError, match=r"L178.*no layer 'Chain'.* custom\.Span"):
        read_inception(DATA / "ann.json", layers=["Chain"])


def test_a_relation_of_what_is_not_read_is_told():
    (doc,), report = read_inception(DATA / "ann.json", layers=["Span", "Relation"])
    assert relations(doc) == [("Ann Lee", "works_for", "Acme")]
    assert report.unknown_ends.first == ["ann.json based_in"]


@pytest.mark.parametrize(("relations", "annotated"), [(None, True), (False, False), (True, True)])
def test_a_document_without_relations_has_none_if_the_project_has_a_layer_of_them(tmp_path, relations, annotated):
    def without(items: dict[int, dict[str, Any]], types: dict[str, Any]) -> None:
        for number in (34, 35):
            items[number]["%TYPE"] = "custom.Span"
            for name in ("@Governor", "@Dependent"):
                del items[number][name]

    (doc,), _ = read_inception(changed(tmp_path, without), relations=relations)
    assert has_annotation(doc, RELATIONS) == annotated


def test_the_feature_with_the_label_can_be_given_and_other_features_are_told(tmp_path):
    def add(items: dict[int, dict[str, Any]], types: dict[str, Any]) -> None:
        types["custom.Span"]["role"] = {"%NAME": "role", "%RANGE": "uima.cas.String"}
        items[31]["role"] = "boss"

    path = changed(tmp_path, add)
    (doc,), report = read_inception(path)
    assert entities(doc)[0] == ("Ann Lee", "PER")
    assert report.not_carried["feature Span.role"] == 1
    (doc,), report = read_inception(path, features={"Span": "role"})
    assert entities(doc) == [("Ann Lee", "boss"), ("New Rome", "LOC")]
    assert report.not_carried["spans without label"] == 1
    assert report.not_carried["feature Span.label"] == 2
    with pytest.raises(LukeError, match=r"L178.*no feature of custom\.Span 'kind'.* It has: label, role"):
        read_inception(path, features={"custom.Span": "kind"})


def test_a_layer_of_two_features_of_other_names_has_to_be_told(tmp_path):
    def rename(items: dict[int, dict[str, Any]], types: dict[str, Any]) -> None:
        for name in ("role", "kind"):
            types["custom.Span"][name] = {"%NAME": name, "%RANGE": "uima.cas.String"}
        del types["custom.Span"]["label"]
        for number in (31, 32):
            items[number]["kind"] = items[number].pop("label")

    path = changed(tmp_path, rename)
    with pytest.raises(LukeError, match=r"L177.*custom\.Span: .*which feature is the label; there is role, kind"):
        read_inception(path)
    (doc,), _ = read_inception(path, features={"Span": "kind"})
    assert entities(doc)[0] == ("Ann Lee", "PER")


def test_a_layer_without_annotations_needs_no_label_and_one_of_the_document_is_told(tmp_path):
    def add(items: dict[int, dict[str, Any]], types: dict[str, Any]) -> None:
        text = {name: {"%NAME": name, "%RANGE": "uima.cas.String"} for name in ("role", "kind")}
        types["custom.Unused"] = {"%NAME": "custom.Unused", "%SUPER_TYPE": "uima.tcas.Annotation", **text}
        types["custom.Rating"] = {"%NAME": "custom.Rating", "%SUPER_TYPE": "uima.cas.AnnotationBase", **text}
        items[30].clear()
        items[30].update({"%ID": 30, "%TYPE": "custom.Rating", "@sofa": 1, "role": "good"})

    (doc,), report = read_inception(changed(tmp_path, add))
    assert len(doc.ents) == 3
    assert report.not_carried == {"layer Rating": 1}


def test_what_has_no_label_is_told(tmp_path):
    def empty(items: dict[int, dict[str, Any]], types: dict[str, Any]) -> None:
        del items[34]["label"], items[33]["value"]

    _, report = read_inception(changed(tmp_path, empty))
    assert report.not_carried["spans without label"] == 1
    assert report.nameless_relations.first == ["a.json Relation"]


def test_scores_are_read_if_they_are_probabilities(tmp_path):
    def score(items: dict[int, dict[str, Any]], types: dict[str, Any]) -> None:
        types["custom.Span"]["label_score"] = {"%NAME": "label_score", "%RANGE": "uima.cas.Double"}
        items[31]["label_score"], items[32]["label_score"] = 0.5, 7.5

    (doc,), report = read_inception(changed(tmp_path, score))
    assert [ent._.score for ent in doc.ents] == [0.5, None, None]
    assert report.not_carried["scores that are no probabilities"] == 1


@pytest.mark.parametrize("begin", [-3, 1, 60])
def test_a_span_outside_the_text_or_in_the_middle_of_a_character_is_an_error(tmp_path, begin):
    def move(items: dict[int, dict[str, Any]], types: dict[str, Any]) -> None:
        items[31].update(begin=begin, end=max(begin, 10))

    with pytest.raises(LukeError, match=rf"L060.*a\.json.*Not mapping external offset \[{begin}\]"):
        read_inception(changed(tmp_path, move))


def test_a_span_that_ends_before_it_begins_is_an_error(tmp_path):
    def turn(items: dict[int, dict[str, Any]], types: dict[str, Any]) -> None:
        items[31].update(begin=10, end=3)

    with pytest.raises(LukeError, match=r"L064.*a\.json, custom\.Span 9-2: it is not in a text of 38 characters"):
        read_inception(changed(tmp_path, turn))


@pytest.mark.parametrize(
    ("number", "changes", "message"),
    [
        (31, {"label": 3}, "custom.Span: its 'label', 3, is not a string"),
        (33, {"identifier": 3}, "NamedEntity: its 'identifier', 3, is not a string"),
        (34, {"label": [3]}, "custom.Relation: its 'label'"),
    ],
)
def test_a_value_of_another_type_is_an_error(tmp_path, number, changes, message):
    path = changed(tmp_path, lambda items, types: items[number].update(changes))
    with pytest.raises(LukeError, match=rf"L064.*a\.json, .*{message}"):
        read_inception(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "it is no UIMA CAS"),
        ("{}", "it is no UIMA CAS"),
        ("[]", "it is no UIMA CAS"),
        ("[" * 100_000, "it is no UIMA CAS"),
        ('{"%TYPES": {}, "%FEATURE_STRUCTURES": [], "%VIEWS": {}}', "its CAS has no text"),
        ("<a/>", "it is no UIMA CAS"),
        ("<a", "it is no UIMA CAS"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "it has a document type"),
    ],
)
def test_what_is_no_cas_is_an_error(tmp_path, content, message):
    shutil.copy(DATA / "TypeSystem.xml", tmp_path)
    (tmp_path / "a").write_text(content)
    with pytest.raises(LukeError, match=rf"L060.*line 1: {message}"):
        read_inception(tmp_path / "a")


def test_xmi_needs_its_type_system_and_no_document_type(tmp_path):
    shutil.copy(DATA / "ann.xmi", tmp_path)
    with pytest.raises(LukeError, match=r"L060.*there is no TypeSystem\.xml beside it"):
        read_inception(tmp_path / "ann.xmi")
    (tmp_path / "TypeSystem.xml").write_text("<!DOCTYPE a><a/>")
    with pytest.raises(LukeError, match=r"L060.*TypeSystem\.xml, line 1: it has a document type"):
        read_inception(tmp_path / "ann.xmi")
    (tmp_path / "TypeSystem.xml").write_text("<a")
    with pytest.raises(LukeError, match=r"L060.*TypeSystem\.xml, line 1: it is no UIMA CAS"):
        read_inception(tmp_path / "ann.xmi")
    (tmp_path / "TypeSystem.xml").write_bytes(b"\xff")
    with pytest.raises(LukeError, match=r"L060.*TypeSystem\.xml, line 1: not UTF-8"):
        read_inception(tmp_path / "ann.xmi")


def test_without_cassis_an_error_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "cassis", None)
    with pytest.raises(LukeError, match=r"L176.*dkpro-cassis.*pip install 'spacy-luke\[inception\]'"):
        read_inception(DATA / "ann.json")
    with pytest.raises(LukeError, match="L176"):
        write_inception([], tmp_path)


def example(text: str = "\U0001f44d Ann Lee runs Acme.") -> Doc:
    doc = spacy.blank("en")(text)
    doc.set_ents([Span(doc, 1, 3, "PER", kb_id="Q1"), Span(doc, 4, 5, "ORG")])
    doc.ents[0]._.score = 0.5
    set_relations(doc, [Relation(doc.ents[0], doc.ents[1], "runs", 0.25)])
    doc.user_data["id"] = "a"
    return doc


def test_a_cas_has_the_layers_of_a_basic_project(tmp_path):
    write_inception([example()], tmp_path)
    cas = cassis.load_cas_from_json((tmp_path / "a.json").read_text(encoding="utf8"))
    (relation,) = cas.select("custom.Relation")
    assert (relation.Governor.get_covered_text(), relation.Dependent.get_covered_text()) == ("Ann Lee", "Acme")
    assert (relation.label, relation.label_score) == ("runs", 0.25)
    assert (relation.begin, relation.end) == (relation.Dependent.begin, relation.Dependent.end)
    span = cas.select("custom.Span")[0]
    assert (span.label, span.label_score, span.identifier) == ("PER", 0.5, "Q1")
    tokens = cas.select("de.tudarmstadt.ukp.dkpro.core.api.segmentation.type.Token")
    assert [token.get_covered_text() for token in tokens] == ["\U0001f44d", "Ann", "Lee", "runs", "Acme", "."]
    structures = json.loads((tmp_path / "a.json").read_text(encoding="utf8"))["%FEATURE_STRUCTURES"]
    assert [(item["begin"], item["end"]) for item in structures if item["%TYPE"] == "custom.Span"] == [
        (3, 10),
        (16, 20),
    ]


@pytest.mark.parametrize("xmi", [False, True])
def test_named_entities_and_sentences_survive(tmp_path, xmi):
    doc = example()
    for token in doc:
        token.is_sent_start = token.i in (0, 1)
    names = {"layer": NAMED_ENTITY, "relation_layer": "webanno.custom.Related", "feature": "value"}
    write_inception([doc], tmp_path, xmi=xmi, **names)
    (again,), report = read_inception(tmp_path / ("a.xmi" if xmi else "a.json"))
    assert entities(again) == [("Ann Lee", "PER"), ("Acme", "ORG")]
    assert relations(again) == [("Ann Lee", "runs", "Acme")]
    assert [sentence.text.strip() for sentence in again.sents] == ["\U0001f44d", "Ann Lee runs Acme."]
    assert report.sentences == 2


def test_what_xml_cannot_have_is_an_error_and_json_has_it(tmp_path):
    doc = example("a Ann Lee runs\x00 Acme.")
    doc.ents = ()
    set_relations(doc, None)
    with pytest.raises(LukeError, match=r"L179.*Doc 2 cannot be written: XML has no form for U\+0000; write JSON"):
        write_inception([example(), doc], tmp_path, xmi=True)
    assert not list(tmp_path.iterdir())
    write_inception([doc], tmp_path)
    assert read_inception(tmp_path / "a.json")[0][0].text == doc.text
