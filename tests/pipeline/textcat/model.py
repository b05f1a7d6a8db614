"""Tiny random text classifiers, saved by transformers, and what transformers makes of a text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    LongformerForSequenceClassification,
    LongformerTokenizer,
    LukeForSequenceClassification,
    PreTrainedTokenizerBase,
)

from tests.util import longformer_config, luke_config, luke_tokenizer, randomise, write_longformer, write_luke

TEXT = "Ada Lovelace met Charles Babbage in London. Élodie O'Neil  moved to São Paulo (1066), they don't know why."
LABELS = ("good", "neutral", "poor")
CLASSES = {"luke": LukeForSequenceClassification, "longformer": LongformerForSequenceClassification}


def write_classifier(folder: Path, encoder: str, labels: Sequence[str] = LABELS, **config: Any) -> Path:
    """A folder with transformers' LukeForSequenceClassification or LongformerForSequenceClassification, whose rows are
    up to 128 pieces."""
    config["id2label"] = dict(enumerate(labels))
    config["label2id"] = {label: i for i, label in enumerate(labels)}
    make = luke_config if encoder == "luke" else longformer_config
    model = randomise(CLASSES[encoder](make(max_position_embeddings=130, **config)))
    (write_luke if encoder == "luke" else write_longformer)(folder, model)
    return folder


def tokenizer_of(folder: Path, encoder: str) -> PreTrainedTokenizerBase:
    """transformers' tokenizer."""
    if encoder == "luke":
        return luke_tokenizer(folder)
    return LongformerTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))


def reference_logits(folder: Path, encoder: str, ids: Sequence[int]) -> np.ndarray:
    """transformers' logits of one row of pieces between <s> and </s>. *Shape:* (labels,)"""
    model = CLASSES[encoder].from_pretrained(folder).eval()
    with torch.no_grad():
        return model(torch.tensor([[0, *ids, 2]])).logits[0].numpy()
