from __future__ import annotations

import pytest
import spacy
from spacy.tokens import Span

from spacy_luke import LukeError, LukeWarning, displacy

from .conftest import annotate
from .markup import arc_labels, box_rects, classes, label_rects, parse, svgs, text, words

HOSTILE = "<script>alert('x & \"y\"')</script>"


def test_every_relation_is_shown_once_with_its_score(curie):
    assert sorted(arc_labels(displacy.render(curie))) == [
        "born_in 0.97",
        "colleague 0.83",
        "spouse 0.41",
        "spouse 0.52",
    ]


def test_every_relation_is_shown_once_where_its_arc_is_cut_by_the_end_of_a_line(curie):
    markup = displacy.render(curie, options={"width": 200})
    assert sorted(arc_labels(markup)) == ["born_in 0.97", "colleague 0.83", "spouse 0.41", "spouse 0.52"]


def test_a_cut_arc_names_its_other_end_on_both_lines(nlp):
    ents = {"Ada": "PER", "London": "GPE"}
    doc = annotate(nlp, "Ada was not at all born in London", ents, [("Ada", "London", "born_in", 0.9)])
    markup = displacy.render(doc, options={"width": 180})
    assert classes(markup, "luke-label") == ["born_in 0.90 → \u2068London\u2069"]
    assert classes(markup, "luke-label-continued") == ["born_in ← \u2068Ada\u2069"]


def test_scores_can_be_left_out(curie):
    labels = arc_labels(displacy.render(curie, options={"scores": False}))
    assert sorted(labels) == ["born_in", "colleague", "spouse", "spouse"]


@pytest.mark.parametrize(
    ("score", "shown"), [(1, "1.00"), (0.999, ">0.99"), (0.5, "0.50"), (0.001, "<0.01"), (0, "0.00")]
)
def test_only_a_certain_score_is_0_or_1(nlp, score, shown):
    doc = annotate(nlp, "Ada met Bob", {"Ada": "P", "Bob": "P"}, [("Ada", "Bob", "met", score)])
    assert arc_labels(displacy.render(doc)) == [f"met {shown}"]


def test_min_score_hides_relations_and_says_so(curie):
    markup = displacy.render(curie, options={"min_score": 0.52})
    assert sorted(arc_labels(markup)) == ["born_in 0.97", "colleague 0.83", "spouse 0.52"]
    assert classes(markup, "luke-fine-print") == ["1 of 4 not shown: score below 0.52"]
    assert not classes(displacy.render(curie, options={"min_score": 0.52, "fine_print": False}), "luke-fine-print")
    assert not classes(displacy.render(curie), "luke-fine-print")


def test_only_some_labels(curie):
    markup = displacy.render(curie, options={"labels": ["born_in"]})
    assert arc_labels(markup) == ["born_in 0.97"]
    assert classes(markup, "luke-fine-print") == ["3 of 4 not shown: other labels"]


def test_entities_without_relations_are_shown_unless_left_out(curie):
    def boxes(**options):
        return [text for text in classes(displacy.render(curie, options=options), "luke-span")]

    assert boxes() == ["PERSON", "GPE", "GPE", "PERSON"]
    assert boxes(ents=[]) == ["PERSON", "GPE", "PERSON"]
    assert boxes(ents=[], min_score=0.9) == ["PERSON", "GPE"]


def test_the_words_of_a_sentence_are_shown_in_their_order(curie):
    (svg,) = svgs(displacy.render(curie))
    assert [word for word, _ in words(svg)] == [token.text for token in curie]
    lefts = [room.left for _, room in words(svg)]
    assert lefts == sorted(lefts)


@pytest.mark.parametrize("width", [150, 400, 800, 0])
def test_nothing_overlaps(curie, width):
    (svg,) = svgs(displacy.render(curie, options={"width": width}))
    rooms = [room for _, room in words(svg)]
    for things in (rooms, label_rects(svg), box_rects(svg)):
        assert not [1 for i, one in enumerate(things) for other in things[:i] if one.overlaps(other)]
    assert not [1 for label in label_rects(svg) for box in (*box_rects(svg), *rooms) if label.overlaps(box)]
    assert all(r.left >= 0 and r.right <= float(svg.get("width")) for r in (*rooms, *label_rects(svg), *box_rects(svg)))


