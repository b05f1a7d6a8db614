from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from spacy_luke.annotations import RELATIONS, Relation, has_annotation, set_relations
from spacy_luke.converters import read_doccano as read_with_new_vocab
from spacy_luke.converters import write_doccano
from spacy_luke.errors import LukeError

from .util import entities, relations, write_lines

DATA = Path(__file__).parents[1] / "data" / "annotation_tools"
read_doccano = partial(read_with_new_vocab, vocab=Vocab())
TEXT = "Ann Lee works for Acme."
ANN = {"id": 5, "label": "PER", "start_offset": 0, "end_offset": 7}
ACME = {"id": 6, "label": "ORG", "start_offset": 18, "end_offset": 22}


def written(docs: list[Doc], folder: Path, **options: Any) -> list[dict[str, Any]]:
    write_doccano(docs, folder / "a.jsonl", **options)
    return [json.loads(line) for line in (folder / "a.jsonl").read_text(encoding="utf8").split("\n") if line]


def test_sequence_labelling_has_no_relations():
    (doc, empty), report = read_doccano(DATA / "doccano_spans.jsonl")
    assert entities(doc) == [("Ann Lee", "PER"), ("Acme", "ORG"), ("New Rome", "LOC")]
    assert not has_annotation(doc, RELATIONS)
    assert (doc.user_data["id"], doc.user_data["meta"]) == ("17", {"source": "letters"})
    assert not empty.ents
    assert report.not_carried == {"comments": 1}


def test_text_classification_has_categories(tmp_path):
    path = write_lines(
        tmp_path / "a.jsonl", {"text": "Hi", "label": ["kind"]}, {"text": "No", "label": ["rude", "old"]}
    )
    docs, _ = read_doccano(path)
    assert [doc.cats for doc in docs] == [
        {"kind": 1.0, "old": 0.0, "rude": 0.0},
        {"kind": 0.0, "old": 1.0, "rude": 1.0},
    ]


def test_intent_detection_has_categories_and_spans(tmp_path):
    record = {"text": TEXT, "cats": ["news"], "entities": [[0, 7, "PER"]]}
    (doc,), _ = read_doccano(write_lines(tmp_path / "a.jsonl", record))
    assert entities(doc) == [("Ann Lee", "PER")]
    assert doc.cats == {"news": 1.0}


@pytest.mark.parametrize(
    "record", [{"data": TEXT, "label": [[0, 7, "PER"]]}, {"text": TEXT, "labels": [[0, 7, "PER"]]}]
)
def test_names_of_other_versions_are_read(tmp_path, record):
    (doc,), _ = read_doccano(write_lines(tmp_path / "a.jsonl", record))
    assert entities(doc) == [("Ann Lee", "PER")]


FAMILY = "\U0001f469\u200d\U0001f467"


@pytest.mark.parametrize(("offsets", "start"), [("utf16", 6), ("characters", 4), ("graphemes", 2)])
def test_offsets_after_an_emoji_are_read_and_written_in_the_unit_of_the_project(tmp_path, offsets, start):
    record = {"text": FAMILY + " Ann.", "label": [[start, start + 3, "PER"]]}
    (doc,), report = read_doccano(write_lines(tmp_path / "a.jsonl", record), offsets=offsets)
    assert entities(doc) == [("Ann", "PER")]
    assert not report.expanded_spans.count
    assert written([doc], tmp_path, offsets=offsets) == [record]


def test_a_relation_of_what_is_not_there_is_told(tmp_path):
    known = {"id": 1, "from_id": 5, "to_id": 6, "type": "R"}
    record = {"text": TEXT, "entities": [ANN, ACME], "relations": [known, {**known, "to_id": 99, "type": "S"}, known]}
    (doc,), report = read_doccano(write_lines(tmp_path / "a.jsonl", record))
    assert relations(doc) == [("Ann Lee", "R", "Acme")]
    assert report.unknown_ends.first == ["a.jsonl:1 S"]
    assert report.repeated_relations.first == ["a.jsonl:1"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": [[0, 30, "PER"]]}, r"line 2\.label\[0\]: there are no characters 0 to 30 in a text of 23"),
        ({"label": [[0, 7]]}, r"line 2\.label\[0\]: it is not \[start, end, label\]"),
        ({"label": [[0, 7, ""]]}, r"it is not \[start, end, label\]"),
        ({"label": [["0", 7, "A"]]}, r"it is not \[start, end, label\]"),
        ({"label": "kind"}, "'label' is not a list"),
        ({"entities": [{**ANN, "start_offset": None}]}, r"line 2\.entities\[0\]: 'start_offset' is not a whole number"),
        ({"entities": [{**ANN, "start_offset": -1}]}, "there are no characters -1 to 7"),
        ({"entities": [{**ANN, "label": ""}]}, "'label' is empty"),
        ({"entities": [ANN], "relations": [{"from_id": 5, "to_id": 5}]}, "it has no 'type'"),
        ({"entities": [ANN], "relations": [3]}, r"relations\[0\]: it is not an object"),
        ({"annotations": [{"label": 3, "start_offset": 0, "end_offset": 7}]}, "'annotations' have numbers of labels"),
        ({"text": 3}, "'text' is not a string"),
        ({"cats": [3]}, "'cats' is not a list"),
    ],
)
def test_a_wrong_record_is_an_error_with_file_and_line(tmp_path, changes, message):
    path = write_lines(tmp_path / "a.jsonl", {"text": TEXT, "label": []}, {"text": TEXT, **changes})
    with pytest.raises(LukeError, match=rf"a\.jsonl, line 2.*{message.removeprefix('line 2')}") as caught:
        read_doccano(path)
    assert caught.value.code == "L064"


def example() -> Doc:
    doc = spacy.blank("en")(TEXT)
    doc.set_ents([Span(doc, 0, 2, "PER"), Span(doc, 4, 5, "ORG")])
    return doc


def test_docs_are_written_as_doccano_imports_them(tmp_path):
    plain, related, none = example(), example(), example()
    set_relations(related, [Relation(related.ents[1], related.ents[0], "employs")])
    set_relations(none, [])
    assert written([plain, related, none], tmp_path) == [
        {"text": TEXT, "label": [[0, 7, "PER"], [18, 22, "ORG"]]},
        {
            "text": TEXT,
            "entities": [{**ANN, "id": 1}, {**ACME, "id": 2}],
            "relations": [{"id": 3, "from_id": 2, "to_id": 1, "type": "employs"}],
        },
        {"text": TEXT, "entities": [{**ANN, "id": 4}, {**ACME, "id": 5}], "relations": []},
    ]


def test_categories_alone_are_the_labels_of_text_classification(tmp_path):
    doc = spacy.blank("en")("Hi")
    doc.cats = {"kind": 0.75, "rude": 0.25}
    assert written([doc], tmp_path) == [{"text": "Hi", "label": ["kind"]}]
    other = example()
    other.cats = {"news": 1.0}
    assert written([doc, other], tmp_path)[0] == {"text": "Hi", "label": [], "cats": ["kind"]}


def test_other_data_named_as_a_field_of_doccano_is_told(tmp_path):
    doc = example()
    doc.user_data["meta"] = {"label": "x", "page": 3}
    report = write_doccano([doc], tmp_path / "a.jsonl")
    assert report.not_carried == {"meta": 1}
    assert written([doc], tmp_path) == [{"text": TEXT, "label": [[0, 7, "PER"], [18, 22, "ORG"]], "page": 3}]
