"""The pure functions of scripts/mutate.py; `make mutate` runs the whole of it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "mutate.py"


@pytest.fixture(scope="module")
def mutate():
    spec = importlib.util.spec_from_file_location("mutate", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_module_has_tests_that_mirror_it(mutate):
    assert mutate.mirrored_tests("spacy_luke/pipeline/qa/decoding.py") == "tests/pipeline/qa"
    assert mutate.mirrored_tests("spacy_luke/errors.py") == "tests"
    for module in (ROOT / "spacy_luke").rglob("*.py"):
        found = mutate.mirrored_tests(module.relative_to(ROOT).as_posix())
        assert any((ROOT / found).glob("test_*.py")) or any((ROOT / found).glob("*/test_*.py")), module


def test_the_settings_are_added_to_those_of_the_copy(mutate, tmp_path):
    tomllib = pytest.importorskip("tomllib")
    for name in ("spacy_luke", "tests", "configs", "README.md", "setup.cfg"):
        (tmp_path / name).mkdir()
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n', encoding="utf8")
    mutate.configure(tmp_path, ["spacy_luke/a.py"], ["tests/a"])
    read = tomllib.loads((tmp_path / "pyproject.toml").read_text(encoding="utf8"))
    assert read["project"] == {"name": "x"}
    assert read["tool"]["mutmut"] == {
        "source_paths": ["spacy_luke"],
        "only_mutate": ["spacy_luke/a.py"],
        "also_copy": ["README.md", "configs"],
        "pytest_add_cli_args_test_selection": ["tests/a"],
        "do_not_mutate_patterns": mutate.NOT_MUTATED,
        "pytest_add_cli_args": ["--capture=no"],
    }


def test_a_module_that_is_not_there_is_named(tmp_path):
    result = subprocess.run([sys.executable, SCRIPT, "spacy_luke/nothing.py"], capture_output=True, text=True)
    assert result.returncode == 2
    assert "no such module: spacy_luke/nothing.py" in result.stderr
