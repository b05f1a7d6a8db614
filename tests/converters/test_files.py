"""Compressed files are read as plain ones, and what unpacks without end is refused."""

from __future__ import annotations

import bz2
import gzip
import json

import pytest

from spacy_luke.converters import files, read_iob, read_linked_text, read_mediawiki
from spacy_luke.errors import LukeError

PACK = {".gz": gzip.compress, ".bz2": bz2.compress}
READERS = {"jsonl": read_linked_text, "iob": read_iob, "xml": read_mediawiki}


@pytest.mark.parametrize("suffix", PACK)
def test_lines_of_compressed_files_are_read(tmp_path, suffix):
    (tmp_path / f"a.iob{suffix}").write_bytes(PACK[suffix](b"Ann\tB-PER\nran\tO\n"))
    (doc,), _ = read_iob(tmp_path / f"a.iob{suffix}")
    assert doc.text == "Ann ran"


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("kind", READERS)
def test_what_unpacks_to_far_more_than_it_is_is_refused(tmp_path, monkeypatch, kind, suffix):
    monkeypatch.setattr(files, "ALWAYS_UNPACKED", 2**16)
    start = b"<mediawiki>" if kind == "xml" else b""
    path = tmp_path / f"a.{kind}{suffix}"
    path.write_bytes(PACK[suffix](start + b" " * 2**22))
    with pytest.raises(LukeError, match=rf"a\.{kind}\{suffix}: .*more than 200 times") as caught:
        READERS[kind](path)
    assert caught.value.code == "L151"


def test_no_more_than_a_piece_is_unpacked_before_it_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "ALWAYS_UNPACKED", 2**20)
    (tmp_path / "a.gz").write_bytes(gzip.compress(b" " * 2**25))
    sizes = []
    with pytest.raises(LukeError, match="L151"):
        sizes += [len(chunk) for chunk in files.read_chunks(tmp_path / "a.gz")]
    pieces = files.read_chunks(tmp_path / "a.gz")
    assert len(next(pieces)) <= files.CHUNK
    with pytest.raises(LukeError, match="L151"):
        list(pieces)


def test_a_small_file_may_unpack_to_much(tmp_path):
    lines = (json.dumps({"text": "Ann ran.", "links": [[0, 3, "Ann"]]}) + "\n") * 2000
    packed = bz2.compress(lines.encode())
    assert len(lines) > files.MAX_RATIO * len(packed)
    (tmp_path / "a.jsonl.bz2").write_bytes(packed)
    assert len(read_linked_text(tmp_path / "a.jsonl.bz2")[0]) == 2000


def test_an_uncompressed_file_may_have_any_size(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "ALWAYS_UNPACKED", 10)
    (tmp_path / "a.iob").write_bytes(b"Ann\tB-PER\n" * 1000)
    assert len(read_iob(tmp_path / "a.iob")[0]) == 1
