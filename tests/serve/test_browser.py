"""What a person sees and does on the page, in a real browser."""

from __future__ import annotations

import json
import runpy
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from spacy_luke.serve import Settings, make_app
from spacy_luke.serve.server import _listen

from . import rules

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

screenshot = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "screenshot.py"))
CHROMIUM = screenshot["find_chromium"]()
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")]
WIDE, NARROW = 1200, 400
TEXT = "Ada met Babbage in London."
HOSTILE = (
    "Ada <img src=x onerror=\"document.title='hacked'\"> & </figure><script>document.title='hacked'</script> Babbage"
)
ENTITY = "#drawing .luke-span:visible"
ARC = "#drawing .luke-arc:visible"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server in a thread of this process."""
    with _listen("127.0.0.1", 0) as listener:
        app = make_app(rules.make_pipeline(), Settings(max_characters=2000))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=screenshot["arguments"]())
        yield browser
        browser.close()


@pytest.fixture(params=[WIDE, NARROW])
def page(browser, address, request) -> Iterator[playwright.Page]:
    """The page, which is loaded with no error and from nowhere else."""
    context = browser.new_context(viewport={"width": request.param, "height": 800}, accept_downloads=True)
    page = context.new_page()
    loaded, errors = [], []
    page.on("request", lambda request: loaded.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(address)
    page.problems = errors
    yield page
    assert page.evaluate("document.documentElement.scrollWidth") <= request.param, "it is wider than the screen"
    assert [url for url in loaded if not url.startswith((address, "data:", "blob:"))] == []
    assert errors == []
    context.close()


def annotate(page, text: str, questions: str = "") -> None:
    page.get_by_label("Text", exact=True).fill(text)
    page.get_by_label("Questions").fill(questions)
    page.get_by_role("button", name="Annotate").click()
    playwright.expect(page.locator("#annotate")).to_be_enabled()


def test_a_text_that_is_typed_is_drawn_with_entities_arcs_and_answers(page):
    annotate(page, TEXT, "Who met Babbage?\n\n Where? ")
    playwright.expect(page.locator(ENTITY)).to_have_count(3)
    playwright.expect(page.locator(ARC)).not_to_have_count(0)
    playwright.expect(page.locator("#drawing dt")).to_have_text(["Who met Babbage?", "Where?"])
    playwright.expect(page.locator("#drawing mark")).to_have_text(["Ada", "Ada"])
    playwright.expect(page.locator("#count")).to_have_text("5 found")
    playwright.expect(page.locator("#legend")).to_contain_text("PER")
    playwright.expect(page.locator("#model")).to_have_text("en_rules-1.2.3")


def test_the_slider_hides_what_is_less_probable(page):
    annotate(page, TEXT)
    slider = page.get_by_label("Least score")
    slider.fill("0.65")
    playwright.expect(page.locator("#count")).to_have_text("2 of 5 shown")
    playwright.expect(page.locator(ENTITY)).to_have_count(2)
    playwright.expect(page.locator(ARC)).to_have_count(0)
    playwright.expect(page.locator("#least-shown")).to_have_text("0.65")
    slider.fill("0")
    playwright.expect(page.locator(ENTITY)).to_have_count(3)
    slider.focus()
    page.keyboard.press("End")
    playwright.expect(page.locator(ENTITY)).to_have_count(0)


def test_hostile_text_stays_text(page):
    annotate(page, HOSTILE, HOSTILE)
    playwright.expect(page.locator(ENTITY)).not_to_have_count(0)
    playwright.expect(page.locator("#drawing dt")).to_have_text(HOSTILE)
    assert page.locator("#found img, #found script").count() == 0
    assert "hacked" not in page.title()
    words = page.locator("#drawing svg:visible").first.text_content()
    assert "onerror" in words


def test_an_example_is_one_click(page):
    button = page.locator("#examples button").first
    button.click()
    playwright.expect(page.locator("#found")).to_be_visible()
    assert page.get_by_label("Text", exact=True).input_value()
    assert page.get_by_label("Questions").input_value()


def test_keys_do_what_the_button_does(page):
    page.get_by_label("Text", exact=True).fill(TEXT)
    page.keyboard.press("Control+Enter")
    playwright.expect(page.locator(ENTITY)).to_have_count(3)


def test_results_are_copied_and_downloaded_as_json(page):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    annotate(page, TEXT + " \U0001f44d")
    page.get_by_role("button", name="Copy JSON").click()
    playwright.expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "annotations.json"
    saved = json.loads(Path(download.value.path()).read_text(encoding="utf8"))
    assert copied == saved
    assert saved["text"] == TEXT + " \U0001f44d"
    assert [entity["text"] for entity in saved["entities"]] == ["Ada", "Babbage", "London"]


def test_what_the_server_refuses_is_told_and_the_next_text_is_drawn(page):
    annotate(page, "Ada " * 600)
    problem = page.get_by_role("alert")
    playwright.expect(problem).to_contain_text("The text is larger than 2,000 characters")
    assert "413" in page.problems.pop(), "browsers say so on the console"
    annotate(page, TEXT)
    playwright.expect(page.locator(ENTITY)).to_have_count(3)
    playwright.expect(problem).to_be_hidden()
