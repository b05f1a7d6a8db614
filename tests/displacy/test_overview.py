"""The view of all that was found in a Doc."""

from __future__ import annotations

import warnings

import pytest
import spacy
from spacy.tokens import Span

from spacy_luke import LukeError, displacy
from spacy_luke.annotations import Answer, set_answers, set_entity_types, set_questions
from spacy_luke.displacy.entities import link_url
from spacy_luke.displacy.overview import readable_label

from .conftest import annotate
from .markup import arc_labels, classes, parse, svgs, text, words

WIKIPEDIA = "https://en.wikipedia.org/wiki/{}"
HOSTILE = "<script>alert('x & \"y\"')</script>"


@pytest.fixture
def doc(nlp):
    doc = annotate(
        nlp,
        "Marie Curie was born in Warsaw. She was at the Sorbonne.",
        {"Marie Curie": "PER", "Warsaw": "LOC", "Sorbonne": "ORG"},
        [("Marie Curie", "Warsaw", "PLACE_OF_BIRTH", 0.97), ("Marie Curie", "Sorbonne", "worked_at", 0.4)],
    )
    person, place, _ = doc.ents
    person._.score = 0.9
    set_entity_types(person, ["person", "scientist"])
    person._.entity_type_scores = {"person": 0.99, "scientist": 0.75}
    doc[place.start].ent_kb_id_ = "Warsaw (city)"
    doc[-2].ent_kb_id_ = "NIL"
    set_questions(doc, ["Where was she born?", "Why?", "Who?"])
    set_answers(doc, [Answer("Where was she born?", place, score=0.8), Answer("Why?", None)])
    return doc


def overview(doc, **options) -> str:
    return displacy.render(doc, style="overview", jupyter=False, options=options)


def notes(markup: str) -> list[str]:
    return [note.find("{*}title").text for note in parse(markup).iter() if note.get("class") == "luke-note"]


def links(markup: str) -> list[str]:
    return [e.get("href") for e in parse(markup).iter() if e.tag.endswith("a") and e.get("href")]


def test_the_text_is_there_once_with_every_arc_between_its_sentences(doc):
    (svg,) = svgs(overview(doc))
    assert [word for word, _ in words(svg)] == [token.text for token in doc]
    assert sorted(arc_labels(overview(doc))) == ["place of birth", "worked at"]
    assert classes(overview(doc), "luke-span") == ["PER", "LOC", "ORG"]


def test_sentences_follow_each_other_and_line_ends_of_the_text_are_kept(nlp):
    (svg,) = svgs(overview(nlp("One. Two.\n\nThree.")))
    lines = {word: room.top for word, room in words(svg)}
    assert lines["One"] == lines["Two"] < lines["Three"]


def test_a_pointer_finds_types_scores_and_links(doc):
    assert notes(overview(doc)) == [
        "Marie Curie: PER 0.90\nperson 0.99, scientist 0.75",
        "Warsaw: LOC\n→ Warsaw (city)",
        "Sorbonne: ORG",
    ]
    titles = [e.find("{*}title").text for e in parse(overview(doc)).iter() if e.get("class") == "luke-arc"]
    assert titles == ["Marie Curie → Warsaw: PLACE_OF_BIRTH (0.970)", "Marie Curie → Sorbonne: worked_at (0.400)"]


def test_links_lead_to_the_address_of_the_options(doc):
    url = "https://en.wikipedia.org/wiki/Warsaw_(city)"
    assert links(overview(doc, kb_url_template=WIKIPEDIA)) == [url, url], "in the text and in the list"
    assert links(overview(doc)) == []
    assert "NIL" not in overview(doc, kb_url_template=WIKIPEDIA)


@pytest.mark.parametrize(
    ("kb_id", "template", "url"),
    [
        ("AC/DC & co?", WIKIPEDIA, "https://en.wikipedia.org/wiki/AC%2FDC_%26_co%3F"),
        ("Q 42", "http://kb.example/{}", "http://kb.example/Q%2042"),
        ('"><script>', "http://kb.example/{}", "http://kb.example/%22%3E%3Cscript%3E"),
        ("Q42", "/kb/{}", "/kb/Q42"),
        ("alert(1)", "javascript:{}", ""),
        ("alert(1)", " JavaScript:{}", ""),
        ("javascript:alert(1)", "{}", ""),
        ("Half \ud800", WIKIPEDIA, "https://en.wikipedia.org/wiki/Half_%3F"),
        ("Q42", "https://kb.example/{}?of={x}", "https://kb.example/Q42?of={x}"),
        ("Q42", None, ""),
        ("", WIKIPEDIA, ""),
    ],
)
def test_an_address_is_quoted_and_of_the_web(kb_id, template, url):
    assert link_url(kb_id, template) == url


@pytest.mark.parametrize("template", ["https://example.org", 3])
def test_an_address_without_a_place_for_the_id_is_an_error(doc, template):
    with pytest.raises(LukeError, match=r"L047.*kb_url_template.*\{\}"):
        overview(doc, kb_url_template=template)


