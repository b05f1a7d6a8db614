"""A cache of the Hub with a tiny random checkpoint for each id on docs/migration.md, saved by transformers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import transformers
from tokenizers import ByteLevelBPETokenizer

from tests.mluke_model import write_mluke
from tests.util import longformer_config, luke_config, randomise

TITLES = {"[PAD]": 0, "[UNK]": 1, "[MASK]": 2, "Los Angeles": 3, "[MASK2]": 4, "Mary": 5, "London": 6}
# Written so often that each word of the page's texts is one piece, as in the vocabulary of RoBERTa.
WORDS = "Mary lives live in Los Angeles. Where does Mary live? in London. in London"
COMMIT = "0" * 40


def _labels(*labels: str) -> dict[str, Any]:
    return {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}


def _write_pieces(folder: Path) -> int:
    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    bpe.train_from_iterator([WORDS] * 5, vocab_size=500, min_frequency=2, special_tokens=special, show_progress=False)
    bpe.save_model(str(folder))
    vocab = json.loads((folder / "vocab.json").read_text(encoding="utf8"))
    vocab["<mask>"] = len(vocab)
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf8")
    return len(vocab)


def _random(model: Any) -> Any:
    """Random weights. The pooler is not saturated, as that of `randomise` is: options differ."""
    randomise(model)
    if (pooler := getattr(model.base_model, "pooler", None)) is not None:
        pooler.dense.weight.data.mul_(0.2)
    return model


def _write_luke(folder: Path, head: str, labels: Sequence[str] = ()) -> None:
    pieces = _write_pieces(folder)
    names = _labels(*labels) if labels else {}
    config = luke_config(vocab_size=pieces + 2, entity_vocab_size=len(TITLES), **names)
    _random(getattr(transformers, f"LukeFor{head}")(config)).save_pretrained(folder)
    (folder / "entity_vocab.json").write_text(json.dumps(TITLES), encoding="utf8")
    files = (str(folder / name) for name in ("vocab.json", "merges.txt", "entity_vocab.json"))
    transformers.LukeTokenizer(*files).save_pretrained(folder)


def _write_released_longformer(folder: Path) -> None:
    """As that of AllenAI: its config.json names no class."""
    _write_longformer(folder, "MaskedLM")
    config = json.loads((folder / "config.json").read_text(encoding="utf8"))
    del config["architectures"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf8")


def _write_longformer(folder: Path, head: str, labels: Sequence[str] = ()) -> None:
    config = longformer_config(vocab_size=_write_pieces(folder), **(_labels(*labels) if labels else {}))
    _random(getattr(transformers, f"LongformerFor{head}")(config)).save_pretrained(folder)
    files = (str(folder / name) for name in ("vocab.json", "merges.txt"))
    transformers.LongformerTokenizer(*files).save_pretrained(folder)


CATEGORIES, TAGS = ("BAD", "GOOD"), ("O", "B-LOC", "I-LOC")
# Id on the Hub -> how the checkpoint is made.
CHECKPOINTS = {
    "studio-ousia/luke-base": partial(_write_luke, head="MaskedLM"),
    "studio-ousia/luke-large-finetuned-open-entity": partial(
        _write_luke, head="EntityClassification", labels=("location", "person")
    ),
    "studio-ousia/luke-large-finetuned-tacred": partial(
        _write_luke, head="EntityPairClassification", labels=("no_relation", "per:cities_of_residence")
    ),
    "studio-ousia/luke-large-finetuned-conll-2003": partial(
        _write_luke, head="EntitySpanClassification", labels=("NIL", "LOC", "PER")
    ),
    "my-org/luke-text-classification": partial(_write_luke, head="SequenceClassification", labels=CATEGORIES),
    "my-org/luke-multiple-choice": partial(_write_luke, head="MultipleChoice"),
    "my-org/luke-token-classification": partial(_write_luke, head="TokenClassification", labels=TAGS),
    "my-org/luke-qa": partial(_write_luke, head="QuestionAnswering"),
    "studio-ousia/mluke-base": partial(write_mluke, kind=transformers.LukeModel),
    "allenai/longformer-base-4096": _write_released_longformer,
    "my-org/longformer-text-classification": partial(
        _write_longformer, head="SequenceClassification", labels=CATEGORIES
    ),
    "my-org/longformer-multiple-choice": partial(_write_longformer, head="MultipleChoice"),
    "my-org/longformer-token-classification": partial(_write_longformer, head="TokenClassification", labels=TAGS),
    "my-org/longformer-qa": partial(_write_longformer, head="QuestionAnswering"),
}


def write_hub_cache(folder: Path) -> Path:
    """A folder for HF_HUB_CACHE, in which the checkpoints are found without network."""
    for name, write in CHECKPOINTS.items():
        place = folder / f"models--{name.replace('/', '--')}"
        snapshot = place / "snapshots" / COMMIT
        snapshot.mkdir(parents=True)
        write(snapshot)
        (place / "refs").mkdir()
        (place / "refs" / "main").write_text(COMMIT)
    return folder
