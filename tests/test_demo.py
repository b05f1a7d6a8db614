"""The pure functions of examples/demo.py; `make demo` runs the whole of it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, Span

from spacy_luke.annotations import Answer, Relation, set_answers, set_entity_types, set_relations

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


def test_rows_name_entity_type_score_finer_types_link_and_paragraph(demo, doc):
    set_entity_types(doc.ents[0], ["person", "scientist"])
    doc[-1].ent_kb_id_ = "Paris, Texas"
    assert demo.entity_rows([spacy.blank("en")("Nothing"), doc]) == [
        ("Ada", "PER", "0.988", "person, scientist", "", "2"),
        ("Paris", "LOC", "-", "", "Paris, Texas", "2"),
    ]


def test_a_link_to_nothing_is_not_shown(demo, doc):
    doc[-1].ent_kb_id_ = "NIL"
    assert demo.entity_rows([doc])[1] == ("Paris", "LOC", "-", "", "", "1")
    assert "NIL" not in demo.page([doc], title="a page")


def test_relations_and_the_best_answers_have_rows(demo, doc):
    set_relations(doc, [Relation(doc.ents[0], doc.ents[1], "lives in", 0.75)])
    other = spacy.blank("en")("Bob was here .")
    set_answers(doc, [Answer("Who?", doc.ents[0], score=0.7, logit=8.0), Answer("Where?", None)])
    set_answers(other, [Answer("Who?", other[0:1], score=0.6, logit=9.5), Answer("Where?", None)])
    assert demo.relation_rows([doc, other]) == [("lives in", "Ada", "Paris", "0.750", "1")]
    assert demo.answer_rows([doc, other], ["Who?", "Where?"]) == [
        ("Who?", "Bob", "0.600", "2"),
        ("Where?", "no answer", "", ""),
    ]


def test_the_columns_of_the_table_line_up_and_empty_ones_are_left_out(demo, doc):
    header, _, first, second = demo.table(demo.ENTITIES, demo.entity_rows([doc])).splitlines()
    assert header.split() == ["entity", "type", "score", "paragraph"]
    assert header.index("type") == first.index("PER") == second.index("LOC")


def test_a_table_without_entities_is_its_header(demo):
    assert len(demo.table(demo.ENTITIES, []).splitlines()) == 2


def test_the_page_marks_entities_with_type_and_score(demo, doc):
    html = demo.page([doc], title="a <title>")
    assert html.count("<mark") == 2
    assert "lives in" not in html
    assert "0.99" in html
    assert demo.COLORS["LOC"] in html
    assert "<title>a &lt;title&gt;</title>" in html
    assert "&lt;b&gt;" in html
    assert "<b>" not in html


def test_the_page_draws_relations(demo, doc):
    set_relations(doc, [Relation(doc.ents[0], doc.ents[1], "lives in", 0.75)])
    assert "lives in" in demo.page([doc], title="t")


def test_the_page_names_its_encoding_and_loads_nothing(demo, doc):
    html = demo.page([doc], title="t")
    assert '<meta charset="utf-8">' in html
    assert "http" not in html


def test_the_demo_text_is_there(demo):
    assert len(demo.paragraphs(demo.TEXT.read_text(encoding="utf8"))) > 3
