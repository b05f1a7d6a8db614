"""Behaviour that all styles share: pages, notebooks, manual mode, errors."""

from __future__ import annotations

import copy
import json
import re
import sys
import warnings
from types import ModuleType

import pytest
import spacy
from spacy import displacy as spacy_displacy

from spacy_luke import LukeError, LukeWarning, displacy

from .markup import arc_labels, classes

PARSERS = {
    "relations": displacy.parse_relations,
    "types": displacy.parse_types,
    "answers": displacy.parse_answers,
    "ent": displacy.parse_ents,
}


@pytest.fixture
def doc(curie):
    """A Doc with an annotation of each kind."""
    curie.ents[0]._.entity_types = ["person", "scientist"]
    curie.ents[0]._.entity_type_scores = {"person": 0.99, "scientist": 0.75, "place": 0.01}
    curie.ents[0]._.score = 0.9
    curie._.questions = ["Who?", "Why?"]
    curie._.answers = [("Who?", curie[0:2], "Marie", 0.8), ("Who?", None, "", 0.1)]
    curie.user_data["title"] = "Curie"
    return curie


@pytest.mark.parametrize("style", PARSERS)
def test_manual_mode_draws_the_same(doc, style):
    parsed = PARSERS[style](doc)
    written = json.loads(json.dumps(parsed))
    before = copy.deepcopy(written)
    assert displacy.render(written, style=style, manual=True) == displacy.render(doc, style=style)
    assert written == before


@pytest.mark.parametrize("style", PARSERS)
def test_the_same_doc_gives_the_same_markup(doc, style):
    assert displacy.render(doc, style=style) == displacy.render(doc, style=style)


@pytest.mark.parametrize("style", PARSERS)
@pytest.mark.parametrize("minify", [False, True])
def test_a_page_loads_nothing_and_names_its_encoding(doc, style, minify):
    page = displacy.render([doc, doc], style=style, page=True, minify=minify)
    assert page.startswith("<!DOCTYPE html>")
    assert '<meta charset="utf-8">' in page
    assert page.count("<figure") == 2
    assert page.count("Curie</h2>") == 2
    assert not re.search(r"<script|<link|<img|<iframe|@import|url\(|\ssrc=", page)
    assert {address for address in re.findall(r"https?://[^\"'\s]+", page)} <= {"http://www.w3.org/2000/svg"}


def test_minify_leaves_the_spaces_and_line_ends_of_the_text(nlp):
    doc = nlp("a    b\nc")
    doc._.answers = [("?", doc[0:1])]
    page = displacy.render(doc, style="answers", page=True, minify=True)
    assert "    b\nc" in page
    assert "<html" in page
    assert len(page) < len(displacy.render(doc, style="answers", page=True))


@pytest.mark.parametrize("style", PARSERS)
def test_no_docs_give_an_empty_page(style):
    assert displacy.render([], style=style) == ""
    assert "<html" in displacy.render([], style=style, page=True)


def test_any_iterable_of_docs(doc):
    assert displacy.render(iter([doc, doc])) == displacy.render(doc) * 2


def test_a_span_with_what_is_annotated_in_it(doc):
    assert arc_labels(displacy.render(doc[0:6])) == ["born_in 0.97"]
    assert classes(displacy.render(doc[0:6], style="types"), "luke-label") == ["person 0.99", "scientist 0.75"]


@pytest.mark.parametrize("jupyter", [True, None])
def test_in_a_notebook_the_markup_is_displayed(doc, monkeypatch, jupyter):
    shown = []
    notebook = ModuleType("IPython.display")
    notebook.HTML = lambda markup: ("html", markup)
    notebook.display = shown.append
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", notebook)
    expected = displacy.render(doc, jupyter=False)
    monkeypatch.setattr(spacy_displacy, "is_in_jupyter", lambda: True)
    assert displacy.render(doc, jupyter=jupyter) is None
    assert shown == [("html", f'<span class="tex2jax_ignore">{expected}</span>')]
    assert displacy.render(doc, jupyter=False) == expected


def test_displacys_render_wrapper_is_used(doc, monkeypatch):
    monkeypatch.setattr(spacy_displacy, "RENDER_WRAPPER", lambda markup: f"<aside>{markup}</aside>")
    assert displacy.render(doc).startswith("<aside><div")


def test_the_options_are_not_changed(doc):
    options = {"colors": {"person": "#fff"}, "min_score": 0.1}
    for style in PARSERS:
        displacy.render(doc, style=style, options=options)
    assert options == {"colors": {"person": "#fff"}, "min_score": 0.1}


def test_an_unknown_style():
    with pytest.raises(LukeError, match=r"'dep'.*relations, types, answers, ent") as error:
        displacy.render([], style="dep")
    assert error.value.code == "L076"


@pytest.mark.parametrize(("value", "manual"), [("Ada", False), ({"tokens": []}, False), (3, True)])
def test_what_is_no_doc(value, manual):
    with pytest.raises(LukeError) as error:
        displacy.render([value], manual=manual)
    assert error.value.code == "L077"


@pytest.mark.parametrize(
    "options",
    [
        {"min_score": 2},
        {"min_score": "0.5"},
        {"labels": "born_in"},
        {"ents": 3},
        {"width": -1},
        {"width": float("inf")},
        {"n_best": True},
        {"direction": "up"},
    ],
)
def test_a_wrong_option_is_named(doc, options):
    with pytest.raises(LukeError, match=re.escape(f'options["{next(iter(options))}"]')) as error:
        displacy.render(doc, options=options)
    assert error.value.code == "L047"


@pytest.mark.parametrize("style", ["relations", "types", "answers", "ent"])
@pytest.mark.parametrize(("option", "meant"), [("min_scor", "min_score"), ("colours", "colors"), ("xyz", None)])
def test_an_option_that_there_is_not_is_an_error_with_the_known_ones(doc, style, option, meant):
    hint = rf" \(is '{meant}' meant\?\)" if meant else ""
    with pytest.raises(
        LukeError, match=rf'L047.*options\["{option}"\].*no such option{hint}; known: .*min_score.*n_best'
    ):
        displacy.render(doc, style=style, options={option: 0.5})


def test_options_of_displacys_own_styles_are_left_to_them(doc):
    """So that one dict may be for all views."""
    own = {"compact": True, "word_spacing": 45, "kb_url_template": "https://x/{}", "spans_key": "sc", "add_lemma": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert displacy.render(doc, options=own) == displacy.render(doc)


@pytest.mark.parametrize(("style", "component"), [("types", "luke_entity_typer"), ("answers", "luke_qa")])
def test_a_doc_that_is_not_annotated_gives_a_warning(style, component):
    doc = spacy.blank("en")("Ada met Bob.")
    with pytest.warns(LukeWarning, match=rf"\[W010\].*{component}"):
        assert "Ada met Bob." in displacy.render(doc, style=style)


@pytest.mark.parametrize("wrong", [None, 3])
def test_what_is_neither_a_doc_nor_several_is_an_error(wrong):
    with pytest.raises(LukeError, match=r"L077.*neither a Doc nor several"):
        displacy.render(wrong)


def test_colors_that_are_no_dict_are_an_error():
    with pytest.raises(LukeError, match=r"L047.*colors.*dict"):
        displacy.render([], options={"colors": "red"})
