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
    """How long a part takes with the default options, in processor seconds: whether it is seconds, minutes or an hour.

    fixed: what does not depend on the size of the random models. grows: what does, with the size "base".
    per_sentence: whether the latter grows with the number of sentences, too.

    Of runs on server processors with AVX-512.
    """

    fixed: float
    grows: float
    per_sentence: bool = True

    def seconds(self, options: Options) -> float:
        """Seconds with other options; threads are taken to share the work. The answers are checked in a round more."""
        rounds = (options.rounds + 1) / (_ROUNDS + 1)
        work = _products(options.size) / _products("base")
        if self.per_sentence:
            work *= options.sentences / _SENTENCES
        return (self.fixed + self.grows * work) * rounds / options.threads


def _products(size: str) -> int:
    """Multiplications of a layer's matrices for each piece, times layers."""
    shape = SIZES[size]
    width = shape["hidden_size"]
    return shape["num_hidden_layers"] * width * (4 * width + 2 * shape["intermediate_size"])


ESTIMATES = {
    "tokenization": Estimate(10, 10, per_sentence=False),
    "ner": Estimate(10, 520),
    "int8": Estimate(10, 400),
    "relations": Estimate(10, 440),
    "entity_types": Estimate(10, 140),
    "qa": Estimate(10, 170),
    "longformer": Estimate(100, 300, per_sentence=False),
    "training": Estimate(10, 910),
    "share": Estimate(15, 150),
    "others": Estimate(20, 80),
    "bundled": Estimate(800, 0),  # more than half of it is the list of 250 names with markers
    "loading": Estimate(150, 30, per_sentence=False),
    "sharing": Estimate(30, 20, per_sentence=False),
    "scale": Estimate(600, 0),
    "serve": Estimate(1500, 0),
}


def _importer(name: str) -> Callable[[Options], list[Row]]:
    def measure(options: Options) -> list[Row]:
        rows: list[Row] = import_module(f"{__name__}.{name}").measure(options)
        return rows

    return measure


PARTS = {name: _importer(name) for name in ESTIMATES}
