"""Texts in, results out, as `to_dict` has them; what is wrong is refused with a reason."""

from __future__ import annotations

import asyncio
import json

import pytest
import spacy

from spacy_luke import to_dict
from spacy_luke.annotations.questions import set_questions
from spacy_luke.annotations.results import KEYS
from spacy_luke.serve.schema import Annotation
from tests.pipeline.every_component import asked, open_component
from tests.scale.corpus import in_one_process, make_rows, rounded, write_pipeline

from .conftest import served, together, until
from .rules import make_pipeline

TEXT = "Ada met Babbage in London."
QUESTIONS = ["Who met Babbage?"]


def annotated(nlp, text: str, questions=()) -> dict:
    doc = nlp.make_doc(text)
    if questions:
        set_questions(doc, questions)
    return to_dict(nlp(doc))


def test_a_text_is_annotated_as_the_pipeline_does(client, nlp):
    answer = client.post("/annotate", json={"text": TEXT})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == annotated(nlp, TEXT)
    assert len(answer.json()["relations"]) == 2


def test_a_list_of_texts_gives_a_list_of_results_in_its_order(client, nlp):
    texts = [TEXT, "", "Babbage. \U0001f44d London"]
    assert client.post("/annotate", json={"text": texts}).json() == [annotated(nlp, text) for text in texts]
    assert client.post("/annotate", json={"text": []}).json() == []


def test_questions_are_asked_about_each_text(client, nlp):
    found = client.post("/annotate", json={"text": [TEXT, "Nobody."], "questions": QUESTIONS}).json()
    assert found == [annotated(nlp, text, QUESTIONS) for text in (TEXT, "Nobody.")]
    assert found[0]["answers"][0]["text"] == "Ada"


def test_only_the_components_that_are_named_run(client):
    found = client.post("/annotate", json={"text": TEXT, "components": ["names"]}).json()
    assert [entity["text"] for entity in found["entities"]] == ["Ada", "Babbage", "London"]
    assert "relations" not in found
    assert set(client.post("/annotate", json={"text": TEXT, "components": []}).json()) == {"text"}
    assert "relations" in client.post("/annotate", json={"text": TEXT}).json(), "it was for one request"


def test_a_component_that_there_is_not_is_refused(client):
    answer = client.post("/annotate", json={"text": TEXT, "components": ["names", "ner"]})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("[L047] components = ['ner']")


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "text"),
        ({"text": 1}, "text"),
        ({"text": None}, "text"),
        ({"text": {"a": "b"}}, "text"),
        ({"text": ["a", 1]}, "text.1"),
        ({"text": "a", "questions": "b"}, "questions"),
        ({"text": "a", "questions": [1]}, "questions.0"),
        ({"text": "a", "components": "names"}, "components"),
        ({"text": "a", "min_score": 1}, "min_score"),
        ([], "body"),
        ("text", "body"),
        (None, "body"),
    ],
)
def test_wrong_types_are_refused_with_the_place(client, body, place):
    answer = client.post("/annotate", json=body)
    assert answer.status_code == 422
    assert place in answer.json()["detail"]


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b'{"text": "a"} {}'])
def test_what_is_no_json_is_refused(client, content):
    answer = client.post("/annotate", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert isinstance(answer.json()["detail"], str)


def test_json_has_to_say_that_it_is(client):
    """A form of another site could send it otherwise, without asking."""
    answer = client.post("/annotate", content=json.dumps({"text": TEXT}), headers={"Content-Type": "text/plain"})
    assert answer.status_code == 422


@pytest.mark.parametrize(
    "field", [{"text": "a\ud800"}, {"text": "a", "questions": ["\udfff"]}, {"text": "a", "\ud800": 1}]
)
def test_half_a_character_is_refused(client, field):
    answer = client.post("/annotate", content=json.dumps(field), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)


def test_what_was_sent_is_not_sent_back_with_the_reason(client):
    answer = client.post("/annotate", json={"text": "a", "questions": {"secret": "x" * 1000}})
    assert "xxx" not in answer.text
    assert len(answer.content) < 300


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({"text": "a" * 101}, "The text is larger than 100 characters"),
        ({"text": ["a" * 60, "a" * 60]}, "The text is larger than 100 characters"),
        ({"text": "a" * 60, "questions": ["a" * 60]}, "The text is larger than 100 characters"),
        ({"text": ["a"] * 5}, "The list of texts is larger than 4"),
        ({"text": "a", "questions": ["a"] * 5}, "The list of questions is larger than 4"),
    ],
)
def test_what_is_too_large_is_refused_with_the_limit(nlp, body, what):
    with served(nlp, max_characters=100, max_texts=4) as client:
        answer = client.post("/annotate", json=body)
        assert answer.status_code == 413
        assert answer.json()["detail"].startswith(f"[L197] {what}")
        assert client.post("/annotate", json={"text": ["a" * 25] * 4}).status_code == 200


