"""The pages tell everything once: settings where docstrings have them, every error, every command, every component."""

from __future__ import annotations

import re
import sys
from xml.etree import ElementTree

import pytest

from spacy_luke.cli import luke_cli
from spacy_luke.errors import ERRORS, WARNINGS

from .blocks import PAGES, ROOT, is_as

sys.path.insert(0, str(ROOT / "docs"))
import generated

DOCS = ROOT / "docs"
TEXTS = {page.name: page.read_text(encoding="utf8") for page in PAGES}
FACTORIES = sorted(generated.entry_points()["factories"])


def expanded(name: str) -> str:
    return generated.expand(TEXTS[name])


@pytest.mark.parametrize("factory", FACTORIES)
def test_every_component_has_a_page_with_all_its_settings(factory):
    page = expanded(f"{factory}.md").split("\n## Settings\n")[1].split("\n## Scores\n")[0]
    defaults = generated.component(factory)[1]
    for name in defaults:
        told = re.findall(rf"^(?:`\w+`[^\n]*, )?`{name}`.*\n: ", page, re.MULTILINE)
        assert len(told) == 1, name
    assert factory in TEXTS["README.md"]


def test_settings_are_told_in_docstrings_alone():
    for name, text in TEXTS.items():
        # A table of settings in a page would repeat them.
        assert not re.search(r"^\| *(?:settings?|options?) *\|", text, re.MULTILINE), name
    blocks = [block for text in TEXTS.values() for block in re.findall(r"^```\{settings\} (\S+)", text, re.MULTILINE)]
    assert sorted(blocks) == sorted(set(blocks))
    assert set(FACTORIES) <= set(blocks)


def test_a_generated_block_says_so_to_those_who_read_the_page_as_it_is():
    kinds = "|".join(generated.SOURCES)
    for name, text in TEXTS.items():
        for body in re.findall(rf"^```\{{(?:{kinds})\}}.*\n(.*)$", text, re.MULTILINE):
            assert body == "make docs writes this part, from the code", name
        assert "make docs writes" not in expanded(name), name


def test_a_setting_that_no_docstring_has_is_an_error():
    def build(known: int, unknown: int) -> None:
        """Make something.

        known: a number.
        """

    build.__module__ = "spacy_luke.test"
    with pytest.raises(LookupError, match="does not describe unknown"):
        generated.settings_of(build, {}, ["known", "unknown"])


def test_docstrings_are_read():
    def build(first: int, second: int, third: int) -> None:
        """Make something.

        first: a number;
            more of it (see `mean`). second: another: one.
        third, second: both.

        The end, as `build_span_filter` says.
        """

    found = generated.describe(build, ["first", "second", "third"])
    assert found.before == "Make something."
    assert found.after == "The end, as `spacy-luke.span_filter.v1` says."
    assert found.settings["third, second"] == "both."
    assert found.settings["first"].startswith("a number;\nmore of it.")


def test_codes_of_errors_become_links_but_in_code():
    page = "(l024)=\nL024 and `W002`\n\n```text\nW003\n```\n"
    assert generated.expand(page) == "(l024)=\n[L024](errors.md#l024) and `W002`\n\n```text\nW003\n```\n"


def test_every_code_is_on_the_page_of_errors():
    page = expanded("errors.md")
    for code in [*ERRORS, *WARNINGS]:
        assert page.count(f"({code.lower()})=\n") == 1, code
    # Values are left out, words are not.
    assert "hidden\\_size *hidden* is not a multiple of num\\_attention\\_heads *heads*. Correct config.json." in page


def test_every_command_is_on_its_page():
    page = expanded("command_line.md")
    for command in luke_cli.registered_commands:
        assert f"\n## `luke {command.name}`\n" in page
    assert "`--per-label`\n: " in page


def test_every_registered_function_is_told_once():
    pages = {name: expanded(name) for name in TEXTS if name != "README.md"}
    for registry, names in generated.entry_points().items():
        for name in names if registry not in ("factories", "cli") else ():
            assert pages["registered.md"].count(f"\n### `{name}`\n") == 1, name


def test_the_readme_is_short():
    lines = TEXTS["README.md"].splitlines()
    assert 100 <= len(lines) <= 150
    assert len(TEXTS["README.md"]) < 10_000


def test_the_picture_is_what_the_model_finds():
    """`make docs-outputs` draws it anew."""
    sys.path.insert(0, str(ROOT / "scripts"))
    import draw_example
    import spacy

    nlp = spacy.load("en_luke_mini")
    doc = nlp.make_doc(draw_example.TEXT)
    doc._.questions = draw_example.QUESTIONS
    drawn = draw_example.draw(nlp(doc))
    kept = (DOCS / "example.svg").read_text(encoding="utf8")
    assert is_as(_texts(kept), _texts(drawn))


def _texts(svg: str) -> str:
    return "\n".join(node.text or "" for node in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"))
