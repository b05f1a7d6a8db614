"""Run the blocks of docs/tutorial.md one after the other in an empty folder, and write what they print into the page.

    python scripts/run_tutorial.py

A ```text block right below a ```bash or ```python block is its output. Commands run as written, in a virtual
environment that sees the packages of this one, so that what the page installs is gone afterwards.
"""

from __future__ import annotations

import os
import re
import site
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tutorial.md"
_BLOCK = re.compile(
    r"^```(?P<language>bash|python)\n(?P<source>.*?)^```$(?:\n+```text\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Block:
    """A block of the page. place: where its output stands, (-1, -1) if it has none."""

    language: str
    source: str
    output: str | None
    place: tuple[int, int]


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page, in order."""
    for match in _BLOCK.finditer(page):
        yield Block(match["language"], match["source"], match["output"], match.span("output"))


def with_outputs(page: str, outputs: list[str]) -> str:
    """The page with other outputs, one for each block; those without a place for it are left alone."""
    for block, output in reversed(list(zip(blocks(page), outputs, strict=True))):
        if block.output is not None:
            start, end = block.place
            page = page[:start] + output + page[end:]
    return page


def tidy(output: str) -> str:
    """The output without colours and without empty lines and spaces at its edges."""
    lines = [_COLOURS.sub("", line).rstrip() for line in output.splitlines()]
    return "\n".join(lines).strip("\n") + "\n"


def make_environment(folder: Path) -> dict[str, str]:
    """A virtual environment on top of the one that runs this; returns the variables with which commands run in it."""
    venv.create(folder, with_pip=True, symlinks=True)
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "below.pth").write_text(
        "".join(f"import site; site.addsitedir({path!r})\n" for path in site.getsitepackages())
    )
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONWARNINGS": "ignore"}


def main() -> None:
    page = PAGE.read_text(encoding="utf8")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "spacy-luke").symlink_to(ROOT)
        env = make_environment(folder / "environment")
        outputs = []
        for block in blocks(page):
            command = ["bash", "-e"] if block.language == "bash" else ["python", "-"]
            done = subprocess.run(
                command,
                input=block.source,
                cwd=folder,
                env=env,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            print(block.source, done.stdout, sep="\n", flush=True)
            if done.returncode:
                sys.exit(f"This block failed:\n{block.source}")
            outputs.append(tidy(done.stdout))
            if "cd spaceflight\n" in block.source:
                folder = folder / "spaceflight"
    PAGE.write_text(with_outputs(page, outputs), encoding="utf8")


if __name__ == "__main__":
    main()
