"""`luke import` and `luke upcycle` hand their options on; what they do is tested where it is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import spacy
from typer.testing import CliRunner, Result

from spacy_luke.cli import luke_cli


def luke(*args: object) -> Result:
    return CliRunner().invoke(luke_cli, [str(arg) for arg in args])


def test_import_saves_a_pipeline_that_loads(tmp_path, monkeypatch):
    given: dict[str, Any] = {}

    def from_checkpoint(name: str, **options: Any) -> spacy.language.Language:
        given.update(options, name=name)
        nlp = spacy.blank(options["lang"])
        nlp.add_pipe("sentencizer")
        return nlp

    monkeypatch.setattr("spacy_luke.from_checkpoint", from_checkpoint)
    result = luke("import", "me/luke", tmp_path / "out", "--revision", "v2", "--sentences", "", "--lang", "de")
    assert result.exit_code == 0
    assert given == {"name": "me/luke", "revision": "v2", "sentences": None, "lang": "de"}
    assert spacy.load(tmp_path / "out").pipe_names == ["sentencizer"]


@pytest.mark.parametrize(
    ("options", "case_types"), [([], None), (["--case-types"], True), (["--no-case-types"], False)]
)
def test_upcycle_decides_case_types_only_if_told(tmp_path, monkeypatch, options, case_types):
    given: dict[str, Any] = {}

    def upcycle_folder(source: Path, target: Path, **rest: Any) -> None:
        given.update(rest, source=source, target=target)

    monkeypatch.setattr("spacy_luke.checkpoints.upcycle_folder.upcycle_folder", upcycle_folder)
    result = luke("upcycle", tmp_path, tmp_path / "out", *options)
    assert result.exit_code == 0
    assert given == {"source": tmp_path, "target": tmp_path / "out", "case_types": case_types, "to": "luke"}


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ([], {}),
        (["--max-pieces", "1000", "--attention-window", "64"], {"max_pieces": 1000, "attention_window": 64}),
        (["--attention-window", "32,64"], {"attention_window": (32, 64)}),
    ],
)
def test_upcycle_makes_a_longformer_if_told(tmp_path, monkeypatch, options, changes):
    given: dict[str, Any] = {}
    monkeypatch.setattr("spacy_luke.checkpoints.upcycle_folder.upcycle_folder", lambda *_, **rest: given.update(rest))
    result = luke("upcycle", tmp_path, tmp_path / "out", "--to", "longformer", *options)
    assert result.exit_code == 0
    assert "Longformer" in result.output
    assert given == {"case_types": None, "to": "longformer", **changes}


@pytest.mark.parametrize("value", ["", "wide", "32,", "3.5"])
def test_a_window_that_is_no_number_raises_l080(tmp_path, value):
    result = luke("upcycle", tmp_path, tmp_path / "out", "--to", "longformer", "--attention-window", value)
    assert result.exit_code == 1
    assert result.stderr.startswith("[L080] attention_window")


@pytest.mark.parametrize("option", ["--max-pieces", "--attention-window"])
def test_what_only_a_longformer_has_raises_l080_for_a_luke(tmp_path, option):
    result = luke("upcycle", tmp_path, tmp_path / "out", option, "64")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"[L080] {option[2:].replace('-', '_')}")


@pytest.mark.parametrize("command", ["import", "upcycle"])
def test_a_checkpoint_that_is_not_there_is_one_coded_line(tmp_path, command):
    result = luke(command, tmp_path / "missing", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr.startswith("[L020]")
    assert len(result.stderr.splitlines()) == 1
