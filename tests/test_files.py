"""Files are read whole or refused by name, and written whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from spacy_luke.errors import LukeError
from spacy_luke.files import parse_json, parse_json_object, write_file


@pytest.mark.parametrize("value", [None, 3, 1.5, "é \U0001f600", [1, [2]], {"a": {"b": [True, None]}}])
def test_json_is_parsed(value: Any) -> None:
    assert parse_json(json.dumps(value), "x.json") == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode("utf8"), "x.json") == value


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting"),
        (b"\xff", "utf-8"),
        ("[" * 10**5, "nested too deeply"),
        ('{"a": ' * 10**5, "nested too deeply"),
        ("9" * 5000, "digits"),
        ('{"a": {"b": 1, "c": 2, "b": 3}}', "'b' occurs twice"),
        (r'{"a": "\ud800"}', "half a character"),
        (r'{"\uDFFF": 1}', "half a character"),
    ],
    ids=range(9),
)
def test_what_is_no_json_or_cannot_be_meant_raises_l022_with_the_file(data: Any, why: str) -> None:
    with pytest.raises(LukeError, match=f"L022.*x.json cannot be read: .*{why}"):
        parse_json(data, "x.json")


@pytest.mark.parametrize("data", ["[]", "null", '"a"', "3"])
def test_json_that_is_no_object_raises_l022(data: str) -> None:
    with pytest.raises(LukeError, match=r"L022.*x.json.*no JSON dictionary"):
        parse_json_object(data, "x.json")


@pytest.mark.parametrize("data", [b"\x00new", "neu: ü"])
def test_a_file_is_written_in_a_folder_that_is_made(tmp_path: Path, data: bytes | str) -> None:
    path = tmp_path / "deep" / "folder" / "file"
    for _ in range(2):
        write_file(path, data)
        assert path.read_bytes() == (data if isinstance(data, bytes) else data.encode("utf8"))
    assert [p.name for p in path.parent.iterdir()] == ["file"]
    (tmp_path / "other").write_text("")
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode


class Stop(BaseException):
    pass


@pytest.mark.parametrize("error", [OSError("disk full"), Stop()])
def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch, error: BaseException) -> None:
    def fail(*_: object) -> None:
        raise error

    (tmp_path / "file").write_text("old")
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises((LukeError, Stop)) as raised:
        write_file(tmp_path / "file", "new")
    if isinstance(error, OSError):
        assert str(raised.value).startswith(f"[L029] Cannot save to {tmp_path / 'file'}: disk full.")
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"file": "old"}


def test_a_place_below_a_file_raises_l029(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(LukeError, match=r"L029.*file.below.x"):
        write_file(tmp_path / "file" / "below" / "x", "new")
