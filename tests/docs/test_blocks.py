"""What runs the blocks of the pages: it finds each, compares outputs, and refuses what it cannot run."""

from __future__ import annotations

import re

import pytest
from sybil import Document

from . import shell
from .blocks import PAGES, blocks, is_as, rewrite


def parsed(text: str) -> list:
    return [region.parsed for region in blocks(Document(text, "page.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_every_block_of_code_is_found(page):
    text = page.read_text(encoding="utf8")
    found = parsed(text)
    assert len(found) == len(re.findall(r"^ *```(?:python|bash|ini|json|yaml)$", text, re.MULTILINE))
    # Other languages would not run; "text" is an output or what a file has, and braces are generated.
    fences = re.findall(r"^ *```(.*)$", text, re.MULTILINE)
    assert set(fences[1::2]) <= {""}
    languages = {name for name in fences[::2] if not name.startswith("{")}
    assert languages <= {"python", "bash", "ini", "json", "yaml", "text"}
    # A comment that is not right above a block would do nothing.
    assert text.count("<!-- run:") == sum(bool(block.how) for block in found)


def test_an_output_stands_right_below_its_block():
    first, second = parsed(
        "```python\nprint(1)\n```\n\n```text\n1\n```\n\nText.\n\n```bash\nls\n```\n\nText.\n\n```text\nx\n```\n"
    )
    assert (first.language, first.source, first.output) == ("python", "print(1)\n", "1\n")
    assert (second.language, second.output) == ("bash", None)


def test_a_comment_says_how_a_block_runs():
    [block] = parsed("<!-- run: hub; a => b; c d => e -->\n\n```bash\na c d\n```\n")
    assert block.how.split("; ")[0] == "hub"
    assert block.replaced == "b e\n"
    [block] = parsed("<!-- run: x => y -->\n\n```bash\na\n```\n")
    with pytest.raises(AssertionError, match="'x' is not in the block"):
        assert block.replaced


@pytest.mark.parametrize(
    ("expected", "found", "same"),
    [
        ("a 0.51\n", "a 0.52\n", True),
        ("a 0.51\n", "a 0.53\n", False),
        ("a 1\n", "a 2\n", False),
        ("a  \n\n", "a\n", True),
        ("a\n", "a\nb\n", False),
        ("a … c\n", "a b b c\n", True),
        ("a … c\n", "a b\nc\n", False),
        ("a\n…\nd\n", "a\nb\nc\nd\n", True),
        ("a\n…\n", "a\nb 0.5\n", True),
        ("a\n…\nd 0.5\n", "a\n0.1\nd 0.9\n", False),
        ("", "a\n", False),
        ("(1.0)\n", "(1x0)\n", False),
    ],
)
def test_outputs_are_compared_but_for_rounding_and_what_is_left_out(expected, found, same):
    assert is_as(expected, found) == same


def test_other_outputs_are_written_into_the_page(tmp_path):
    page = tmp_path / "page.md"
    text = "```text\nold\n```\n- x\n  ```text\n  y\n  ```\n"
    page.write_text(text)
    first, second = text.index("old"), text.index("  y")
    rewrite(page, [(first, first + 4, "new\nlines\n"), (second, second + 4, "  z\n")])
    assert page.read_text() == "```text\nnew\nlines\n```\n- x\n  ```text\n  z\n  ```\n"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("sudo rm x", "no way to run: sudo rm x"),
        ("pip install 'spacy-luke[nothing]'", "nothing"),
        ("pip install ./nowhere", "nowhere"),
        ("python -m spacy luke convert nothing a b", "nothing"),
    ],
)
def test_a_command_that_is_wrong_fails(tmp_path, source, message):
    with pytest.raises(AssertionError, match=re.escape(message)):
        shell.run(source, tmp_path)
