"""A tiny random LukeForMaskedLM, a knowledge base for it, and what transformers makes of a Doc."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from spacy.kb import InMemoryLookupKB
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab
from transformers import LukeForMaskedLM

from spacy_luke.batching.pieces import doc_pieces
from tests.util import luke_config, randomise, write_byte_bpe, write_luke

TEXT = "Ada Lovelace met Babbage in London . Ada liked London , and Babbage liked Ada ."
ENTS = [(0, 2, "PER"), (3, 4, "PER"), (5, 6, "LOC"), (7, 8, "PER"), (9, 10, "LOC"), (12, 13, "PER"), (14, 15, "PER")]
TITLES = [
    "London",
    "London, Ontario",
    "Ada Lovelace",
    "Ada (language)",
    "Ada, Ohio",
    "Charles Babbage",
    "Babbage Lane",
]
VOCAB = {"[PAD]": 0, "[UNK]": 1, "London": 2, "[MASK]": 3, "[MASK2]": 4, **{t: i for i, t in enumerate(TITLES[1:], 5)}}
MASK = VOCAB["[MASK]"]
# Alias -> entity -> prior. "Qx" is in no vocabulary.
ALIASES: dict[str, dict[str, float]] = {
    "Ada Lovelace": {"Ada Lovelace": 1.0},
    "Ada": {"Ada, Ohio": 0.5, "Ada (language)": 0.3, "Ada Lovelace": 0.2},
    "Babbage": {"Charles Babbage": 0.6, "Babbage Lane": 0.4},
    "London": {"London": 0.7, "London, Ontario": 0.1, "Qx": 0.2},
}


def write_linker(folder: Path, **changes: Any) -> LukeForMaskedLM:
    """A folder with transformers' LukeForMaskedLM; returns the model in it."""
    folder.mkdir(exist_ok=True)
    size = write_byte_bpe(folder)
    config = luke_config(vocab_size=size + 2, entity_vocab_size=len(VOCAB), **changes)
    model = write_luke(folder, randomise(LukeForMaskedLM(config)))
    (folder / "entity_vocab.json").write_text(json.dumps(VOCAB))
    assert isinstance(model, LukeForMaskedLM)
    return model


def make_kb(vocab: Vocab, aliases: Mapping[str, Mapping[str, float]] = ALIASES) -> InMemoryLookupKB:
    kb = InMemoryLookupKB(vocab, entity_vector_length=1)
    for entity in sorted({entity for priors in aliases.values() for entity in priors}):
        kb.add_entity(entity, freq=1, entity_vector=[0.0])
    for alias, priors in aliases.items():
        kb.add_alias(alias, list(priors), list(priors.values()))
    return kb


def make_doc(
    nlp: Language, text: str = TEXT, ents: Sequence[tuple[int, int, str]] = ENTS, links: Mapping[int, str] = {}
) -> Doc:
    """links: kb_id of some of the entities, by their index."""
    doc = Doc(nlp.vocab, words=text.split())
    doc.ents = [Span(doc, a, b, label, kb_id=links.get(i, "")) for i, (a, b, label) in enumerate(ents)]
    return doc


def reference_logits(
    model: LukeForMaskedLM,
    pipe: Any,
    doc: Doc,
    ids: Sequence[int] | None = None,
    *,
    window: tuple[int, int] | None = None,
    ents: Sequence[Span] | None = None,
) -> torch.Tensor:
    """transformers' logits of the entities of a Doc over the entity vocabulary. *Shape:* (entities, entity vocabulary)

    ids: what each entity is given as; default: all masked. window: the pieces that are seen.
    """
    ents = list(doc.ents) if ents is None else ents
    pieces = doc_pieces(doc, pipe._require_weights().tokenizer).pieces
    start, end = window or (0, len(pieces.ids))
    positions = torch.full((1, len(ents), 30), -1)
    for row, ent in zip(positions[0], ents, strict=True):
        place = np.arange(pieces.starts[ent.start], pieces.ends[ent.end - 1])[:30] - start + 1
        row[: len(place)] = torch.from_numpy(place)
    return model(
        input_ids=torch.tensor([[0, *pieces.ids[start:end].tolist(), 2]]),
        entity_ids=torch.tensor([list(ids) if ids is not None else [MASK] * len(ents)]),
        entity_attention_mask=torch.ones(1, len(ents), dtype=torch.long),
        entity_position_ids=positions,
    ).entity_logits[0]


def links(doc: Doc) -> list[str]:
    return [ent.kb_id_ for ent in doc.ents]


def ranked(doc: Doc) -> list[list[tuple[str, float]]]:
    return [[(kb_id, round(score, 4)) for kb_id, score in ent._.linked_entities] for ent in doc.ents]
