"""The parts of the benchmark, in the order of the table: each makes rows."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from ..options import Options
from ..rows import Row

_NAMES = (
    "tokenization",
    "ner",
    "int8",
    "relations",
    "entity_types",
    "qa",
    "longformer",
    "training",
    "share",
    "others",
    "loading",
    "sharing",
    "scale",
)


def _importer(name: str) -> Callable[[Options], list[Row]]:
    def measure(options: Options) -> list[Row]:
        rows: list[Row] = import_module(f"{__name__}.{name}").measure(options)
        return rows

    return measure


PARTS = {name: _importer(name) for name in _NAMES}
