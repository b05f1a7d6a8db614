"""Checkpoints of transformers 4, laid out as by transformers 5; tests/interchange compares them with the real thing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

_PLAIN = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
# Files that it does not write.
OLD_FILES = ("entity_vocab.json", "vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json")


def to_layout_5(folder: Path, *, decoder: torch.Tensor | None = None) -> None:
    """Lay out a folder with vocab.json, merges.txt and, for LUKE, entity_vocab.json.

    decoder: `lm_head.decoder.weight`, which LUKE has of its own there. Default: equal to the piece table.
    """
    config = _read(folder / "config.json")
    luke = config["model_type"] == "luke"
    config["dtype"] = config.pop("torch_dtype")
    _write(folder / "config.json", {**config, "transformers_version": "5.24.0"})
    weights = load_file(folder / "model.safetensors")
    if luke and "lm_head.bias" in weights:
        weights["lm_head.decoder.bias"] = weights.pop("lm_head.bias")
        table = weights["luke.embeddings.word_embeddings.weight"]
        weights["lm_head.decoder.weight"] = table.clone() if decoder is None else decoder
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    entity_pieces = ["<ent>", "<ent2>", "[UNK]", "[PAD]", "[MASK]", "[MASK2]"]
    _tokenizer(folder, entity_pieces if luke else []).save(str(folder / "tokenizer.json"))
    settings: dict[str, Any] = {
        "add_prefix_space": False,
        "backend": "tokenizers",
        "errors": "replace",
        "is_local": True,
        "tokenizer_class": "LukeTokenizer" if luke else "RobertaTokenizer",
        **{
            f"{role}_token": token for role, token in {"bos": "<s>", "cls": "<s>", "eos": "</s>", "sep": "</s>"}.items()
        },
        **{f"{role}_token": f"<{role}>" for role in ("mask", "pad", "unk")},
    }
    if luke:
        entities = {f"entity_{role}_token": f"[{role.upper()}]" for role in ("mask", "mask2", "pad", "unk")}
        settings.update(
            entity_1_token="<ent>",
            entity_2_token="<ent2>",
            entity_vocab=_read(folder / "entity_vocab.json"),
            extra_special_tokens=["<ent>", "<ent2>"],
            max_entity_length=32,
            max_mention_length=30,
            task=None,
            **entities,
        )
    _write(folder / "tokenizer_config.json", settings)
    for name in OLD_FILES:
        (folder / name).unlink(missing_ok=True)


def _tokenizer(folder: Path, more: list[str]) -> Tokenizer:
    vocab = _read(folder / "vocab.json")
    merges = [tuple(line.split(" ")) for line in (folder / "merges.txt").read_text("utf8").splitlines()[1:] if line]
    tokenizer = Tokenizer(models.BPE(vocab, merges, continuing_subword_prefix="", end_of_word_suffix=""))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    ends = ("</s>", vocab["</s>"]), ("<s>", vocab["<s>"])
    tokenizer.post_processor = processors.RobertaProcessing(*ends, add_prefix_space=bool(more))
    names = ("<s>", "<pad>", "</s>", "<unk>", "<mask>", *more)
    tokenizer.add_special_tokens([AddedToken(name, special=True, **_PLAIN) for name in names])
    return tokenizer


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf8"))


def _write(file: Path, data: Any) -> None:
    file.write_text(json.dumps(data, ensure_ascii=False, indent=2), encoding="utf8")
