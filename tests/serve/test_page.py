"""What the page gets from the server."""

from __future__ import annotations

import re

import pytest

from spacy_luke import to_dict
from spacy_luke.annotations.questions import set_questions
from spacy_luke.displacy import parse_overview, stylesheet
from spacy_luke.serve.page import draw, keep

from .conftest import served

TEXT = "Ada met Babbage in <b> London </b>."
QUESTION = "Who <i>met</i> Babbage?"


@pytest.fixture(scope="module")
def doc(nlp):
    doc = nlp.make_doc(TEXT)
    set_questions(doc, [QUESTION])
    return nlp(doc)


def test_the_page_is_three_files_that_load_nothing_from_elsewhere(client):
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'; script-src 'self';" in page.headers["content-security-policy"]
    parts = {name: client.get(f"/{name}") for name in ("page.css", "page.js")}
    assert parts["page.css"].headers["content-type"].startswith("text/css")
    assert parts["page.js"].headers["content-type"].startswith("text/javascript")
    assert parts["page.css"].text.startswith(stylesheet())
    for text in (page.text, *(part.text for part in parts.values())):
        assert not re.search(r"https?://|//[a-z]+\.|@import|url\(", text)
    assert set(re.findall(r'(?:src|href)="([^"]*)"', page.text)) == {"data:,", "page.css", "page.js", "openapi.json"}
    assert not re.search(r"<script>|<style|\son[a-z]+=", page.text), "the policy would not run it"


def test_what_was_found_comes_with_what_is_to_be_drawn(client, doc):
    answer = client.post("/page/annotate", json={"text": TEXT, "questions": [QUESTION]})
    assert answer.status_code == 200
    assert answer.json()["result"] == to_dict(doc)
    assert answer.json()["parsed"] == parse_overview(doc)


def test_drawings_have_all_texts_escaped(client, doc):
    answer = client.post("/page/draw", json={"parsed": parse_overview(doc)}).json()
    assert (answer["shown"], answer["found"]) == (5, 5)
    for text in (answer["html"], answer["legend"]):
        assert "<b>" not in text
        assert "<i>" not in text
    assert "&lt;i&gt;met&lt;/i&gt;" in answer["html"]
    assert 'class="luke-wide"' in answer["html"]


@pytest.mark.parametrize(
    ("least", "spans", "relations", "answers"),
    [(0, 3, 2, 1), (0.5, 2, 1, 1), (0.65, 2, 0, 1), (0.8, 1, 0, 1), (0.85, 1, 0, 0), (1, 0, 0, 0)],
)
def test_what_is_less_probable_goes_with_its_relations(doc, least, spans, relations, answers):
    kept = keep(parse_overview(doc), least)
    assert len(kept["spans"]) == spans
    assert len(kept["relations"]) == relations
    assert all(max(relation["head"], relation["tail"]) < spans for relation in kept["relations"])
    found = [answer for question in kept["questions"] for answer in question["answers"]]
    assert sum(answer["start"] is not None for answer in found) == answers
    assert len(found) == 1
    drawn = draw(parse_overview(doc), least)
    assert (drawn["shown"], drawn["found"]) == (spans + relations, 5)
    assert ("no answer" in drawn["html"]) == (not answers)


def test_a_relation_keeps_its_ends_when_others_go(doc):
    parsed = parse_overview(doc)
    first, second, third = parsed["spans"]
    parsed = {**parsed, "spans": [{**first, "score": 0.1}, second, {**third, "score": None}]}
    kept = keep(parsed, 0.5)
    assert [span["start_token"] for span in kept["spans"]] == [second["start_token"], third["start_token"]]
    assert [(relation["head"], relation["tail"]) for relation in kept["relations"]] == [(0, 1)]


def test_labels_keep_their_colours_whatever_the_least_score(nlp):
    doc = nlp("Ada met Babbage in London.")
    parsed = parse_overview(doc)
    labels = ["first", "second"]
    relations = [
        {**relation, "label": label, "score": score}
        for relation, label, score in zip(parsed["relations"], labels, (0.1, 0.9), strict=True)
    ]
    named = zip(parsed["spans"], "XYZ", (0.1, 1, 1), strict=True)
    spans = [{**span, "label": label, "score": score} for span, label, score in named]
    parsed = {**parsed, "relations": relations, "spans": spans}

    def colors(least: float) -> dict[str, str]:
        legend = draw(parsed, least)["legend"]
        return dict(re.findall(r"<li>.*?style=\"--(?:type|line): ([^\"]*)\".*?</span>(.*?)</li>", legend))

    every, some = draw(parsed, 0)["legend"], draw(parsed, 0.5)["legend"]
    assert "first" in every
    assert "first" not in some
    assert set(colors(0.5)) < set(colors(0))
    assert colors(0.5).items() <= colors(0).items()


def test_links_lead_where_the_settings_say(nlp, doc):
    parsed = parse_overview(doc)
    parsed = {**parsed, "spans": [{**span, "kb_id": "Ada Lovelace"} for span in parsed["spans"]]}
    assert 'href="https://en.wikipedia.org/wiki/Ada' in draw(parsed, 0, "https://en.wikipedia.org/wiki/{}")["html"]
    with served(nlp, kb_url_template="https://example.org/{}") as client:
        assert "https://example.org/Ada" in client.post("/page/draw", json={"parsed": parsed}).json()["html"]


@pytest.mark.parametrize(
    "parsed",
    [
        {},
        {"tokens": ["a"]},
        {"tokens": ["a"], "spans": 1, "relations": []},
        {"tokens": ["a"], "spans": [{}], "relations": []},
        {"tokens": ["a"], "spans": [], "relations": [{"head": 0, "tail": 1}]},
        {"tokens": ["a"], "spans": [{"start_token": 0, "end_token": 1, "types": [1]}], "relations": []},
        {"tokens": ["a"], "spans": [], "relations": [], "text": "a", "questions": [{"question": "b"}]},
        {"tokens": [1], "spans": [], "relations": []},
    ],
)
def test_what_cannot_be_drawn_is_refused(client, parsed):
    answer = client.post("/page/draw", json={"parsed": parsed})
    assert answer.status_code == 422
    assert "[L077]" in answer.json()["detail"]


def test_limits_are_those_of_texts(nlp, doc):
    with served(nlp, max_characters=10) as client:
        for path, body in (("annotate", {"text": TEXT}), ("draw", {"parsed": parse_overview(doc)})):
            answer = client.post(f"/page/{path}", json=body)
            assert (answer.status_code, answer.json()["detail"][:6]) == (413, "[L197]")
    with served(nlp) as client:
        assert client.post("/page/draw", json={"parsed": {}, "min_score": 2}).status_code == 422
