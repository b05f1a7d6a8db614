"""Random models of the published sizes, as checkpoint folders that both sides open.

transformers is imported where it is needed: processes that measure our memory must not have it.
"""

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
_SHAPE: dict[str, Any] = dict(type_vocab_size=1, layer_norm_eps=1e-5)
_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


def random_luke(
    folder: Path, size: str, texts: Iterable[str], *, head: str = "LukeForEntitySpanClassification"
) -> Path:
    """A random LUKE with a head, a class of transformers, whose byte-level BPE is trained on `texts`."""
    from transformers import LukeConfig

    vocab = write_tokenizer(folder, texts)
    entities = {"[PAD]": 0, "[UNK]": 1, "[MASK]": 2, "[MASK2]": 3}
    (folder / "entity_vocab.json").write_text(json.dumps(entities), encoding="utf8")
    labels = {"id2label": dict(enumerate(LABELS)), "label2id": {label: i for i, label in enumerate(LABELS)}}
    config = LukeConfig(
        vocab_size=len(vocab) + 2,
        entity_vocab_size=len(entities),
        entity_emb_size=256,
        max_position_embeddings=514,
        initializer_range=0.05,  # larger than the usual, so that a random model predicts more than one label
        **({} if head == "LukeForQuestionAnswering" else labels),
        **_SHAPE,
        **SIZES[size],
    )
    return _save(head, config, folder)


def random_longformer(folder: Path, size: str, texts: Iterable[str], *, longest: int, window: int) -> Path:
    """A random Longformer encoder that reads texts of up to `longest` pieces."""
    from transformers import LongformerConfig

    rows = len(write_tokenizer(folder, texts))
    shape = {**_SHAPE, **SIZES[size], "max_position_embeddings": longest + 2}
    return _save("LongformerModel", LongformerConfig(vocab_size=rows, attention_window=window, **shape), folder)


def random_roberta(folder: Path, size: str, texts: Iterable[str]) -> Path:
    """A random RoBERTa."""
    from transformers import RobertaConfig

    rows = len(write_tokenizer(folder, texts))
    return _save(
        "RobertaModel", RobertaConfig(vocab_size=rows, max_position_embeddings=514, **_SHAPE, **SIZES[size]), folder
    )


def _save(kind: str, config: Any, folder: Path) -> Path:
    import transformers

    torch.manual_seed(0)
    model: Any = getattr(transformers, kind)(config)
    model.save_pretrained(folder)
    return folder


def write_tokenizer(folder: Path, texts: Iterable[str]) -> dict[str, int]:
    """Write a byte-level BPE that is trained on `texts`; RETURNS: its vocabulary.

    Words that occur once are in pieces, as are rare words for published tokenizers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts, vocab_size=30_000, min_frequency=2, special_tokens=_SPECIAL, show_progress=False)
    bpe.save_model(str(folder))
    vocab = read_vocab(folder)
    vocab["<mask>"] = len(vocab)
    (folder / "vocab.json").write_text(json.dumps(vocab), encoding="utf8")
    return vocab


def read_vocab(folder: Path) -> dict[str, int]:
    """Pieces and their ids."""
    vocab: dict[str, int] = json.loads((folder / "vocab.json").read_text(encoding="utf8"))
    return vocab
