"""The weights of plain encoders (RoBERTa, XLM-R, BERT, the words of a LUKE) under the names and in the shapes of LUKE
and Longformer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from ..encoders.config import EncoderConfig, LongformerConfig, LukeConfig
from ..tokenization.case import CASE_TYPES
from ..tokenization.entity_vocab import MASK, MASK2, EntityVocab
from ..tokenization.pieces import PieceTokenizer
from .key_maps import (
    BACKBONE_PREFIXES,
    ENTITY_QUERIES,
    ENTITY_ROWS,
    GLOBAL_PROJECTIONS,
    LEGACY_SUFFIXES,
    PIECE_ROWS,
    PIECE_TABLE,
    piece_head,
)
from .weights import Weights

# The marker pieces, and the pieces whose rows theirs start as.
MARKERS = {"<ent>": "@", "<ent2>": "#"}
_POSITIONS = "embeddings.position_embeddings.weight"
_TYPES = "embeddings.token_type_embeddings.weight"
_ENTITIES = "entity_embeddings.entity_embeddings.weight"
# What a LUKE has for its entities, and a Longformer made from it lacks.
_OF_ENTITIES = ("entity_embeddings.", *(f".{query}." for query in ENTITY_QUERIES))
_FROM_PIECES = {
    "entity_embeddings.LayerNorm.weight": "embeddings.LayerNorm.weight",
    "entity_embeddings.LayerNorm.bias": "embeddings.LayerNorm.bias",
    "entity_embeddings.token_type_embeddings.weight": "embeddings.token_type_embeddings.weight",
}


def new_markers(model_type: str) -> tuple[str, ...]:
    """The marker pieces that an encoder of `model_type` lacks."""
    return () if model_type == "luke" else tuple(MARKERS)


class PlainWeights:
    """The weights of the source, named as in a bare model, with what its new configuration changes in their shape.

    Added are rows for the marker pieces and the case types, and BERT's positions, counted from 0, are moved to those
    of RoBERTa, counted from the pad id + 1. BERT's head that predicts pieces gets RoBERTa's names. What a LUKE has for
    its entities is left out.
    """

    def __init__(self, source: Weights, model_type: str, config: EncoderConfig, tokenizer: PieceTokenizer):
        self._source = source
        self._config = config
        self._tokenizer = tokenizer
        self._markers = new_markers(model_type)
        self._shift = config.pad_token_id + 1 if model_type == "bert" else 0
        prefix = BACKBONE_PREFIXES[model_type]
        self._stored = {
            piece_head(name.removeprefix(prefix)): name
            for name in source.shapes()
            if not name.endswith(LEGACY_SUFFIXES) and not any(part in name for part in _OF_ENTITIES)
        }

    def shapes(self) -> dict[str, tuple[int, ...]]:
        shapes = self._source.shapes()
        found = {name: shapes[stored] for name, stored in self._stored.items()}
        markers = len(self._markers)
        for name, added in ((_POSITIONS, self._shift), *((name, markers) for name in PIECE_ROWS)):
            if name in found:
                found[name] = (found[name][0] + added, *found[name][1:])
        if _TYPES in found and self._config.type_vocab_size == CASE_TYPES:
            found[_TYPES] = (CASE_TYPES, *found[_TYPES][1:])
        return found

    def get(self, name: str, rows: list[int] | None = None) -> Tensor:
        if name in PIECE_ROWS:
            # Read with the new rows rather than extended: the largest table must not exist twice.
            vocab, unk = self._tokenizer.vocab, self._tokenizer.special.unk
            alike = [MARKERS[marker] for marker in self._markers]
            markers = [vocab.get(like, vocab.get(f"▁{like}", unk)) for like in alike]
            sources = [*range(self._config.vocab_size - len(markers)), *markers]
            return self._source.get(self._stored[name], sources if rows is None else [sources[row] for row in rows])
        table = self._source.get(self._stored[name])
        if name == _POSITIONS and self._shift:
            table = torch.cat([torch.zeros(self._shift, table.shape[1]), table])
        if name == _TYPES and len(table) != self._config.type_vocab_size:
            table = table[:1].repeat(self._config.type_vocab_size, 1)
        return table if rows is None else table[rows]


class LukeWeights:
    """Plain weights with those that LUKE adds, for the entities."""

    def __init__(self, plain: PlainWeights, config: LukeConfig, tokenizer: PieceTokenizer):
        self._plain = plain
        self._config = config
        self._mask = tokenizer.special.mask

    def shapes(self) -> dict[str, tuple[int, ...]]:
        found = self._plain.shapes()
        found.update(_copies(found, dict.fromkeys(ENTITY_QUERIES, "query")))
        found.update({new: found[old] for new, old in _FROM_PIECES.items() if old in found})
        if PIECE_TABLE in found:
            found[_ENTITIES] = (self._config.entity_vocab_size, *found[PIECE_TABLE][1:])
        if _POSITIONS in found:
            found[f"entity_{_POSITIONS}"] = found[_POSITIONS]
        return found

    def get(self, name: str, rows: list[int] | None = None) -> Tensor:
        tensor = self._make(name)
        return tensor if rows is None else tensor[rows]

    def _make(self, name: str) -> Tensor:
        if name == f"entity_{_POSITIONS}":
            # Row i belongs to piece position i of the input, which the pieces keep at row i + pad + 1.
            positions = self._plain.get(_POSITIONS)
            first = self._config.pad_token_id + 1
            return torch.cat([positions[first:], positions[-1:].expand(first, -1)])
        if name == _ENTITIES:
            vocab = EntityVocab.special_only()
            table = torch.zeros(self._config.entity_vocab_size, self._config.entity_emb_size)
            table[vocab[MASK]] = table[vocab[MASK2]] = self._plain.get(PIECE_TABLE, rows=[self._mask])[0]
            return table
        for query in ENTITY_QUERIES:
            name = name.replace(f".{query}.", ".query.")
        return self._plain.get(_FROM_PIECES.get(name, name))


class LongformerWeights:
    """Plain weights with those that Longformer adds: global projections and more positions.

    source_positions: rows of the position table that the source's config.json promises, shift included.
    """

    def __init__(self, plain: PlainWeights, config: LongformerConfig, source_positions: int):
        self._plain = plain
        self._config = config
        self._source_positions = source_positions

    def shapes(self) -> dict[str, tuple[int, ...]]:
        found = self._plain.shapes()
        found.update(_copies(found, GLOBAL_PROJECTIONS))
        if _POSITIONS in found and found[_POSITIONS][0] == self._source_positions:
            found[_POSITIONS] = (self._config.max_position_embeddings, *found[_POSITIONS][1:])
        return found

    def get(self, name: str, rows: list[int] | None = None) -> Tensor:
        for new, old in GLOBAL_PROJECTIONS.items():
            name = name.replace(f".{new}.", f".{old}.")
        tensor = self._plain.get(name)
        if name == _POSITIONS:
            # The rows of positions, again and again (Beltagy et al. 2020, section 5), after those of no position.
            first = self._config.pad_token_id + 1
            index = torch.arange(self._config.max_pieces) % (len(tensor) - first)
            tensor = torch.cat([tensor[:first], tensor[first:][index]])
        return tensor if rows is None else tensor[rows]


def _copies(found: dict[str, tuple[int, ...]], sources: dict[str, str]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the projections that start as copies of others."""
    return {
        name.replace(f".{old}.", f".{new}."): shape
        for name, shape in found.items()
        for new, old in sources.items()
        if f".attention.self.{old}." in name
    }


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
