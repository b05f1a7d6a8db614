"""Independent attention: pieces see pieces, an entity the pieces and itself."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LukeModel

from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.encoders.independent_attention import IndependentLukeEncoder
from spacy_luke.encoders.inputs import EncoderInput
from spacy_luke.encoders.piece_states import PieceStates
from tests.util import luke_config, make_input, randomise, reference_input, write_luke

SPANS = [[(1, 3), (4, 9), (0, 12), (5, 6)], [(2, 3), (1, 7)], []]
LENGTHS = [12, 8, 3]


def independent(folder: Any, **changes: Any) -> tuple[LukeModel, IndependentLukeEncoder]:
    """transformers' model and ours on its weights."""
    model = randomise(LukeModel(luke_config(**changes)))
    write_luke(folder, model)
    encoder = open_checkpoint(folder).with_independent_attention().load_encoder()
    assert isinstance(encoder, IndependentLukeEncoder)
    return model, encoder.eval()


def masked_reference(model: LukeModel, batch: EncoderInput) -> tuple[torch.Tensor, torch.Tensor]:
    """States of transformers' layers under a mask that leaves each row what it may attend to."""
    inputs = reference_input(batch)
    pieces, entities = batch.piece_ids.shape[1], batch.entity_ids.shape[1]  # type: ignore[union-attr]
    may = torch.zeros(len(batch.piece_ids), pieces + entities, pieces + entities, dtype=torch.bool)
    may[:, :, :pieces] = batch.piece_mask[:, None]
    may[:, pieces:, pieces:] = torch.eye(entities, dtype=torch.bool)
    mask = torch.zeros(may.shape).masked_fill(~may, torch.finfo(torch.float32).min)[:, None]
    zeros = torch.zeros_like(batch.piece_ids)
    output = model.encoder(
        model.embeddings(batch.piece_ids, token_type_ids=zeros),
        model.entity_embeddings(
            inputs["entity_ids"], inputs["entity_position_ids"], torch.zeros_like(inputs["entity_ids"])
        ),
        attention_mask=mask,
        head_mask=[None] * model.config.num_hidden_layers,
    )
    return output.last_hidden_state, output.entity_last_hidden_state


@pytest.mark.parametrize("entity_aware", [True, False])
def test_states_equal_transformers_layers_under_the_mask_of_independent_attention(tmp_path, entity_aware):
    model, encoder = independent(tmp_path, use_entity_aware_attention=entity_aware)
    for seed in range(5):
        batch = make_input(LENGTHS, SPANS, seed=seed)
        with torch.no_grad():
            pieces, entities = masked_reference(model, batch)
            ours = encoder(batch)
        assert (pieces - ours.pieces)[batch.piece_mask].abs().max() < 1e-5
        assert (entities - ours.entities)[batch.entity_mask].abs().max() < 1e-5


