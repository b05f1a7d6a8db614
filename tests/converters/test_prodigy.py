from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from spacy_luke.annotations import RELATIONS, Relation, get_relations, has_annotation, set_relations
from spacy_luke.converters import read_prodigy as read_with_new_vocab
from spacy_luke.converters import write_prodigy
from spacy_luke.errors import LukeError

from .util import entities, relations, write_lines

DATA = Path(__file__).parents[1] / "data" / "annotation_tools"
read_prodigy = partial(read_with_new_vocab, vocab=Vocab())
WORDS = [("Ann", 0, True), ("Lee", 4, True), ("runs", 8, True), ("A", 13, False), ("-", 14, False), ("1", 15, False)]


def span(first: int, last: int, label: str | None = "PER", **changes: Any) -> dict[str, Any]:
    start, end = WORDS[first][1], WORDS[last][1] + len(WORDS[last][0])
    return {"start": start, "end": end, "token_start": first, "token_end": last, "label": label, **changes}


def example(**changes: Any) -> dict[str, Any]:
    tokens = [
        {"text": text, "start": start, "end": start + len(text), "id": number, "ws": ws}
        for number, (text, start, ws) in enumerate(WORDS)
    ]
    spans = [span(0, 1), span(3, 5, "ORG")]
    return {"text": "Ann Lee runs A-1", "tokens": tokens, "spans": spans, "answer": "accept", **changes}


def relation(head: int, child: int, label: str = "runs", **changes: Any) -> dict[str, Any]:
    return {"head": head, "child": child, "label": label, "color": "#fff", **changes}


def test_a_dataset_is_read_with_what_was_left_out():
    docs, report = read_prodigy(DATA / "prodigy.jsonl")
    assert len(docs) == 2
    assert docs[0].user_data["meta"] == {"source": "letters"}
    assert report.rejected.first == ["prodigy.jsonl:3 reject"]


def test_spans_without_tokens_are_of_spacys_tokens(tmp_path):
    record = {"text": "\U0001f44d Ann runs it.", "spans": [{"start": 2, "end": 6, "label": "PER"}]}
    (doc,), report = read_prodigy(write_lines(tmp_path / "a.jsonl", record))
    assert entities(doc) == [("Ann", "PER")]
    assert not has_annotation(doc, RELATIONS)
    assert report.unlabelled.first == ["a.jsonl:1"]


def test_tokens_are_those_of_the_file(tmp_path):
    (doc,), _ = read_prodigy(write_lines(tmp_path / "a.jsonl", example()))
    assert [token.text for token in doc] == [text for text, _, _ in WORDS]
    assert entities(doc) == [("Ann Lee", "PER"), ("A-1", "ORG")]


@pytest.mark.parametrize(
    "item",
    [relation(1, 5), relation(0, 4), relation(1, 5, head_span=span(0, 1), child_span=span(3, 5, "ORG"))],
)
def test_the_ends_of_a_relation_are_spans_or_tokens_of_them(tmp_path, item):
    (doc,), _ = read_prodigy(write_lines(tmp_path / "a.jsonl", example(relations=[item])))
    assert relations(doc) == [("Ann Lee", "runs", "A-1")]


def test_a_relation_of_a_token_outside_the_spans_is_told(tmp_path):
    items = [
        relation(1, 2, "is"),
        relation(1, 2, "as", head_span=span(0, 1), child_span=span(2, 2, None)),
        relation(1, 5),
    ]
    (doc,), report = read_prodigy(write_lines(tmp_path / "a.jsonl", example(relations=items)))
    assert relations(doc) == [("Ann Lee", "runs", "A-1")]
    assert report.unknown_ends.first == ["a.jsonl:1 is", "a.jsonl:1 as"]


def test_the_span_with_the_label_of_the_end_is_taken_under_a_key(tmp_path):
    spans = [span(0, 1), span(0, 1, "BOSS"), span(1, 1, "NAME"), span(3, 5, "ORG")]
    items = [relation(1, 5, head_span=span(0, 1, "BOSS"), child_span=span(3, 5, "ORG"))]
    path = write_lines(tmp_path / "a.jsonl", example(spans=spans, relations=items))
    (doc,), report = read_prodigy(path, spans_key="sc")
    assert [item.label_ for item in doc.spans["sc"]] == ["PER", "BOSS", "NAME", "ORG"]
    assert get_relations(doc)[0].head.label_ == "BOSS"
    (doc,), report = read_prodigy(path)
    assert report.overlapping_entities.count == 2


def test_a_token_is_that_of_the_span_that_ends_with_it_and_of_the_first_of_several_labels(tmp_path):
    spans = [span(1, 2, "LATER"), span(0, 1, "FIRST"), span(0, 1, "SECOND"), span(3, 5, "ORG")]
    items = [relation(1, 5, "a"), relation(1, 5, "b", head_span=span(0, 1, None), child_span=span(3, 5, "ORG"))]
    path = write_lines(tmp_path / "a.jsonl", example(spans=spans, relations=items))
    (doc,), _ = read_prodigy(path, spans_key="sc")
    assert [(item.label, item.head.label_) for item in get_relations(doc)] == [("a", "FIRST"), ("b", "FIRST")]


