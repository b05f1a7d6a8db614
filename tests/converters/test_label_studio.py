from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import spacy
from spacy.tokens import Span
from spacy.vocab import Vocab

from spacy_luke.annotations import RELATIONS, Relation, get_relations, has_annotation, set_relations
from spacy_luke.converters import read_label_studio as read_with_new_vocab
from spacy_luke.converters import write_label_studio
from spacy_luke.errors import LukeError

from .util import entities, relations, write_json

DATA = Path(__file__).parents[1] / "data" / "annotation_tools"
# One vocabulary for all: spaCy takes long to make the tokenizer for a new one.
read_label_studio = partial(read_with_new_vocab, vocab=Vocab())
TEXT = "Ann Lee works for Acme."


def region(start: int, end: int, label: str, name: str, **changes: Any) -> dict[str, Any]:
    value = {"start": start, "end": end, "text": TEXT[start:end], "labels": [label]}
    return {"id": name, "from_name": "label", "to_name": "text", "type": "labels", "value": value, **changes}


def arrow(head: str, tail: str, *labels: str, direction: str = "right") -> dict[str, Any]:
    return {"type": "relation", "from_id": head, "to_id": tail, "direction": direction, "labels": list(labels)}


def choice(*labels: str, name: str = "tone", **changes: Any) -> dict[str, Any]:
    return {"from_name": name, "to_name": "text", "type": "choices", "value": {"choices": list(labels)}, **changes}


ANN, ACME = region(0, 7, "PER", "a"), region(18, 22, "ORG", "b")


def task(*result: object, text: str = TEXT, **changes: Any) -> dict[str, Any]:
    return {"id": 1, "data": {"text": text}, "annotations": [{"id": 5, "result": list(result)}], **changes}


def test_an_export_is_read_with_what_was_left_out():
    docs, report = read_label_studio(DATA / "label_studio.json")
    assert [doc.cats for doc in docs] == [{"angry": 0.0, "friendly": 1.0}, {"angry": 1.0, "friendly": 0.0}]
    assert docs[0].user_data["meta"] == {"source": "letters"}
    assert report.cancelled.first == ["label_studio.json:1"]
    assert "Annotations that were skipped by their annotator, left out: 1 (label_studio.json:1)" in str(report)
    assert "Categories: 2 (friendly 1, angry 1)" in str(report)


def test_json_min_has_entities_and_choices_and_no_relations():
    (doc,), report = read_label_studio(DATA / "label_studio_min.json")
    assert entities(doc) == [("Ann Lee", "PER"), ("Acme", "ORG"), ("New Rome", "LOC")]
    assert doc.cats == {"friendly": 1.0}
    assert (doc.user_data["id"], doc.user_data["meta"]) == ("17", {"source": "letters"})
    assert not has_annotation(doc, RELATIONS)
    assert report.documents == 1


def test_of_several_records_of_a_task_json_min_the_last_is_read(tmp_path):
    record = json.loads((DATA / "label_studio_min.json").read_text(encoding="utf8"))[0]
    path = write_json(tmp_path / "a.json", [record, {**record, "label": record["label"][:1]}])
    (doc,), report = read_label_studio(path)
    assert len(doc.ents) == 1
    assert report.several_annotators.first == ["a.json:2"]


def test_an_annotator_and_a_single_choice_of_json_min_can_be_named(tmp_path):
    record = json.loads((DATA / "label_studio_min.json").read_text(encoding="utf8"))[0]
    path = write_json(tmp_path / "a.json", [{**record, "tone": "angry"}, {**record, "annotator": 2, "label": []}])
    (doc,), report = read_label_studio(path, annotator="1", choices="tone")
    assert len(doc.ents) == 3
    assert doc.cats == {"angry": 1.0}
    assert doc.user_data["meta"] == {"source": "letters"}
    assert not report.several_annotators.count


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        ("right", [("Ann Lee", "R", "Acme")]),
        ("left", [("Acme", "R", "Ann Lee")]),
        ("bi", [("Ann Lee", "R", "Acme"), ("Acme", "R", "Ann Lee")]),
    ],
)
def test_relations_go_as_their_arrow_does(tmp_path, direction, expected):
    path = write_json(tmp_path / "a.json", [task(ANN, ACME, arrow("a", "b", "R", direction=direction))])
    assert relations(read_label_studio(path)[0][0]) == expected


