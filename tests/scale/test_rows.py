"""Files are cut into parts in the same way each time, and no row is lost or there twice."""

from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path

import pytest
import spacy
from spacy.tokens import DocBin

from spacy_luke.converters.files import CHUNK
from spacy_luke.scale.inputs import Input, kind_of
from spacy_luke.scale.rows import Columns, Row, read_parts, read_rows

NLP = spacy.blank("en")
# One is longer than what is read at once, and one as long as a part.
TEXTS = ["a b c", "d", ("e" * 99 + " ") * (CHUNK // 90), "f" * 200, *(f"text {i}" for i in range(40))]


def write(path: Path) -> Input:
    lines = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS).encode()
    if path.name == "a.parquet":
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        pq.write_table(pa.table({"text": TEXTS}), path, row_group_size=9)
    elif path.name == "a.spacy":
        DocBin(docs=[NLP.tokenizer(text) for text in TEXTS]).to_disk(path)
    else:
        data = "\n".join(TEXTS).encode() if ".txt" in path.name else lines
        pack = {".gz": gzip.compress, ".bz2": bz2.compress}.get(path.suffix, bytes)
        path.write_bytes(pack(data))
    kind = kind_of(path)
    assert kind is not None
    return Input(path, path.name, kind, path.stat().st_size)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.txt", "a.txt.bz2", "a.parquet", "a.spacy"])
def test_parts_have_each_row_once_in_order(tmp_path, name):
    source = write(tmp_path / name)
    for size in (1, 1000, 10**9):
        parts = list(read_parts(source, Columns(), size))
        rows = [row for part in parts for row in read_rows(source, Columns(), part, NLP)]
        assert all(isinstance(row, Row) for row in rows)
        assert [row.text for row in rows] == TEXTS
        assert [row.number for row in rows] == list(range(1, len(TEXTS) + 1))
        assert [part.number for part in parts] == list(range(len(parts)))
        assert sum(part.size for part in parts) == source.size
        assert (len(parts) == 1) == (size == 10**9)
        assert [part.first for part in read_parts(source, Columns(), size)] == [part.first for part in parts]


def test_lines_that_are_empty_count_but_are_no_rows(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeff\na\r\n  \n\nb\u2028c\r\n".encode())
    source = Input(path, path.name, "txt", path.stat().st_size)
    for size in (1, 1000):
        parts = list(read_parts(source, Columns(ids=("line",)), size))
        rows = [row for part in parts for row in read_rows(source, Columns(ids=("line",)), part, NLP)]
        assert [(row.number, row.text, row.ids) for row in rows] == [
            (2, "a", {"line": 2}),
            (5, "b\u2028c", {"line": 5}),
        ]


def test_a_doc_that_is_annotated_is_a_copy(tmp_path):
    DocBin(docs=[NLP("a b")]).to_disk(tmp_path / "a.spacy")
    source = Input(tmp_path / "a.spacy", "a", "spacy", 0)
    [part] = read_parts(source, Columns())
    [row] = read_rows(source, Columns(), part, NLP)
    assert isinstance(row, Row)
    row.make_doc(NLP).cats["x"] = 1.0
    assert row.make_doc(NLP).cats == {}
