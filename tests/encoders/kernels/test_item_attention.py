"""Attention of entities to the pieces and to their item in two parts: the numbers of one softmax over both."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spacy_luke.encoders import independent_attention
from spacy_luke.encoders.kernels import item_attention
from spacy_luke.encoders.kernels.item_attention import attend_in_two_parts, can_attend_in_two_parts
from spacy_luke.encoders.kernels.routes import use
from tests.encoders.test_independent_attention import independent
from tests.util import make_input

OPERATION = "_scaled_dot_product_flash_attention_for_cpu"
pytestmark = pytest.mark.skipif(not hasattr(torch.ops.aten, OPERATION), reason=f"PyTorch has no {OPERATION}")
HEADS, WIDTH = 3, 8


def split(rows: Tensor) -> Tensor:
    return rows.unflatten(-1, (HEADS, WIDTH)).transpose(1, 2)


@settings(deadline=None)
@given(
    batch=st.integers(1, 3),
    items=st.integers(1, 40),
    per_item=st.integers(1, 3),
    pieces=st.integers(1, 70),
    masked=st.sampled_from([None, "each", "one for all"]),
    scale=st.sampled_from([1.0, 6.0]),
)
def test_the_context_is_that_of_one_softmax(batch, items, per_item, pieces, masked, scale) -> None:
    rows = items * per_item
    to_pieces, to_item, own_keys, own_values = (scale * torch.randn(batch, rows, HEADS * WIDTH) for _ in range(4))
    keys, values = (scale * split(torch.randn(batch, pieces, HEADS * WIDTH)) for _ in range(2))
    mask = None
    if masked:
        mask = torch.zeros(batch if masked == "each" else 1, 1, 1, pieces)
        mask[..., 1 + pieces // 2 :] = torch.finfo(torch.float32).min
    with torch.no_grad():
        found = attend_in_two_parts(to_pieces, to_item, keys, values, own_keys, own_values, mask, per_item)
    scores = split(to_pieces) @ keys.transpose(2, 3) * WIDTH**-0.5 + (0 if mask is None else mask)
    same_item = torch.block_diag(*[torch.ones(per_item, per_item)] * items).bool()
    own = split(to_item) @ split(own_keys).transpose(2, 3) * WIDTH**-0.5
    weights = torch.cat([scores, own.masked_fill(~same_item, -torch.inf)], dim=-1).softmax(-1)
    expected = (weights @ torch.cat([values, split(own_values)], dim=2)).transpose(1, 2).flatten(2)
    torch.testing.assert_close(found, expected, atol=1e-4 if scale > 1 else 1e-5, rtol=0)


def test_queries_of_another_kind_take_the_plain_way() -> None:
    queries = torch.randn(2, 4, 8)
    with torch.no_grad():
        assert can_attend_in_two_parts(queries, 0.0)
        assert not can_attend_in_two_parts(queries, 0.1)
        assert not can_attend_in_two_parts(queries[:, :0], 0.0)
        assert not can_attend_in_two_parts(queries.double(), 0.0)
        assert not can_attend_in_two_parts(queries.to("meta"), 0.0)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert not can_attend_in_two_parts(queries, 0.0)
        with use("plain"):
            assert not can_attend_in_two_parts(queries, 0.0)
    assert not can_attend_in_two_parts(queries, 0.0)


@pytest.mark.parametrize("entity_aware", [True, False])
def test_an_encoder_gives_the_same_either_way(tmp_path, monkeypatch, entity_aware: bool) -> None:
    _, encoder = independent(tmp_path, use_entity_aware_attention=entity_aware)
    batch = make_input([12, 8, 3], [[(1, 3), (4, 9), (0, 12), (5, 6)], [(2, 3), (1, 7)], []])
    calls = []
    attend = independent_attention.attend_in_two_parts
    monkeypatch.setattr(
        independent_attention, "attend_in_two_parts", lambda *args: calls.append(args[-1]) or attend(*args)
    )
    with torch.no_grad():
        items, entities = encoder.encode_items(batch, 2), encoder(batch).entities
        assert calls == [2] * len(encoder.layers) + [1] * len(encoder.layers)
        with use("plain"):
            expected = encoder.encode_items(batch, 2), encoder(batch).entities
    assert len(calls) == 2 * len(encoder.layers)
    for one, other in zip((items, entities), expected, strict=True):
        assert (one - other)[batch.entity_mask].abs().max() < 1e-5


def test_without_the_operation_the_plain_way_is_taken(monkeypatch) -> None:
    def missing(*args):
        raise AttributeError

    monkeypatch.setattr(item_attention, "_attend_with_sums", missing)
    item_attention._has_sums.cache_clear()
    try:
        with torch.no_grad():
            assert not can_attend_in_two_parts(torch.randn(2, 4, 8), 0.0)
    finally:
        item_attention._has_sums.cache_clear()