def test_a_relation_with_two_labels_is_two_and_one_without_is_told(tmp_path):
    path = write_json(tmp_path / "a.json", [task(ANN, ACME, arrow("a", "b", "R", "S"), arrow("b", "a"))])
    (doc,), report = read_label_studio(path)
    assert relations(doc) == [("Ann Lee", "R", "Acme"), ("Ann Lee", "S", "Acme")]
    assert report.nameless_relations.first == ["a.json:record 1.annotations[0].result[3]"]


def test_a_relation_of_what_is_not_there_is_told(tmp_path):
    path = write_json(tmp_path / "a.json", [task(ANN, ACME, arrow("a", "b", "R"), arrow("a", "z", "S"))])
    (doc,), report = read_label_studio(path)
    assert relations(doc) == [("Ann Lee", "R", "Acme")]
    assert report.unknown_ends.first == ["a.json:1 S"]
    assert report.dropped_relations == {"S": 1}


def test_a_doc_of_which_no_relation_can_be_written_stays_without_annotation(tmp_path):
    path = write_json(tmp_path / "a.json", [task(ANN, ACME, arrow("a", "z", "S"))])
    assert not has_annotation(read_label_studio(path)[0][0], RELATIONS)


@pytest.mark.parametrize(("relations", "annotated"), [(None, False), (True, True), (False, False)])
def test_whether_a_text_without_relations_has_none_can_be_said(tmp_path, relations, annotated):
    path = write_json(tmp_path / "a.json", [task(ANN, ACME)])
    assert has_annotation(read_label_studio(path, relations=relations)[0][0], RELATIONS) == annotated


def annotation(label: str, **changes: Any) -> dict[str, Any]:
    return {"result": [region(0, 7, label, "a")], **changes}


@pytest.mark.parametrize(
    ("annotations", "label"),
    [
        ([annotation("FIRST"), annotation("LAST")], "LAST"),
        ([annotation("NEW", updated_at="2024-05-02T08:00"), annotation("OLD", updated_at="2024-05-01T08:00")], "NEW"),
        ([annotation("TRUTH", ground_truth=True), annotation("NEW", updated_at="2024-05-02")], "TRUTH"),
        ([annotation("DONE"), annotation("SKIPPED", was_cancelled=True)], "DONE"),
    ],
)
def test_of_several_annotations_one_is_read(tmp_path, annotations, label):
    path = write_json(tmp_path / "a.json", [task(annotations=annotations)])
    (doc,), report = read_label_studio(path)
    assert entities(doc) == [("Ann Lee", label)]
    assert report.several_annotators.count == (label != "DONE")


@pytest.mark.parametrize(("annotator", "label"), [("7", "A"), ("bo@x.org", "B"), ("8", "B")])
def test_an_annotator_can_be_chosen(tmp_path, annotator, label):
    annotations = [
        annotation("A", completed_by=7),
        annotation("B", completed_by={"id": 8, "email": "bo@x.org"}),
        annotation("C", completed_by=9),
    ]
    path = write_json(tmp_path / "a.json", [task(annotations=annotations)])
    (doc,), report = read_label_studio(path, annotator=annotator)
    assert entities(doc) == [("Ann Lee", label)]
    assert not report.several_annotators.count


def test_a_task_without_annotation_is_left_out_and_told(tmp_path):
    unlabelled = task(annotations=[])
    path = write_json(
        tmp_path / "a.json", [task(ANN), unlabelled, task(annotations=[annotation("A", was_cancelled=True)])]
    )
    docs, report = read_label_studio(path)
    assert len(docs) == 1
    assert report.unannotated_texts.first == ["a.json:2", "a.json:3"]
    with pytest.raises(LukeError, match=r"L060.*no task has annotations to take"):
        read_label_studio(write_json(tmp_path / "b.json", [unlabelled]))


def test_predictions_are_read_with_their_scores(tmp_path):
    old = {"model_version": "1", "result": [region(0, 7, "OLD", "a", score=0.9)]}
    new = {
        "model_version": "2",
        "score": 0.25,
        "result": [{**ANN, "score": 0.5}, ACME, {**arrow("a", "b", "R"), "score": 0.25}, choice("x", score=0.75)],
    }
    path = write_json(tmp_path / "a.json", [task(ACME, predictions=[old, new])])
    (doc,), report = read_label_studio(path, results="predictions")
    assert [(span.text, span._.score) for span in doc.ents] == [("Ann Lee", 0.5), ("Acme", None)]
    assert get_relations(doc)[0].score == 0.25
    assert doc.cats == {"x": 0.75}
    assert report.several_annotators.first == ["a.json:1: 2"]
    (doc,), _ = read_label_studio(path, results="predictions", annotator="1")
    assert entities(doc) == [("Ann Lee", "OLD")]


