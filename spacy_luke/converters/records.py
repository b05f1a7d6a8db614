"""JSON and JSON Lines files -> records whose every complaint names the file and the place in it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, NoReturn

from ..errors import LukeError
from .columns import read_lines

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
KINDS: Mapping[Any, str] = {
    str: "a string",
    int: "a whole number",
    list: "a list",
    dict: "an object",
    bool: "true or false",
}


@dataclass(frozen=True)
class Record:
    """One object of a file.

    place: where it is, as error messages say it: "line 3", "record 3", "data[0].paragraphs[2]".
    """

    path: Path
    place: str
    values: Mapping[str, Any]

    @property
    def short(self) -> str:
        """The place as reports say it: "train.jsonl:3"."""
        place = self.place.removeprefix("line ").removeprefix("record ")
        return f"{self.path.name}:{place}" if place else self.path.name

    def get(self, name: str, kind: type | UnionType, *default: Any) -> Any:
        """The value of a field. L064 if it is of another type, or not there and there is no default."""
        if name not in self.values and default:
            return default[0]
        value = self.values.get(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
            wanted = KINDS.get(kind, str(kind))
            self.fail(f"{name!r} is not {wanted}" if name in self.values else f"it has no {name!r}, {wanted}")
        return value

    def inner(self, name: str) -> list[Record]:
        """The objects of a list in the record."""
        records = []
        for number, values in enumerate(self.get(name, list)):
            place = f"{self.place}.{name}[{number}]" if self.place else f"{name}[{number}]"
            if not isinstance(values, dict):
                raise LukeError("L064", path=self.path, place=place, reason="it is not an object")
            records.append(Record(self.path, place, values))
        return records

    def label(self, name: str) -> str:
        """The value of a field that is a string and not empty."""
        value: str = self.get(name, str)
        if not value:
            self.fail(f"{name!r} is empty")
        return value

    def words(self, name: str) -> list[str]:
        """The value of a field that is a list of strings."""
        values = self.get(name, list)
        if not values or not all(isinstance(value, str) for value in values):
            self.fail(f"{name!r} is not a list of words")
        return values

    def fail(self, reason: str) -> NoReturn:
        raise LukeError("L064", path=self.path, place=self.place or "top level", reason=reason)


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    text = "\n".join(read_lines(path))
    if not text.strip():
        raise LukeError("L060", path=path, line=1, reason="the file is empty")
    return parse_json(path, text)


def parse_json(path: Path, text: str, line: int | None = None) -> Any:
    """The value that a text is; line: the line of the file that it is, None for all of the file. L060 if it is none."""
    try:
        content = json.loads(text, object_pairs_hook=_unique)
        if _SURROGATE.search(text):
            json.dumps(content, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        line, reason = line or error.lineno, f"not JSON ({error.msg}, column {error.colno})"
    except UnicodeEncodeError:
        reason = "half of a character (\\ud800 to \\udfff) without the other half"
    except RecursionError:
        reason = "lists or objects are nested too deeply"
    except ValueError as error:  # of `_unique`, and numbers of more digits than Python reads
        reason = f"not JSON ({error})"
    else:
        return content
    raise LukeError("L060", path=path, line=line or 1, reason=reason) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object. Of a name that it has twice, the first value would get lost."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"an object has {next(name for name in names if names.count(name) > 1)!r} twice")
    return values


def read_object(path: Path) -> Record:
    """A JSON file that is one object."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise LukeError("L060", path=path, line=1, reason="the file is not one JSON object")
    return Record(path, "", content)


def read_records(path: Path, *, whole: bool = False) -> list[Record]:
    """The objects of a JSON file that is a list of them, or of a JSON Lines file.

    whole: A file that is one object is read as one record, too, whose place is the top level.
    """
    lines = read_lines(path)
    filled = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not filled:
        raise LukeError("L060", path=path, line=1, reason="the file is empty")
    first = filled[0][1]
    if first.lstrip().startswith("["):
        found = [(f"record {number}", values) for number, values in enumerate(read_json(path), start=1)]
    elif whole and (len(filled) == 1 or not _is_json(first)):
        found = [("", read_json(path))]
    else:
        if not _is_json(first) and _is_json("\n".join(lines)):
            reason = "the file is one JSON object, where a list of records or a record a line is wanted"
            raise LukeError("L060", path=path, line=1, reason=reason)
        found = [(f"line {number}", parse_json(path, line, number)) for number, line in filled]
    if not found:
        raise LukeError("L060", path=path, line=1, reason="the file is empty")
    for place, values in found:
        if not isinstance(values, dict):
            raise LukeError("L064", path=path, place=place or "top level", reason="it is not an object")
    return [Record(path, place, values) for place, values in found]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
