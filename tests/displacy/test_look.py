"""The look that all pages share, and its colours."""

from __future__ import annotations

import re
from itertools import islice

import pytest
from spacy.tokens import Span

from spacy_luke import displacy
from spacy_luke.displacy.options import LABEL_COLORS, QUIET_COLORS, Options, line_colors
from spacy_luke.displacy.page import WIDTHS, stylesheet

from .markup import svgs


def luminance(color: str) -> float:
    """Relative luminance (WCAG 2.1)."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_lines_have_as_many_colours_as_are_needed_all_readable_on_white():
    colors = list(islice(line_colors(), 60))
    assert len(set(colors)) == 60
    assert all(contrast(color, "#ffffff") >= 4.5 for color in colors)


def test_every_label_has_a_colour_of_its_own_on_which_black_can_be_read():
    labels = [f"T{i}" for i in range(60)]
    options = Options.read({}).tell_apart(labels)
    colors = [options.label_color(label) for label in labels]
    assert len(set(colors)) == 60
    assert all(contrast(color, "#000000") >= 7 for color in (*colors, *LABEL_COLORS, *QUIET_COLORS.values()))


def test_labels_for_which_displacy_has_one_colour_are_told_apart():
    labels = ["CITY", "COUNTRY", "GPE", "DATE", "TIME"]
    options = Options.read({}).tell_apart(labels)
    assert len({options.label_color(label) for label in labels}) == 5
    assert options.label_color("GPE") == "#feca74", "displaCy's own"
    assert options.label_color("DATE") == "#bfe1d9"


def test_colours_of_the_user_stay_even_if_they_are_the_same():
    options = Options.read({"colors": {"A": "#aadfff", "B": "#aadfff"}}).tell_apart(["A", "B", "C"])
    assert [options.label_color(label) for label in "AB"] == ["#aadfff", "#aadfff"]
    assert options.label_color("C") not in ("#aadfff", "#ddd")


def test_the_colour_of_a_label_depends_on_no_order():
    one, other = (Options.read({}).tell_apart(labels) for labels in (["x", "y", "z"], ["z", "x", "y", "x"]))
    assert one.label_colors == other.label_colors


def test_unknown_labels_are_drawn_in_different_colours(nlp):
    doc = nlp("Ada met Bob")
    doc.ents = [Span(doc, 0, 1, "PHILOSOPHER"), Span(doc, 2, 3, "PLUMBER")]
    doc._.relations = []
    fills = re.findall(r'<rect[^>]* fill="(#[^"]+)"', displacy.render(doc, jupyter=False))
    assert len(set(fills)) == 2


@pytest.mark.parametrize("style", ["relations", "overview", "types", "answers", "ent"])
def test_every_page_has_the_look_its_title_and_its_width(curie, style):
    curie._.answers = []
    curie.ents[0]._.entity_types = []
    options = {"title": "A & B", "about": "Of <them>."}
    page = displacy.render(curie, style=style, page=True, jupyter=False, options=options)
    assert stylesheet() in page
    assert "<title>A &amp; B</title>" in page
    assert "<h1>A &amp; B</h1>" in page
    assert "Of &lt;them&gt;." in page
    assert '<meta name="viewport"' in page


def test_a_page_draws_for_each_width_and_markup_alone_for_one(curie):
    for style in ("relations", "overview"):
        page = displacy.render(curie, style=style, page=True, jupyter=False)
        assert page.count("<svg") == len(WIDTHS)
        assert page.count(" hidden>") == len(WIDTHS) - 1
        assert len(svgs(displacy.render(curie, style=style, jupyter=False))) == 1
        assert displacy.render(curie, style=style, page=True, jupyter=False, options={"width": 500}).count("<svg") == 1


def test_a_part_of_another_page_can_be_drawn_for_each_width(curie):
    part = displacy.render(curie, style="overview", jupyter=False, options={"responsive": True})
    assert part.count("<svg") == len(WIDTHS)
    assert "<html" not in part
    assert displacy.stylesheet() == stylesheet()


def test_the_legend_names_what_is_shown(curie):
    page = displacy.render(curie, page=True, jupyter=False, options={"min_score": 0.5})
    legends = re.findall(r'<ul class="luke-legend" aria-label="(\w+)">(.*?)</ul>', page)
    shown = {name: re.findall(r"<bdi>(.*?)</bdi>.*?>(\d+)<", entries) for name, entries in legends}
    assert shown == {
        "Entities": [("PERSON", "2"), ("GPE", "2")],
        "Relations": [("born_in", "1"), ("colleague", "1"), ("spouse", "1")],
    }
    assert 'title="People, including fictional"' in page


def test_what_a_user_chose_is_not_changed_by_the_look(curie):
    markup = displacy.render(curie, jupyter=False, options={"bg": "#000000", "color": "#eeeeee"})
    assert "luke-look" not in markup
    assert "var(--" not in markup
    own = displacy.render(curie, jupyter=False, options={"colors": {"born_in": "#abcdef"}})
    assert own.count('class="luke-arc luke-own"') == 1