def test_of_two_labels_in_the_same_place_the_first_is_kept_with_its_score(tmp_path):
    made = {"result": [{**ANN, "score": 0.5}, region(0, 7, "BOSS", "c", score=0.25), arrow("c", "a", "is")]}
    path = write_json(tmp_path / "a.json", [task(predictions=[made])])
    (doc,), report = read_label_studio(path, results="predictions")
    assert [(span.label_, span._.score) for span in doc.ents] == [("PER", 0.5)]
    assert report.overlapping_entities.count == 1
    assert report.lost_relations.first == ["a.json:1"]
    assert not has_annotation(doc, RELATIONS)


def test_a_score_that_is_no_probability_is_told(tmp_path):
    made = {"result": [{**ANN, "score": 7.5}]}
    (doc,), report = read_label_studio(
        write_json(tmp_path / "a.json", [task(predictions=[made])]), results="predictions"
    )
    assert doc.ents[0]._.score is None
    assert report.not_carried == {"scores that are no probabilities": 1}


def test_completions_of_old_versions_are_read(tmp_path):
    old = {"id": 1, "data": {"text": TEXT}, "completions": [{"result": [ANN]}, {"result": [ACME], "skipped": True}]}
    (doc,), report = read_label_studio(write_json(tmp_path / "a.json", [old]))
    assert entities(doc) == [("Ann Lee", "PER")]
    assert report.cancelled.count == 1


# Characters

EMOJI = "\U0001f44d\U0001f44d " + TEXT


@pytest.mark.parametrize(("shift", "read_as"), [(3, "characters"), (5, "utf16")])
def test_what_offsets_count_is_found_by_the_texts_of_regions(tmp_path, shift, read_as):
    moved = [
        {
            **item,
            "value": {**item["value"], "start": item["value"]["start"] + shift, "end": item["value"]["end"] + shift},
        }
        for item in (ANN, ACME)
    ]
    (doc,), report = read_label_studio(write_json(tmp_path / "a.json", [task(*moved, text=EMOJI)]))
    assert entities(doc) == [("Ann Lee", "PER"), ("Acme", "ORG")]
    assert report.utf16_texts.count == (read_as == "utf16")
    assert not report.expanded_spans.count


def test_offsets_of_regions_without_text_are_characters(tmp_path):
    item = {"id": "a", "type": "labels", "value": {"start": 3, "end": 10, "labels": ["PER"]}}
    (doc,), report = read_label_studio(write_json(tmp_path / "a.json", [task(item, text=EMOJI)]))
    assert entities(doc) == [("Ann Lee", "PER")]
    assert not report.utf16_texts.count


@pytest.mark.parametrize(("offsets", "found"), [("characters", "for"), ("utf16", "works")])
def test_what_offsets_count_can_be_said(tmp_path, offsets, found):
    text = "\U0001f44d" * 6 + " Ann works for"
    value = {"start": 17, "end": 20, "labels": ["X"]}
    item = {"id": "a", "type": "labels", "value": value}
    (doc,), _ = read_label_studio(write_json(tmp_path / "a.json", [task(item, text=text)]), offsets=offsets)
    assert entities(doc) == [(found, "X")]


def test_a_text_that_is_not_that_of_its_region_is_told(tmp_path):
    changed = region(0, 7, "PER", "a")
    changed["value"]["text"] = "Bo"
    (_,), report = read_label_studio(write_json(tmp_path / "a.json", [task(changed)]))
    assert report.other_names.first == ["a.json:1 'Bo' at 'Ann Lee'"]


def test_line_breaks_in_the_text_of_a_region_are_no_difference(tmp_path):
    text = "Ann\r\nLee works."
    item = {"id": "a", "type": "labels", "value": {"start": 0, "end": 8, "text": "Ann\\nLee", "labels": ["PER"]}}
    (doc,), report = read_label_studio(write_json(tmp_path / "a.json", [task(item, text=text)]))
    assert entities(doc) == [("Ann\r\nLee", "PER")]
    assert not report.other_names.count


def test_white_space_at_edges_goes_and_edges_in_tokens_are_expanded(tmp_path):
    path = write_json(
        tmp_path / "a.json", [task(region(7, 14, "X", "a"), region(19, 22, "Y", "b"), region(3, 4, "Z", "c"))]
    )
    (doc,), report = read_label_studio(path)
    assert entities(doc) == [("works", "X"), ("Acme", "Y")]
    assert report.expanded_spans.first == ["a.json:1 'cme' in 'Acme'"]
    assert report.empty_entities.first == ["a.json:1 Z"]


