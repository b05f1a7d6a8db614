"""The function of batches in a pipeline of Ray Data, with `kill -9` in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scale.corpus import CODE, in_one_process, make_rows

ray = pytest.importorskip("ray")
data = pytest.importorskip("ray.data")
pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")

pytestmark = [pytest.mark.ray, pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills processes")]
FILES, ROWS = 4, 5
# As docs/large_corpora.md has it, but for the number that it writes down.
SCRIPT = """
import os, sys
from pathlib import Path
import ray
from ray.data.checkpoint import CheckpointConfig
from spacy_luke.ray import Annotator
model, code, source, output, checkpoint = sys.argv[1:]
Path(os.environ["TROUBLE"], "first process").write_text(str(os.getpid()))
ray.init()
context = ray.data.DataContext.get_current()
context.checkpoint_config = CheckpointConfig(id_column="id", checkpoint_path=checkpoint)
corpus = ray.data.read_parquet(source).repartition(target_num_rows_per_block=5)
settings = {"model": model, "ids": ["id"], "code": code}
actors = ray.data.ActorPoolStrategy(size=1)
corpus.map_batches(
    Annotator, fn_constructor_kwargs=settings, compute=actors, batch_size=5, batch_format="pyarrow"
).write_parquet(output)
"""


@pytest.fixture
def quiet(monkeypatch) -> None:
    context = data.DataContext.get_current()
    monkeypatch.setattr(context, "enable_progress_bars", False)


def write(folder: Path, rows: list[dict]) -> Path:
    folder.mkdir()
    for number in range(FILES):
        pq.write_table(pa.Table.from_pylist(rows[number::FILES]), folder / f"{number}.parquet")
    return folder


def by_id(rows: list[dict]) -> list[tuple]:
    return sorted((row["id"], row["error"], len(row["entities"])) for row in rows)


def expected(nlp, rows: list[dict]) -> list[tuple]:
    records = in_one_process(nlp, [row["text"] for row in rows])
    return [(row["id"], None, len(one["entities"])) for row, one in zip(rows, records, strict=True)]


@pytest.mark.usefixtures("quiet")
def test_an_actor_that_is_killed_is_replaced(pipeline, nlp, trouble, tmp_path):
    from spacy_luke.ray import Annotator

    rows = make_rows(FILES * ROWS, r7="ONCE")
    corpus = data.read_parquet(str(write(tmp_path / "in", rows)))
    settings = {"model": pipeline, "ids": ["id"], "code": CODE}
    actors = data.ActorPoolStrategy(size=1)
    annotated = corpus.map_batches(
        Annotator, fn_constructor_kwargs=settings, compute=actors, batch_size=5, batch_format="pyarrow"
    )
    assert by_id(annotated.take_all()) == expected(nlp, rows)
    assert (trouble / "ONCE").exists()


@pytest.mark.usefixtures("quiet")
def test_the_function_itself_with_tasks(pipeline, nlp, trouble, tmp_path):
    from spacy_luke.ray import Annotator

    rows = make_rows(FILES * ROWS, r7="ONCE")
    corpus = data.read_parquet(str(write(tmp_path / "in", rows)))
    annotated = corpus.map_batches(Annotator(pipeline, ids=["id"], code=CODE), batch_size=5)
    assert by_id(annotated.take_all()) == expected(nlp, rows)
    assert (trouble / "ONCE").exists()


@pytest.mark.usefixtures("quiet")
def test_after_the_driver_is_killed_the_next_run_goes_on(pipeline, nlp, trouble, address, tmp_path):
    """With CheckpointConfig, which only newer versions of Ray have."""
    pytest.importorskip("ray.data.checkpoint")
    rows = make_rows(FILES * ROWS, r14="ORPHAN")
    source, out = write(tmp_path / "in", rows), tmp_path / "out"
    command = [sys.executable, "-c", SCRIPT, pipeline, CODE, source, out, tmp_path / "checkpoint"]
    environment = {**os.environ, "RAY_ADDRESS": address}
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (trouble / "ORPHAN").exists()
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert by_id(pq.read_table(out).to_pylist()) == expected(nlp, rows)
