"""Processes that are killed in the middle, this one too: every row is there once in the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from spacy_luke.errors import LukeError
from spacy_luke.scale import annotate
from spacy_luke.scale.pool import Pool

from .corpus import (
    CODE,
    PoolOfThisProcess,
    found,
    in_one_process,
    leftovers,
    make_rows,
    read_lines,
    rounded,
    run,
    write_rows,
)

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills processes")
ROWS = 9
# What a user's script looks like.
SCRIPT = """
import sys
from pathlib import Path
from spacy_luke.scale import annotate
if __name__ == "__main__":
    model, code, source, output = sys.argv[1:]
    annotate(model, [Path(source)], Path(output), ids=["id"], code=Path(code), part_size=100)
"""


@pytest.fixture(autouse=True)
def _trouble(monkeypatch, tmp_path) -> None:
    (tmp_path / "trouble").mkdir()
    monkeypatch.setenv("TROUBLE", str(tmp_path / "trouble"))


def expected(nlp, rows: list[dict]) -> list[dict]:
    records = in_one_process(nlp, [row["text"] for row in rows])
    return [{"id": row["id"], **record} for row, record in zip(rows, records, strict=True)]


def results(path: Path) -> list[dict]:
    return [rounded(line) for line in read_lines(path)]


def test_a_worker_that_is_killed_is_replaced_and_one_that_always_dies_is_not(pipeline, nlp, tmp_path):
    """`kill -9` of a worker in the middle of a.jsonl; b.jsonl kills three."""
    rows, deadly, source = make_rows(ROWS, r4="ONCE"), make_rows(3, r1="DIE"), tmp_path / "in"
    write_rows(source / "a.jsonl", rows)
    write_rows(source / "b.jsonl", deadly)
    write_rows(source / "c.jsonl", rows)
    summary = run(pipeline, source, tmp_path / "out", workers=2, ids=["id"])
    assert (tmp_path / "trouble" / "ONCE").exists()
    assert found(tmp_path / "out") == ["a.jsonl", "c.jsonl"]
    for name in ("a.jsonl", "c.jsonl"):
        assert results(tmp_path / "out" / name) == expected(nlp, rows)
    [error] = summary.errors
    assert error.code == "L171"
    assert "b.jsonl is given up: 3 processes died at its rows 2 to " in str(error)
    assert "signal 9" in str(error)
    assert (summary.written, summary.deaths) == (2, 4)
    assert 0 <= summary.texts - 2 * ROWS < 3, "what was annotated of b.jsonl"


def test_after_the_first_process_is_killed_the_next_call_goes_on(pipeline, nlp, tmp_path, monkeypatch):
    """`kill -9` of the process that the user started."""
    rows = make_rows(ROWS, r5="ORPHAN")
    source, out = write_rows(tmp_path / "a.jsonl", rows), tmp_path / "out"
    command = [sys.executable, "-c", SCRIPT, pipeline, CODE, source, out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # waits for its workers, too
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert found(out) == []
    assert leftovers(out)
    monkeypatch.setattr("spacy_luke.scale.run.Pool", PoolOfThisProcess)
    summary = run(pipeline, source, out, ids=["id"])
    assert 0 < summary.texts < ROWS
    assert results(out / "a.jsonl") == expected(nlp, rows)
    assert found(out) == ["a.jsonl"]
    assert not leftovers(out)


def test_ctrl_c_ends_the_command_and_the_next_one_goes_on(pipeline, nlp, tmp_path, monkeypatch):
    rows, stop, source = make_rows(3), make_rows(3, r1="STOP"), tmp_path / "in"
    write_rows(source / "a.jsonl", rows)
    write_rows(source / "b.jsonl", stop)
    out = tmp_path / "out"
    options = ["--output", out, "--id", "id", "--code", CODE]
    command = [sys.executable, "-m", "spacy", "luke", "annotate", pipeline, source, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 130, done.stderr
    assert done.stderr == "Stopped. The same command goes on where this one was.\n"
    assert found(out) == ["a.jsonl"]
    monkeypatch.setattr("spacy_luke.scale.run.Pool", PoolOfThisProcess)
    summary = annotate(pipeline, [source], out, ids=["id"], code=CODE)
    assert (summary.present, summary.written) == (1, 1)
    assert [results(out / name) for name in found(out)] == [expected(nlp, rows), expected(nlp, stop)]


def test_processes_that_die_at_their_start_end_the_run(pipeline, tmp_path, monkeypatch):
    monkeypatch.setattr("spacy_luke.scale.run.Pool", lambda count, setup: Pool(count, os._exit))
    source = write_rows(tmp_path / "a.jsonl", make_rows(ROWS))
    with pytest.raises(LukeError, match=r"L172.*died 3 times.*exit status 0"):
        run(pipeline, source, tmp_path / "out")
    assert found(tmp_path / "out") == []


def test_a_pipeline_that_cannot_be_loaded_ends_the_run(tmp_path):
    source = write_rows(tmp_path / "a.jsonl", make_rows(ROWS))
    with pytest.raises(LukeError, match="L170"):
        run(tmp_path / "nowhere", source, tmp_path / "out")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_worker_with_a_gpu(pipeline, nlp, tmp_path):
    source = write_rows(tmp_path / "a.jsonl", make_rows(ROWS))
    summary = run(pipeline, source, tmp_path / "out", gpus=1, ids=["id"])
    assert summary.texts == ROWS
    found_entities = [[ent["start"] for ent in line["entities"]] for line in results(tmp_path / "out" / "a.jsonl")]
    assert found_entities == [[ent["start"] for ent in line["entities"]] for line in expected(nlp, make_rows(ROWS))]
