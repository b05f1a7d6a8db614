"""The pure functions of examples/demo.py; `make demo` runs the whole of it."""

from __future__ import annotations

import importlib.util
import io
import re
from pathlib import Path

import pytest
import spacy
from rich.console import Console
from spacy.tokens import Doc, Span

from spacy_luke import displacy
from spacy_luke.annotations import (
    Answer,
    Relation,
    get_answers,
    get_questions,
    set_answers,
    set_entity_types,
    set_relations,
)

SCRIPT = Path(__file__).parents[1] / "examples" / "demo.py"


@pytest.fixture(scope="module")
def demo():
    spec = importlib.util.spec_from_file_location("demo", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def doc() -> Doc:
    doc = spacy.blank("en")("Ada <b> works for R&D in Paris")
    doc.set_ents([Span(doc, 0, 1, "PER"), Span(doc, len(doc) - 1, len(doc), "LOC")])
    doc.ents[0]._.score = 0.98765
    return doc


def test_paragraphs_are_cut_at_blank_lines_and_put_on_one_line(demo):
    assert demo.paragraphs("One\ntwo.\r\n\r\n\n\n  Three.\n") == ["One two.", "Three."]
    assert demo.paragraphs(" \n\n") == []


def test_rows_name_entity_types_link_score_and_paragraph(demo, doc):
    set_entity_types(doc.ents[0], ["person", "scientist"])
    doc[-1].ent_kb_id_ = "Paris, Texas"
    assert demo.entity_rows([spacy.blank("en")("Nothing"), doc]) == [
        ("Ada", "PER", "person, scientist", "", "0.99", "2"),
        ("Paris", "LOC", "", "Paris, Texas", "", "2"),
    ]


def test_a_link_to_nothing_is_not_shown(demo, doc):
    doc[-1].ent_kb_id_ = "NIL"
    assert demo.entity_rows([doc])[1] == ("Paris", "LOC", "", "", "", "1")
    assert "NIL" not in demo.page([doc], title="a page")


@pytest.fixture
def other() -> Doc:
    return spacy.blank("en")("Bob was here .")


@pytest.fixture
def answers(demo, doc, other) -> dict:
    set_relations(doc, [Relation(doc.ents[0], doc.ents[1], "lives in", 0.75)])
    set_answers(doc, [Answer("Who?", doc.ents[0], score=0.5, logit=9.8), Answer("Where?", None)])
    set_answers(other, [Answer("Who?", other[0:1], score=0.6, logit=9.5), Answer("Where?", None)])
    return demo.best_answers([doc, other], ["Who?", "Where?"])


def test_relations_and_the_best_answers_have_rows(demo, doc, other, answers):
    assert demo.relation_rows([doc, other]) == [("Ada", "lives in", "Paris", "0.75", "1")]
    assert demo.answer_rows(answers) == [("Who?", "Bob", "0.60", "2"), ("Where?", "no answer", "", "")]


def test_an_answer_is_shown_with_the_paragraph_that_has_it(demo, doc, other, answers):
    demo.keep_answers([doc, other], answers)
    assert get_questions(doc) == get_answers(doc) == ()
    assert get_questions(other) == ("Who?",)
    assert [answer.text for answer in get_answers(other)] == ["Bob"]
    assert demo.page([doc, other], title="t").count("Who?") == 1


def test_the_best_are_the_most_probable_each_once(demo):
    rows = [
        ("Ada", "PER", "", "", "0.90", "1"),
        ("Ada", "PER", "", "", "0.95", "2"),
        ("1843", "DATE", "", "", "", "2"),
        ("Ada", "ORG", "", "", "0.50", "3"),
        ("Bob", "PER", "", "", "0.99", "3"),
    ]
    assert [(row[0], row[1], row[5]) for row in demo.best(demo.ENTITIES, rows, 3)] == [
        ("Bob", "PER", "3"),
        ("Ada", "PER", "2"),
        ("Ada", "ORG", "3"),
    ]
    assert len(demo.best(demo.ENTITIES, rows, 10)) == 4
    assert demo.best(demo.ENTITIES, rows, 10)[-1][0] == "1843", "what has no score comes last"


def printed(table) -> list[str]:
    console = Console(file=io.StringIO(), width=100)
    console.print(table)
    return console.file.getvalue().splitlines()


def test_the_columns_of_the_table_line_up_and_empty_ones_are_left_out(demo, doc):
    lines = printed(demo.table("Found", demo.ENTITIES, demo.entity_rows([doc])))
    header, first, second = (next(line for line in lines if word in line) for word in ("entity", "Ada", "Paris"))
    assert header.split() == ["entity", "type", "score", "paragraph"]
    assert header.index("type") == first.index("PER") == second.index("LOC")
    assert lines[0].startswith("Found")


def test_a_table_without_entities_is_its_header(demo):
    assert [line.split() for line in printed(demo.table("", demo.ENTITIES, [])) if line.strip(" ─")] == [
        ["entity", "type", "finer", "types", "Wikipedia", "score", "paragraph"]
    ]


def test_a_name_that_looks_like_markup_is_printed_as_it_is(demo):
    row = ("[bold]Ada[/bold]", "PER", "", "", "", "1")
    assert any("[bold]Ada[/bold]" in line for line in printed(demo.table("", demo.ENTITIES, [row])))


def test_the_page_marks_entities_with_type_and_score(demo, doc):
    html = demo.page([doc], title="a <title>")
    # In the drawing for each width
    assert html.count('<g class="luke-span">') == 2 * html.count("<svg")
    assert "lives in" not in html
    assert "0.99" in html
    assert displacy.QUIET_COLORS["LOC"] in html
    assert "<title>a &lt;title&gt;</title>" in html
    assert "&lt;b&gt;" in html
    assert "<b>" not in html


def test_the_page_draws_relations_that_are_probable(demo, doc):
    set_relations(
        doc,
        [Relation(doc.ents[0], doc.ents[1], "lives in", 0.75), Relation(doc.ents[1], doc.ents[0], "met in", 0.2)],
    )
    html = demo.page([doc], title="t")
    assert "lives in" in html
    assert "met in" not in html
    assert "1 of 2 not shown" in html


def test_links_lead_to_the_wikipedia_of_the_language(demo):
    doc = spacy.blank("de")("Ada in Zürich")
    doc.set_ents([Span(doc, 2, 3, "LOC", kb_id="Zürich")])
    assert 'href="https://de.wikipedia.org/wiki/Z%C3%BCrich"' in demo.page([doc], title="t")


def test_the_page_names_its_encoding_and_loads_nothing(demo, doc):
    html = demo.page([doc], title="t", about="What was found.")
    assert '<meta charset="utf-8">' in html
    assert "What was found." in html
    assert set(re.findall(r"https?:[^\"'\s]+", html)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<script|<link|<img|<iframe|@import|url\(|\ssrc=", html)


def test_a_text_without_words_is_an_empty_page(demo):
    assert "<h1>t</h1>" in demo.page([], title="t")


def test_the_demo_text_is_there(demo):
    assert len(demo.paragraphs(demo.TEXT.read_text(encoding="utf8"))) > 3
