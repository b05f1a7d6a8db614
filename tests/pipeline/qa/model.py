"""A tiny random LukeForQuestionAnswering checkpoint, and what transformers makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from spacy.tokens import Doc, Span
from transformers import LukeForQuestionAnswering, LukeTokenizer

from spacy_luke.tokenization.entity_vocab import SPECIAL_ENTITIES
from tests.util import ENTITIES, luke_config, randomise, write_luke

TEXT = (
    "Ada Lovelace met Charles Babbage in London. The battle of Hastings (1066), as we know, wasn't in London; "
    "Élodie O'Neil  moved to São Paulo."
)
QUESTIONS = ("Who met Babbage?", "When was the battle?")


def write_qa_checkpoint(folder: Path) -> Path:
    """A folder with a model whose windows are up to 124 pieces."""
    write_luke(folder, randomise(LukeForQuestionAnswering(luke_config())))
    return folder


def link(doc: Doc, *spans: tuple[int, int, str]) -> Doc:
    """Set the entities of a Doc: token ranges and titles."""
    doc.set_ents([Span(doc, start, end, label="X", kb_id=title) for start, end, title in spans])
    return doc


def reference_input(tokenizer: LukeTokenizer, doc: Doc, question: str) -> dict[str, torch.Tensor]:
    """The question and the whole Doc, with its known entities, as LukeTokenizer encodes them."""
    known = [ent for ent in doc.ents if ent.kb_id_ in ENTITIES]
    if not known:
        return tokenizer(question, doc.text, return_tensors="pt")
    return tokenizer(
        question,
        doc.text,
        entities=[],
        entity_spans=[],
        entities_pair=[ent.kb_id_ for ent in known],
        entity_spans_pair=[(ent.start_char, ent.end_char) for ent in known],
        return_tensors="pt",
    )


def reference_logits(model: LukeForQuestionAnswering, tokenizer: LukeTokenizer, doc: Doc, question: str) -> np.ndarray:
    """Start and end logits of all pieces. *Shape:* (pieces, 2)"""
    with torch.no_grad():
        output = model(**reference_input(tokenizer, doc, question))
    return torch.stack([output.start_logits[0], output.end_logits[0]], dim=-1).numpy()


TITLES = sorted(set(ENTITIES) - set(SPECIAL_ENTITIES))
