"""Tiny random Longformers under each component, and what transformers and a few matrix products make of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import spacy
import torch
from spacy.language import Language
from spacy.tokens import Doc, Span
from torch import Tensor
from torch.nn import functional as F
from transformers import LongformerModel

from spacy_luke.batching.pieces import doc_pieces
from tests.util import longformer_config, randomise, write_byte_bpe, write_longformer

TEXT = "Ada Lovelace met Charles Babbage in London. Élodie O'Neil  moved to São Paulo (1066), they don't know why."
# Token ranges of TEXT: Ada Lovelace, Charles Babbage, London; Élodie O'Neil, São Paulo.
ENTS = ((0, 2, "PER"), (3, 5, "PER"), (6, 7, "LOC"), (8, 10, "PER"), (13, 15, "LOC"))
LABELS = {
    "luke_ner": ["LOC", "ORG", "PER"],
    "luke_relations": ["lives_in", "met", "works_for"],
    "luke_entity_typer": ["artist", "city", "person", "writer"],
    "luke_token_classifier": ["LOC", "ORG", "PER"],
    "luke_textcat": ["good", "neutral", "poor"],
    "luke_multiple_choice": None,
    "luke_qa": None,
}
ARCHITECTURES = {
    "luke_ner": "LongformerForEntitySpanClassification",
    "luke_relations": "LongformerForEntityPairClassification",
    "luke_entity_typer": "LongformerForEntityClassification",
    "luke_token_classifier": "LongformerForTokenClassification",
    "luke_textcat": "LongformerForSequenceClassification",
    "luke_multiple_choice": "LongformerForMultipleChoice",
    "luke_qa": "LongformerForQuestionAnswering",
}
CHOICES = (("Who met Babbage?", ["Ada", "Bo"]), ("", ["She left.", "London", "They do."]))
LONGFORMER = {"encoder": {"@architectures": "spacy-luke.LongformerEncoder.v1"}}


def write_encoder(folder: Path, *, pieces: int = 128, **changes: Any) -> Path:
    """A folder with a LongformerModel whose rows are up to `pieces` long."""
    folder.mkdir(exist_ok=True)
    config = longformer_config(vocab_size=write_byte_bpe(folder), max_position_embeddings=pieces + 2, **changes)
    write_longformer(folder, randomise(LongformerModel(config)))
    return folder


def make(factory: str, folder: Path, labels: Sequence[str] | None = None, **config: Any) -> tuple[Language, Any]:
    """A pipeline and its only component: the encoder of `folder` under a random head."""
    nlp = spacy.blank("en")
    pipe: Any = nlp.add_pipe(factory, config={"model": LONGFORMER, **config})
    wanted = LABELS[factory] if labels is None else list(labels)
    pipe.initialize(lambda: [], checkpoint=str(folder), labels=wanted)
    for name, part in pipe._module.named_children():
        if name != "encoder":
            randomise(part, seed=1)
    if pipe._module.encoder.mention_states is not None:
        randomise(pipe._module.encoder.mention_states, seed=2)
    return nlp, pipe


def with_ents(doc: Doc, ents: Sequence[tuple[int, int, str]] = ENTS) -> Doc:
    """Set the entities of a Doc, given as token ranges with labels."""
    doc.set_ents([Span(doc, *ent) for ent in ents])
    return doc


def cut(doc: Doc, *starts: int) -> Doc:
    """Let the sentences of a Doc start at some tokens, and at the first."""
    first = {0, *starts}
    for token in doc:
        token.is_sent_start = token.i in first
    return doc


def watch(pipe: Any, monkeypatch: Any) -> list[Any]:
    """The batches that reach the module from now on."""
    batches: list[Any] = []
    forward = pipe._module.forward
    monkeypatch.setattr(pipe._module, "forward", lambda batch: batches.append(batch) or forward(batch))
    return batches


# What transformers makes of it


def piece_ranges(pipe: Any, doc: Doc, spans: Sequence[tuple[int, int]]) -> np.ndarray:
    """Pieces of token ranges that have no white space at their edges. *Shape:* (spans, 2)"""
    pieces = doc_pieces(doc, pipe._require_weights().tokenizer).pieces
    return np.array([(pieces.starts[a], pieces.ends[b - 1]) for a, b in spans], dtype=np.int64).reshape(-1, 2)


@cache
def reference_model(folder: Path) -> LongformerModel:
    """transformers' model of a folder, which must not change."""
    return LongformerModel.from_pretrained(folder, add_pooling_layer=False).eval()


def reference_states(
    folder: Path,
    pipe: Any,
    doc: Doc,
    global_spans: Sequence[Sequence[int]] | None = None,
    window: tuple[int, int | None] = (0, None),
) -> Tensor:
    """The states of transformers' LongformerModel for the pieces of a window of a Doc between <s> and </s>.

    global_spans: piece ranges of the window that are global beside <s>; None = nothing is.
    *Shape:* -> (pieces + 2, hidden)
    """
    model = reference_model(folder)
    ids = doc_pieces(doc, pipe._require_weights().tokenizer).pieces.ids[slice(*window)]
    row = torch.tensor([[0, *ids.tolist(), 2]])
    is_global = torch.zeros_like(row)
    if global_spans is not None:
        is_global[0, 0] = 1
        for start, end in global_spans:
            is_global[0, start + 1 : end + 1] = 1
    with torch.no_grad():
        return model(row, global_attention_mask=is_global).last_hidden_state[0]


def mention_states(module: Any, states: Tensor, spans: np.ndarray) -> Tensor:
    """First, last and mean piece of each range, projected. *Shapes:* (pieces + 2, hidden), (n, 2) -> (n, hidden)"""
    rows = []
    for start, end in (spans + 1).tolist():  # after <s>
        rows.append(torch.cat([states[start], states[end - 1], states[start:end].mean(0)]))
    with torch.no_grad():
        return module.encoder.mention_states.projection(torch.stack(rows))


def reference_span_logits(module: Any, states: Tensor, spans: np.ndarray) -> np.ndarray:
    """`luke_ner`: the first piece, the last one and the mention through the classifier."""
    ends = torch.stack([torch.cat([states[start + 1], states[end]]) for start, end in spans.tolist()])
    with torch.no_grad():
        return module.classifier(torch.cat([ends, mention_states(module, states, spans)], dim=1)).numpy()


def reference_pair_logits(module: Any, head: Tensor, tail: Tensor) -> np.ndarray:
    """`luke_relations`: GELU(A head + B tail + C (head * tail)) through the classifier."""
    with torch.no_grad():
        met = module.from_head(head) + module.from_tail(tail) + module.from_both(head * tail)
        return module.classifier(F.gelu(met)).numpy()
