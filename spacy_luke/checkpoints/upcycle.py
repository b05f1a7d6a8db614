"""RoBERTa, XLM-R and BERT checkpoints read as LUKE or Longformer ones.

The pieces of LUKE are a RoBERTa: its weights stay. What LUKE adds starts so that the first forward pass makes sense:

- entity-aware queries: copies of `query` (LUKE was pretrained with plain attention; Yamada et al. 2020, section 3.4)
- piece rows <ent> and <ent2>: copies of "@" and "#" (the paper's code)
- entity rows [MASK] and [MASK2]: the piece row of the mask; [PAD] and [UNK]: zeros
- entity positions, types and norm have no source in the paper's code: they start as those of the pieces, so that a
  masked entity starts as a masked word at the mean position of its mention
- BERT counts positions from 0 and LUKE from the pad id + 1: the position table is shifted
- with case types, the type table has a row for each, all equal to the old row 0

Longformer gets the same pieces, and (Beltagy et al. 2020, section 5)

- global projections: copies of `query`, `key` and `value`
- positions beyond those of the source: its position table again and again

so that a text which fits the source and the window has the same states as there. A LUKE can be made a Longformer too:
its pieces are kept, with their markers, and a head that both encoders have and that reads no entities; what it has
for entities is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from ..encoders.config import LongformerConfig, LukeConfig
from ..errors import LukeError
from ..tokenization.added_tokens import AddedToken
from ..tokenization.case import CASE_TYPES
from ..tokenization.entity_vocab import EntityVocab
from ..tokenization.loading import tokenizer_json
from ..tokenization.pieces import PieceTokenizer
from .upcycled_weights import LongformerWeights, LukeWeights, PlainWeights, new_markers
from .weights import Weights

UPCYCLED = ("bert", "roberta", "xlm-roberta")
# What `upcycle_folder` can start from, by what it makes.
SOURCES = {"luke": UPCYCLED, "longformer": (*UPCYCLED, "luke")}
# Settings of config.json for a head that a Longformer made from a LUKE keeps.
_OF_KEPT_HEADS = ("tie_word_embeddings",)
MAX_PIECES = 4096
ATTENTION_WINDOW = 512


def upcycled_config(
    data: Mapping[str, Any],
    tokenizer: PieceTokenizer,
    *,
    to: str,
    case_types: bool,
    max_pieces: int = MAX_PIECES,
    attention_window: int | tuple[int, ...] = ATTENTION_WINDOW,
) -> LukeConfig | LongformerConfig:
    """The configuration for the config.json of a RoBERTa, XLM-R or BERT.

    to: "luke" or "longformer". The last two arguments are for the latter, whose source may be a LUKE.
    """
    if data.get("model_type") not in SOURCES[to]:
        raise LukeError("L031", target=to, model_type=data.get("model_type"), possible=", ".join(SOURCES[to]))
    if data.get("position_embedding_type", "absolute") != "absolute":
        raise LukeError("L004", problems=f"position_embedding_type = {data['position_embedding_type']!r}")
    special = tokenizer.special
    plain = {**data, "pad_token_id": special.pad, "entity_vocab_size": 1}
    base = LukeConfig.from_dict(plain)
    shared: dict[str, Any] = {
        "vocab_size": base.vocab_size + len(new_markers(data["model_type"])),
        "type_vocab_size": CASE_TYPES if case_types else base.type_vocab_size,
        "bos_token_id": special.bos,
        "eos_token_id": special.eos,
        "extra": {name: data[name] for name in _OF_KEPT_HEADS if name in data and data["model_type"] == "luke"},
    }
    if to == "longformer":
        if max_pieces < 1:
            raise LukeError("L080", argument="max_pieces", value=max_pieces, wanted="at least 1")
        return replace(
            LongformerConfig.from_dict(plain),
            max_position_embeddings=max_pieces + special.pad + 1,
            attention_window=attention_window,
            sep_token_id=special.eos,
            **shared,
        )
    return replace(
        base,
        entity_vocab_size=len(EntityVocab.special_only()),
        entity_emb_size=base.hidden_size,
        max_position_embeddings=_source_positions(data, base.pad_token_id),
        use_entity_aware_attention=True,
        **shared,
    )


def upcycled_weights(
    source: Weights, data: Mapping[str, Any], config: LukeConfig | LongformerConfig, tokenizer: PieceTokenizer
) -> Weights:
    """The weights of a RoBERTa, XLM-R or BERT under the names of a bare LUKE or Longformer.

    data: config.json of the source. config: as `upcycled_config` made it.
    """
    plain = PlainWeights(source, data["model_type"], config, tokenizer)
    if isinstance(config, LukeConfig):
        return LukeWeights(plain, config, tokenizer)
    return LongformerWeights(plain, config, _source_positions(data, config.pad_token_id))


def _source_positions(data: Mapping[str, Any], pad_id: int) -> int:
    """Rows of the source's position table. BERT counts positions from 0, LUKE and Longformer from the pad id + 1."""
    rows = data.get("max_position_embeddings", LukeConfig.max_position_embeddings)
    return rows + pad_id + 1 if data["model_type"] == "bert" else rows


def upcycled_tokenizer(
    tokenizer: PieceTokenizer, config: LukeConfig | LongformerConfig, markers: Sequence[str], *, case_types: bool
) -> PieceTokenizer:
    """The tokenizer with the two marker pieces and, for byte-level BPE, files that transformers' tokenizer reads.

    config: as `upcycled_config` made it: the ids of new markers are the last of the piece table.
    markers: the new ones.
    """
    new = {marker: config.vocab_size - len(markers) + i for i, marker in enumerate(markers)}
    added = {**_loads(tokenizer.files.get("added_tokens.json")), **new}
    files = dict(tokenizer.files)
    files["added_tokens.json"] = _dumps(added)
    settings = _loads(files.get("tokenizer_config.json"))
    if isinstance(config, LongformerConfig):
        settings["model_max_length"] = config.max_pieces
    if tokenizer.kind == "bpe":
        if "vocab.json" not in files or "merges.txt" not in files:
            files.update(_vocab_and_merges(files["tokenizer.json"]))
        files.pop("tokenizer.json", None)
        settings["tokenizer_class"] = f"{config.model_type.capitalize()}Tokenizer"
        # The flags of added tokens go where transformers' tokenizers in Python look for them.
        if "tokenizer.json" in tokenizer.files or "added_tokens_decoder" in settings:
            settings["added_tokens_decoder"] = {str(token.pop("id")): token for token in _added_tokens(tokenizer, new)}
    else:
        data = tokenizer_json(files)
        data["added_tokens"] = _added_tokens(tokenizer, new)
        files["tokenizer.json"] = _dumps(data)
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    files["tokenizer_config.json"] = _dumps(settings)
    return PieceTokenizer(files, case_types=case_types)


def _added_tokens(tokenizer: PieceTokenizer, markers: Mapping[str, int]) -> list[dict[str, Any]]:
    """Added tokens of a tokenizer and new markers, as tokenizer.json has them."""
    new = {marker: AddedToken(i, marker, special=True, normalized=False) for marker, i in markers.items()}
    return [asdict(token) for token in sorted({**tokenizer.added, **new}.values(), key=lambda token: token.id)]


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
