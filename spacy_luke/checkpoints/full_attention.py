"""The weights of an encoder with independent attention, for one whose pieces attend to entities, too."""

from __future__ import annotations

from torch import Tensor

from .key_maps import PIECE_TO_ENTITY
from .weights import Weights

_QUERY = ".query."


class WithPieceToEntityQueries:
    """Weights with the query of pieces for entities, which nothing asks with under independent attention.

    It starts as a copy of the query of pieces for pieces, as all entity-aware queries do (see `LukeWeights`).
    """

    def __init__(self, source: Weights):
        self._source = source

    def shapes(self) -> dict[str, tuple[int, ...]]:
        shapes = dict(self._source.shapes())
        new = {n.replace(_QUERY, PIECE_TO_ENTITY): shape for n, shape in shapes.items() if f".self{_QUERY}" in n}
        return {**new, **shapes}

    def get(self, name: str, rows: list[int] | None = None) -> Tensor:
        known = name in self._source.shapes()
        return self._source.get(name if known else name.replace(PIECE_TO_ENTITY, _QUERY), rows)
