"""The notebooks in examples/: they run, with small settings, and those in the repository have their outputs."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
NAMES = ["01_first_steps", "02_train_your_own", "03_long_documents"]
# Variables that the notebooks read: training steps, and paragraphs of the long text.
SMALL = {"STEPS": "2", "PARAGRAPHS": "4"}


@pytest.fixture(scope="module")
def run_notebooks():
    spec = importlib.util.spec_from_file_location("run_notebooks", ROOT / "scripts" / "run_notebooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def repository(tmp_path) -> Path:
    """What the notebooks read, in a folder that they may write to."""
    for name in ("examples/spaceflight", "benchmarks/sample", "configs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


def code_cells(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_these_are_the_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS] == NAMES


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_a_notebook_runs_and_has_all_its_outputs(run_notebooks, repository, monkeypatch, path) -> None:
    for name, value in SMALL.items():
        monkeypatch.setenv(name, value)
    shutil.copy(path, repository / "examples")
    executed = run_notebooks.execute(repository / "examples" / path.name)
    kinds = [
        [[output.output_type for output in cell.outputs] for cell in code_cells(notebook)]
        for notebook in (nbformat.read(path, as_version=4), executed)
    ]
    # After so short a training there is nothing to print of some texts.
    shown, now = ([set(cell) - {"stream"} for cell in cells] for cells in kinds)
    assert shown == now


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_a_notebook_is_kept_executed(path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert [cell.execution_count for cell in code_cells(notebook)] == list(range(1, len(code_cells(notebook)) + 1))
    text = json.dumps(notebook)
    assert "Traceback" not in text
    assert not re.search(r"/(tmp|home|root|work)/", text), "a path of the machine it was run on"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_links_of_a_notebook_lead_to_files(path) -> None:
    links = re.findall(r"\]\(((?!https?:)[^)#]+)", "\n".join(cell.source for cell in nbformat.read(path, 4).cells))
    assert links
    for link in links:
        assert (path.parent / link).exists(), link