def test_choices_are_categories(tmp_path):
    options = [{"id": "a", "text": "A"}, {"id": "b", "text": "B"}]
    (doc,), _ = read_prodigy(write_lines(tmp_path / "a.jsonl", {"text": "Hi", "options": options, "accept": ["b"]}))
    assert doc.cats == {"a": 0.0, "b": 1.0}
    _, report = read_prodigy(write_lines(tmp_path / "a.jsonl", {"text": "Hi", "label": "A", "answer": "accept"}))
    assert report.not_carried == {"labels of whole texts": 1}


def test_of_the_same_text_annotated_again_the_last_is_read_or_that_of_an_annotator(tmp_path):
    same = [
        example(_input_hash=7, _annotator_id="d-ann", spans=[span(0, 1, "A")]),
        example(_input_hash=7, _session_id="d-bo", spans=[span(0, 1, "B")]),
        example(_input_hash=8, _annotator_id="d-bo"),
        example(answer="ignore", _input_hash=9),
    ]
    path = write_lines(tmp_path / "a.jsonl", *same)
    docs, report = read_prodigy(path)
    assert [doc.ents[0].label_ for doc in docs] == ["B", "PER"]
    assert report.several_annotators.first == ["a.jsonl:2"]
    docs, _ = read_prodigy(path, annotator="d-ann")
    assert [doc.ents[0].label_ for doc in docs] == ["A"]
    with pytest.raises(LukeError, match=r"L060.*no example is answered with 'accept' by 'cy'"):
        read_prodigy(path, annotator="cy")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": [], "spans": [{"start": 0, "end": 99, "label": "A"}]}, "there are no characters 0 to 99"),
        ({"tokens": [], "relations": [relation(0, 1)]}, "it has relations, which are of tokens, and no 'tokens'"),
        ({"spans": [{"start": 1, "end": 3, "label": "A"}]}, "the characters 1 to 3 are not whole tokens"),
        ({"spans": [span(0, 1, None)]}, "'label' is not a string"),
        ({"relations": [{"head": 1, "label": "A"}]}, "it has no 'child'"),
        ({"relations": [relation(1, 5, "")]}, "'label' is empty"),
        ({"options": [{"id": "a"}], "accept": ["b"]}, "'accept' has b, which 'options' has not"),
        ({"text": "Ann Lee runs B-1"}, "'tokens' are not 'text'"),
        ({"meta": 3}, "'meta' is not an object"),
    ],
)
def test_a_wrong_example_is_an_error_with_file_and_line(tmp_path, changes, message):
    with pytest.raises(LukeError, match=rf"a\.jsonl, line 2.*: {message}") as caught:
        read_prodigy(write_lines(tmp_path / "a.jsonl", example(), example(**changes)))
    assert caught.value.code == "L064"


def predicted() -> Doc:
    doc = Doc(Vocab(), words=[text for text, _, _ in WORDS], spaces=[ws for _, _, ws in WORDS])
    doc.set_ents([Span(doc, 0, 2, "PER", kb_id="Q1"), Span(doc, 3, 6, "ORG")])
    doc.ents[0]._.score = 0.75
    set_relations(doc, [Relation(doc.ents[0], doc.ents[1], "runs", 0.5)])
    return doc


def test_predictions_have_scores_and_no_answer(tmp_path):
    write_prodigy([predicted()], tmp_path / "a.jsonl", results="predictions")
    (record,) = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text(encoding="utf8").splitlines()]
    spans = [span(0, 1, kb_id="Q1", score=0.75), span(3, 5, "ORG")]
    assert record == {
        **{name: value for name, value in example().items() if name != "answer"},
        "spans": spans,
        "relations": [
            {"head": 1, "child": 5, "head_span": spans[0], "child_span": spans[1], "label": "runs", "score": 0.5}
        ],
        "meta": {"score": 0.5},
    }
    (doc,), _ = read_prodigy(tmp_path / "a.jsonl")
    assert "meta" not in doc.user_data
    assert doc.ents[0]._.score == 0.75


def test_annotations_are_accepted(tmp_path):
    doc = spacy.blank("en")("Hi")
    doc.user_data["id"] = 3
    write_prodigy([doc], tmp_path / "a.jsonl")
    record = json.loads((tmp_path / "a.jsonl").read_text(encoding="utf8"))
    assert (record["answer"], record["meta"], record["spans"]) == ("accept", {"id": "3"}, [])
    assert "relations" not in record


def test_results_that_there_are_not_are_an_error(tmp_path):
    with pytest.raises(LukeError, match=r"L047.*results"):
        write_prodigy([], tmp_path / "a.jsonl", results="drafts")  # type: ignore[arg-type]
