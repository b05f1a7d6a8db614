from __future__ import annotations

from typing import Any

import pytest
from spacy.tokens import Doc

from spacy_luke.annotations import get_entity_types, has_annotation
from spacy_luke.converters import read_entity_typing
from spacy_luke.errors import LukeError

from .util import entities, through_docbin, write, write_json, write_lines


def tokens(**changes: Any) -> dict[str, Any]:
    left, right = ["He", "met", "-LRB-"], ["-RRB-", "."]
    return {
        "annot_id": "a:1",
        "left_context_token": left,
        "mention_span": "Ann Lee 's",
        "right_context_token": right,
        "y_str": ["person", "woman"],
        **changes,
    }


def characters(**changes: Any) -> dict[str, Any]:
    return {"sent": "He met Ann Lee.", "start": 7, "end": 14, "labels": ["person"], "ents": [], **changes}


def types(doc: Doc) -> tuple[str, ...]:
    (span,) = doc.spans["mentions"]
    return get_entity_types(span)


def test_lines_of_tokens_are_read(tmp_path):
    docs, report = read_entity_typing(write_lines(tmp_path / "a.json", tokens(), tokens(left_context_token=[])))
    doc, other = through_docbin(docs, tmp_path)
    assert doc.text == "He met (Ann Lee's)."
    assert other.text == "Ann Lee's)."
    assert entities(doc) == [("Ann Lee's", "ENTITY")]
    assert [span.text for span in doc.spans["mentions"]] == ["Ann Lee's"]
    assert types(doc) == types(other) == ("person", "woman")
    assert doc.user_data["id"] == "a:1"
    assert (report.typed_spans, report.entity_types) == (2, {"person": 2, "woman": 2})


def test_spaces_can_be_after_every_token(tmp_path):
    (doc,), _ = read_entity_typing(write_lines(tmp_path / "a.json", tokens()), spaces="all")
    assert doc.text == "He met ( Ann Lee 's ) ."


def test_a_list_with_characters_is_read(tmp_path):
    docs, _ = read_entity_typing(write_json(tmp_path / "a.json", [characters()]))
    (doc,) = through_docbin(docs, tmp_path)
    assert doc.text == "He met Ann Lee."
    assert entities(doc) == [("Ann Lee", "ENTITY")]
    assert types(doc) == ("person",)


def test_the_spaces_of_a_text_stay_and_a_mention_has_none_at_its_edges(tmp_path):
    (doc,), report = read_entity_typing(
        write_json(tmp_path / "a.json", [characters(sent=" He  met Ann Lee .", start=8, end=17)])
    )
    assert doc.text == " He  met Ann Lee ."
    assert entities(doc) == [("Ann Lee", "ENTITY")]
    assert report.expanded_spans.count == 0


def test_a_mention_within_a_token_is_expanded_and_reported(tmp_path):
    (doc,), report = read_entity_typing(write_json(tmp_path / "a.json", [characters(start=8)]))
    assert entities(doc) == [("Ann Lee", "ENTITY")]
    assert types(doc) == ("person",)
    assert report.expanded_spans.first == ["a.json:1 'nn Lee' in 'Ann Lee'"]


def test_a_mention_without_types_is_annotated_with_none_and_reported(tmp_path):
    (doc,), report = read_entity_typing(write_json(tmp_path / "a.json", [characters(labels=[])]))
    assert types(doc) == ()
    assert has_annotation(doc, "entity_types")
    assert report.untyped.first == ["a.json:1"]


def test_a_byte_order_mark_is_not_part_of_the_file(tmp_path):
    path = write_lines(tmp_path / "a.json", tokens())
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read_entity_typing(path)[0]) == 1


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (characters(end=16), "no mention at the characters 7 to 16 of a text of 15"),
        (characters(end=7), "no mention at the characters 7 to 7"),
        (characters(start=6, end=7), "no mention at the characters 6 to 7"),
        (characters(start=-1), "no mention at the characters -1 to 14"),
        (characters(labels="person"), "'labels' is not a list"),
        (characters(labels=[""]), "'labels' is not a list of types"),
        (tokens(mention_span=" "), "'mention_span' is empty"),
        (tokens(left_context_token=[3]), "'left_context_token' is not a list of words"),
        (tokens(y_str=None), "'y_str' is not a list"),
        ({}, "it has no 'left_context_token'"),
    ],
)
def test_a_wrong_record_is_an_error_with_file_and_line(tmp_path, record, message):
    with pytest.raises(LukeError, match=rf"a\.json, line 2: .*{message}") as caught:
        read_entity_typing(write_lines(tmp_path / "a.json", tokens(), record))
    assert caught.value.code == "L064"


@pytest.mark.parametrize(("text", "line"), [("", 1), ("{}\n{", 2), ("[{]", 1)])
def test_a_file_that_is_none_is_an_error(tmp_path, text, line):
    with pytest.raises(LukeError, match=rf"a\.json, line {line}: (the file is empty|not JSON)") as caught:
        read_entity_typing(write(tmp_path / "a.json", text))
    assert caught.value.code == "L060"
