"""Tiny random token classifiers, saved by transformers, and what transformers makes of a text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from spacy.tokens import Doc
from transformers import LongformerForTokenClassification, LukeForTokenClassification

from spacy_luke.batching.pieces import doc_pieces
from tests.util import longformer_config, luke_config, randomise, write_byte_bpe, write_longformer, write_luke

TEXT = "Ada Lovelace met Charles Babbage in London. Élodie O'Neil  moved to São Paulo (1066), they don't know why."
BILUO = ["O", *(f"{prefix}-{label}" for label in ("LOC", "PER") for prefix in "BILU")]
POS = ["ADJ", "NOUN", "PROPN", "VERB"]
CLASSES = {"luke": LukeForTokenClassification, "longformer": LongformerForTokenClassification}


def write_tagger(folder: Path, encoder: str, labels: Sequence[str], *, pieces: int = 128, seed: int = 0) -> Path:
    """A folder with transformers' LukeForTokenClassification or LongformerForTokenClassification.

    Other than `randomise` leaves them, no label is much more probable than the others.
    """
    folder.mkdir(exist_ok=True)
    size = write_byte_bpe(folder)
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    if encoder == "luke":
        config: Any = luke_config(vocab_size=size + 2, max_position_embeddings=pieces + 2, **names)
    else:
        config = longformer_config(vocab_size=size, max_position_embeddings=pieces + 2, **names)
    model = randomise(CLASSES[encoder](config), seed)
    model.classifier.bias.data.zero_()
    (write_luke if encoder == "luke" else write_longformer)(folder, model)
    return folder


def reference_logits(
    folder: Path, pipe: Any, doc: Doc, start: int = 0, end: int | None = None
) -> dict[int, np.ndarray]:
    """transformers' logits of the first pieces of the tokens of a Doc, which sees the pieces from `start` to `end`."""
    kind = CLASSES["luke" if (folder / "entity_vocab.json").exists() else "longformer"]
    model = kind.from_pretrained(folder).eval()
    pieces = doc_pieces(doc, pipe._require_weights().tokenizer).pieces
    end = len(pieces.ids) if end is None else end
    with torch.no_grad():
        logits = model(torch.tensor([[0, *pieces.ids[start:end].tolist(), 2]])).logits[0].numpy()
    inside = [t.i for t in doc if start <= pieces.starts[t.i] < end and pieces.ends[t.i] > pieces.starts[t.i]]
    return {i: logits[pieces.starts[i] - start + 1] for i in inside if not doc[i].is_space}
