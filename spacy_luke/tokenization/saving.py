"""Tokenizer files as they are saved: with those that transformers 4 and 5 each look for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .loading import TOKENIZER_CONFIG
from .sentencepiece import SENTENCEPIECE, tokenizer_json_of

_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


def files_to_save(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The tokenizer files of a checkpoint and, where one of two forms is missing, the other.

    - A SentencePiece model alone: transformers 5 would give its pieces ids that are one too low. It reads
      tokenizer.json.
    - A byte-level BPE in tokenizer.json alone, as transformers 5 saves it: LUKE's tokenizer of transformers 4 reads
      vocab.json and merges.txt, and `TOKENIZER_CONFIG` in its own form.
    """
    if "tokenizer.json" not in files and SENTENCEPIECE in files:
        return {**files, "tokenizer.json": _dumps(_with_added_tokens(tokenizer_json_of(files[SENTENCEPIECE]), files))}
    if "tokenizer.json" in files and "vocab.json" not in files:
        data = _loads(files["tokenizer.json"])
        if data["model"]["type"] == "BPE" and not data["model"].get("ignore_merges"):
            return {**files, **_files_of_transformers_4(data, files)}
    return dict(files)


def _with_added_tokens(data: dict[str, Any], files: Mapping[str, bytes]) -> dict[str, Any]:
    """The content of a tokenizer.json with the pieces that stand beside a SentencePiece model, such as LUKE's markers.

    Their flags are in `TOKENIZER_CONFIG`; older checkpoints have their ids alone, in added_tokens.json.
    """
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    settings = _loads(files.get(TOKENIZER_CONFIG))
    known = {token["content"] for token in data["added_tokens"]}
    described = settings.get("added_tokens_decoder") or {}
    added = {token["content"]: {"id": int(i), **flags, **token} for i, token in described.items()}
    for piece, i in _loads(files.get("added_tokens.json")).items():
        added.setdefault(piece, {"id": i, "content": piece, **flags})
    new = sorted((token for piece, token in added.items() if piece not in known), key=lambda token: token["id"])
    return {**data, "added_tokens": [*data["added_tokens"], *new]}


def _files_of_transformers_4(data: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, bytes]:
    model, added = data["model"], data.get("added_tokens") or []
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    settings = _loads(files.get(TOKENIZER_CONFIG))
    settings.setdefault("add_prefix_space", bool(data["pre_tokenizer"].get("add_prefix_space")))
    settings["added_tokens_decoder"] = {
        str(token["id"]): {name: token[name] for name in ("content", *_FLAGS)} for token in added
    }
    # transformers 4 expects a dictionary there; transformers 5 understands the old name, too.
    if isinstance(settings.get("extra_special_tokens"), list):
        settings["additional_special_tokens"] = settings.pop("extra_special_tokens")
    return {
        "vocab.json": _dumps(model["vocab"]),
        "merges.txt": "\n".join(["#version: 0.2", *merges, ""]).encode("utf8"),
        "added_tokens.json": _dumps({t["content"]: t["id"] for t in added if t["content"] not in model["vocab"]}),
        TOKENIZER_CONFIG: _dumps(settings),
    }


def _loads(data: bytes | None) -> dict[str, Any]:
    return json.loads(data) if data else {}


def _dumps(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False, indent=1).encode("utf8")