def test_long_sentences_wrap(nlp):
    doc = nlp("word " * 200)
    doc._.relations = []
    (svg,) = svgs(displacy.render(doc))
    assert float(svg.get("width")) <= 800
    assert len({room.top for _, room in words(svg)}) > 5
    (svg,) = svgs(displacy.render(doc, options={"width": 0}))
    assert len({room.top for _, room in words(svg)}) == 1


def test_boxes_lie_in_each_other(nlp):
    doc = nlp("the Bank of England opened")
    bank, england = Span(doc, 1, 4, "ORG"), Span(doc, 3, 4, "GPE")
    doc._.relations = [(bank, england, "located_in", 0.9), (england, bank, "has", 0.8)]
    (svg,) = svgs(displacy.render(doc))
    outer, inner = box_rects(svg)
    assert outer.left < inner.left
    assert inner.right < outer.right
    assert outer.top < inner.top
    assert len(arc_labels(displacy.render(doc))) == 2


def test_identical_and_overlapping_spans_and_a_relation_of_a_span_to_itself(nlp):
    doc = nlp("New York City Marathon")
    city, place, race = Span(doc, 0, 3, "CITY"), Span(doc, 0, 3, "PLACE"), Span(doc, 1, 4, "EVENT")
    doc._.relations = [(city, place, "same", 0.9), (race, city, "in", 0.8), (race, race, "self", 0.7)]
    markup = displacy.render(doc)
    assert sorted(arc_labels(markup)) == ["in 0.80", "same 0.90", "self 0.70"]
    assert sorted(classes(markup, "luke-span")) == ["CITY", "EVENT", "PLACE"]


def test_a_span_without_label_takes_that_of_the_entity_on_the_same_words(nlp):
    doc = nlp("Ada met Bob")
    doc.ents = [Span(doc, 0, 1, "PERSON")]
    doc._.relations = [(doc[0:1], doc[2:3], "met")]
    assert displacy.parse_relations(doc)["spans"] == [
        {"start_token": 0, "end_token": 1, "label": "PERSON"},
        {"start_token": 2, "end_token": 3, "label": ""},
    ]


def test_neighbouring_sentences_with_a_relation_are_one_block_and_distant_ones_are_listed(three):
    markup = displacy.render(three)
    first, second = svgs(markup)
    assert [word for word, _ in words(first)][-2:] == ["engine", "."]
    assert [word for word, _ in words(second)][:1] == ["Later"]
    assert sorted(arc_labels(markup)) == ["built 0.82", "met 0.91"]
    (row,) = parse(markup).iter("tr")
    assert " ".join(text(row).split()) == "Cambridge (3)honoured 0.73 →Ada (1)"


@pytest.mark.parametrize(("distance", "blocks", "listed"), [(0, 3, 2), (1, 2, 1), (2, 1, 0)])
def test_join_sentences(three, distance, blocks, listed):
    markup = displacy.render(three, options={"join_sentences": distance})
    assert len(svgs(markup)) == blocks
    assert len(list(parse(markup).iter("tr"))) == listed


def test_a_doc_without_sentence_boundaries_is_one_block():
    doc = spacy.blank("en")("Ada met Bob. Bob met Cleo.")
    doc._.relations = [(doc[0:1], doc[6:7], "knows")]
    assert len(svgs(displacy.render(doc))) == 1


def test_a_doc_without_annotation_shows_its_text_with_a_warning(nlp):
    with pytest.warns(LukeWarning, match=r"\[W010\].*luke_relations.*doc\._\.relations") as caught:
        markup = displacy.render(nlp("Ada met Bob."))
    assert [word for word, _ in words(svgs(markup)[0])] == ["Ada", "met", "Bob", "."]
    assert caught[0].filename == __file__