# Regions and choices


def test_overlapping_regions_are_told_or_kept_under_a_key(tmp_path):
    inner = region(4, 7, "NAME", "c")
    path = write_json(tmp_path / "a.json", [task(ANN, inner, ACME, arrow("c", "b", "R"), arrow("a", "b", "S"))])
    (doc,), report = read_label_studio(path)
    assert entities(doc) == [("Ann Lee", "PER"), ("Acme", "ORG")]
    assert report.overlapping_entities.first == ["a.json:1 'Lee'"]
    assert report.lost_relations.count == 1
    (doc,), report = read_label_studio(path, spans_key="sc")
    assert [span.label_ for span in doc.spans["sc"]] == ["PER", "NAME", "ORG"]
    assert relations(doc) == [("Ann Lee", "S", "Acme"), ("Lee", "R", "Acme")]
    assert not report.overlapping_entities.count


def test_a_region_with_two_labels_has_both_under_a_key(tmp_path):
    both = region(0, 7, "PER", "a")
    both["value"]["labels"] = ["PER", "BOSS"]
    path = write_json(tmp_path / "a.json", [task(both)])
    (doc,), _ = read_label_studio(path, spans_key="sc")
    assert [(span.text, span.label_) for span in doc.spans["sc"]] == [("Ann Lee", "PER"), ("Ann Lee", "BOSS")]
    (doc,), report = read_label_studio(path)
    assert entities(doc) == [("Ann Lee", "PER")]
    assert report.overlapping_entities.first == ["a.json:1 'Ann Lee' of another kind"]


def test_what_a_doc_has_no_place_for_is_told_by_kind(tmp_path):
    result = [
        {"id": "r", "from_name": "stars", "to_name": "text", "type": "rating", "value": {"rating": 4}},
        {**region(0, 7, "x", "a"), "type": "choices"},
        {"id": "h", "type": "hypertextlabels", "value": {"start": "/p[1]/text()[1]", "hypertextlabels": ["A"]}},
        {"id": "n", "type": "labels", "value": {"start": 0, "end": 3, "labels": []}},
    ]
    (doc,), report = read_label_studio(write_json(tmp_path / "a.json", [task(*result)]))
    assert not doc.ents
    assert report.not_carried == {
        "rating": 1,
        "choices of regions": 1,
        "hypertextlabels of regions": 1,
        "regions without label": 1,
    }


def test_of_several_choices_one_has_to_be_named(tmp_path):
    path = write_json(tmp_path / "a.json", [task(choice("kind"), choice("long", "old", name="size"))])
    with pytest.raises(LukeError, match=r"L177.*which choices to read; there is size, tone\. Name it with choices"):
        read_label_studio(path)
    with pytest.raises(LukeError, match=r"L178.*no choices 'mood'.* It has: size, tone"):
        read_label_studio(path, choices="mood")
    (doc,), report = read_label_studio(path, choices="size")
    assert doc.cats == {"long": 1.0, "old": 1.0}
    assert report.not_carried == {"choices 'tone'": 1}


def test_the_text_is_the_only_string_or_has_to_be_named(tmp_path):
    def made(**data: object) -> dict[str, Any]:
        return {"id": 1, "data": data, "annotations": [{"result": [ANN]}]}

    (doc,), _ = read_label_studio(write_json(tmp_path / "a.json", [made(body=TEXT, page=3)]))
    assert (doc.text, doc.user_data["meta"]) == (TEXT, {"page": 3})
    path = write_json(tmp_path / "b.json", [made(body=TEXT, title="A letter")])
    with pytest.raises(
        LukeError, match=r"L177.*b\.json, record 1\.data: .*there is body, title\. Name it with text_key"
    ):
        read_label_studio(path)
    assert read_label_studio(path, text_key="body")[0][0].text == TEXT


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            task(region(20, 30, "X", "a")),
            r"annotations\[0\]\.result\[0\]\.value: there are no characters 20 to 30",
        ),
        (task({**ANN, "value": {"start": 0, "end": "7", "labels": ["A"]}}), "'end' is not a whole number"),
        (task({**ANN, "value": {"start": 0, "end": 7, "labels": [3]}}), "'labels' is not a list of labels"),
        (task({"type": "labels", "value": ANN["value"]}), "it has no 'id'"),
        (task(ANN, arrow("a", "b", "R", direction="up")), "'direction' is 'up'"),
        (task(ANN, {"type": "relation", "from_id": "a", "labels": ["R"]}), "it has no 'to_id'"),
        (task(choice(3)), "'value' has no 'choices'"),  # type: ignore[arg-type]
        ({**task(ANN), "data": [TEXT]}, "'data' is not an object"),
        ({**task(ANN), "annotations": [3]}, r"annotations\[0\]: it is not an object"),
        ({"data": {"text": 3}, "annotations": [{"result": []}]}, "'text' is not a string"),
        ({"data": {"page": 3}, "annotations": [{"result": []}]}, "there is no string"),
    ],
)
def test_a_wrong_task_is_an_error_with_file_and_place(tmp_path, content, message):
    with pytest.raises(LukeError, match=rf"a\.json, record 1.*{message}") as caught:
        read_label_studio(write_json(tmp_path / "a.json", [content]))
    assert caught.value.code in ("L064", "L177")