def test_answers_stand_under_their_questions(doc):
    (listed,) = [e for e in parse(overview(doc)).iter("dl")]
    assert [text(e).strip() for e in listed] == [
        "Where was she born?",
        "Warsaw 0.80",
        "Why?",
        "no answer",
        "Who?",
        "not answered yet",
    ]
    assert classes(overview(doc), "luke-answer") == ["Warsaw"]


def test_the_list_has_all_of_it(doc):
    (details,) = parse(overview(doc)).iter("details")
    assert text(details.find("summary")) == "3 entities, 2 relations"
    rows = [[text(cell).strip() for cell in row] for row in details.iter("tr")]
    assert rows == [
        ["entity", "types", "score"],
        ["Marie Curie", "PER · person, scientist", "0.90"],
        ["Warsaw → Warsaw (city)", "LOC", ""],
        ["Sorbonne", "ORG", ""],
        ["relation", "kind", "score"],
        ["Marie Curie → Warsaw", "place of birth", "0.97"],
        ["Marie Curie → Sorbonne", "worked at", "0.40"],
    ]


def test_min_score_hides_relations_from_arcs_and_list(doc):
    markup = overview(doc, min_score=0.5)
    assert arc_labels(markup) == ["place of birth"]
    assert "worked at" not in text(parse(markup))
    assert classes(markup, "luke-fine-print") == ["1 of 2 not shown: score below 0.5"]


def test_a_doc_without_annotation_is_its_text_without_a_warning(nlp):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        markup = overview(nlp("Ada met Bob."))
    (svg,) = svgs(markup)
    assert [word for word, _ in words(svg)] == ["Ada", "met", "Bob", "."]
    assert "<dl" not in markup
    assert "<details" not in markup
    assert svgs(overview(nlp(""))) == []


def test_typed_spans_that_are_no_entities_are_shown_with_their_best_type(nlp):
    doc = nlp("Ada met Bob.")
    set_entity_types(doc[0:1], ["person", "woman"])
    assert classes(overview(doc), "luke-span") == ["person"]
    assert notes(overview(doc)) == ["Ada\nperson, woman"]


def test_user_colours_go_by_the_labels_of_the_doc(doc):
    assert 'stroke="#abcdef"' in overview(doc, colors={"PLACE_OF_BIRTH": "#abcdef"})


def test_the_same_dict_can_be_written_by_hand(doc):
    parsed = displacy.parse_overview(doc)
    assert displacy.render(parsed, style="overview", manual=True, jupyter=False) == overview(doc)
    least = {"tokens": ["Ada", "met"], "spans": [{"start_token": 0, "end_token": 1}], "relations": []}
    (svg,) = svgs(displacy.render(least, style="overview", manual=True, jupyter=False))
    assert [word for word, _ in words(svg)] == ["Ada", "met"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"spans": [{"start_token": 0, "end_token": 1, "types": "person"}]}, "'types' is not a list"),
        ({"spans": [{"start_token": 0, "end_token": 1, "score": "high"}]}, "'score' is not a number"),
        ({"questions": [{"question": "Who?", "answers": [{"start": 0, "end": 99}]}], "text": "Ada"}, "no stretch"),
        ({"questions": [{"question": "Who?", "answers": []}]}, "'text' is not a string"),
    ],
)
def test_a_wrong_dict_is_told_what_is_wrong(change, problem):
    with pytest.raises(LukeError, match=f"L077.*{problem}"):
        displacy.render({"tokens": ["Ada"], "spans": [], "relations": [], **change}, style="overview", manual=True)


def test_hostile_text_labels_types_ids_and_questions_are_text(nlp):
    doc = nlp(f"Ada {HOSTILE} met Bob")
    doc.ents = [Span(doc, 0, 1, HOSTILE, kb_id=HOSTILE), Span(doc, 1, 4, "PER")]
    doc._.relations = [(*doc.ents, HOSTILE, 0.9)]
    set_entity_types(doc.ents[0], [HOSTILE])
    set_questions(doc, [HOSTILE])
    set_answers(doc, [Answer(HOSTILE, doc[1:4])])
    options = {"title": HOSTILE, "about": HOSTILE, "kb_url_template": WIKIPEDIA}
    page = displacy.render(doc, style="overview", page=True, jupyter=False, options=options)
    assert "<script" not in page
    assert page.count("&lt;script") > 8
    assert notes(overview(doc))[0] == f"Ada: {HOSTILE}\n{HOSTILE}\n→ {HOSTILE}"


@pytest.mark.parametrize(
    ("label", "readable"),
    [
        ("PLACE_OF_BIRTH", "place of birth"),
        ("HEADQUARTERS", "headquarters"),
        ("born_in", "born in"),
        ("per:city_of_birth", "per:city of birth"),
        ("ISA", "ISA"),
        ("Component-Whole(e1,e2)", "Component-Whole(e1,e2)"),
    ],
)
def test_labels_are_drawn_as_words(label, readable):
    assert readable_label(label) == readable


def test_a_right_to_left_text(nlp):
    doc = spacy.blank("he")("דנה פגשה את יוסי")
    doc._.relations = [(doc[0:1], doc[3:4], "met", 0.9)]
    (svg,) = svgs(overview(doc))
    lefts = [room.left for _, room in words(svg)]
    assert lefts == sorted(lefts, reverse=True)
