"""`luke annotate` says what it did, and a mistake in one line."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from spacy.cli._util import app
from typer.testing import CliRunner, Result

from spacy_luke.cli.annotate import annotate_cli
from tests.scale.corpus import CODE, PoolOfThisProcess, found, make_rows, read_lines, write_pipeline, write_rows


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory) -> Path:
    return write_pipeline(tmp_path_factory.mktemp("pipeline"))


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch) -> None:
    monkeypatch.setattr("spacy_luke.scale.run.Pool", PoolOfThisProcess)


def luke(*args: object) -> Result:
    return CliRunner().invoke(app, ["luke", "annotate", *map(str, args), "--code", str(CODE)])


@pytest.fixture
def source(tmp_path) -> Path:
    return write_rows(tmp_path / "in" / "a.jsonl", make_rows(3, r1="RAISE"))


def test_a_summary_on_standard_output(pipeline, source, tmp_path):
    result = luke(pipeline, source, "-o", tmp_path / "out", "--id", "id")
    assert result.exit_code == 0, result.output
    first, second, third = result.stdout.splitlines()
    assert first == "1 of 1 inputs written, 0 had been there."
    assert second.startswith("2 texts, ")
    assert second.endswith("words/s.")
    assert third.startswith("1 rows have no results")
    assert result.stderr == "", "progress is for terminals"
    assert [line["id"] for line in read_lines(tmp_path / "out" / "a.jsonl")] == [0, 2]
    again = luke(pipeline, source, "-o", tmp_path / "out", "--id", "id")
    assert again.stdout.startswith("0 of 1 inputs written, 1 had been there.")


def test_quiet(pipeline, source, tmp_path):
    result = luke(pipeline, source, "-o", tmp_path / "out", "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    assert found(tmp_path / "out") == ["a.jsonl", "a.jsonl.failed"]


def test_progress_on_a_terminal(pipeline, source, tmp_path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    annotate_cli(str(pipeline), [source], tmp_path / "out", code=CODE)
    shown = sys.stderr.getvalue().split("\r")[-1]  # type: ignore[attr-defined]
    assert "100%" in shown
    assert "left" in shown
    assert "words/s" in shown
    monkeypatch.setattr(sys, "stderr", Terminal())
    annotate_cli(str(pipeline), [source], tmp_path / "quiet", code=CODE, quiet=True)
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]


def test_all_options(pipeline, tmp_path):
    rows = [{"key": i, "body": row["text"], "ask": "Who?"} for i, row in enumerate(make_rows(2))]
    for name in ("a.jsonl", "b.jsonl", "c.jsonl"):
        write_rows(tmp_path / "in" / name, rows)
    options = ["--text", "body", "--id", "key", "--id", "ask", "--questions", "ask", "--shard", "2/2"]
    options += ["--format", "jsonl", "--workers", 2, "--gpus", 0]
    result = luke(pipeline, tmp_path / "in", "-o", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    assert found(tmp_path / "out") == ["b.jsonl"]
    lines = read_lines(tmp_path / "out" / "b.jsonl")
    assert [(line["key"], line["ask"], line["questions"]) for line in lines] == [
        (0, "Who?", ["Who?"]),
        (1, "Who?", ["Who?"]),
    ]


@pytest.mark.parametrize(
    ("options", "code"),
    [(["--shard", "3/2"], "L080"), (["--id", "text"], "L080"), (["--gpus", 1000], "L047")],
)
def test_a_mistake_is_one_coded_line(pipeline, source, tmp_path, options, code):
    result = luke(pipeline, source, "-o", tmp_path / "out", *options)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"[{code}]")
    assert len(result.stderr.splitlines()) == 1


def test_an_input_that_cannot_be_annotated_is_a_line_each_and_the_exit_status(pipeline, source, tmp_path):
    for name in ("b.jsonl", "c.jsonl"):
        write_rows(source.parent / name, [{"body": "a"}])
    result = luke(pipeline, source.parent, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert [line[:6] for line in result.stderr.splitlines()] == ["[L167]", "[L167]"]
    assert "1 of 3 inputs written" in result.stdout
    assert found(tmp_path / "out") == ["a.jsonl", "a.jsonl.failed"]


def test_without_ray_the_message_names_the_extra(pipeline, source, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "spacy_luke.ray.pool", raising=False)
    result = luke(pipeline, source, "-o", tmp_path / "out", "--engine", "ray")
    assert result.exit_code == 1
    assert result.stderr.startswith("[L176] --engine ray needs Ray")
    assert result.stderr.endswith("pip install 'spacy-luke[ray]'.\n")
    assert not (tmp_path / "out").exists()
