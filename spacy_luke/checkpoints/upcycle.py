"""RoBERTa, XLM-R and BERT checkpoints read as LUKE ones.

The pieces of LUKE are a RoBERTa: its weights stay. What LUKE adds starts so that the first forward pass makes sense:

- entity-aware queries: copies of `query` (LUKE was pretrained with plain attention; Yamada et al. 2020, section 3.4)
- piece rows <ent> and <ent2>: copies of "@" and "#" (the paper's code)
- entity rows [MASK] and [MASK2]: the piece row of the mask; [PAD] and [UNK]: zeros
- entity positions, types and norm have no source in the paper's code: they start as those of the pieces, so that a
  masked entity starts as a masked word at the mean position of its mention
- BERT counts positions from 0 and LUKE from the pad id + 1: the position table is shifted
- with case types, the type table has a row for each, all equal to the old row 0
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..encoders.config import LukeConfig
from ..errors import LukeError
from ..tokenization.case import CASE_TYPES
from ..tokenization.entity_vocab import MASK, MASK2, EntityVocab
from ..tokenization.pieces import PieceTokenizer
from .key_maps import BACKBONE_PREFIXES, ENTITY_QUERIES, LEGACY_SUFFIXES
from .weights import Weights

UPCYCLED = ("bert", "roberta", "xlm-roberta")
_MARKERS = {"<ent>": "@", "<ent2>": "#"}
_WORDS = "embeddings.word_embeddings.weight"
_POSITIONS = "embeddings.position_embeddings.weight"
_TYPES = "embeddings.token_type_embeddings.weight"
_ENTITIES = "embeddings.entity_embeddings.weight"
_FROM_PIECES = {
    "entity_embeddings.LayerNorm.weight": "embeddings.LayerNorm.weight",
    "entity_embeddings.LayerNorm.bias": "embeddings.LayerNorm.bias",
    "entity_embeddings.token_type_embeddings.weight": "embeddings.token_type_embeddings.weight",
}


def upcycled_config(data: Mapping[str, Any], tokenizer: PieceTokenizer, *, case_types: bool) -> LukeConfig:
    """The LUKE configuration for the config.json of a RoBERTa, XLM-R or BERT."""
    if data.get("model_type") not in UPCYCLED:
        raise LukeError("L031", model_type=data.get("model_type"))
    if data.get("position_embedding_type", "absolute") != "absolute":
        raise LukeError("L004", problems=f"position_embedding_type = {data['position_embedding_type']!r}")
    base = LukeConfig.from_dict({**data, "pad_token_id": tokenizer.special.pad, "entity_vocab_size": 1})
    shift = base.pad_token_id + 1 if data["model_type"] == "bert" else 0
    return replace(
        base,
        vocab_size=base.vocab_size + len(_MARKERS),
        entity_vocab_size=len(EntityVocab.special_only()),
        entity_emb_size=base.hidden_size,
        max_position_embeddings=base.max_position_embeddings + shift,
        type_vocab_size=CASE_TYPES if case_types else base.type_vocab_size,
        use_entity_aware_attention=True,
        bos_token_id=tokenizer.special.bos,
        eos_token_id=tokenizer.special.eos,
        extra={},
    )


def upcycled_tokenizer(tokenizer: PieceTokenizer, *, vocab_size: int, case_types: bool) -> PieceTokenizer:
    """The tokenizer with the two marker pieces and, for byte-level BPE, files that transformers' LukeTokenizer reads.

    vocab_size: rows of the piece table before upcycling: the ids of the markers follow it.
    """
    added = {**_loads(tokenizer.files.get("added_tokens.json")), **_marker_ids(vocab_size)}
    files = dict(tokenizer.files)
    files["added_tokens.json"] = _dumps(added)
    if tokenizer.kind == "bpe":
        if "vocab.json" not in files or "merges.txt" not in files:
            files.update(_vocab_and_merges(files["tokenizer.json"]))
        files.pop("tokenizer.json", None)
        settings = {**_loads(files.get("tokenizer_config.json")), "tokenizer_class": "LukeTokenizer"}
        files["tokenizer_config.json"] = _dumps(settings)
    else:
        data = _loads(files["tokenizer.json"])
        data["added_tokens"] = [*data.get("added_tokens", []), *_added_tokens(vocab_size)]
        files["tokenizer.json"] = _dumps(data)
        files["tokenizer_config.json"] = _dumps(
            {**_loads(files.get("tokenizer_config.json")), "tokenizer_class": "PreTrainedTokenizerFast"}
        )
    return PieceTokenizer(files, case_types=case_types)


class UpcycledWeights:
    """The weights of a RoBERTa, XLM-R or BERT under the names of a LUKE model without head."""

    def __init__(self, source: Weights, model_type: str, config: LukeConfig, tokenizer: PieceTokenizer):
        self._source = source
        self._config = config
        self._tokenizer = tokenizer
        # BERT counts positions from 0, LUKE from the pad id + 1.
        self._shift = config.pad_token_id + 1 if model_type == "bert" else 0
        prefix = BACKBONE_PREFIXES[model_type]
        self._stored = {
            name.removeprefix(prefix): name for name in source.shapes() if not name.endswith(LEGACY_SUFFIXES)
        }

    def shapes(self) -> dict[str, tuple[int, ...]]:
        c = self._config
        shapes = self._source.shapes()
        found = {name: shapes[stored] for name, stored in self._stored.items()}
        for name in list(found):
            if ".attention.self.query." in name:
                for query in ENTITY_QUERIES:
                    found[name.replace("query", query)] = found[name]
        found.update({new: found[old] for new, old in _FROM_PIECES.items() if old in found})
        if _WORDS in found:
            rows, width = found[_WORDS]
            found[_WORDS] = (rows + len(_MARKERS), width)
            found[f"entity_{_ENTITIES}"] = (c.entity_vocab_size, width)
        if _POSITIONS in found:
            rows, width = found[_POSITIONS]
            found[_POSITIONS] = found[f"entity_{_POSITIONS}"] = (rows + self._shift, width)
        if _TYPES in found:
            found[_TYPES] = found[f"entity_{_TYPES}"] = (c.type_vocab_size, *found[_TYPES][1:])
        return found

    def get(self, name: str, rows: list[int] | None = None) -> Tensor:
        tensor = self._make(name)
        return tensor if rows is None else tensor[rows]

    def _make(self, name: str) -> Tensor:
        for query in ENTITY_QUERIES:
            name = name.replace(f".{query}.", ".query.")
        name = _FROM_PIECES.get(name, name)
        if name == _WORDS:
            return self._piece_rows()
        if name == _POSITIONS:
            return self._positions()
        if name == _TYPES:
            types = self._read(name)
            if self._config.type_vocab_size == len(types):
                return types
            return types[:1].repeat(self._config.type_vocab_size, 1)
        if name == f"entity_{_POSITIONS}":
            # Row i belongs to piece position i of the input, which the pieces keep at row i + pad + 1.
            positions = self._positions()
            first = self._config.pad_token_id + 1
            return torch.cat([positions[first:], positions[-1:].expand(first, -1)])
        if name == f"entity_{_ENTITIES}":
            mask = self._read(_WORDS, rows=[self._tokenizer.special.mask])[0]
            table = torch.zeros(self._config.entity_vocab_size, self._config.entity_emb_size)
            vocab = EntityVocab.special_only()
            table[vocab[MASK]] = table[vocab[MASK2]] = mask
            return table
        return self._read(name)

    def _read(self, name: str, rows: list[int] | None = None) -> Tensor:
        return self._source.get(self._stored[name], rows)

    def _piece_rows(self) -> Tensor:
        vocab, unk = self._tokenizer.vocab, self._tokenizer.special.unk
        markers = [vocab.get(like, vocab.get(f"▁{like}", unk)) for like in _MARKERS.values()]
        # Read with the new rows rather than extended: the largest table must not exist twice.
        return self._read(_WORDS, rows=[*range(self._config.vocab_size - len(_MARKERS)), *markers])

    def _positions(self) -> Tensor:
        table = self._read(_POSITIONS)
        return torch.cat([torch.zeros(self._shift, table.shape[1]), table]) if self._shift else table


def upcycle_folder(source: Path, target: Path, *, case_types: bool | None = None) -> None:
    """Write the LUKE checkpoint made from the RoBERTa, XLM-R or BERT checkpoint in `source` to `target`.

    case_types: whether pieces carry the case of their word; default: if the tokenizer lower-cases.
    """
    from .reader import open_checkpoint
    from .writer import save_checkpoint

    checkpoint = open_checkpoint(source, case_types=case_types)
    if not checkpoint.upcycled:
        raise LukeError("L031", model_type=checkpoint.model_type)
    encoder = checkpoint.load_encoder()
    save_checkpoint(target, checkpoint.describe(encoder.config), encoder)


def _marker_ids(vocab_size: int) -> dict[str, int]:
    return {marker: vocab_size + i for i, marker in enumerate(_MARKERS)}


def _added_tokens(vocab_size: int) -> list[dict[str, Any]]:
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return [{"id": i, "content": marker, **plain} for marker, i in _marker_ids(vocab_size).items()]


def _vocab_and_merges(tokenizer_json: bytes) -> dict[str, bytes]:
    data = _loads(tokenizer_json)
    vocab = {**data["model"]["vocab"], **{t["content"]: t["id"] for t in data.get("added_tokens", [])}}
    merges = [m if isinstance(m, str) else " ".join(m) for m in data["model"]["merges"]]
    return {
        "vocab.json": json.dumps(vocab, ensure_ascii=False).encode("utf8"),
        "merges.txt": "\n".join(["#version: 0.2", *merges, ""]).encode("utf8"),
    }


def _loads(data: bytes | None) -> dict[str, Any]:
    return json.loads(data) if data else {}


def _dumps(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False, indent=1).encode("utf8")
