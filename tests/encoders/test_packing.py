"""Padded batches without their padding: the same states for all that is real."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spacy_luke.batching.collate import batch_rows
from spacy_luke.encoders import independent_attention, packing
from spacy_luke.encoders.config import LukeConfig
from spacy_luke.encoders.independent_attention import IndependentLukeEncoder
from spacy_luke.encoders.inputs import EncoderInput
from spacy_luke.encoders.packing import PADDED, Packing

HIDDEN = 12
masks = st.lists(st.integers(0, 9), min_size=1, max_size=6).map(
    lambda lengths: torch.arange(max(*lengths, 1)) < torch.tensor(lengths)[:, None]
)


@given(masks)
@settings(deadline=None)
def test_rows_are_packed_in_their_order_and_come_back_to_their_places(mask: Tensor) -> None:
    states = torch.randn(*mask.shape, 3)
    with torch.no_grad():
        packed = Packing.of(mask)
        rows = packed.pack(states)
    if packed is PADDED:
        assert mask.sum() in (0, mask.numel()) or mask.float().mean() > 15 / 16
        assert rows is states
        assert packed.unpack(rows) is states
    else:
        assert torch.equal(rows, states[mask][None])
        back = packed.unpack(rows)
        assert torch.equal(back[mask], states[mask])
        for text, real, found in zip(states, mask, back, strict=True):
            if real.any():  # padding has numbers of its own text
                assert torch.equal(found[~real], text[real][:1].expand(int((~real).sum()), -1))


def test_nothing_is_packed_where_gradients_are_needed() -> None:
    assert Packing.of(torch.tensor([[True, False]])) is PADDED
    with torch.no_grad():
        assert Packing.of(torch.tensor([[True, False]])) is not PADDED


@pytest.fixture(scope="module")
def encoder() -> IndependentLukeEncoder:
    torch.manual_seed(3)
    config = LukeConfig(
        vocab_size=40,
        entity_vocab_size=9,
        hidden_size=HIDDEN,
        entity_emb_size=6,
        num_hidden_layers=3,
        num_attention_heads=3,
        intermediate_size=20,
        max_position_embeddings=50,
        type_vocab_size=2,
    )
    model = IndependentLukeEncoder(config)
    model.reset_parameters()
    return model.eval()


def make_batch(lengths: list[int], entities: list[int], per_item: int, seed: int) -> EncoderInput:
    generator = np.random.default_rng(seed)
    longest, most = max(lengths), per_item * max(entities)
    ids = generator.integers(2, 40, (len(lengths), longest))
    piece_mask = np.arange(longest) < np.array(lengths)[:, None]
    starts = (generator.random((len(lengths), most)) * np.array(lengths)[:, None]).astype(np.int64)
    arrays = {
        "piece_ids": np.where(piece_mask, ids, 1),
        "piece_mask": piece_mask,
        "entity_ids": generator.integers(1, 9, (len(lengths), most)),
        "entity_spans": np.stack([starts, starts + 1], axis=-1),
        "entity_mask": np.arange(most) < per_item * np.array(entities)[:, None],
    }
    return EncoderInput(**{name: torch.from_numpy(array) for name, array in arrays.items()})


def real_states(encoder: IndependentLukeEncoder, batch: EncoderInput, per_item: int) -> list[Tensor]:
    """All that the encoder gives for what is real, in each of its ways."""
    with torch.no_grad():
        output, pooled = encoder(batch), encoder(batch, states="pooled").pooled
        states = encoder.encode_pieces(batch, 1)
        items = encoder.encode_items(batch, per_item)
    pieces, entities = batch.piece_mask, batch.entity_mask
    keys = [tensor.transpose(1, 2)[pieces] for tensor in (*states.keys, *states.values)]
    hidden = [states.hidden[number][pieces] for number in (1, 3)]
    return [output.pieces[pieces], output.entities[entities], output.pooled, pooled, items[entities], *keys, *hidden]


texts = st.lists(st.tuples(st.integers(2, 12), st.integers(0, 5)), min_size=1, max_size=5)


@given(texts=texts, per_item=st.sampled_from([1, 2]), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_states_are_those_of_padded_batches(encoder, texts, per_item, seed) -> None:
    lengths, entities = zip(*texts, strict=True)
    batch = make_batch(list(lengths), list(entities), per_item, seed)
    with pytest.MonkeyPatch.context() as patch:
        packed = real_states(encoder, batch, per_item)
        patch.setattr(packing, "_WORTH", 2.0)
        padded = real_states(encoder, batch, per_item)
    for ours, expected in zip(packed, padded, strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)


def test_padding_is_not_computed(encoder) -> None:
    """Linear layers and norms see the real rows only: 3 + 9 of 18 pieces, and 1 + 4 of 8 entities."""
    batch = make_batch([3, 9], [1, 4], 1, seed=0)
    seen: set[int] = set()
    watched = copy.deepcopy(encoder)
    for layer in watched.layers:
        for part in (layer.attention.query, layer.attention.key, layer.attention.norm, layer.feed_forward.inner):
            part.register_forward_hook(lambda _, inputs, __: seen.add(inputs[0][..., 0].numel()))
    with torch.no_grad():
        watched(batch)
    assert seen == {12, 5}


def test_an_update_computes_padding(encoder) -> None:
    assert encoder.packs(training=False)
    assert not encoder.packs(training=True)


@pytest.mark.parametrize("per_item", [1, 2])
def test_packed_entities_are_not_cut_into_slices(encoder, monkeypatch, per_item: int) -> None:
    batch = make_batch([4, 9, 7], [1, 6, 3], per_item, seed=2)
    whole = real_states(encoder, batch, per_item)
    monkeypatch.setattr(independent_attention, "ENTITY_ROWS", 4)
    for ours, expected in zip(real_states(encoder, batch, per_item), whole, strict=True):
        assert torch.equal(ours, expected)


def test_a_text_has_no_number_of_another(encoder) -> None:
    """Not even one that is not finite."""
    batch = make_batch([3, 9, 5], [1, 4, 2], 1, seed=1)
    broken = copy.deepcopy(encoder)
    with torch.no_grad():
        broken.embeddings.word.weight[0] = torch.nan
        whole = broken(batch)
        ids = batch.piece_ids.clone()
        ids[0, 0] = 0
        output = broken(replace(batch, piece_ids=ids))
    assert output.pieces[0, :3].isnan().all()
    torch.testing.assert_close(output.pieces[1:], whole.pieces[1:])
    torch.testing.assert_close(output.entities[1:], whole.entities[1:])


class Sized:
    def __init__(self, pieces: int) -> None:
        self.pieces, self.entities = pieces, 0


@given(st.lists(st.integers(1, 200), min_size=1, max_size=60))
@settings(deadline=None)
def test_packed_batches_have_at_most_half_padding(lengths: list[int]) -> None:
    rows = [Sized(length) for length in lengths]
    batches = list(batch_rows(rows, 4096, packed=True))
    assert len(batches) <= len(list(batch_rows(rows, 4096)))
    assert [row.pieces for batch in batches for row in batch] == sorted(lengths)
    for batch in batches:
        real, before = sum(row.pieces for row in batch), sum(row.pieces for row in batch[:-1])
        assert before < 256 or len(batch) * batch[-1].pieces <= 2 * real