# Writing


def example() -> spacy.tokens.Doc:
    doc = spacy.blank("en")("\U0001f44d " + TEXT)
    doc.set_ents([Span(doc, 1, 3, "PER"), Span(doc, 5, 6, "ORG")])
    set_relations(doc, [Relation(doc.ents[0], doc.ents[1], "works_for", 0.5)])
    doc.ents[0]._.score = 0.75
    doc.cats = {"kind": 0.875, "rude": 0.125}
    return doc


def test_predictions_are_written_as_label_studio_imports_them(tmp_path):
    write_label_studio([example()], tmp_path / "a.json", results="predictions", model_version="m 1")
    (task,) = json.loads((tmp_path / "a.json").read_text(encoding="utf8"))
    (prediction,) = task["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("m 1", 0.5)
    assert prediction["result"][0] == {
        "id": "m0",
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
        "value": {"start": 2, "end": 9, "text": "Ann Lee", "labels": ["PER"]},
        "score": 0.75,
    }
    assert prediction["result"][2:] == [
        {
            "type": "relation",
            "from_id": "m0",
            "to_id": "m1",
            "direction": "right",
            "labels": ["works_for"],
            "score": 0.5,
        },
        {"id": "c0", **choice("kind", name="choices"), "score": 0.875},
    ]


def test_names_of_controls_and_the_text_and_old_offsets_can_be_given(tmp_path):
    names = {"label_name": "ner", "text_name": "letter", "choices_name": "tone", "text_key": "body"}
    write_label_studio([example()], tmp_path / "a.json", offsets="utf16", **names)
    (task,) = json.loads((tmp_path / "a.json").read_text(encoding="utf8"))
    assert task["data"] == {"body": "\U0001f44d " + TEXT}
    result = task["annotations"][0]["result"]
    assert (result[0]["value"]["start"], result[0]["value"]["end"]) == (3, 10)
    assert [(item.get("from_name"), item.get("to_name")) for item in result] == [
        ("ner", "letter"),
        ("ner", "letter"),
        (None, None),
        ("tone", "letter"),
    ]


def test_a_labelling_interface_has_all_labels(tmp_path):
    doc = example()
    doc.set_ents([Span(doc, 1, 3, 'A"<&'), Span(doc, 5, 6, "ORG")])
    write_label_studio([doc], tmp_path / "a.json", interface=tmp_path / "interface.xml")
    view = ElementTree.parse(tmp_path / "interface.xml").getroot()
    assert [label.get("value") for label in view.iter("Label")] == ['A"<&', "ORG"]
    assert [label.get("value") for label in view.iter("Relation")] == ["works_for"]
    assert [label.get("value") for label in view.iter("Choice")] == ["kind", "rude"]
    text = view.find("Text")
    assert text is not None
    assert (text.get("name"), text.get("value")) == ("text", "$text")
    assert all(control.get("toName") == "text" for tag in ("Labels", "Choices") for control in view.iter(tag))


@pytest.mark.parametrize("function", [read_label_studio, write_label_studio])
def test_results_that_there_are_not_are_an_error(tmp_path, function):
    arguments = [tmp_path / "a"] if function is read_label_studio else [[], tmp_path / "a"]
    with pytest.raises(LukeError, match=r"L047.*results"):
        function(*arguments, results="drafts")


def test_no_docs_are_an_empty_list(tmp_path):
    write_label_studio([], tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf8")) == []
