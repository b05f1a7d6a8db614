"""Sides that alternate, after they were found to give the same answers."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from .options import Options
from .rows import Refused, Row


@dataclass(frozen=True)
class Outcome:
    """The result of one run of a side.

    answers: whatever the part compares. padding: positions computed for each real one, if the side counts them.
    """

    answers: Any
    padding: float | None = None


Run = Callable[[], Outcome]


@dataclass(frozen=True)
class Other:
    """A way in which the other side can do the same.

    target: how many times faster ours shall be. per_padding: the target is that number times the padding.
    against: what the other side is. same: whether it has to give the same answers.
    """

    case: str
    run: Run
    target: float | None = None
    per_padding: bool = False
    against: str = "transformers"
    same: bool = True


@dataclass(frozen=True)
class Sides:
    """Ours and the others, on the same weights and inputs. amount: what one run gets through, in `unit`."""

    ours: Run
    others: Sequence[Other]
    amount: float
    unit: str


def compare(
    part: str,
    make: Callable[[bool], Sides],
    differ: Callable[[Any, Any], Sequence[bool]],
    options: Options,
    *,
    remake: bool = False,
) -> list[Row]:
    """Rows of one part's case, a row for each other side.

    make: makes the sides; True = for the check: float32, without anything random.
    differ: of the answers of ours and of another side: for each input whether they differ.
    remake: make the sides again after the check even if the options do not ask for it.
    """
    sides = make(True)
    check(part, sides, differ)
    if remake or options.dtype != "float32":
        sides = make(False)
    runs = {"ours": sides.ours, **{str(i): other.run for i, other in enumerate(sides.others)}}
    seconds, outcomes = alternate(runs, options)
    rows = []
    for i, other in enumerate(sides.others):
        time_of_other, padding = seconds[str(i)], outcomes[str(i)].padding
        factor = padding if other.per_padding else 1.0
        rows.append(
            Row(
                part,
                other.case,
                sides.amount / seconds["ours"],
                sides.amount / time_of_other,
                sides.unit,
                other.against,
                result=time_of_other / seconds["ours"],
                target=None if other.target is None or factor is None else other.target * factor,
                padding=padding,
            )
        )
    return rows


def check(part: str, sides: Sides, differ: Callable[[Any, Any], Sequence[bool]]) -> None:
    """Run every side once; `Refused` if one of them answers otherwise than ours."""
    expected = sides.ours().answers
    for other in sides.others:
        found = other.run().answers
        if not other.same:
            continue
        wrong = differ(expected, found)
        if not len(wrong):
            raise Refused(f"{part}: there is nothing to compare; take more sentences")
        if any(wrong):
            raise Refused(f"{part}: the sides differ on {sum(wrong)} of {len(wrong)} inputs ({other.case})")


def alternate(runs: dict[str, Callable[[], Any]], options: Options) -> tuple[dict[str, float], dict[str, Any]]:
    """Median seconds of each side, and what it gave last. Every round starts with another side."""
    names = list(runs)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    outcomes = {}
    for number in range(options.rounds):
        first = number % len(names)
        gc.collect()
        for name in names[first:] + names[:first]:
            started = now(options.device)
            outcomes[name] = runs[name]()
            seconds[name].append(now(options.device) - started)
    return {name: statistics.median(values) for name, values in seconds.items()}, outcomes


def now(device: str) -> float:
    """The clock, once the device has nothing left to do."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
