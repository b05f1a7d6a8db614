"""A run whose workers are actors of Ray: the files are those of processes, and every row is there once after kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from spacy_luke.errors import LukeError, LukeWarning
from tests.scale.corpus import (
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

from .conftest import CPUS

ray = pytest.importorskip("ray")

from spacy_luke.ray import pool as ray_pool  # noqa: E402 (needs Ray)
from spacy_luke.ray.pool import RayPool  # noqa: E402

pytestmark = [pytest.mark.ray, pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills processes")]
ROWS = 9
# What a user's script looks like, but that it writes down its number.
SCRIPT = """
import os, sys
from pathlib import Path
from spacy_luke.ray.pool import RayPool
from spacy_luke.scale import annotate
model, code, source, output = sys.argv[1:]
Path(os.environ["TROUBLE"], "first process").write_text(str(os.getpid()))
annotate(model, [Path(source)], Path(output), ids=["id"], code=Path(code), engine=RayPool, part_size=100)
"""


def results(path: Path) -> list[dict]:
    return [rounded(line) for line in read_lines(path)]


def expected(nlp, rows: list[dict]) -> list[dict]:
    records = in_one_process(nlp, [row["text"] for row in rows])
    return [{"id": row["id"], **record} for row, record in zip(rows, records, strict=True)]


@pytest.mark.usefixtures("trouble")
@pytest.mark.parametrize("form", ["jsonl", "parquet", "spacy"])
def test_files_are_those_of_processes(pipeline, tmp_path, monkeypatch, form):
    """Whatever is wrong with an input or a row: same results, same .failed files, same errors."""
    folder = tmp_path / "in"
    write_rows(folder / "a.jsonl", [*make_rows(ROWS, r4="RAISE"), {"id": 4, "text": "the id of another"}, {"id": 5}])
    write_rows(folder / "long.jsonl", [{"id": 1, "text": "many words " * 10**6}, {"id": 2, "text": "a b"}])
    write_rows(folder / "no_column.jsonl", [{"id": 1, "body": "a"}])
    (folder / "cut.jsonl").write_bytes(b'{"id": 1, "text": "a b"}\n{"id": 2, "te')
    (folder / "empty.jsonl").touch()
    with_ray = run(pipeline, folder, tmp_path / "ray", form=form, ids=["id"], engine=RayPool, workers=2)
    monkeypatch.setattr("spacy_luke.scale.run.Pool", PoolOfThisProcess)
    without = run(pipeline, folder, tmp_path / "processes", form=form, ids=["id"])
    names = found(tmp_path / "ray")
    assert len(names) == 7, "of four inputs, three with rows that have no results"
    assert names == found(tmp_path / "processes")
    for name in names:
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "processes" / name).read_bytes()
    assert not leftovers(tmp_path / "ray" / "a.jsonl")
    assert [str(error) for error in with_ray.errors] == [str(error) for error in without.errors]
    assert [error.code for error in with_ray.errors] == ["L167"]
    counts = ("inputs", "written", "present", "texts", "words", "failed", "deaths")
    assert [getattr(with_ray, name) for name in counts] == [getattr(without, name) for name in counts]
    assert ray.is_initialized(), "who is connected stays so"


def test_an_actor_that_is_killed_is_replaced_and_one_that_always_dies_is_not(pipeline, nlp, trouble, tmp_path):
    """`kill -9` of an actor in the middle of a.jsonl; b.jsonl kills three."""
    rows, deadly, source = make_rows(ROWS, r4="ONCE"), make_rows(3, r1="DIE"), tmp_path / "in"
    write_rows(source / "a.jsonl", rows)
    write_rows(source / "b.jsonl", deadly)
    write_rows(source / "c.jsonl", rows)
    summary = run(pipeline, source, tmp_path / "out", workers=2, ids=["id"], engine=RayPool)
    assert (trouble / "ONCE").exists()
    assert found(tmp_path / "out") == ["a.jsonl", "c.jsonl"]
    for name in ("a.jsonl", "c.jsonl"):
        assert results(tmp_path / "out" / name) == expected(nlp, rows)
    [error] = summary.errors
    assert error.code == "L171"
    assert "b.jsonl is given up: 3 processes died at its rows 2 to " in str(error)
    assert "its worker process has died" in str(error)
    assert (summary.written, summary.deaths) == (2, 4)
    assert 0 <= summary.texts - 2 * ROWS < 3, "what was annotated of b.jsonl"


def test_after_the_driver_is_killed_the_next_call_goes_on(pipeline, nlp, trouble, address, tmp_path):
    """`kill -9` of the process that the user started, on a cluster that stays."""
    rows = make_rows(ROWS, r5="ORPHAN")
    source, out = write_rows(tmp_path / "a.jsonl", rows), tmp_path / "out"
    command = [sys.executable, "-c", SCRIPT, pipeline, CODE, source, out]
    done = subprocess.run(command, env={**os.environ, "RAY_ADDRESS": address}, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (trouble / "ORPHAN").exists()
    assert found(out) == []
    assert leftovers(out)
    summary = run(pipeline, source, out, ids=["id"], engine=RayPool)
    assert 0 < summary.texts < ROWS
    assert results(out / "a.jsonl") == expected(nlp, rows)
    assert found(out) == ["a.jsonl"]
    assert not leftovers(out)


def test_ctrl_c_ends_the_command_and_its_own_cluster_and_the_next_one_goes_on(pipeline, nlp, tmp_path, monkeypatch):
    """The command alone, on a cluster that it starts; the next one is of processes."""
    rows, stop, source = make_rows(3), make_rows(3, r1="STOP"), tmp_path / "in"
    write_rows(source / "a.jsonl", rows)
    write_rows(source / "b.jsonl", stop)
    (tmp_path / "trouble").mkdir()
    monkeypatch.setenv("TROUBLE", str(tmp_path / "trouble"))
    out = tmp_path / "out"
    options = ["--output", out, "--id", "id", "--code", CODE, "--engine", "ray"]
    command = [sys.executable, "-m", "spacy", "luke", "annotate", pipeline, source, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        (tmp_path / "trouble" / "first process").write_text(str(process.pid), encoding="ascii")
        _, said = process.communicate()
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == "Stopped. The same command goes on where this one was."
    assert found(out) == ["a.jsonl"]
    monkeypatch.setattr("spacy_luke.scale.run.Pool", PoolOfThisProcess)
    summary = run(pipeline, source, out, ids=["id"], part_size=2**19)
    assert (summary.present, summary.written) == (1, 1)
    assert [results(out / name) for name in found(out)] == [expected(nlp, rows), expected(nlp, stop)]


@pytest.mark.usefixtures("trouble")
def test_more_workers_than_cpus_do_not_hang(pipeline, nlp, tmp_path):
    rows = make_rows(ROWS)
    source = write_rows(tmp_path / "a.jsonl", rows)
    summary = run(pipeline, source, tmp_path / "out", workers=CPUS + 1, ids=["id"], engine=RayPool)
    assert (summary.written, summary.texts) == (1, ROWS)
    assert results(tmp_path / "out" / "a.jsonl") == expected(nlp, rows)


@pytest.mark.usefixtures("trouble")
def test_that_no_worker_can_start_is_said(pipeline, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_pool, "PATIENCE", 0.1)
    source = write_rows(tmp_path / "a.jsonl", make_rows(1))
    said = pytest.raises(LukeWarning, match=rf"W050.*needs 1 CPU and 1 GPU, .*of {CPUS} CPUs, 0 of 0 GPUs free")
    with warnings.catch_warnings(), said:
        warnings.simplefilter("error", LukeWarning)
        run(pipeline, source, tmp_path / "out", gpus=1, engine=RayPool)


@pytest.mark.usefixtures("trouble")
def test_actors_that_die_at_their_start_end_the_run(pipeline, tmp_path):
    (tmp_path / "code.py").write_text("import os\nos._exit(1)\n", encoding="utf8")
    source = write_rows(tmp_path / "a.jsonl", make_rows(ROWS))
    with pytest.raises(LukeError, match=r"L183.*ended 3 times.*its worker process has died\)"):
        run(pipeline, source, tmp_path / "out", code=tmp_path / "code.py", engine=RayPool)
    assert found(tmp_path / "out") == []


@pytest.mark.usefixtures("trouble")
def test_a_pipeline_that_cannot_be_loaded_ends_the_run(tmp_path):
    source = write_rows(tmp_path / "a.jsonl", make_rows(ROWS))
    with pytest.raises(LukeError, match=r"^\[L170\] The pipeline '.*nowhere' cannot be loaded"):
        run(tmp_path / "nowhere", source, tmp_path / "out", engine=RayPool)


@pytest.mark.usefixtures("trouble")
def test_a_full_disk_ends_the_run(pipeline, tmp_path, monkeypatch):
    def fail(task, results, folder):
        raise LukeError("L029", path=folder.path, reason="No space left on device")

    monkeypatch.setattr(ray_pool, "write_part", fail)
    source = write_rows(tmp_path / "a.jsonl", make_rows(ROWS))
    with pytest.raises(LukeError, match="L029"):
        run(pipeline, source, tmp_path / "out", engine=RayPool)
    assert found(tmp_path / "out") == []


def test_an_address_without_a_cluster(pipeline, tmp_path, monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", "no address")
    source = write_rows(tmp_path / "a.jsonl", make_rows(1))
    with pytest.raises(LukeError, match=r"L182.*\(no address\).*ray start --head"):
        run(pipeline, source, tmp_path / "out", engine=RayPool)


def test_a_cluster_that_cannot_be_started(pipeline, tmp_path, monkeypatch):
    def fail(workers):
        raise Exception("Traceback:\n  a line\nThe current node timed out. It may be overloaded.\n")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray_pool, "_connect", fail)
    source = write_rows(tmp_path / "a.jsonl", make_rows(1))
    with pytest.raises(LukeError, match=r"L182.*\(this machine\): The current node timed out\. Start one"):
        run(pipeline, source, tmp_path / "out", engine=RayPool)


@pytest.mark.usefixtures("trouble")
def test_more_gpus_than_the_machine_has(pipeline, tmp_path, monkeypatch):
    """On a cluster of one's own, which never gets more."""
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(ray_pool, "_connect", lambda workers: True)
    source = write_rows(tmp_path / "a.jsonl", make_rows(1))
    with pytest.raises(LukeError, match=r"L047.*gpus = 1000.*Ray finds \d+ GPUs here"):
        run(pipeline, source, tmp_path / "out", gpus=1000, engine=RayPool)
