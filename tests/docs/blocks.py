"""The blocks of README.md and docs as tests: each runs, and what it writes is compared with the block below it.

A ```text block right below a ```python or ```bash block is its output. Numbers with decimals may differ by a little
from one processor to the next; "…" stands for any rest of a line, and alone on a line for any lines.
`pytest --update-outputs` (`make docs-outputs`) writes what the blocks give now in the place of what differs.

A comment above a block says what is not as a reader would have it:

    <!-- run: hub -->                       ids of the Hub are tiny random checkpoints (`stand_ins.hub_cache`)
    <!-- run: spark -->                     `spark` and pandas are small stand-ins
    <!-- run: en_luke_mini => small; … -->  text of the block that is replaced before it runs
    <!-- run: not, because … -->            only its syntax is checked

Blocks of configs, JSON and YAML are parsed. The blocks of a page share a folder and, those of Python, their names.
"""

from __future__ import annotations

import ast
import configparser
import contextlib
import io
import json
import os
import re
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import srsly
from sybil import Document, Region
from sybil.example import Example

from . import shell, stand_ins

ROOT = Path(__file__).parents[2]
# Pages whose blocks are tests.
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(
    r"^(?:<!-- run: (?P<how>(?:(?!-->).)*) -->\n\n?)?"
    r"(?P<indent> *)```(?P<language>python|bash|ini|json|yaml)\n(?P<source>.*?)^(?P=indent)```$"
    r"(?:\n+(?P=indent)```text\n(?P<output>.*?)^(?P=indent)```$)?",
    re.MULTILINE | re.DOTALL,
)
_NUMBER = re.compile(r"\d+\.\d+")
TOLERANCE = 0.015


@dataclass
class Block:
    """A block of a page. output: what stands below it, None if nothing does; `place` is where in the page."""

    language: str
    source: str
    how: str = ""
    output: str | None = None
    place: tuple[int, int] = (0, 0)
    indent: str = ""

    @property
    def skipped(self) -> bool:
        return self.how.startswith("not")

    @property
    def replaced(self) -> str:
        """The source with the replacements of the comment."""
        source = self.source
        for part in self.how.split("; "):
            old, arrow, new = part.partition(" => ")
            if arrow:
                assert old in source, f"{old!r} is not in the block"
                source = source.replace(old, new.strip())
        return source


@dataclass
class Page:
    """What the blocks of a page share: a folder, the names of Python, and outputs that are to be written."""

    folder: Path
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "page"})


def blocks(document: Document) -> Iterator[Region]:
    """The parser for Sybil."""
    for match in _BLOCK.finditer(document.text):
        output = match["output"]
        block = Block(
            match["language"],
            textwrap.dedent(match["source"]),
            match["how"] or "",
            None if output is None else textwrap.dedent(output),
            match.span("output"),
            match["indent"],
        )
        yield Region(match.start(), match.end(), block, evaluate)


def evaluate(example: Example) -> str | None:
    """Run a block. RETURNS: what is wrong, as Sybil wants it; None if nothing is."""
    block: Block = example.parsed
    if block.language in ("ini", "json", "yaml") or block.skipped:
        _parse(block)
        return None
    pages: Any = example.namespace["pages"]
    page: Page = pages(Path(example.path))
    written = io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.enter_context(stand_ins.working_in(page.folder))
        stack.enter_context(stand_ins.shared_model())
        marks = block.how.split("; ")
        if "hub" in marks:
            stack.enter_context(stand_ins.hub_cache(example.namespace["hub"]))
        if "spark" in marks:
            page.names["spark"] = stack.enter_context(stand_ins.spark())
        stack.enter_context(contextlib.redirect_stdout(written))
        if block.language == "python":
            # Line numbers in tracebacks are those of the page.
            source = "\n" * example.line + block.replaced
            exec(compile(source, example.path, "exec"), page.names)
        else:
            shell.run(block.replaced, page.folder)
    if block.output is None:
        return None
    found = _tidy(written.getvalue())
    if is_as(block.output, found):
        return None
    if example.namespace["update_outputs"] is None:
        return f"Expected:\n{block.output}\nGot:\n{found}"
    update = (*block.place, textwrap.indent(found, block.indent))
    example.namespace["update_outputs"].setdefault(Path(example.path), []).append(update)
    return None


def rewrite(path: Path, updates: list[tuple[int, int, str]]) -> None:
    """Put other outputs into a page."""
    text = path.read_text(encoding="utf8")
    for start, end, output in sorted(updates, reverse=True):
        text = text[:start] + output + text[end:]
    path.write_text(text, encoding="utf8")


def is_as(expected: str, found: str) -> bool:
    """Whether an output is what the page says: see the module."""
    pattern = ["\n".join(map(_line_pattern, part)) for part in _split(_tidy(expected).splitlines())]
    match = re.fullmatch(r"(?:.*\n)*?".join(part + "\n" if part else "" for part in pattern), _tidy(found))
    if match is None:
        return False
    wanted = [float(number) for number in _NUMBER.findall(expected)]
    # Numbers that "…" stands for are no groups.
    got = [float(number) for number in match.groups()]
    return all(abs(a - b) <= TOLERANCE for a, b in zip(wanted, got, strict=True))


def _split(lines: list[str]) -> list[list[str]]:
    """The lines between those that are "…" alone."""
    parts: list[list[str]] = [[]]
    for line in lines:
        if line.strip() == "…":
            parts.append([])
        else:
            parts[-1].append(line)
    return parts


def _line_pattern(line: str) -> str:
    parts = ["(\\d+\\.\\d+)".join(map(re.escape, _NUMBER.split(part))) for part in line.split("…")]
    return ".*".join(parts)


def _tidy(text: str) -> str:
    lines = [line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", text).strip("\n").splitlines()]
    return "\n".join([*lines, ""])


def _parse(block: Block) -> None:
    """Check the syntax of a block, and the registered names of a config."""
    if block.language == "python":
        ast.parse(block.source)
    elif block.language == "bash":
        subprocess.run(["bash", "-n"], input=block.source, text=True, check=True)
    elif block.language == "json":
        json.loads(block.source)
    elif block.language == "yaml":
        srsly.yaml_loads(block.source)
    else:
        config = configparser.ConfigParser(interpolation=None)
        config.read_string(block.source)
        for section in config.sections():
            for name, value in config[section].items():
                known = value.startswith("$") or srsly.json_loads(value)
                if name.startswith("@"):
                    assert stand_ins.is_registered(name[1:], known), value


# tests/conftest.py is not read where pages alone are tests.
os.environ["HF_HUB_OFFLINE"] = "1"