def test_a_text_that_cannot_be_annotated_is_an_error_that_names_it(client, nlp):
    answer = client.post("/annotate", json={"text": [TEXT, "RAISE"]})
    assert answer.status_code == 500
    assert answer.json() == {"detail": "[L199] Text 2 cannot be annotated: RuntimeError: what the text says."}
    assert client.post("/annotate", json={"text": TEXT}).json() == annotated(nlp, TEXT)


def test_a_text_longer_than_the_pipeline_takes_is_an_error():
    nlp = make_pipeline()
    nlp.max_length = 10
    with served(nlp) as client:
        assert client.post("/annotate", json={"text": TEXT}).json()["detail"].startswith("[L199] Text 1 ")


def test_an_error_in_a_batch_harms_no_other_request(nlp, closed):
    async def ask(client, app):
        first = asyncio.ensure_future(client.post("/annotate", json={"text": "WAIT"}))
        while not app.state.batcher.running:
            await asyncio.sleep(0.01)
        others = [
            asyncio.ensure_future(client.post("/annotate", json={"text": text})) for text in (TEXT, "RAISE", "London")
        ]
        while app.state.batcher.waiting < 3:
            await asyncio.sleep(0.01)
        closed.set()
        return [answer.status_code for answer in await asyncio.gather(first, *others)], app.state.batcher.counts.batches

    statuses, batches = together(nlp, ask)
    assert statuses == [200, 200, 500, 200]
    assert batches == {1: 1, 3: 1}


def test_parallel_requests_get_what_nlp_pipe_gives(tmp_path):
    pipeline = write_pipeline(tmp_path)
    texts = [row["text"] for row in make_rows(24)]

    async def ask(client, app):
        answers = await asyncio.gather(*(client.post("/annotate", json={"text": text}) for text in texts))
        return [answer.json() for answer in answers], app.state.batcher.counts.batches

    found, batches = together(spacy.load(pipeline), ask)
    assert [rounded(one) for one in found] == in_one_process(spacy.load(pipeline), texts)
    assert max(batches) > 1, "none of them waited for another"


def test_the_vocabulary_does_not_grow_with_the_texts(client, nlp):
    def size() -> tuple[int, int]:
        # An answer may be there before the thread of the model has left the memory zone.
        asyncio.run(until(lambda: client.app.state.batcher.running == 0))
        return len(list(nlp.vocab)), len(nlp.vocab.strings)

    client.post("/annotate", json={"text": TEXT})
    before = size()
    for number in range(20):
        assert client.post("/annotate", json={"text": f"word{number} another{number}."}).status_code == 200
    assert size() == before


@pytest.mark.parametrize(
    "factory", ["luke_ner", "luke_textcat", "luke_multiple_choice", "luke_entity_linker", "luke_qa"]
)
def test_the_schema_takes_all_results(factory, tmp_path):
    nlp, _ = open_component(factory, tmp_path / "checkpoint")
    found = to_dict(nlp(asked(nlp)))
    assert Annotation.model_validate_json(json.dumps(found)).model_dump(exclude_unset=True) == found


def test_the_schema_has_all_keys():
    assert tuple(Annotation.model_fields) == KEYS


def test_the_interface_is_described_without_pages_from_elsewhere(client):
    described = client.get("/openapi.json").json()
    assert {"/annotate", "/health", "/metrics", "/label-studio/predict"} <= set(described["paths"])
    assert not [path for path in described["paths"] if path.startswith("/page")]
    assert "Annotation" in json.dumps(described["paths"]["/annotate"])
    assert client.get("/docs").status_code == client.get("/redoc").status_code == 404


def test_no_other_site_may_read_what_is_answered(client):
    headers = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    for answer in (client.options("/annotate", headers=headers), client.get("/health", headers=headers)):
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert client.options("/annotate", headers=headers).status_code == 405


def test_health_tells_the_model_and_its_components(client):
    assert client.get("/health").json() == {
        "status": "UP",
        "model": "en_rules-1.2.3",
        "components": ["sentencizer", "names", "relations", "answers"],
        "labels": {},
        "waiting": 0,
    }


def test_health_is_bad_when_the_model_has_ended(client):
    client.app.state.batcher.close()
    answer = client.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "DOWN")
    assert client.post("/annotate", json={"text": TEXT}).status_code == 503
