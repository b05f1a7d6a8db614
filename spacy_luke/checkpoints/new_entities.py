"""Weights with rows for entities that the checkpoint has not."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from ..encoders.config import LukeConfig
from ..tokenization.pieces import PieceTokenizer
from .key_maps import ENTITY_ROWS, PIECE_TABLE
from .weights import Weights


class GrownWeights:
    """Weights whose entity table has more rows, after the old ones, for the given titles.

    A new row is the mean of the piece embeddings of its title, if both tables are as wide: as in `LukeWeights`, where
    the row of a masked entity is that of a masked piece. Otherwise it is random, as the reference initialises it. The
    decoder's bias of a new entity is 0, and a decoder of its own has the rows of the table.
    """

    def __init__(self, source: Weights, config: LukeConfig, tokenizer: PieceTokenizer, titles: Sequence[str]):
        self._source = source
        self._config = config
        self._tokenizer = tokenizer
        self._titles = titles

    def shapes(self) -> dict[str, tuple[int, ...]]:
        added = len(self._titles)
        return {
            name: (shape[0] + added, *shape[1:]) if name.endswith(ENTITY_ROWS) else shape
            for name, shape in self._source.shapes().items()
        }

    def get(self, name: str, rows: list[int] | None = None) -> Tensor:
        if not name.endswith(ENTITY_ROWS):
            return self._source.get(name, rows)
        old = self._config.entity_vocab_size
        rows = list(range(old + len(self._titles))) if rows is None else rows
        known = [row for row in rows if row < old]
        table = self._source.get(name, known)
        if len(known) == len(rows):
            return table
        grown = torch.zeros(len(rows), *table.shape[1:])
        grown[torch.tensor([row < old for row in rows])] = table
        if table.ndim > 1:
            new = [row - old for row in rows if row >= old]
            grown[torch.tensor([row >= old for row in rows])] = self._new_rows[new]
        return grown

    @cached_property
    def _new_rows(self) -> Tensor:
        """*Shape:* (titles, entity width)"""
        config, titles = self._config, self._titles
        if config.entity_emb_size != config.hidden_size:
            return torch.randn(len(titles), config.entity_emb_size) * config.initializer_range
        name = next(name for name in self._source.shapes() if name.endswith(PIECE_TABLE))
        pieces = self._source.get(name)
        found = [torch.from_numpy(self._tokenizer.encode_text(title, []).ids) for title in titles]
        return torch.stack([pieces[ids].mean(0) if len(ids) else pieces.new_zeros(pieces.shape[1]) for ids in found])
