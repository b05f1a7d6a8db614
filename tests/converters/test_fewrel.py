from __future__ import annotations

from typing import Any

import pytest

from spacy_luke.annotations import has_annotation
from spacy_luke.converters import read_fewrel
from spacy_luke.errors import LukeError

from .util import entities, relations, through_docbin, write, write_json


def example(**changes: Any) -> dict[str, Any]:
    return {
        "tokens": ["The", "Long", "Bridge", "spans", "the", "Elbe", "."],
        "h": ["long bridge", "Q1", [[1, 2]]],
        "t": ["elbe", "Q2", [[5]]],
        **changes,
    }


def test_the_key_is_the_relation_of_head_and_tail_which_have_ids(tmp_path):
    docs, report = read_fewrel(write_json(tmp_path / "a.json", {"P177": [example()], "P1": [example()]}))
    docs = through_docbin(docs, tmp_path)
    assert docs[0].text == "The Long Bridge spans the Elbe."
    assert entities(docs[0]) == [("Long Bridge", "ENTITY"), ("Elbe", "ENTITY")]
    assert [ent.kb_id_ for ent in docs[0].ents] == ["Q1", "Q2"]
    assert [relations(doc) for doc in docs] == [
        [("Long Bridge", "P177", "Elbe")],
        [("Long Bridge", "P1", "Elbe")],
    ]
    assert report.relations == {"P177": 1, "P1": 1}


def test_names_are_written_instead_of_ids(tmp_path):
    names = write_json(tmp_path / "pid2name.json", {"P177": ["crosses", "obstacle"]})
    (doc,), _ = read_fewrel(write_json(tmp_path / "a.json", {"P177": [example()]}), names=names)
    assert relations(doc) == [("Long Bridge", "crosses", "Elbe")]


def test_every_pair_of_mentions_has_the_relation(tmp_path):
    content = example(tokens=["A", "a", "b", "B", "a"], h=["a", "Q1", [[0], [4]]], t=["b", "Q2", [[3]]])
    (doc,), _ = read_fewrel(write_json(tmp_path / "a.json", {"P": [content]}))
    assert relations(doc) == [("A", "P", "B"), ("a", "P", "B")]


def test_a_head_within_its_tail_is_reported_and_the_relation_not_denied(tmp_path):
    content = example(h=["bridge", "Q1", [[2]]], t=["long bridge", "Q2", [[1, 2]]])
    (doc,), report = read_fewrel(write_json(tmp_path / "a.json", {"P": [content]}))
    assert entities(doc) == [("Long Bridge", "ENTITY")]
    assert not has_annotation(doc, "relations")
    assert report.overlapping_entities.first == ["a.json:P[0] 'Bridge'"]
    assert report.dropped_relations == {"P": 1}


def test_a_head_in_the_place_of_its_tail_is_reported(tmp_path):
    (doc,), report = read_fewrel(write_json(tmp_path / "a.json", {"P": [example(h=["elbe", "Q1", [[5]]])]}))
    assert [ent.kb_id_ for ent in doc.ents] == ["Q1"]
    assert report.overlapping_entities.count == 1
    assert report.lost_relations.count == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"h": ["a", "Q1", [[1, 3]]]}, r"the tokens \[1, 3\] of 'h' are not next to each other"),
        ({"h": ["a", "Q1", [[6, 7]]]}, "'h' is the tokens 6 to 7 of a sentence of 7"),
        ({"h": ["a", "Q1", []]}, "'h' is not "),
        ({"t": ["a", "Q1", [["1"]]]}, "'t' is not "),
        ({"t": ["a", None, [[1]]]}, "'t' is not "),
        ({"t": 3}, "'t' is not a list"),
        ({"tokens": "words"}, "'tokens' is not a list"),
    ],
)
def test_a_wrong_record_is_an_error_with_file_and_record(tmp_path, changes, message):
    with pytest.raises(LukeError, match=rf"a\.json, P1\[1\]: {message}") as caught:
        read_fewrel(write_json(tmp_path / "a.json", {"P1": [example(), example(**changes)]}))
    assert caught.value.code == "L064"


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "the file is empty"), ("[]", "not one JSON object"), ("{}", "there is no sentence"), ("{", "not JSON")],
)
def test_a_file_that_is_none_is_an_error(tmp_path, text, message):
    with pytest.raises(LukeError, match=rf"a\.json, line 1: .*{message}") as caught:
        read_fewrel(write(tmp_path / "a.json", text))
    assert caught.value.code == "L060"


def test_missing_and_wrong_files_of_names_are_errors(tmp_path):
    path = write_json(tmp_path / "a.json", {"P177": [example()]})
    with pytest.raises(LukeError, match=r"pid2name\.json does not exist"):
        read_fewrel(path, names=tmp_path / "pid2name.json")
    with pytest.raises(LukeError, match=r"pid2name\.json, P177: its value is no name"):
        read_fewrel(path, names=write_json(tmp_path / "pid2name.json", {"P177": []}))
    with pytest.raises(LukeError, match=r"P177\[0\]: .*pid2name\.json has no name for its relation 'P177'"):
        read_fewrel(path, names=write_json(tmp_path / "pid2name.json", {}))


@pytest.mark.parametrize(("head", "tail", "way"), [([2, 3], [6], "counted from 1"), ([0, 1], [4], "one too low")])
def test_positions_that_are_counted_in_another_way_are_refused_with_it(tmp_path, head, tail, way):
    wrong = example(h=["long bridge", "Q1", [head]], t=["elbe", "Q2", [tail]])
    with pytest.raises(LukeError, match=rf"a\.json, P1\[1\]: 2 of 2 .*were the positions {way}\.") as caught:
        read_fewrel(write_json(tmp_path / "a.json", {"P1": [example(), wrong]}))
    assert caught.value.code == "L150"


def test_another_name_is_reported(tmp_path):
    content = example(h=["the viaduct", "Q1", [[1, 2]]], t=["ELBE ", "Q2", [[5]]])
    (doc,), report = read_fewrel(write_json(tmp_path / "a.json", {"P1": [content]}))
    assert entities(doc) == [("Long Bridge", "ENTITY"), ("Elbe", "ENTITY")]
    assert report.other_names.first == ["a.json:P1[0] 'the viaduct' at 'Long Bridge'"]
