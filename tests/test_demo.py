"""The pure functions of scripts/demo.py; `make demo` runs the whole of it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, Span

import spacy_luke  # noqa: F401  (registers span._.score)

SCRIPT = Path(__file__).parents[1] / "scripts" / "demo.py"


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


def test_rows_name_entity_type_score_and_paragraph(demo, doc):
    assert demo.entity_rows([spacy.blank("en")("Nothing"), doc]) == [
        ("Ada", "PER", "0.988", "2"),
        ("Paris", "LOC", "-", "2"),
    ]


def test_the_columns_of_the_table_line_up(demo, doc):
    header, _, first, second = demo.table(demo.entity_rows([doc])).splitlines()
    assert header.index("type") == first.index("PER") == second.index("LOC")


def test_a_table_without_entities_is_its_header(demo):
    assert len(demo.table([]).splitlines()) == 2


def test_the_page_marks_entities_with_type_and_score(demo, doc):
    html = demo.page([doc], title="a <title>")
    assert html.count("<mark") == 2
    assert "0.988" in html
    assert demo.COLORS["LOC"] in html
    assert "<title>a &lt;title&gt;</title>" in html
    assert "&lt;b&gt;" in html
    assert "<b>" not in html


def test_the_page_names_its_encoding_and_loads_nothing(demo, doc):
    html = demo.page([doc], title="t")
    assert '<meta charset="utf-8">' in html
    assert "http" not in html


def test_the_demo_text_is_there(demo):
    assert len(demo.paragraphs(demo.TEXT.read_text(encoding="utf8"))) > 3