@pytest.mark.filterwarnings("error")
def test_a_doc_without_relations_shows_its_text_without_a_warning(nlp):
    doc = nlp("Ada met Bob.")
    doc._.relations = []
    assert len(svgs(displacy.render(doc))) == 1
    empty = nlp("")
    empty._.relations = []
    assert svgs(displacy.render(empty)) == []


def test_the_direction_mirrors_the_line(curie):
    def places(**options):
        (svg,) = svgs(displacy.render(curie, options=options))
        return [room.left for _, room in words(svg)]

    doc = spacy.blank("he")("דנה פגשה את יוסי")
    doc._.relations = [(doc[0:1], doc[3:4], "met", 0.9)]
    (svg,) = svgs(displacy.render(doc))
    lefts = [room.left for _, room in words(svg)]
    assert lefts == sorted(lefts, reverse=True)
    # English words keep their order in a line that starts on the right
    assert places(direction="rtl")[:2] == sorted(places(direction="rtl")[:2])


def test_hostile_text_and_labels_are_text(nlp):
    doc = nlp(f"Ada {HOSTILE} met Bob & Co.")
    doc.user_data["title"] = HOSTILE
    doc._.relations = [(Span(doc, 0, 1, HOSTILE), Span(doc, 1, 4, HOSTILE), HOSTILE, 0.9)]
    markup = displacy.render(doc, page=True)
    assert "<script" not in markup
    assert arc_labels(displacy.render(doc)) == [f"{HOSTILE} 0.90"]
    assert classes(displacy.render(doc), "luke-span") == [HOSTILE, HOSTILE]
    options = {"colors": {HOSTILE: HOSTILE}, "font": HOSTILE, "bg": HOSTILE, "color": HOSTILE}
    assert "<script" not in displacy.render(doc, options=options)


def test_colours_are_displacys_and_those_of_the_options(curie):
    assert 'fill="#aa9cfc"' in displacy.render(curie)
    markup = displacy.render(curie, options={"colors": {"PERSON": "#123456", "born_in": "#abcdef"}})
    assert 'fill="#123456"' in markup
    assert 'stroke="#abcdef"' in markup
    dark = displacy.render(curie, options={"bg": "#000000", "color": "#eeeeee"})
    assert dark.count('stroke="#eeeeee"') == 4


def test_hidden_relations_do_not_change_the_colours_of_others(curie):
    def colour(markup):
        (group,) = [e for e in parse(markup).iter() if e.get("class") == "luke-label" and text(e) == "colleague 0.83"]
        return group.get("fill")

    assert colour(displacy.render(curie)) == colour(displacy.render(curie, options={"labels": ["colleague"]}))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"tokens": "Ada"}, "'tokens' is not a list"),
        ({"tokens": [1]}, r"tokens\[0\] is not a str"),
        ({"spans": [{"start_token": 0, "end_token": 9, "label": ""}]}, "'end_token' = 9"),
        ({"spans": ["Ada"]}, r"spans\[0\] is not a dict"),
        ({"relations": [{"head": 0, "tail": 5, "label": "met"}]}, "'tail' is 5, but there are 2 spans"),
        ({"relations": [{"head": 0, "tail": 1}]}, "'label' is not a string"),
        ({"relations": [{"head": 0, "tail": 1, "label": "met", "score": "high"}]}, "'score' is not a number"),
    ],
)
def test_a_wrong_dict_is_told_what_is_wrong(change, problem):
    spans = [{"start_token": 0, "end_token": 1, "label": "P"}, {"start_token": 2, "end_token": 3, "label": "P"}]
    right = {"tokens": ["Ada", "met", "Bob"], "spans": spans, "relations": [{"head": 0, "tail": 1, "label": "met"}]}
    assert arc_labels(displacy.render(right, manual=True)) == ["met"]
    with pytest.raises(LukeError, match=problem) as error:
        displacy.render({**right, **change}, manual=True)
    assert error.value.code == "L077"
