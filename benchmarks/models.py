"""Random models of the published sizes, as checkpoint folders that both sides open."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import ByteLevelBPETokenizer

LABELS = ["NIL", "MISC", "PER", "ORG", "LOC"]
SIZES = {
    "tiny": dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128),
    "mini": dict(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536),
    "base": dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072),
    "large": dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096),
}


def random_luke(
    folder: Path, size: str, texts: Iterable[str], *, head: str = "LukeForEntitySpanClassification"
) -> Path:
    """A random LUKE with a head, a class of transformers, whose byte-level BPE is trained on `texts`."""
    import transformers

    vocab = write_tokenizer(folder, texts)
    entities = {"[PAD]": 0, "[UNK]": 1, "[MASK]": 2, "[MASK2]": 3}
    (folder / "entity_vocab.json").write_text(json.dumps(entities), encoding="utf8")
    torch.manual_seed(0)
    labels = {"id2label": dict(enumerate(LABELS)), "label2id": {label: i for i, label in enumerate(LABELS)}}
    config = transformers.LukeConfig(
        vocab_size=len(vocab) + 2,
        entity_vocab_size=len(entities),
        entity_emb_size=256,
        max_position_embeddings=514,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        initializer_range=0.05,
        **({} if head == "LukeForQuestionAnswering" else labels),
        **SIZES[size],
    )
    model: Any = getattr(transformers, head)(config)
    model.save_pretrained(folder)
    return folder


def write_tokenizer(folder: Path, texts: Iterable[str]) -> dict[str, int]:
    """Write a byte-level BPE that is trained on `texts`; RETURNS: its vocabulary."""
    folder.mkdir(parents=True, exist_ok=True)
    bpe = ByteLevelBPETokenizer()
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    bpe.train_from_iterator(texts, vocab_size=30_000, min_frequency=1, special_tokens=specials)
    bpe.save_model(str(folder))
    vocab: dict[str, int] = json.loads((folder / "vocab.json").read_text(encoding="utf8"))
    vocab["<mask>"] = len(vocab)
    (folder / "vocab.json").write_text(json.dumps(vocab), encoding="utf8")
    return vocab
