"""Suggestions for Label Studio: what it sends, and what it gets."""

from __future__ import annotations

import json

import pytest

from spacy_luke.converters import read_label_studio

CONFIG = """
<View>
  <Relations><Relation value="met"/></Relations>
  <Labels name="ner" toName="letter"><Label value="PER"/><Label value="LOC"/></Labels>
  <Text name="letter" value="$body"/>
</View>
"""
TEXT = "\U0001f44d Ada met Babbage in London."


def ask(client, *tasks: object, config: str | None = CONFIG, **more: object):
    body = {
        "tasks": list(tasks),
        "label_config": config,
        "project": "1.1700000000",
        "params": {"context": None},
        **more,
    }
    return client.post("/label-studio/predict", json=body)


def test_a_backend_is_there_and_sets_a_project_up(client):
    for path in ("", "/", "/health"):
        assert client.get(f"/label-studio{path}").json()["status"] == "UP"
    body = {"project": "1.17", "schema": CONFIG, "hostname": "http://localhost:8080", "access_token": "a"}
    assert client.post("/label-studio/setup", json=body).json() == {"model_version": "en_rules-1.2.3"}


def test_tasks_get_predictions_with_scores_and_the_names_of_the_interface(client):
    tasks = [{"id": 1, "data": {"body": TEXT, "more": 1}, "annotations": []}, {"id": 2, "data": {"body": "-"}}]
    answer = ask(client, *tasks)
    assert answer.status_code == 200
    found = answer.json()
    assert found["model_version"] == "en_rules-1.2.3"
    first, second = found["results"]
    assert (first["model_version"], first["score"]) == ("en_rules-1.2.3", 0.4)
    assert second == {"model_version": "en_rules-1.2.3", "result": []}
    ada, babbage, london, met, _ = first["result"]
    assert ada == {
        "id": "m0",
        "from_name": "ner",
        "to_name": "letter",
        "type": "labels",
        "value": {"start": 2, "end": 5, "text": "Ada", "labels": ["PER"]},
        "score": 0.9,
    }
    assert met["type"] == "relation"
    assert (met["from_id"], met["to_id"], met["labels"]) == (ada["id"], babbage["id"], ["met"])
    assert met["score"] == 0.6
    assert london["value"]["labels"] == ["LOC"]


def test_predictions_are_read_again_as_they_were_made(client, tmp_path):
    task = {"id": 1, "data": {"body": TEXT}}
    predictions = ask(client, task).json()["results"]
    (tmp_path / "tasks.json").write_text(json.dumps([{**task, "predictions": predictions}]), encoding="utf8")
    (doc,), _ = read_label_studio(tmp_path / "tasks.json", results="predictions")
    assert [(ent.text, ent.label_, ent._.score) for ent in doc.ents] == [
        ("Ada", "PER", 0.9),
        ("Babbage", "PER", 0.7),
        ("London", "LOC", 0.4),
    ]
    assert [(r.head.text, r.tail.text, r.label, r.score) for r in doc._.relations] == [
        ("Ada", "Babbage", "met", 0.6),
        ("Babbage", "London", "met", 0.6),
    ]


@pytest.mark.parametrize(
    ("old", "new", "texts", "relations"),
    [
        ('<Label value="LOC"/>', "", ["Ada", "Babbage"], 1),
        ('<Label value="PER"/>', '<Label value="Person" alias="PER"/>', ["Ada", "Babbage", "London"], 2),
        ('<Relation value="met"/>', '<Relation value="knows"/>', ["Ada", "Babbage", "London"], 0),
        ('<Relations><Relation value="met"/></Relations>', "", ["Ada", "Babbage", "London"], 2),
        ("Labels", "Other", [], 0),
    ],
)
def test_what_the_interface_has_no_label_for_is_left_out(client, old, new, texts, relations):
    assert old in CONFIG
    (found,) = ask(client, {"data": {"body": TEXT}}, config=CONFIG.replace(old, new)).json()["results"]
    assert [item["value"]["text"] for item in found["result"] if item["type"] == "labels"] == texts
    assert sum(item["type"] == "relation" for item in found["result"]) == relations


def test_without_an_interface_names_are_those_of_exports(client):
    (found,) = ask(client, {"data": {"text": "Ada"}}, config=None).json()["results"]
    assert [(item["from_name"], item["to_name"]) for item in found["result"]] == [("label", "text")]


@pytest.mark.parametrize(
    ("config", "data", "reason"),
    [
        ("<View>", {"body": "a"}, "it is no XML"),
        ("<View/>", {"body": "a"}, "it has no Text"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><View/>', {"body": "a"}, "document type"),
        (CONFIG, {"text": "a"}, "has no string 'body'"),
        (CONFIG, {"body": ["a"]}, "has no string 'body'"),
    ],
)
def test_what_cannot_be_predicted_is_refused_with_a_reason(client, config, data, reason):
    answer = ask(client, {"data": data}, config=config)
    assert answer.status_code == 422
    assert reason in answer.json()["detail"]


@pytest.mark.parametrize(
    "body", [{}, {"tasks": 1}, {"tasks": [{}]}, {"tasks": [{"data": "a"}]}, {"tasks": [], "label_config": 1}]
)
def test_wrong_types_are_refused(client, body):
    assert client.post("/label-studio/predict", json=body).status_code == 422
