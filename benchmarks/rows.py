"""The result of a measurement: one row of the table."""

from __future__ import annotations

from dataclasses import dataclass


class Refused(Exception):
    """The sides do not give the same answers: nothing is measured."""


class Skipped(Exception):
    """Something that a part needs is not installed."""


@dataclass(frozen=True)
class Row:
    """One line of the results.

    part: name of the part that made it. case: what was measured.
    ours, other: a figure of both sides; None for a side that there is not.
    unit: of these two.
    against: what `other` is.
    result: the figure that a target is for, in `result_unit`: "×" for a ratio of the sides.
    target: what `result` shall reach, or with `at_most` not exceed; None = no target.
    padding: positions that the other side computed, padding included, for each real one.
    size: of the input, where a plot shows the cost against it.
    """

    part: str
    case: str
    ours: float | None
    other: float | None
    unit: str
    against: str = "transformers"
    result: float | None = None
    result_unit: str = "×"
    target: float | None = None
    at_most: bool = False
    padding: float | None = None
    size: int | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without one."""
        if self.target is None or self.result is None:
            return None
        return self.result <= self.target if self.at_most else self.result >= self.target
