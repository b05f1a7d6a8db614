"""Batches for a GPU, without one: tensors of the meta device, which have a shape but no values.

To read a value, for which the processor would have to wait until a GPU has computed it, is an error there, and so are
most operations on tensors of which one has been left on the CPU.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch

from spacy_luke.checkpoints.heads import HEADS
from spacy_luke.encoders.config import LongformerConfig, LukeConfig
from spacy_luke.encoders.encoder import Encoder
from spacy_luke.encoders.heads import EntitySpanClassification, TaskModule
from spacy_luke.encoders.independent_attention import IndependentLukeEncoder
from spacy_luke.encoders.inputs import EncoderInput
from spacy_luke.encoders.kernels.entity_aware_attention import attend_in_one_product
from spacy_luke.encoders.kernels.routes import Mode
from spacy_luke.encoders.longformer import LongformerEncoder
from spacy_luke.encoders.luke import LukeEncoder
from spacy_luke.encoders.masked_lm import MaskedLM, MaskedLMWithEntities
from spacy_luke.encoders.span_filter import SpanFilter, build_span_filter
from tests.util import make_input

SIZES: Any = {"vocab_size": 430, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
SIZES |= {"intermediate_size": 48, "max_position_embeddings": 130}
KINDS = {"luke": "luke", "longformer": "longformer", "independent": "luke"}
CASES = [(kind, name) for kind, model_type in KINDS.items() for known, name in HEADS if known == model_type]


def module_of(kind: str, name: str) -> TaskModule:
    head = HEADS[KINDS[kind], name]
    encoder: Encoder
    if kind == "longformer":
        config = LongformerConfig(**SIZES, attention_window=(8, 8, 8))
        encoder = LongformerEncoder(config, pooling=True, mentions=True)
    else:
        luke_config = LukeConfig(**SIZES, entity_vocab_size=30, entity_emb_size=16)
        encoder = (IndependentLukeEncoder if kind == "independent" else LukeEncoder)(luke_config)
    return head(encoder, 5)


def batch_for(kind: str, name: str) -> EncoderInput:
    batch = make_input([40, 25], [[(3, 7), (9, 12)], [(5, 8)]])
    if kind == "longformer":
        batch.global_mask = torch.zeros_like(batch.piece_mask).index_fill_(1, torch.tensor([0, 3]), True)
        batch.items = torch.tensor([[[0, 1]], [[0, 0]]])
    elif name == "MaskedLM":
        batch.predicted_places = torch.tensor([0, 2])
    return batch


@pytest.fixture(autouse=True)
def as_on_a_gpu(routes: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    if routes != "plain":
        monkeypatch.setattr("spacy_luke.encoders.attention.entity_aware_kernel", lambda *_: attend_in_one_product)
    monkeypatch.setattr(Encoder, "_autocast", lambda *_: nullcontext())  # the meta device has none


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("kind", "name"), CASES)
def test_nothing_is_read_while_a_model_computes(kind: str, name: str, training: bool) -> None:
    module = module_of(kind, name).train(training)
    batch = batch_for(kind, name)
    with torch.set_grad_enabled(training):
        on_cpu = module(batch)
        logits = module.to("meta")(batch.to("meta"))
    assert logits.is_meta
    assert logits.shape == on_cpu.shape
    if training:
        logits.sum().backward()


@pytest.mark.parametrize("training", [False, True])
def test_a_span_filter_lets_only_one_number_be_read(training: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.Size] = []

    def highest(counts: torch.Tensor) -> int:
        asked.append(counts.shape)
        return 2

    monkeypatch.setattr("spacy_luke.encoders.span_filter._highest", highest)
    module = module_of("independent", "EntitySpanClassification").train(training)
    assert isinstance(module, EntitySpanClassification)
    module.span_filter = SpanFilter(module.encoder.config, build_span_filter())
    with torch.set_grad_enabled(training):
        logits = module.to("meta")(batch_for("luke", "EntitySpanClassification").to("meta"))
    assert logits.shape == (2, 2, 5 + 1)
    assert asked == [(2,)]
    if training:
        logits.sum().backward()


@pytest.mark.parametrize("kind", ["luke", "longformer"])
def test_chosen_pieces_and_entities_are_predicted_without_reading_which(kind: str) -> None:
    module = module_of(kind, "MaskedLM").to("meta")
    assert isinstance(module, MaskedLM)
    batch = batch_for(kind, "EntitySpanClassification").to("meta")
    chosen = torch.tensor([3, 41, 50], device="meta")
    assert module.predict(batch, pieces=chosen).pieces.shape == (3, 430)  # type: ignore[union-attr]
    if isinstance(module, MaskedLMWithEntities):
        found = module.predict(batch, pieces=chosen, entities=chosen[:2])
        assert found.entities is not None
        assert found.entities.shape == (2, 30)
