"""Every relative link of the pages leads to a file that is there, and every anchor to a heading."""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path

import pytest

from .blocks import PAGES, ROOT

sys.path.insert(0, str(ROOT / "docs"))
import generated

LINKING = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *ROOT.glob("projects/*/README.md")]
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(<?(?:path:)?([^)\s>]+)>?\)")
_CODE = re.compile(r"^( *)```.*?^\1```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)


@cache
def expanded(page: Path) -> str:
    text = page.read_text(encoding="utf8")
    return generated.expand(text) if page.parent == ROOT / "docs" else text


@cache
def anchors(page: Path) -> set[str]:
    """Anchors of a page: those of its headings, as GitHub and MyST make them, and labels."""
    text = expanded(page)
    prose = re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ +(.+)$", prose, re.MULTILINE)
    return {generated.anchor(heading.replace("`", "")) for heading in headings} | set(
        re.findall(r"^\((.+)\)=$", prose, re.MULTILINE)
    )


def links(page: Path) -> set[str]:
    text = re.sub(r"\[`([^`\n]+)`\]", r"[\1]", expanded(page))
    return {target for target in _LINK.findall(_CODE.sub("", text)) if not re.match(r"\w+://|mailto:", target)}


@pytest.mark.parametrize("page", LINKING, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in sorted(links(page)):
        path, _, fragment = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), target
        assert place.is_relative_to(ROOT), target
        if fragment and place.suffix == ".md":
            assert fragment in anchors(place), target


def test_links_are_found():
    page = ROOT / "docs" / "luke_ner.md"
    assert {"fast_mode.md", "../configs/ner.cfg", "registered.md#spacy-lukespan_suggesterv1"} <= links(page)
    assert "scores" in anchors(page)