def test_the_model_type_alone_says_how_entities_attend(tmp_path):
    write_luke(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for model_type, claimed, read in (("luke", "independent", "full"), ("independent_luke", "full", "independent")):
        changed = {**config, "model_type": model_type, "entity_attention": claimed}
        (tmp_path / "config.json").write_text(json.dumps(changed))
        assert open_checkpoint(tmp_path).config.entity_attention == read


def test_gradients_equal_transformers(tmp_path):
    model, encoder = independent(tmp_path)
    batch = make_input(LENGTHS, SPANS)
    pieces, entities = masked_reference(model, batch)
    ours = encoder(batch)
    (pieces[batch.piece_mask].sin().sum() + entities[batch.entity_mask].sin().sum()).backward()
    (ours.pieces[batch.piece_mask].sin().sum() + ours.entities[batch.entity_mask].sin().sum()).backward()
    theirs = model.encoder.layer[0].attention
    layer = encoder.layers[0].attention
    for a, b in (
        (theirs.self.query, layer.query),
        (theirs.self.key, layer.key),
        (theirs.self.value, layer.value),
        (theirs.self.e2w_query, layer.entity_to_piece_query),
        (theirs.self.e2e_query, layer.entity_to_entity_query),
        (theirs.output.dense, layer.output),
    ):
        assert torch.allclose(a.weight.grad, b.weight.grad, atol=1e-4)


def test_pieces_are_those_of_an_input_without_entities(tmp_path):
    _, encoder = independent(tmp_path)
    batch = make_input(LENGTHS, SPANS)
    alone = EncoderInput(batch.piece_ids, batch.piece_mask)
    with torch.no_grad():
        assert torch.equal(encoder(batch).pieces, encoder(alone).pieces)


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> IndependentLukeEncoder:
    return independent(tmp_path_factory.mktemp("luke"))[1]


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_state_depends_on_no_other_entity_and_on_no_other_row(shared, data):
    """Any selection of the entities, in any order, alone or beside a longer text, has the states it had."""
    batch = make_input([12], [SPANS[0]])
    chosen = data.draw(st.lists(st.sampled_from(range(4)), min_size=1, max_size=6))
    part = replace(
        batch,
        entity_ids=batch.entity_ids[:, chosen],
        entity_spans=batch.entity_spans[:, chosen],
        entity_mask=batch.entity_mask[:, chosen],
    )
    beside = make_input([12, 30], [[SPANS[0][i] for i in chosen], [(0, 30)] * data.draw(st.integers(0, 9))], seed=3)
    for name in ("piece_ids", "entity_ids"):
        values = getattr(part, name)[0]
        getattr(beside, name)[0, : len(values)] = values
    beside.piece_ids[0, 12:] = 1
    with torch.no_grad():
        whole = shared(batch).entities[0, chosen]
        assert (shared(part).entities[0] - whole).abs().max() < 1e-5
        assert (shared(beside).entities[0, : len(chosen)] - whole).abs().max() < 1e-5


def test_many_entities_are_encoded_in_slices_with_the_same_states(shared, monkeypatch):
    batch = make_input(LENGTHS, SPANS)
    with torch.no_grad():
        whole = shared(batch).entities[batch.entity_mask]
        for name in ("ENTITY_ROWS", "PACKED_ROWS"):
            monkeypatch.setattr(f"spacy_luke.encoders.independent_attention.{name}", 3)
        assert (shared(batch).entities[batch.entity_mask] - whole).abs().max() < 1e-5


@pytest.mark.parametrize("states", ["pieces", "entities", "pooled"])
def test_less_is_computed_for_what_is_not_read(shared, states):
    batch = make_input(LENGTHS, SPANS)
    with torch.no_grad():
        whole, part = shared(batch), shared(batch, states=states)
    torch.testing.assert_close(getattr(part, states), getattr(whole, states), atol=1e-6, rtol=1e-6)
    assert all(getattr(part, unread) is None for unread in {"pieces", "entities"} - {states})


def test_all_states_are_the_same_on_pieces_that_were_encoded_before(shared):
    class Encoded:
        def states(self, *layers: int) -> PieceStates:
            return encoded

    batch = make_input(LENGTHS, SPANS)
    with torch.no_grad():
        encoded, whole = shared.encode_pieces(batch), shared(batch)
        attached = shared(replace(batch, piece_source=Encoded()))
    for mask, name in ((batch.piece_mask, "pieces"), (batch.entity_mask, "entities"), (..., "pooled")):
        torch.testing.assert_close(getattr(attached, name)[mask], getattr(whole, name)[mask], atol=1e-6, rtol=1e-6)


def test_gradient_checkpointing_changes_no_gradient(tmp_path):
    _, encoder = independent(tmp_path)
    encoder.train()
    batch = make_input(LENGTHS, SPANS)
    gradients = []
    for checkpointing in (False, True):
        encoder.gradient_checkpointing = checkpointing
        encoder.zero_grad()
        encoder(batch).entities.sin().sum().backward()
        gradients.append([p.grad.clone() for p in encoder.parameters() if p.grad is not None])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*gradients, strict=True))


def test_bfloat16_is_near(shared):
    batch = make_input(LENGTHS, SPANS)
    with torch.no_grad():
        exact = shared(batch).entities
        shared.precision = "bfloat16"
        try:
            near = shared(batch).entities
        finally:
            shared.precision = "float32"
    assert near.dtype == torch.float32
    assert 0 < (near - exact)[batch.entity_mask].abs().max() < 0.2
