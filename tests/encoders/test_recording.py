"""States of every layer and attention weights equal those of transformers on the same weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import LongformerModel, LukeModel

from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.encoders.encoder import Encoder
from spacy_luke.encoders.inputs import EncoderInput, EncoderOutput, Recording
from tests.encoders import test_longformer as longformer_tests
from tests.encoders import test_luke as luke_tests
from tests.util import (
    longformer_config,
    luke_config,
    make_input,
    randomise,
    reference_input,
    write_longformer,
    write_luke,
)

from .test_independent_attention import LENGTHS, SPANS, independent

TOLERANCE = 1e-4


def everything(layers: int) -> Recording:
    return Recording(frozenset(range(layers + 1)), frozenset(range(1, layers + 1)))


def recorded(encoder: Encoder, batch: EncoderInput, recording: Recording | None = None) -> EncoderOutput:
    with torch.no_grad():
        return encoder(batch, recording=recording or everything(encoder.config.num_hidden_layers))


def reference(model: torch.nn.Module, batch: EncoderInput) -> Any:
    with torch.no_grad():
        return model(**reference_input(batch), output_hidden_states=True, output_attentions=True)


def assert_close(ours: Any, theirs: Any, mask: torch.Tensor | None = None) -> None:
    """mask: the rows that are compared, all but padding. *Shape:* (batch, rows)"""
    assert len(ours) == len(theirs) > 0
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert a.dtype == torch.float32
        if mask is not None:
            a, b = ((x.transpose(1, 2) if x.ndim == 4 else x)[mask] for x in (a, b))
        assert (a - b).abs().max() < TOLERANCE


# LUKE


@pytest.mark.parametrize("name", luke_tests.BATCHES)
@pytest.mark.parametrize("entity_aware", [True, False])
def test_luke_equals_the_reference(tmp_path, name, entity_aware):
    model, encoder = luke_tests.pair(tmp_path, use_entity_aware_attention=entity_aware, num_hidden_layers=3)
    batch = make_input(*luke_tests.BATCHES[name])
    theirs, ours = reference(model, batch), recorded(encoder, batch)
    assert_close(ours.hidden_states, theirs.hidden_states, batch.piece_mask)
    mask = batch.piece_mask
    if batch.entity_ids is not None:
        assert_close(ours.entity_hidden_states, theirs.entity_hidden_states, batch.entity_mask)
        mask = torch.cat([mask, batch.entity_mask], dim=1)
    else:
        assert ours.entity_hidden_states is None
    assert_close(ours.attentions, theirs.attentions, mask)
    assert ours.global_attentions is None


def test_last_states_are_given_as_well(tmp_path):
    model, encoder = luke_tests.pair(tmp_path)
    batch = make_input([20, 9], [[(1, 3), (4, 9)], [(2, 3)]])
    theirs, ours = reference(model, batch), recorded(encoder, batch)
    assert recorded(encoder, make_input([20, 9], None)).entities is None
    assert_close([ours.pieces], [theirs.last_hidden_state], batch.piece_mask)
    assert_close([ours.entities], [theirs.entity_last_hidden_state], batch.entity_mask)
    assert_close([ours.pooled], [theirs.pooler_output])


# Independent attention, which transformers has as a mask of its own


def independent_reference(model: LukeModel, batch: EncoderInput) -> Any:
    given = reference_input(batch)
    pieces, entities = batch.piece_ids.shape[1], batch.entity_ids.shape[1]
    may = torch.zeros(len(batch.piece_ids), pieces + entities, pieces + entities, dtype=torch.bool)
    may[:, :, :pieces] = batch.piece_mask[:, None]
    may[:, pieces:, pieces:] = torch.eye(entities, dtype=torch.bool)
    zeros = torch.zeros_like
    with torch.no_grad():
        return model.encoder(
            model.embeddings(batch.piece_ids, token_type_ids=zeros(batch.piece_ids)),
            model.entity_embeddings(given["entity_ids"], given["entity_position_ids"], zeros(given["entity_ids"])),
            attention_mask=torch.zeros(may.shape).masked_fill(~may, torch.finfo(torch.float32).min)[:, None],
            head_mask=[None] * model.config.num_hidden_layers,
            output_hidden_states=True,
            output_attentions=True,
        )


@pytest.mark.parametrize("entity_aware", [True, False])
def test_independent_attention_equals_the_reference_under_a_mask(tmp_path, entity_aware):
    model, encoder = independent(tmp_path, use_entity_aware_attention=entity_aware, num_hidden_layers=3)
    batch = make_input(LENGTHS, SPANS)
    theirs, ours = independent_reference(model, batch), recorded(encoder, batch)
    assert_close(ours.hidden_states, theirs.hidden_states, batch.piece_mask)
    assert_close(ours.entity_hidden_states, theirs.entity_hidden_states, batch.entity_mask)
    assert_close(ours.attentions, theirs.attentions, torch.cat([batch.piece_mask, batch.entity_mask], dim=1))


def test_independent_attention_without_entities_is_that_of_luke(tmp_path):
    model, encoder = independent(tmp_path)
    batch = make_input(LENGTHS, None)
    theirs, ours = reference(model, batch), recorded(encoder, batch)
    assert_close(ours.hidden_states, theirs.hidden_states, batch.piece_mask)
    assert_close(ours.attentions, theirs.attentions, batch.piece_mask)
    assert ours.entity_hidden_states is None


# Longformer


@pytest.fixture(scope="module")
def longformer(tmp_path_factory):
    return longformer_tests.pair(tmp_path_factory.mktemp("longformer"))


@pytest.mark.parametrize("name", longformer_tests.BATCHES)
def test_longformer_equals_the_reference(longformer, name):
    model, encoder = longformer
    batch = longformer_tests.make_batch(*longformer_tests.BATCHES[name])
    theirs, ours = reference(model, batch), recorded(encoder, batch)
    assert_close(ours.hidden_states, theirs.hidden_states)
    assert_close(ours.attentions, theirs.attentions)
    if batch.global_mask is None:
        assert ours.global_attentions is None
        return
    # transformers pads texts to a multiple of the window, and spreads the weights of a slot without a piece over all
    pieces = batch.piece_ids.shape[1]
    counts = (batch.global_mask & batch.piece_mask).sum(1)
    filled = torch.arange(int(counts.max())) < counts[:, None]
    compared = [weights[:, :, :pieces] * filled[:, None, None] for weights in theirs.global_attentions]
    assert_close(ours.global_attentions, compared)


def test_a_longformer_whose_text_is_shorter_than_half_a_window(tmp_path):
    model, encoder = longformer_tests.pair(tmp_path, attention_window=[64, 64, 128])
    batch = longformer_tests.make_batch([20, 11], [[3], [0, 2]])
    theirs, ours = reference(model, batch), recorded(encoder, batch)
    assert_close(ours.hidden_states, theirs.hidden_states)
    assert_close(ours.attentions, theirs.attentions)


@pytest.mark.parametrize("name", [name for name in longformer_tests.BATCHES if name != "one global piece alone"])
def test_each_piece_of_a_longformer_spreads_its_attention_once(longformer, name):
    _, encoder = longformer
    batch = longformer_tests.make_batch(*longformer_tests.BATCHES[name])
    is_global = torch.zeros_like(batch.piece_mask) if batch.global_mask is None else batch.global_mask
    for weights in recorded(encoder, batch).attentions:
        expected = (batch.piece_mask & ~is_global).float()[:, None].expand(-1, weights.shape[1], -1)
        assert torch.allclose(weights.sum(-1), expected, atol=1e-5)


# What is asked for


def encoders(folder: Any) -> dict[str, Encoder]:
    write_luke(folder / "luke", randomise(LukeModel(luke_config(num_hidden_layers=3))))
    write_longformer(folder / "longformer", randomise(LongformerModel(longformer_config())))
    luke = open_checkpoint(folder / "luke")
    return {
        "luke": luke.load_encoder().eval(),
        "independent": luke.with_independent_attention().load_encoder().eval(),
        "longformer": open_checkpoint(folder / "longformer").load_encoder().eval(),
    }


@pytest.fixture(scope="module")
def all_encoders(tmp_path_factory):
    return encoders(tmp_path_factory.mktemp("encoders"))


@pytest.fixture(params=["luke", "independent", "longformer"])
def encoder(request, all_encoders):
    return all_encoders[request.param]


def mixed_batch(encoder: Encoder) -> EncoderInput:
    batch = make_input([70, 33], [[(1, 3), (4, 9)], [(2, 3)]])
    if encoder.config.entity_inputs:
        return batch
    mask = torch.zeros_like(batch.piece_mask)
    mask[0, 4] = mask[1, :2] = True
    return replace(batch, entity_ids=None, entity_spans=None, entity_mask=None, global_mask=mask)


def test_only_what_is_asked_for_is_kept(encoder):
    batch = mixed_batch(encoder)
    every = recorded(encoder, batch)
    some = recorded(encoder, batch, Recording(frozenset({0, 3}), frozenset({2})))
    assert len(every.hidden_states) == len(every.attentions) + 1 == 4
    assert_close(some.hidden_states, [every.hidden_states[0], every.hidden_states[3]])
    assert_close(some.attentions, [every.attentions[1]])
    if every.entity_hidden_states:
        assert_close(some.entity_hidden_states, [every.entity_hidden_states[0], every.entity_hidden_states[3]])
    if every.global_attentions:
        assert_close(some.global_attentions, [every.global_attentions[1]])
    last = recorded(encoder, batch, Recording(frozenset({3})))
    assert_close(last.hidden_states, [every.hidden_states[3]])
    assert last.attentions == ()


def test_states_alone_are_computed_as_ever(encoder):
    """Without attention weights, the layers compute what they compute without a recording, to the last bit."""
    batch = mixed_batch(encoder)
    with torch.no_grad():
        plain = encoder(batch)
    ours = recorded(encoder, batch, Recording(frozenset({1, 3})))
    assert plain.hidden_states is plain.attentions is None
    assert ours.attentions == ()
    assert torch.equal(ours.pieces, plain.pieces)
    assert torch.equal(ours.hidden_states[-1], plain.pieces)
    assert torch.equal(ours.pooled, plain.pooled)
    if plain.entities is not None:
        assert torch.equal(ours.entity_hidden_states[-1], plain.entities)


def test_gradients_do_not_depend_on_a_recording(encoder):
    batch = mixed_batch(encoder)

    def gradients(**options: Any) -> dict[str, torch.Tensor]:
        encoder.zero_grad()
        output = encoder(batch, **options)
        sum(x.sin().sum() for x in (output.pieces, output.entities) if x is not None).backward()
        return {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}

    plain, ours = gradients(), gradients(recording=everything(encoder.config.num_hidden_layers))
    for name in plain.keys() | ours.keys():
        # What does not reach a softmax has no gradient in one way, and one that is rounded to almost 0 in the other
        zero = torch.zeros(())
        assert torch.allclose(plain.get(name, zero), ours.get(name, zero), rtol=1e-3, atol=1e-3), name


def test_bfloat16_gives_float32(encoder):
    batch = mixed_batch(encoder)
    exact = recorded(encoder, batch)
    encoder.precision = "bfloat16"
    try:
        ours = recorded(encoder, batch)
    finally:
        encoder.precision = "float32"
    for a, b in zip((*ours.hidden_states, *ours.attentions), (*exact.hidden_states, *exact.attentions), strict=True):
        assert a.dtype == torch.float32
        assert (a - b).abs().mean() < 0.05
