"""docs/tutorial.md: its blocks run one after the other, with a short training, and the data is what the page shows."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
import spacy
from spacy.cli._util import app
from typer.testing import CliRunner

from spacy_luke.cli import luke_cli

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial.md"
DATA = ROOT / "examples" / "spaceflight"
# Importing it makes `spacy luke` known to spaCy, as its entry point does.
assert luke_cli.registered_commands
SMALL = {
    "train": ["--training.max_steps", "2", "--training.eval_frequency", "1"],
    # An archive is built with tools from the package index.
    "package": ["--build", "none"],
}


@pytest.fixture(scope="module")
def run_tutorial():
    spec = importlib.util.spec_from_file_location("run_tutorial", ROOT / "scripts" / "run_tutorial.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def run_command(line: str) -> str:
    """A line of a block, in this process if it is one of spaCy; returns its output."""
    words = shlex.split(line)
    if words[:3] == ["python", "-m", "spacy"]:
        words = words[3:]
        with mock.patch.object(sys, "argv", ["spacy", *words, *SMALL.get(words[0], [])]):
            result = CliRunner().invoke(app, sys.argv[1:], prog_name="python -m spacy")
        assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception!r}"
        return result.output
    if words[0] == "cd":
        os.chdir(words[1])
        return ""
    if words[:2] == ["pip", "install"] or line.endswith("/dist"):
        package = Path(words[-1].partition("/dist")[0])
        assert (package / "setup.py").is_file()
        shutil.copy(package / "meta.json", package / "en_spaceflight")  # as setup.py does
        sys.path.insert(0, str(package.absolute()))
        return ""
    assert words[0] in ("mkdir", "cp", "ls", "head"), line
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@pytest.mark.skipif(sys.platform == "win32", reason="the commands are for Linux and macOS")
def test_the_tutorial_runs_and_shows_the_data_as_it_is(run_tutorial, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    installed = spacy.util.is_package
    monkeypatch.setattr(spacy.util, "is_package", lambda name: name == "en_spaceflight" or installed(name))
    (tmp_path / "spacy-luke").symlink_to(ROOT)
    page = PAGE.read_text(encoding="utf8")
    training = page.index("\n## Train\n")
    compared = 0
    for block in run_tutorial.blocks(page):
        if block.language == "python":
            written = io.StringIO()
            with contextlib.redirect_stdout(written):
                exec(compile(block.source, str(PAGE), "exec"), {"__name__": "tutorial"})
            output = written.getvalue()
        else:
            lines = re.sub(r"\\\n\s*", " ", block.source).splitlines()
            output = "".join(map(run_command, lines))
        if block.output is not None and block.place[0] < training:
            assert run_tutorial.tidy(output) == block.output
            compared += 1
    assert compared == 4
    assert {"model-best", "tuned"} <= {path.name for path in Path("training").iterdir()}


def test_every_output_is_there(run_tutorial) -> None:
    for block in run_tutorial.blocks(PAGE.read_text(encoding="utf8")):
        assert block.output is None or block.output.strip()


def test_outputs_are_put_into_their_places(run_tutorial) -> None:
    page = "a\n```bash\nls\n```\n\n```text\nold\n```\nb\n```python\n1\n```\nc\n```bash\ncd\n```\n```text\nolder\n```\n"
    assert run_tutorial.with_outputs(page, ["new\n", "unseen\n", "newer\n"]) == page.replace("older", "newer").replace(
        "old", "new"
    )
    assert run_tutorial.tidy("\n\x1b[31mred\x1b[0m  \n\nend\n\n") == "red\n\nend\n"


# The sentences


@pytest.mark.parametrize("name", ["train", "dev", "test"])
def test_both_files_of_the_sentences_say_the_same(name) -> None:
    nlp = spacy.blank("en")
    written = []
    for line in (DATA / f"{name}.jsonl").read_text(encoding="utf8").splitlines():
        record = json.loads(line)
        doc = nlp(record["text"])
        doc.set_ents([doc.char_span(start, end, label=label) for start, end, label in record["entities"]])
        tags = [f"{token.ent_iob_}-{token.ent_type_}" if token.ent_type_ else "O" for token in doc]
        written.append("".join(f"{token} {tag}\n" for token, tag in zip(doc, tags, strict=True)))
        kinds = [label for _, _, label in record["entities"]]
        for head, label, tail in record["relations"]:
            allowed = {
                "VISITED": ("CRAFT", "BODY"),
                "LAUNCHED_ON": ("CRAFT", "ROCKET"),
                "MADE_BY": (kinds[head], "AGENCY"),
            }
            assert (kinds[head], kinds[tail]) == allowed[label]
    assert "\n".join(written) == (DATA / f"{name}.conll").read_text(encoding="utf8")


def test_no_sentence_is_there_twice() -> None:
    lines = [line for path in DATA.glob("*.jsonl") for line in path.read_text(encoding="utf8").splitlines()]
    assert len({json.loads(line)["text"] for line in lines}) == len(lines) == 203


def test_the_numbers_beside_the_sentences_are_right() -> None:
    table = (DATA / "README.md").read_text(encoding="utf8")
    for name in ("train", "dev", "test"):
        lines = list(map(json.loads, (DATA / f"{name}.jsonl").read_text(encoding="utf8").splitlines()))
        entities = [label for line in lines for _, _, label in line["entities"]]
        relations = [label for line in lines for _, label, _ in line["relations"]]
        counts = [*map(entities.count, ("CRAFT", "BODY", "AGENCY", "ROCKET"))]
        counts += map(relations.count, ("VISITED", "MADE_BY", "LAUNCHED_ON"))
        assert f"| {name} | {len(lines)} | {' | '.join(map(str, counts))} |" in table
