"""Errors of this package are a line on the command line, also on spaCy's; all others keep their traceback."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import spacy
import typer
from spacy.cli import app
from spacy.cli.train import train, train_cli
from spacy.tokens import DocBin
from spacy.util import load_config
from typer.testing import CliRunner

import spacy_luke
from spacy_luke.cli import luke_cli
from spacy_luke.cli.errors import TRACEBACK, shorten_errors_of_spacy
from spacy_luke.errors import LukeError
from tests.cli.terminal import run

CONFIG = Path(__file__).parents[2] / "configs" / "ner.cfg"
MINE = """
import spacy

@spacy.registry.callbacks("mine.v1")
def make():
    def fail(nlp_class):
        raise ValueError("of the user")
    return fail
"""


@pytest.fixture
def config(tmp_path) -> Path:
    """That of a training whose checkpoint is not there."""
    DocBin(docs=[spacy.blank("en")("A text.")]).to_disk(tmp_path / "corpus.spacy")
    paths = {f"paths.{name}": str(tmp_path / "corpus.spacy") for name in ("train", "dev")}
    load_config(CONFIG, overrides={**paths, "paths.checkpoint": "./nowhere"}).to_disk(tmp_path / "config.cfg")
    return tmp_path / "config.cfg"


def lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    return done.stderr.strip().splitlines()


def test_spacy_train_ends_with_the_message(config):
    done = run("train", config)
    assert done.returncode == 1
    assert lines(done)[-1].startswith("[L020] No checkpoint './nowhere'")
    assert "Traceback" not in done.stderr
    assert "Initializing pipeline" in done.stdout


def test_a_variable_of_the_environment_shows_the_traceback(config):
    done = run("train", config, environment={TRACEBACK: "1"})
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "in locate" in done.stderr
    assert "LukeError: [L020]" in lines(done)[-1]


def test_an_error_of_the_user_has_its_traceback(config, tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    changed = load_config(config)
    changed["nlp"]["before_creation"] = {"@callbacks": "mine.v1"}
    changed.to_disk(config)
    done = run("train", config, "--code", tmp_path / "mine.py")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert 'raise ValueError("of the user")' in done.stderr
    assert lines(done)[-1] == "ValueError: of the user"


def test_functions_of_spacy_raise_as_ever(config):
    with pytest.raises(LukeError, match="L020"):
        train(config)
    with pytest.raises(LukeError, match="L020"):
        typer.main.get_command(_app_of(train_cli)).main([str(config)], standalone_mode=False)


def _app_of(function: Callable[..., Any]) -> typer.Typer:
    single = typer.Typer()
    single.command(context_settings={"allow_extra_args": True})(function)
    return single


@pytest.mark.parametrize(
    "command", [["train"], ["evaluate"], ["apply"], ["benchmark", "speed"], ["debug", "data"], ["init", "labels"]]
)
def test_spacy_commands_keep_their_options(command):
    found: Any = typer.main.get_command(app)
    for name in command:
        found = found.commands[name]
    assert found.callback.__wrapped__.__module__.startswith("spacy.cli.")
    names = [param.name for param in found.params if param.name != "help"]
    assert names
    assert set(names) <= set(found.callback.__wrapped__.__annotations__)


def test_commands_of_others_are_left_alone():
    other = typer.Typer()

    def mine() -> None:
        raise LukeError("L020", name="x", reason="it is mine")

    other.command("mine")(mine)
    other.command("two")(lambda: None)
    shorten_errors_of_spacy(other)
    assert other.registered_commands[0].callback is mine
    result = CliRunner().invoke(other, ["mine"])
    assert isinstance(result.exception, LukeError)


@pytest.mark.parametrize(("value", "short"), [(None, True), ("", True), ("0", True), ("1", False)])
def test_our_commands_show_it_when_they_are_told(monkeypatch, tmp_path, value, short):
    monkeypatch.delenv(TRACEBACK, raising=False)
    if value is not None:
        monkeypatch.setenv(TRACEBACK, value)
    result = CliRunner().invoke(luke_cli, ["convert", "iob", str(tmp_path / "nowhere"), str(tmp_path / "out")])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit if short else LukeError)
    assert result.stderr.startswith("[L061]") is short


def test_luke_version_says_what_a_report_of_a_bug_needs():
    done = run("luke", "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"spacy-luke {spacy_luke.__version__} (spaCy {spacy.__version__}, PyTorch ")
    assert len(done.stdout.splitlines()) == 1
