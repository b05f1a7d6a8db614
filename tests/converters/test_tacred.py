from __future__ import annotations

from typing import Any

import pytest

from spacy_luke.annotations import has_annotation
from spacy_luke.converters import read_tacred
from spacy_luke.errors import LukeError

from .util import entities, relations, through_docbin, write, write_json


def example(**changes: Any) -> dict[str, Any]:
    words = ["Ann", "Lee", "-LRB-", "40", "-RRB-", "heads", "Acme", "'s", "board", "."]
    subj, obj = {"subj_start": 0, "subj_end": 1, "subj_type": "PERSON"}, {"obj_start": 6, "obj_end": 6}
    return {"id": "7", "docid": "d", "relation": "per:employee_of", "token": words, **subj, **obj} | {
        "obj_type": "ORGANIZATION",
        **changes,
    }


def test_edges_are_inclusive_and_the_relation_goes_from_subject_to_object(tmp_path):
    docs, report = read_tacred(write_json(tmp_path / "a.json", [example()]))
    (doc,) = through_docbin(docs, tmp_path)
    assert entities(doc) == [("Ann Lee", "PERSON"), ("Acme", "ORGANIZATION")]
    assert relations(doc) == [("Ann Lee", "per:employee_of", "Acme")]
    assert (doc.user_data["id"], doc.user_data["docid"]) == ("7", "d")
    assert [token.is_sent_start for token in doc] == [True] + [False] * 9
    assert report.relations == {"per:employee_of": 1}


def test_an_object_before_the_subject_stays_the_tail(tmp_path):
    swapped = example(subj_start=6, subj_end=6, obj_start=0, obj_end=1)
    (doc,), _ = read_tacred(write_json(tmp_path / "a.json", [swapped]))
    assert relations(doc) == [("Acme", "per:employee_of", "Ann Lee")]


@pytest.mark.parametrize(
    ("spaces", "text"),
    [("text", "Ann Lee (40) heads Acme's board."), ("all", "Ann Lee ( 40 ) heads Acme 's board .")],
)
def test_escapes_are_brackets_and_spaces_are_as_asked_for(tmp_path, spaces, text):
    (doc,), _ = read_tacred(write_json(tmp_path / "a.json", [example()]), spaces=spaces)
    assert doc.text == text


def test_no_relation_is_annotated_with_none(tmp_path):
    (doc,), report = read_tacred(write_json(tmp_path / "a.json", [example(relation="no_relation")]))
    assert relations(doc) == []
    assert has_annotation(doc, "relations")
    assert report.unrelated == 1


def test_a_sentence_without_label_is_not_annotated(tmp_path):
    unlabelled = example()
    del unlabelled["relation"]
    (doc,), report = read_tacred(write_json(tmp_path / "a.json", [unlabelled]))
    assert not has_annotation(doc, "relations")
    assert report.unlabelled.first == ["a.json:1"]


def test_a_relation_within_overlapping_entities_is_lost_not_denied(tmp_path):
    (doc,), report = read_tacred(write_json(tmp_path / "a.json", [example(obj_start=1, obj_end=1)]))
    assert entities(doc) == [("Ann Lee", "PERSON")]
    assert not has_annotation(doc, "relations")
    assert report.overlapping_entities.first == ["a.json:1 'Lee'"]
    assert report.lost_relations.first == ["a.json:1"]
    assert report.dropped_relations == {"per:employee_of": 1}


def test_tokens_of_white_space_are_left_out_and_the_places_move(tmp_path):
    words = ["Ann", "\u00a0", "Lee", "", "heads", "Acme", "of", "late", "in", "Rome"]
    changed = example(token=words, subj_end=2, obj_start=5, obj_end=5)
    (doc,), report = read_tacred(write_json(tmp_path / "a.json", [changed]))
    assert doc.text == "Ann Lee heads Acme of late in Rome"
    assert relations(doc) == [("Ann Lee", "per:employee_of", "Acme")]
    assert report.empty_tokens.first == ["a.json:1 sentence 0 token 1", "a.json:1 sentence 0 token 3"]


def test_a_byte_order_mark_is_not_part_of_the_file(tmp_path):
    path = write_json(tmp_path / "a.json", [example()])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read_tacred(path)[0]) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"a\.json, line 1: the file is empty"),
        ("[\n{]", r"a\.json, line 2: not JSON"),
        ("[]", "line 1: the file is empty"),
        ('{"version": "v2.0",\n "data": []}', "line 1: the file is one JSON object, where a list of records"),
        ('{"id":\n', "line 1: not JSON"),
    ],
)
def test_a_file_that_is_none_is_an_error(tmp_path, text, message):
    with pytest.raises(LukeError, match=message) as caught:
        read_tacred(write(tmp_path / "a.json", text))
    assert caught.value.code == "L060"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"obj_end": 10}, "'obj' is the tokens 6 to 10 of a sentence of 10"),
        ({"subj_start": -1}, "'subj' is the tokens -1 to 1"),
        ({"subj_start": 2}, "'subj' is the tokens 2 to 1"),
        ({"subj_start": "0"}, "'subj_start' is not a whole number"),
        ({"subj_start": True}, "'subj_start' is not a whole number"),
        ({"obj_type": None}, "'obj_type' is not a string"),
        ({"token": []}, "'token' is not a list of words"),
        ({"token": [" "]}, "all its tokens are empty"),
    ],
)
def test_a_wrong_record_is_an_error_with_file_and_record(tmp_path, changes, message):
    with pytest.raises(LukeError, match=rf"a\.json, record 2: {message}") as caught:
        read_tacred(write_json(tmp_path / "a.json", [example(), example(**changes)]))
    assert caught.value.code == "L064"


def test_records_that_are_no_objects_are_an_error(tmp_path):
    with pytest.raises(LukeError, match="record 1: it is not an object"):
        read_tacred(write_json(tmp_path / "a.json", [[]]))
