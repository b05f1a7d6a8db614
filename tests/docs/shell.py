"""Commands of the documentation, as far as a test may run them.

Commands of spaCy run in this process, training for two steps. Of those that install or need the network, it is checked
that what they name exists. Anything else is an error: a new kind of command has to be added to `run_one`.
"""

from __future__ import annotations

import contextlib
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from unittest import mock

import srsly
from spacy.cli._util import app
from typer.testing import CliRunner

from benchmarks.options import make_parser
from benchmarks.parts import PARTS
from spacy_luke.cli import luke_cli

from .stand_ins import ROOT, working_in

FEW_STEPS = {
    "train": ["--training.max_steps", "2", "--training.eval_frequency", "1", "--training.max_epochs", "0"],
    "luke pretrain": [
        *("--pretraining.max_steps", "2", "--pretraining.eval_frequency", "1"),
        *("--pretraining.accumulate_gradient", "1"),
    ],
}
# Importing it makes the commands of `spacy luke` known to spaCy, as its entry point does.
assert luke_cli.registered_commands
PLAIN = ("cat", "head", "ls", "mkdir", "cp", "echo")


def run(source: str, folder: Path) -> None:
    """Run the lines of a block. Output goes to sys.stdout.

    folder: where the block starts.
    """
    lines = re.sub(r"\\\n\s*", " ", source).splitlines()
    with working_in(folder):
        for line in lines:
            for command in line.split(" && "):
                words = shlex.split(command, comments=True)
                if words:
                    run_one(words)


def run_one(words: list[str]) -> None:
    """Run a command, or check it."""
    match words:
        case ["cd", target]:
            os.chdir(target)
        case [".", *_] | ["git", "clone", *_] | ["make", "clean"]:
            pass
        case ["make", *rest]:
            subprocess.run(["make", "--dry-run", *rest], cwd=ROOT, check=True, capture_output=True)
        case ["srun", *rest]:
            run_one(rest)
        case ["pip", "install", *rest]:
            if "--index-url" in rest:
                rest = rest[: rest.index("--index-url")]
            for requirement in rest:
                check_installable(requirement)
        case ["prodigy", *_, ">", target]:
            assert Path(target).is_file(), target
        case ["python", "-m", "spacy", "project", "assets" | "clone" | "dvc", *_]:
            assert srsly.read_yaml("project.yml")["assets"]
        case ["python", "-m", "spacy", "project", "run", name]:
            project = srsly.read_yaml("project.yml")
            assert name in {*project["workflows"], *(command["name"] for command in project["commands"])}, name
        case ["python", "-m", "spacy", *rest]:
            spacy(rest)
        case ["python", "-m", "benchmarks", *rest]:
            with contextlib.suppress(SystemExit):  # of --help
                make_parser(list(PARTS), 1).parse_args(rest)
        case ["python", "-m", "benchmarks.plot", *_]:
            pass
        case ["python", "-m", "scripts.show_tasks" | "scripts.bundle_model", *_]:
            assert Path(*words[2].split(".")).with_suffix(".py").is_file()
        case ["python", script, *rest]:
            with mock.patch.object(sys, "argv", [script, *rest]):
                runpy.run_path(script, run_name="__main__")
        case [name, *_] if name in PLAIN:
            done = subprocess.run(["bash", "-c", shlex.join(words)], check=True, capture_output=True, text=True)
            sys.stdout.write(done.stdout)
        case _:
            raise AssertionError(f"no way to run: {shlex.join(words)}")


def spacy(words: list[str]) -> None:
    """`python -m spacy …` in this process; AssertionError if it fails."""
    for command, options in FEW_STEPS.items():
        if words[: len(command.split())] == command.split():
            words = [*words, *options]
    patterns = [sorted(map(str, Path().glob(word))) if "*" in word else [word] for word in words]
    with mock.patch.object(sys, "argv", ["spacy", *words]):
        result = CliRunner().invoke(app, [word for found in patterns for word in found], prog_name="python -m spacy")
    if result.exit_code:
        raise AssertionError(f"{shlex.join(words)}\n{result.output}") from result.exception
    if words[0] != "apply":  # which says only what device it takes
        sys.stdout.write(result.output)


def check_installable(requirement: str) -> None:
    """Whether a requirement of `pip install` is a folder of the repository, an extra of ours or a package."""
    extra = re.fullmatch(r"(?:spacy-luke|\.)\[([\w,]+)\]", requirement)
    if extra:
        known = (ROOT / "setup.cfg").read_text(encoding="utf8").split("[options.extras_require]")[1]
        for name in extra[1].split(","):
            assert f"\n{name} =\n" in known, name
    elif requirement.startswith("."):
        assert (ROOT / requirement / "setup.cfg").is_file(), requirement
    else:
        assert re.fullmatch(r"[\w-]+", requirement), requirement
