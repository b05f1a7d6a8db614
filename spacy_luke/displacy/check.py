"""Dicts that were written by hand, checked before they are drawn: a wrong one is told what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from numbers import Real
from typing import Any

from ..errors import LukeError


def mapping(style: str, value: Any, where: str = "it") -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise LukeError("L077", style=style, problem=f"{where} is not a dict but {value!r}")
    return value


def items(style: str, parsed: Mapping[str, Any], key: str, kind: type | None = None) -> list[Any]:
    """A list under a key, of dicts unless another kind is named."""
    value = parsed.get(key)
    if not isinstance(value, list | tuple):
        raise LukeError("L077", style=style, problem=f"{key!r} is not a list but {value!r}")
    for i, item in enumerate(value):
        if not isinstance(item, kind or Mapping):
            wanted = (kind or dict).__name__
            raise LukeError("L077", style=style, problem=f"{key}[{i}] is not a {wanted} but {item!r}")
    return list(value)


def string(style: str, parsed: Mapping[str, Any], key: str) -> str:
    value = parsed.get(key)
    if not isinstance(value, str):
        raise LukeError("L077", style=style, problem=f"{key!r} is not a string but {value!r}")
    return value


def score(style: str, parsed: Mapping[str, Any]) -> float | None:
    value = parsed.get("score")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Real):
        raise LukeError("L077", style=style, problem=f"'score' is not a number but {value!r}")
    return float(value)


def index(style: str, parsed: Mapping[str, Any], key: str, size: int, of: str) -> int:
    value = parsed.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < size:
        raise LukeError("L077", style=style, problem=f"{key!r} is {value!r}, but there are {size} {of}")
    return value


def ends(style: str, parsed: Mapping[str, Any], start: str, end: str, size: int, of: str) -> tuple[int, int]:
    """A stretch that is not empty."""
    first, last = parsed.get(start), parsed.get(end)
    whole = isinstance(first, int) and isinstance(last, int)
    if not whole or not 0 <= first < last <= size:  # type: ignore[operator]
        problem = f"{start!r} = {first!r}, {end!r} = {last!r} is no stretch of the {size} {of}"
        raise LukeError("L077", style=style, problem=problem)
    return first, last  # type: ignore[return-value]


def square(style: str, parsed: Mapping[str, Any], key: str, size: int) -> list[list[float]]:
    """Check a square matrix: as many lists of as many numbers."""
    rows = items(style, parsed, key, list)
    if len(rows) != size or any(len(row) != size for row in rows):
        found = f"{len(rows)} lists of {', '.join(sorted({str(len(row)) for row in rows})) or 'no'} numbers"
        problem = f"{key!r} is {found}, but there are {size} pieces and entities"
        raise LukeError("L077", style=style, problem=problem)
    for i, row in enumerate(rows):
        for number in row:
            if isinstance(number, bool) or not isinstance(number, Real) or not isfinite(number):
                raise LukeError("L077", style=style, problem=f"{key}[{i}] has {number!r}, which is no finite number")
    return [[float(number) for number in row] for row in rows]
