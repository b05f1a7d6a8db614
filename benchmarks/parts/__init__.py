"""The parts of the benchmark, in the order of the table: each makes rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from ..models import SIZES
from ..options import Options
from ..rows import Row

# What the estimates are for: the defaults of the command.
_SENTENCES, _ROUNDS = 48, 3


@dataclass(frozen=True)
class Estimate:
    """How long a part takes with the default options, in processor seconds of one thread.

    fixed: without what grows with the size of the random models. grows: with the size "base".

    Of one run each on an Intel Xeon with AVX-512: whether a part takes seconds, minutes or an hour.
    """

    fixed: float
    grows: float

    def seconds(self, options: Options) -> float:
        """Seconds with other options; threads are taken to share the work. The answers are checked in a round more."""
        rounds = (options.rounds + 1) / (_ROUNDS + 1)
        work = _products(options.size) / _products("base") * options.sentences / _SENTENCES
        return (self.fixed + self.grows * work) * rounds / options.threads


def _products(size: str) -> int:
    """Multiplications of a layer's matrices for each piece, times layers."""
    shape = SIZES[size]
    width = shape["hidden_size"]
    return shape["num_hidden_layers"] * width * (4 * width + 2 * shape["intermediate_size"])


ESTIMATES = {
    "tokenization": Estimate(1, 1),
    "ner": Estimate(1, 1),
    "int8": Estimate(1, 1),
    "relations": Estimate(1, 1),
    "entity_types": Estimate(1, 1),
    "qa": Estimate(1, 1),
    "longformer": Estimate(1, 1),
    "training": Estimate(1, 1),
    "share": Estimate(1, 1),
    "others": Estimate(1, 1),
    "bundled": Estimate(1, 1),
    "loading": Estimate(1, 1),
    "sharing": Estimate(1, 1),
}


def _importer(name: str) -> Callable[[Options], list[Row]]:
    def measure(options: Options) -> list[Row]:
        rows: list[Row] = import_module(f"{__name__}.{name}").measure(options)
        return rows

    return measure


PARTS = {name: _importer(name) for name in ESTIMATES}
