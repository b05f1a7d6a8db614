from __future__ import annotations

from spacy import displacy as spacy_displacy
from spacy.tokens import Span

from spacy_luke import displacy
from spacy_luke.displacy.entities import parse_ents

from .markup import classes


def entities(markup: str) -> list[str]:
    return [" ".join(mark.split()) for mark in classes(markup.replace("<br>", "<br/>"), "entity")]


def test_entities_with_their_scores(curie):
    for ent, score in zip(curie.ents, (0.9, 0.8, 0.7, 0.6), strict=True):
        ent._.score = score
    markup = displacy.render(curie, style="ent")
    assert entities(markup) == [
        "Marie Curie PERSON 0.90",
        "Warsaw GPE 0.80",
        "Paris GPE 0.70",
        "Pierre Curie PERSON 0.60",
    ]
    assert entities(displacy.render(curie, style="ent", options={"min_score": 0.9})) == ["Marie Curie PERSON 0.90"]
    assert entities(displacy.render(curie, style="ent", options={"ents": ["GPE"], "scores": False})) == [
        "Warsaw GPE",
        "Paris GPE",
    ]


def test_without_scores_the_markup_is_displacys(curie):
    markup = displacy.render(curie, style="ent")
    assert spacy_displacy.render(curie, style="ent", jupyter=False).strip() in markup


def test_labels_and_links_are_escaped(nlp):
    bad = "<script>\"'&"
    doc = nlp(f"Ada {bad}")
    doc.ents = [Span(doc, 0, 1, label=bad, kb_id=bad)]
    markup = displacy.render(doc, style="ent", options={"kb_url_template": f"https://example.org/{bad}{{}}"})
    assert "<script" not in markup
    assert entities(markup) == [f"Ada {bad} {bad}"]


def test_a_link_to_nothing_is_not_shown(nlp):
    doc = nlp("Ada met Bo")
    doc.ents = [Span(doc, 0, 1, label="PER", kb_id="NIL"), Span(doc, 2, 3, label="PER", kb_id="Q1")]
    options = {"kb_url_template": "https://example.org/{}"}
    markup = displacy.render(doc, style="ent", options=options)
    assert "NIL" not in markup
    assert 'href="https://example.org/Q1"' in markup
    assert [ent["kb_id"] for ent in parse_ents(doc, options)["ents"]] == ["", "Q1"]


def test_a_title_in_an_address_is_quoted(nlp):
    doc = nlp("Ada met Bo")
    doc.ents = [Span(doc, 0, 1, label="PER", kb_id="Ada & co")]
    options = {"kb_url_template": "https://en.wikipedia.org/wiki/{}"}
    assert 'href="https://en.wikipedia.org/wiki/Ada_%26_co"' in displacy.render(doc, style="ent", options=options)
    assert [ent["kb_url"] for ent in parse_ents(doc)["ents"]] == ["#"]
