"""Which files are read, what they become, and what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from spacy_luke.errors import LukeError
from spacy_luke.scale import FORMATS, Shard
from spacy_luke.scale.inputs import find_inputs


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ("a.jsonl", "a.txt", "b/a.txt.bz2", "b/c.parquet"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    return tmp_path / "in"


def names(paths: list[Path], output: Path, form: str = "jsonl") -> list[str]:
    return [source.name for source in find_inputs(paths, output, form)]


def test_the_names_of_results_tell_what_they_are_of(folder, tmp_path):
    out = tmp_path / "out"
    assert names([folder], out) == ["a.jsonl", "a.txt.jsonl", "b/a.txt.bz2.jsonl", "b/c.parquet.jsonl"]
    assert names([folder], out, "parquet") == [
        "a.jsonl.parquet",
        "a.txt.parquet",
        "b/a.txt.bz2.parquet",
        "b/c.parquet",
    ]
    assert names([folder / "b" / "c.parquet", folder / "a.txt"], out) == ["a.txt.jsonl", "c.parquet.jsonl"]


def test_the_order_is_that_of_the_names_and_a_file_counts_once(folder, tmp_path):
    paths = [folder / "a.txt", folder / "a.jsonl", folder / "a.txt"]
    assert names(paths, tmp_path / "out") == ["a.jsonl", "a.txt.jsonl"]


def test_what_cannot_be_read(folder, tmp_path):
    (folder / "a.pdf").touch()
    (tmp_path / "empty").mkdir()
    for path in (folder / "a.pdf", folder / "none.txt", tmp_path / "empty"):
        with pytest.raises(LukeError, match="L165"):
            names([path], tmp_path / "out")


def test_results_are_never_written_over_each_other_or_over_inputs(folder, tmp_path):
    (folder / "b" / "a.txt").touch()
    (folder / "a.txt.jsonl").touch()
    for paths, output in (
        ([folder / "a.txt", folder / "b" / "a.txt"], tmp_path / "out"),
        ([folder / "a.txt", folder / "a.txt.jsonl"], tmp_path / "out"),
        ([folder / "a.jsonl"], folder),
        ([folder], folder),
        ([folder], folder / "b" / "out"),
    ):
        with pytest.raises(LukeError, match="L166"):
            names(paths, output)


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "a/b", "1/2/3", "-1/2", "1/0", "²/3"])
def test_what_is_no_shard(text):
    with pytest.raises(LukeError, match="L080"):
        Shard.parse(text)


def test_shards():
    assert Shard.parse("2/3") == Shard(2, 3)
    inputs = list(range(8))
    dealt = [list(Shard(number, 3).of(inputs)) for number in (1, 2, 3)]  # type: ignore[arg-type]
    assert dealt == [[0, 3, 6], [1, 4, 7], [2, 5]]


def test_every_format_can_be_read_again():
    from spacy_luke.scale.inputs import KINDS

    assert {f".{form}" for form in FORMATS} <= KINDS.keys()
