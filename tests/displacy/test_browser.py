"""What a person sees of a page, in a real browser."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spacy_luke import displacy
from spacy_luke.annotations import Answer, set_answers, set_entity_types, set_questions

from .conftest import annotate

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

SCRIPT = Path(__file__).parents[2] / "scripts" / "screenshot.py"
screenshot = runpy.run_path(str(SCRIPT))
CHROMIUM = screenshot["find_chromium"]()
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")]
WIDE, NARROW = 1200, 400
TITLE = "Some <people> & places"
STYLES = ("overview", "relations", "types", "answers", "ent")


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=screenshot["arguments"]())
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def docs(nlp) -> list:
    curie = annotate(
        nlp,
        "Marie Curie was born in Warsaw in 1867 and moved to Paris in 1891 to study at the Sorbonne. Her husband "
        "Pierre Curie worked with her in Paris, where the laboratory that she led is now a part of the Institut Curie.",
        {
            **{"Marie Curie": "PER", "Pierre Curie": "PER", "Warsaw": "LOC", "Paris": "LOC", "1867": "DATE"},
            **{"Sorbonne": "ORG", "Institut Curie": "ORG"},
        },
        [
            ("Marie Curie", "Warsaw", "PLACE_OF_BIRTH", 0.97),
            ("Marie Curie", "1867", "DATE_OF_BIRTH", 0.9),
            ("Marie Curie", "Paris", "PLACE_OF_RESIDENCE", 0.96),
            ("Marie Curie", "Sorbonne", "EDUCATED_AT", 0.81),
            ("Pierre Curie", "Marie Curie", "SPOUSE", 0.88),
            ("Pierre Curie", "Institut Curie", "EMPLOYEE_OR_MEMBER_OF", 0.6),
        ],
    )
    set_entity_types(curie.ents[0], ["person", "scientist"])
    curie[0].ent_kb_id_ = curie[1].ent_kb_id_ = "Marie Curie"
    curie[5].ent_kb_id_ = "NIL"
    set_questions(curie, ["Where was Marie Curie born?"])
    set_answers(curie, [Answer("Where was Marie Curie born?", curie.ents[1], score=0.93)])
    plain = annotate(nlp, "Ada met Bob.", {"Ada": "PER"}, [])
    plain._.answers = []
    set_entity_types(plain.ents[0], ["person"])
    return [curie, plain]


@pytest.fixture
def show(browser, docs, tmp_path) -> Iterator[Callable[..., playwright.Page]]:
    """Opens the page of a style, and checks that it loads nothing else."""
    opened, loaded = [], []

    def show(style: str = "overview", width: int = WIDE, scheme: str = "light", **more) -> playwright.Page:
        options = {"title": TITLE, "kb_url_template": "https://en.wikipedia.org/wiki/{}", **more}
        file = Path(tmp_path, f"{style}.html")
        page_of = displacy.render(docs, style=style, page=True, jupyter=False, options=options)
        file.write_text(page_of, encoding="utf8")
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        opened.append(page)
        page.on("request", lambda request: loaded.append(request.url))
        page.goto(file.as_uri())
        return page

    yield show
    assert {url.rpartition("/")[2] for url in loaded} <= {f"{style}.html" for style in STYLES}
    for page in opened:
        page.close()


def rooms(page, selector: str) -> list[dict[str, float]]:
    """The rectangles of what is visible."""
    return page.locator(selector).evaluate_all(
        "all => all.map(e => e.getBoundingClientRect().toJSON()).filter(room => room.width > 0)"
    )


def overlap(one: dict[str, float], other: dict[str, float], slack: float = 0.5) -> bool:
    return (
        one["left"] + slack < other["right"]
        and other["left"] + slack < one["right"]
        and one["top"] + slack < other["bottom"]
        and other["top"] + slack < one["bottom"]
    )


def brightness(color: str) -> float:
    red, green, blue = (int(part) for part in re.findall(r"\d+", color)[:3])
    return 0.299 * red + 0.587 * green + 0.114 * blue


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("width", [WIDE, 700, NARROW, 320])
def test_nothing_is_wider_than_the_screen(show, style, width):
    page = show(style, width)
    page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert all(room["left"] >= 0 and room["right"] <= width for room in rooms(page, "figure, figure svg, figure table"))


@pytest.mark.parametrize("width", [WIDE, 700, NARROW])
def test_each_text_is_seen_once_below_a_heading(show, width):
    page = show(width=width)
    assert page.title() == TITLE
    assert page.get_by_role("heading").all_inner_texts() == [TITLE]
    seen = [svg for svg in page.locator("figure svg").all() if svg.is_visible()]
    assert len(seen) == 2
    words = [word for word in seen[0].locator("text").all_text_contents() if word in ("Warsaw", "moved", "Sorbonne")]
    assert words == ["Warsaw", "moved", "Sorbonne"]


def test_text_is_as_large_on_a_narrow_screen(show):
    for width in (WIDE, NARROW):
        svg = next(svg for svg in show(width=width).locator("figure svg").all() if svg.is_visible())
        assert svg.evaluate("e => e.getBoundingClientRect().width / e.viewBox.baseVal.width") > 0.9


def test_the_legend_names_the_colours(show):
    page = show()
    legends = page.locator(".luke-legend").all_inner_texts()
    assert [" ".join(legend.split()) for legend in legends] == [
        "PER 3 LOC 2 ORG 2 DATE 1",
        "place of birth 1 date of birth 1 place of residence 1 educated at 1 spouse 1 employee or member of 1",
    ]
    swatches = page.locator(".luke-swatch").evaluate_all(
        "all => all.map(e => getComputedStyle(e).backgroundColor + getComputedStyle(e).borderTopColor)"
    )
    assert len(set(swatches)) == len(swatches)
    box = page.locator(".luke-wide .luke-span rect").first
    assert box.evaluate("e => getComputedStyle(e).fill") in swatches[0]


@pytest.mark.parametrize("style", ["overview", "relations"])
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_ends_of_arcs_cover_neither_labels_nor_words(show, style, width):
    page = show(style, width)
    ends = rooms(page, ".luke-arc > [fill]:not([fill=none])")
    assert len(ends) == 12
    words = rooms(page, ".luke-span text, .luke-span rect")
    assert not [1 for end in ends for word in words if overlap(end, word)]


@pytest.mark.parametrize("style", ["overview", "relations"])
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_labels_of_arcs_cover_neither_each_other_nor_boxes(show, style, width):
    page = show(style, width)
    labels, boxes = rooms(page, ".luke-relation rect"), rooms(page, ".luke-span rect")
    assert len(labels) >= 6
    others = [*boxes, *labels]
    assert not [1 for label in labels for other in others if other is not label and overlap(label, other)]


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_pointer_over_an_entity_finds_its_types_and_its_link(show, width):
    page = show(width=width)
    found = page.evaluate(
        """() => {
            const word = [...document.querySelectorAll('figure svg text')].find(
                e => e.textContent == 'Marie' && e.getBoundingClientRect().width);
            const room = word.getBoundingClientRect();
            const note = document.elementFromPoint(room.x + room.width / 2, room.y + room.height / 2).closest('a, g');
            return [note.querySelector('title').textContent, note.getAttribute('href'), note.getAttribute('rel')];
        }"""
    )
    assert found == [
        "Marie Curie: PER\nperson, scientist\n→ Marie Curie",
        "https://en.wikipedia.org/wiki/Marie_Curie",
        "noopener",
    ]


def test_a_pointer_over_an_arc_finds_its_relation(show):
    titles = show().locator(".luke-wide .luke-arc > title").all_text_contents()
    assert "Marie Curie → Warsaw: PLACE_OF_BIRTH (0.970)" in titles


def test_links_can_be_reached_by_keyboard_and_lead_to_wikipedia(show):
    page = show()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "https://en.wikipedia.org/wiki/Marie_Curie"
    links = page.locator("a[href]").evaluate_all("all => all.map(e => e.getAttribute('href'))")
    assert set(links) == {"https://en.wikipedia.org/wiki/Marie_Curie"}
    assert "NIL" not in page.content()


def test_answers_stand_under_their_questions(show):
    page = show()
    question, answer = (page.locator(f".luke-questions {tag}") for tag in ("dt", "dd"))
    assert (question.inner_text(), answer.inner_text()) == ("Where was Marie Curie born?", "Warsaw 0.93")
    assert question.bounding_box()["y"] < answer.bounding_box()["y"]


def test_scores_are_small_and_in_no_arc(show):
    page = show()
    assert not [label for label in page.locator(".luke-relation text").all_text_contents() if "0." in label]
    sizes = page.locator(".luke-score").evaluate_all("all => all.map(e => parseFloat(getComputedStyle(e).fontSize))")
    assert sizes
    assert max(sizes) < 16


def test_the_list_opens(show):
    page = show(width=NARROW)
    page.locator("summary").first.click()
    assert page.get_by_role("cell", name="PER · person, scientist").is_visible()


@pytest.mark.parametrize("style", STYLES)
def test_a_dark_screen_has_a_dark_page_with_light_text_and_dark_text_on_marks(show, style):
    for scheme, is_light in (("light", True), ("dark", False)):
        page = show(style, scheme=scheme)
        ground, ink = (
            brightness(page.locator("body").evaluate(f"e => getComputedStyle(e).{name}"))
            for name in ("backgroundColor", "color")
        )
        assert (ground > 128) == is_light
        assert (ink < 128) == is_light
        marks = page.locator("mark").evaluate_all("all => all.map(e => getComputedStyle(e).color)")
        assert all(brightness(color) < 50 for color in marks)
        figure = brightness(page.locator("figure").first.evaluate("e => getComputedStyle(e).backgroundColor"))
        lines = page.locator(".luke-arc > path[fill=none]").evaluate_all(
            "all => all.map(e => { const c = document.createElement('canvas').getContext('2d');"
            "c.fillStyle = getComputedStyle(e).stroke; c.fillRect(0, 0, 1, 1);"
            "return c.getImageData(0, 0, 1, 1).data.join() })"
        )
        assert all(abs(brightness(color) - figure) > 80 for color in lines)
        assert bool(lines) == (style in ("overview", "relations"))


def test_colours_that_a_user_chose_are_those_of_a_dark_screen_too(show):
    page = show("relations", scheme="dark", bg="#ffffff", color="#102030")
    svg = page.locator("figure svg").first
    assert svg.evaluate("e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]") == [
        "rgb(255, 255, 255)",
        "rgb(16, 32, 48)",
    ]


def test_the_script_takes_a_picture(tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<p>Ada", encoding="utf8")
    command = [sys.executable, SCRIPT, page, tmp_path / "page.png", "--width", "300", "--height", "200", "--dark"]
    subprocess.run(command, check=True, capture_output=True)
    picture = (tmp_path / "page.png").read_bytes()
    assert picture[:4] == b"\x89PNG"
    assert [int.from_bytes(picture[at : at + 4], "big") for at in (16, 20)] == [300, 200]
