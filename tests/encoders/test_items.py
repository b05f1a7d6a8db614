"""Items of several entities under independent attention, and pieces that were encoded before them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_luke.encoders.inputs import EncoderInput
from spacy_luke.encoders.piece_states import PieceStates
from tests.util import make_input, reference_input

from .test_independent_attention import independent

# Two items of two entities in the first text, one in the second, none in the third.
LENGTHS = [12, 8, 3]
SPANS = [[(1, 3), (4, 9), (0, 12), (5, 6)], [(2, 3), (1, 7)], []]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory):
    return independent(tmp_path_factory.mktemp("luke"))


@dataclass
class Encoded:
    """Pieces that are encoded already: a `PieceSource`."""

    found: PieceStates

    def states(self, *layers: int) -> PieceStates:
        assert self.found.hidden.keys() >= set(layers)
        return self.found


def test_items_equal_transformers_layers_under_a_mask_of_blocks(models) -> None:
    model, encoder = models
    batch = make_input(LENGTHS, SPANS)
    pieces, entities = batch.piece_ids.shape[1], batch.entity_ids.shape[1]
    may = torch.zeros(len(batch.piece_ids), pieces + entities, pieces + entities, dtype=torch.bool)
    may[:, :, :pieces] = batch.piece_mask[:, None]
    may[:, pieces:, pieces:] = torch.block_diag(*[torch.ones(2, 2)] * (entities // 2)).bool()
    inputs = reference_input(batch)
    with torch.no_grad():
        expected = model.encoder(
            model.embeddings(batch.piece_ids, token_type_ids=torch.zeros_like(batch.piece_ids)),
            model.entity_embeddings(
                inputs["entity_ids"], inputs["entity_position_ids"], torch.zeros_like(inputs["entity_ids"])
            ),
            attention_mask=torch.zeros(may.shape).masked_fill(~may, torch.finfo(torch.float32).min)[:, None],
            head_mask=[None] * model.config.num_hidden_layers,
        ).entity_last_hidden_state
        found = encoder.encode_items(batch, 2)
    assert (found - expected)[batch.entity_mask].abs().max() < 1e-5


@given(items=st.lists(st.sampled_from([0, 1]), min_size=1, max_size=5))
@settings(max_examples=25, deadline=None)
def test_an_item_depends_on_no_other_item(models, items) -> None:
    _, encoder = models
    batch = make_input([12], SPANS[:1])
    index = torch.tensor([entity for item in items for entity in (2 * item, 2 * item + 1)])
    part = replace(
        batch,
        entity_ids=batch.entity_ids[:, index],
        entity_spans=batch.entity_spans[:, index],
        entity_mask=batch.entity_mask[:, index],
    )
    with torch.no_grad():
        whole, some = encoder.encode_items(batch, 2), encoder.encode_items(part, 2)
    torch.testing.assert_close(some, whole[:, index], atol=1e-6, rtol=0)


def test_the_entities_of_an_item_see_each_other(models) -> None:
    _, encoder = models
    batch = make_input([12], SPANS[:1])
    moved = batch.entity_spans.clone()
    moved[0, 1] = torch.tensor([6, 8])  # the second entity of the first item
    with torch.no_grad():
        before, after = (encoder.encode_items(b, 2) for b in (batch, replace(batch, entity_spans=moved)))
    assert (before - after)[0, 0].abs().max() > 1e-4
    torch.testing.assert_close(before[0, 2:], after[0, 2:], atol=1e-6, rtol=0)


def test_items_longer_than_a_slice_are_not_cut(models, monkeypatch) -> None:
    _, encoder = models
    batch = make_input(LENGTHS, SPANS)
    with torch.no_grad():
        whole = encoder.encode_items(batch, 2)
        for name in ("ENTITY_ROWS", "PACKED_ROWS"):
            monkeypatch.setattr(f"spacy_luke.encoders.independent_attention.{name}", 1)
        sliced = encoder.encode_items(batch, 2)
    real = batch.entity_mask
    torch.testing.assert_close(sliced[real], whole[real], atol=1e-6, rtol=0)


def test_offsets_are_added_to_the_embeddings_of_entities(models) -> None:
    _, encoder = models
    batch = make_input([12], SPANS[:1])
    none = torch.zeros(*batch.entity_ids.shape, encoder.config.hidden_size)
    with torch.no_grad():
        plain, zero, other = (encoder.encode_items(batch, 2, offset) for offset in (None, none, none + 1))
    assert torch.equal(plain, zero)
    assert (other - plain).abs().max() > 1e-3


@pytest.mark.parametrize("layers", [(), (1,), (1, 2)])
def test_entities_on_encoded_pieces_are_those_encoded_beside_them(models, layers) -> None:
    _, encoder = models
    batch = make_input(LENGTHS, SPANS)
    alone = EncoderInput(batch.piece_ids, batch.piece_mask)
    with torch.no_grad():
        states = encoder.encode_pieces(alone, *layers)
        later = replace(batch, piece_source=Encoded(states))
        beside, attached = encoder(batch), encoder(later)
        items = encoder.encode_items(batch, 2), encoder.encode_items(later, 2)
    assert states.hidden.keys() == {*layers, len(encoder.layers)}
    assert torch.equal(states.last, beside.pieces)
    for of_beside, of_attached in ((beside.pieces, attached.pieces), (beside.entities, attached.entities), items):
        torch.testing.assert_close(of_attached, of_beside, atol=1e-6, rtol=0)
    torch.testing.assert_close(attached.pooled, beside.pooled, atol=1e-6, rtol=0)


def test_rows_are_selected_and_repeated(models) -> None:
    _, encoder = models
    batch = make_input(LENGTHS, SPANS)
    with torch.no_grad():
        states = encoder.encode_pieces(batch, 1)
        chosen = states.select(torch.tensor([2, 0, 0]), max(LENGTHS))
        short = states.select(torch.tensor([2]), LENGTHS[2])
    assert torch.equal(chosen.hidden[1][1], states.hidden[1][0])
    assert torch.equal(chosen.keys[1][0], states.keys[1][2])
    assert torch.equal(chosen.mask[2], states.mask[0])
    assert torch.equal(short.hidden[1], states.hidden[1][2:, : LENGTHS[2]])
    assert torch.equal(short.values[0], states.values[0][2:, :, : LENGTHS[2]])
    assert not short.mask.any()
    assert states.nbytes == sum(t.numel() * 4 for t in (*states.keys, *states.values, *states.hidden.values()))
