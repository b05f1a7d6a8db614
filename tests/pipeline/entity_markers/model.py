"""Tiny random checkpoints for pairs and for single entities, and what transformers makes of marked spans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from spacy.tokens import Doc, Span
from torch import nn
from transformers import LukeForEntityClassification, LukeForEntityPairClassification, LukeTokenizer

from tests.util import luke_config, luke_tokenizer, randomise, write_luke

TEXT = "Ada Lovelace met Charles Babbage in London. Élodie O'Neil  moved to São Paulo (1066), they don't know why."
# Token ranges of TEXT: Ada Lovelace, Charles Babbage, London; Élodie O'Neil, São Paulo.
ENTS = ((0, 2, "PER"), (3, 5, "PER"), (6, 7, "LOC"), (8, 10, "PER"), (13, 15, "LOC"))
RELATIONS = ("no_relation", "lives_in", "met", "works_for")
TYPES = ("artist", "city", "person", "writer")
KINDS = {
    "entity_pair_classification": (LukeForEntityPairClassification, RELATIONS),
    "entity_classification": (LukeForEntityClassification, TYPES),
}
PAIR, ENTITY = KINDS


def write_checkpoint(folder: Path, task: str, labels: Sequence[str] | None = None, **changes) -> Path:
    """A folder with a random model for `task`, whose rows are up to 128 pieces."""
    kind, usual = KINDS[task]
    labels = usual if labels is None else labels
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    model = randomise(kind(luke_config(**{**names, **changes})))
    with torch.no_grad():
        model.classifier.weight *= 5  # so that all labels are predicted
    write_luke(folder, model)
    return folder


def open_reference(folder: Path, task: str) -> tuple[nn.Module, LukeTokenizer]:
    """transformers' model and tokenizer for a checkpoint folder."""
    return KINDS[task][0].from_pretrained(folder).eval(), luke_tokenizer(folder, task=task)


def reference_logits(reference: tuple[nn.Module, LukeTokenizer], text: str, spans: Sequence[Span]) -> np.ndarray:
    """The logits of transformers for marked spans of a text. *Shape:* (labels,)"""
    model, tokenizer = reference
    entity_spans = [(span.start_char, span.end_char) for span in spans]
    with torch.no_grad():
        return model(**tokenizer(text, entity_spans=entity_spans, return_tensors="pt")).logits[0].numpy()


def with_ents(doc: Doc, ents: Iterable[tuple[int, int, str]] = ENTS) -> Doc:
    """Set the entities of a Doc, given as token ranges with labels."""
    doc.set_ents([Span(doc, *ent) for ent in ents])
    return doc


def one_sentence(doc: Doc) -> Doc:
    """Say that a Doc has no sentence boundaries inside."""
    for token in doc:
        token.is_sent_start = token.i == 0
    return doc
