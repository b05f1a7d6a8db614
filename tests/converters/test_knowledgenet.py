from __future__ import annotations

from typing import Any

import pytest

from spacy_luke.converters import read_knowledgenet
from spacy_luke.errors import LukeError

from .util import entities, relations, through_docbin, write, write_lines

TEXT = "Ann Lee of Acme lives in New Rome."


def fact(subject: list[Any], object: list[Any], relation: str = "R", **changes: Any) -> dict[str, Any]:
    return {"fold": 2, "doc": "7", "text": TEXT, "subject": subject, "object": object, "relation": relation, **changes}


ANN, ACME, ROME = [0, 7, "Q1"], [11, 15, None], [25, 33, "Q3"]


def test_the_facts_of_a_sentence_are_one_doc(tmp_path):
    docs, report = read_knowledgenet(write_lines(tmp_path / "a.jsonl", fact(ANN, ACME), fact(ANN, ROME, "LIVES")))
    (doc,) = through_docbin(docs, tmp_path)
    assert doc.text == TEXT
    assert entities(doc) == [("Ann Lee", "ENTITY"), ("Acme", "ENTITY"), ("New Rome", "ENTITY")]
    assert [ent.kb_id_ for ent in doc.ents] == ["Q1", "", "Q3"]
    assert relations(doc) == [("Ann Lee", "R", "Acme"), ("Ann Lee", "LIVES", "New Rome")]
    assert (doc.user_data["fold"], doc.user_data["doc"]) == (2, "7")
    assert (report.documents, report.sentences) == (1, 1)


def test_the_same_sentence_in_another_document_is_another_doc(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", fact(ANN, ACME), fact(ANN, ROME, doc="8"), fact(ACME, ROME))
    docs, _ = read_knowledgenet(path)
    assert [len(relations(doc)) for doc in docs] == [2, 1]


def test_of_overlapping_entities_the_longest_is_kept_and_the_loss_reported(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", fact(ANN, ROME), fact(ANN, [29, 33, "Q4"], "BORN"))
    (doc,), report = read_knowledgenet(path)
    assert entities(doc) == [("Ann Lee", "ENTITY"), ("New Rome", "ENTITY")]
    assert relations(doc) == [("Ann Lee", "R", "New Rome")]
    assert report.overlapping_entities.first == ["a.jsonl:1 'Rome'"]
    assert report.dropped_relations == {"BORN": 1}


def test_a_repeated_fact_is_written_once_and_reported(tmp_path):
    (doc,), report = read_knowledgenet(write_lines(tmp_path / "a.jsonl", fact(ANN, ACME), fact(ANN, ACME)))
    assert len(relations(doc)) == 1
    assert report.repeated_relations.count == 1


def test_of_two_ids_the_first_is_kept_and_an_id_comes_before_none(tmp_path):
    other = [0, 7, "Q9"]
    path = write_lines(tmp_path / "a.jsonl", fact([0, 7, None], ACME), fact(ANN, ACME, "S"), fact(other, ACME, "T"))
    (doc,), report = read_knowledgenet(path)
    assert doc.ents[0].kb_id_ == "Q1"
    assert report.ambiguous_ids.first == ["a.jsonl:3 'Ann Lee'"]


def test_an_entity_within_a_token_is_expanded_and_reported_once(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", fact([1, 7, "Q1"], ACME), fact([1, 7, "Q1"], ROME))
    (doc,), report = read_knowledgenet(path)
    assert entities(doc)[0] == ("Ann Lee", "ENTITY")
    assert report.expanded_spans.first == ["a.jsonl:1 'nn Lee' in 'Ann Lee'"]
    assert report.expanded_spans.count == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subject": [0, 7]}, r"'subject' is not \[first character, end, id or null\]"),
        ({"object": ["0", 7, None]}, "'object' is not "),
        ({"object": [30, 40, None]}, "'object' is not in the text of 34 characters"),
        ({"object": [7, 8, None]}, "'object' is not in the text"),
        ({"relation": None}, "'relation' is not a string"),
        ({"fold": "2"}, "'fold' is not a whole number"),
    ],
)
def test_a_wrong_record_is_an_error_with_file_and_line(tmp_path, changes, message):
    with pytest.raises(LukeError, match=rf"a\.jsonl, line 2: {message}") as caught:
        read_knowledgenet(write_lines(tmp_path / "a.jsonl", fact(ANN, ACME), {**fact(ANN, ROME), **changes}))
    assert caught.value.code == "L064"


@pytest.mark.parametrize(("text", "message"), [("\ufeff", "line 1: the file is empty"), ("\n{", "line 2: not JSON")])
def test_a_file_that_is_none_is_an_error(tmp_path, text, message):
    with pytest.raises(LukeError, match=rf"a\.jsonl, {message}"):
        read_knowledgenet(write(tmp_path / "a.jsonl", text))
