"""The steps by which the bundled model is made: `python -m scripts.NAME` in projects/en_luke_mini."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from weasel.util.config import load_project_config

PROJECT = Path(__file__).parents[1] / "projects" / "en_luke_mini"
# Read by a step or by `spacy train --code`.
NO_STEPS = ("__init__", "annotated_relations", "model_sources", "plain_baselines", "rel_component")
STEPS = sorted(path.stem for path in (PROJECT / "scripts").glob("*.py") if path.stem not in NO_STEPS)


def import_script(name: str = "") -> Any:
    """A module of the recipe's package `scripts`, or the package."""
    sys.path.insert(0, str(PROJECT))
    try:
        return importlib.import_module(f"scripts.{name}" if name else "scripts")
    finally:
        sys.path.remove(str(PROJECT))


@pytest.mark.parametrize("name", STEPS)
def test_a_step_says_what_it_does_and_needs(name: str, monkeypatch, capsys) -> None:
    step = import_script(name)
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as stopped:
        step.main()
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert step.__doc__.splitlines()[0] in shown
    assert f"python -m scripts.{name} " in shown


def test_configs_are_those_of_the_recipe_and_of_the_library() -> None:
    scripts = import_script()
    assert (scripts.RECIPE_CONFIGS / "mini.cfg").exists()
    assert (scripts.LIBRARY_CONFIGS / "ner.cfg").exists()


@pytest.mark.parametrize("folder", [PROJECT, PROJECT.parents[1]], ids=["recipe", "project"])
def test_what_a_command_needs_is_there_or_made_before(folder: Path) -> None:
    """Files of the repository, assets, and outputs of commands."""
    project = load_project_config(folder)
    commands = {command["name"]: command for command in project["commands"]}
    made = {output for command in commands.values() for output in command.get("outputs", ())}
    assets = {asset["dest"] for asset in project["assets"]}
    for command in commands.values():
        for needed in command.get("deps", ()):
            inside = any(needed == output or needed.startswith(f"{output}/") for output in made | assets)
            within = any(output.startswith(f"{needed}/") for output in made)
            assert inside or within or (folder / needed).exists(), f"{command['name']}: {needed}"
    for steps in project["workflows"].values():
        assert set(steps) <= set(commands)
