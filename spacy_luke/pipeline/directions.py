"""Labels that carry the direction of a relation, as SemEval-2010 Task 8's "Cause-Effect(e2,e1)"."""

from __future__ import annotations

import re
from collections.abc import Iterable

FORWARD, BACKWARD = "(e1,e2)", "(e2,e1)"
_DIRECTED = re.compile(r"(.+)(\(e1,e2\)|\(e2,e1\))")


def split_direction(label: str) -> tuple[str, bool]:
    """Name, and whether the second entity is the head: "Cause-Effect(e2,e1)" -> ("Cause-Effect", True)."""
    found = _DIRECTED.fullmatch(label)
    return (found[1], found[2] == BACKWARD) if found else (label, False)


def is_directed(label: str) -> bool:
    """Whether the label carries a direction."""
    return _DIRECTED.fullmatch(label) is not None


def both_directions(labels: Iterable[str], symmetric: Iterable[str]) -> tuple[str, ...]:
    """The labels of a head for pairs that are scored in one order only; symmetric labels need just one."""
    names = dict.fromkeys(split_direction(label)[0] for label in labels)
    return tuple(
        directed
        for name in names
        for directed in ([name] if name in symmetric else [f"{name}{FORWARD}", f"{name}{BACKWARD}"])
    )
