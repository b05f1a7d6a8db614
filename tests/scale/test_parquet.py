"""Parquet in the form of `to_dict`, which is the same in every file."""

from __future__ import annotations

import datetime
import io
import sys
from pathlib import Path

import pytest

from spacy_luke.annotations.results import KEYS
from spacy_luke.errors import LukeError
from tests.test_results import GOLDEN

from .corpus import in_one_process, make_rows, read_lines, rounded, run, write_rows

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

DAY = datetime.date(1815, 12, 10)


def read(path: Path) -> list[dict]:
    return [rounded(row) for row in pq.read_table(path).to_pylist(maps_as_pydicts="strict")]


def test_there_is_a_column_for_every_result() -> None:
    from spacy_luke.scale.parquet import SCHEMA

    assert SCHEMA.names == list(KEYS) == list(GOLDEN)


def test_nothing_gets_lost() -> None:
    from spacy_luke.scale.parquet import write_table

    file = io.BytesIO()
    write_table(file, {}, [GOLDEN, {"text": "a"}])
    bare = {**dict.fromkeys(KEYS), "text": "a"}
    assert pq.read_table(file).to_pylist(maps_as_pydicts="strict") == [GOLDEN, bare]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("part_size", [1, 10**6])
def test_files_have_the_same_schema_however_they_are_cut(pipeline, nlp, tmp_path, part_size) -> None:
    from spacy_luke.scale.parquet import SCHEMA

    source = write_rows(tmp_path / "a.jsonl", make_rows(6))
    run(pipeline, source, tmp_path / "out", form="parquet", ids=["id"], part_size=part_size)
    path = tmp_path / "out" / "a.jsonl.parquet"
    expected = in_one_process(nlp, [row["text"] for row in make_rows(6)])
    missing = dict.fromkeys(KEYS)
    assert read(path) == [{"id": i, **missing, **record} for i, record in enumerate(expected)]
    assert pq.read_schema(path).remove_metadata() == pa.schema([("id", pa.int64()), *SCHEMA])


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([1, 2, 3], [1, 2, 3]),
        (["a", None, "b"], ["a", None, "b"]),
        ([None, None, 2], [None, None, 2]),
        ([1, "a", 2.5], ["1", "a", "2.5"]),
        ([2**70, 1, 1], [str(2**70), "1", "1"]),
        ([{"of": 1}, [2], "a"], ['{"of": 1}', "[2]", "a"]),
        ([None, None, None], [None, None, None]),
    ],
)
@pytest.mark.parametrize("part_size", [1, 10**6])
def test_ids_of_json_lines_keep_their_type_if_it_is_one(pipeline, tmp_path, values, kept, part_size) -> None:
    source = write_rows(tmp_path / "a.jsonl", [{"n": value, "text": "a"} for value in values])
    summary = run(pipeline, source, tmp_path / "out", form="parquet", ids=["n"], part_size=part_size)
    assert not summary.errors
    assert [row["n"] for row in read(tmp_path / "out" / "a.jsonl.parquet")] == kept


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("part_size", [1, 10**6])
def test_ids_of_parquet_keep_theirs(pipeline, tmp_path, part_size) -> None:
    columns = {
        "day": pa.array([DAY, None]),
        "number": pa.array([1, 2], pa.int16()),
        "share": [float("nan"), 0.5],
        "text": ["a", "b"],
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    ids = ["day", "number", "share"]
    run(pipeline, tmp_path / "a.parquet", tmp_path / "out", form="parquet", ids=ids, part_size=part_size)
    table = pq.read_table(tmp_path / "out" / "a.parquet")
    assert [str(table.schema.field(name).type) for name in ids] == ["date32[day]", "int16", "double"]
    assert table.column("day").to_pylist() == [DAY, None]
    run(pipeline, tmp_path / "a.parquet", tmp_path / "lines", ids=ids, part_size=part_size)
    lines = read_lines(tmp_path / "lines" / "a.parquet.jsonl")
    assert [[line[name] for name in ids] for line in lines] == [["1815-12-10", 1, None], [None, 2, 0.5]]


@pytest.mark.usefixtures("here")
def test_texts_that_are_none_are_put_aside(pipeline, tmp_path) -> None:
    pq.write_table(pa.table({"text": ["a", None, "c"]}), tmp_path / "a.parquet")
    run(pipeline, tmp_path / "a.parquet", tmp_path / "out", form="parquet")
    assert [row["text"] for row in read(tmp_path / "out" / "a.parquet")] == ["a", "c"]
    [failed] = read_lines(tmp_path / "out" / "a.parquet.failed")
    assert failed["row"] == 2
    assert "L064" in failed["error"]


def test_without_pyarrow_the_message_says_what_to_install(pipeline, tmp_path, monkeypatch) -> None:
    monkeypatch.delitem(sys.modules, "spacy_luke.scale.parquet")
    monkeypatch.delattr("spacy_luke.scale.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    source = write_rows(tmp_path / "a.jsonl", make_rows(1))
    with pytest.raises(LukeError, match=r"L173.*spacy-luke\[parquet\]"):
        run(pipeline, source, tmp_path / "out", form="parquet")
    assert not (tmp_path / "out").exists()
