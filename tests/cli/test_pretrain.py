"""`luke pretrain` takes a config as `spacy train` does, and shows how it goes."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from spacy_luke.cli import luke_cli
from tests.training.pretraining.linked import CONFIG, ENCODER, write_files


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    return write_files(tmp_path_factory.mktemp("files"))


def pretrain(files: Path, out: Path, *more: object, config: Path = CONFIG) -> Result:
    options = {
        "paths.train": files / "train.spacy",
        "paths.dev": files / "dev.spacy",
        "paths.tokenizer": files,
        "pretraining.max_steps": 2,
        "pretraining.eval_frequency": 1,
        "pretraining.batch_size": 300,
        **{f"pretraining.model.sizes.{name}": value for name, value in ENCODER.items()},
    }
    given = [str(part) for item in options.items() for part in (f"--{item[0]}", item[1])]
    return CliRunner().invoke(luke_cli, ["pretrain", str(config), "-o", str(out), *given, *map(str, more)])


def test_a_run_prints_a_line_for_each_evaluation_and_goes_on(files, tmp_path):
    result = pretrain(files, tmp_path / "out")
    assert result.exit_code == 0, result.output
    summary, head, *lines, end = result.stdout.strip().splitlines()
    assert "12 Docs" in summary
    assert head.split()[:3] == ["STAGE", "STEP", "EPOCH"]
    assert [line.split()[:2] for line in lines] == [["1_entities", "1"], ["1_entities", "2"]]
    assert all(len(line.split()) - line.endswith("best") == 14 for line in lines)
    assert len(head.split()) == 14 + 8  # eight of the names have two words
    assert "model-last" in end
    result = pretrain(files, tmp_path / "out", "--resume", "--pretraining.max_steps", 3)
    assert result.exit_code == 0, result.output
    assert [line.split()[1] for line in result.stdout.splitlines() if "1_entities" in line] == ["3"]


def test_resume_or_start_does_what_there_is_to_do(files, tmp_path):
    for last, steps in ((1, ["1"]), (3, ["2", "3"])):
        result = pretrain(files, tmp_path / "out", "--resume-or-start", "--pretraining.max_steps", last)
        assert result.exit_code == 0, result.output
        assert [line.split()[1] for line in result.stdout.splitlines() if "1_entities" in line] == steps


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--resume"], "L102"),
        (["--gpu-id", 99], "L047"),
        (["--pretraining.colour", "red"], "L097"),
        (["--paths.dev", "null"], "L097"),
        (["--paths.checkpoint", "/nowhere"], "L020"),
    ],
)
def test_a_mistake_is_one_coded_line(files, tmp_path, more, code):
    result = pretrain(files, tmp_path / "out", *more)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"[{code}]")
    assert len(result.stderr.splitlines()) == 1


def test_a_config_that_is_not_there_and_a_wrong_optimizer_end_the_command(files, tmp_path):
    assert pretrain(files, tmp_path / "out", config=tmp_path / "none.cfg").exit_code == 1
    result = pretrain(files, tmp_path / "out", "--pretraining.stages.2_all.optimizer.colour", "red")
    assert result.exit_code == 1
    assert "colour" in result.stdout + result.stderr


def test_the_log_of_a_run_is_drawn(files, tmp_path):
    pytest.importorskip("matplotlib")
    assert pretrain(files, tmp_path / "out").exit_code == 0
    result = CliRunner().invoke(luke_cli, ["plot", str(tmp_path / "out" / "log.jsonl"), "-o", str(tmp_path / "a.svg")])
    assert result.exit_code == 0, result.output
    assert "words, dev" in (tmp_path / "a.svg").read_text(encoding="utf8")
