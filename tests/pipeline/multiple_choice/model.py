"""Tiny random models for multiple choice, saved by transformers, and what transformers makes of a question."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LongformerForMultipleChoice, LukeForMultipleChoice, PreTrainedTokenizerBase

from tests.pipeline.textcat.model import TEXT, tokenizer_of
from tests.util import longformer_config, luke_config, randomise, write_longformer, write_luke

QUESTION, OPTIONS = "Who met Babbage?", ("Ada Lovelace", "Nobody knows why they don't.", "London")
ENDINGS = ("They left.", "Élodie O'Neil  moved (1066)")
CHOICES = ((QUESTION, OPTIONS), ("", ENDINGS))
CLASSES = {"luke": LukeForMultipleChoice, "longformer": LongformerForMultipleChoice}

__all__ = ["CHOICES", "CLASSES", "ENDINGS", "OPTIONS", "QUESTION", "TEXT", "tokenizer_of"]


def write_chooser(folder: Path, encoder: str, *, pieces: int = 128) -> Path:
    """A folder with transformers' LukeForMultipleChoice or LongformerForMultipleChoice.

    Other than `randomise` leaves it, the pooler is not saturated: options differ.
    """
    make = luke_config if encoder == "luke" else longformer_config
    model: Any = randomise(CLASSES[encoder](make(max_position_embeddings=pieces + 2)))
    getattr(model, encoder).pooler.dense.weight.data.mul_(0.2)
    (write_luke if encoder == "luke" else write_longformer)(folder, model)
    return folder


def encode(
    tokenizer: PreTrainedTokenizerBase, text: str, options: Sequence[str], question: str = "", pieces: int = 128
) -> Any:
    """A question as transformers' examples encode it: a pair for each option."""
    pairs = [f"{question} {option}" if question else option for option in options]
    settings = {"truncation": True, "max_length": pieces, "padding": True, "return_tensors": "pt"}
    return {name: rows[None] for name, rows in tokenizer([text] * len(pairs), pairs, **settings).items()}


def reference_logits(folder: Path, encoder: str, batch: dict[str, torch.Tensor]) -> np.ndarray:
    """transformers' logits. *Shape:* (options,)"""
    model = CLASSES[encoder].from_pretrained(folder).eval()
    with torch.no_grad():
        return model(**batch).logits[0].numpy()
