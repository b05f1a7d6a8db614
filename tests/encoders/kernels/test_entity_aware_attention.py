"""The ways of entity-aware attention give the same, gradients included."""

from __future__ import annotations

from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_luke.encoders.kernels.entity_aware_attention import attend_in_one_product, attend_into_one_buffer
from tests.encoders.test_luke import BATCHES, TOLERANCE, largest_difference, pair
from tests.util import make_input

COUNT = st.integers(1, 12)


@settings(deadline=None)
@given(
    batch=st.integers(1, 3),
    heads=st.integers(1, 3),
    rows=COUNT,
    pieces=COUNT,
    entities=COUNT,
    masked=st.booleans(),
    copied=st.integers(0, 150),
)
def test_one_product_gives_what_two_give(batch, heads, rows, pieces, entities, masked, copied) -> None:
    width, keys = 4, pieces + entities
    shapes = [rows, rows, keys, keys]
    leaves = [torch.randn(batch, number, heads, width).transpose(1, 2).requires_grad_() for number in shapes]
    mask = torch.zeros(batch, 1, 1, keys) if masked else None
    if mask is not None:
        mask[:, ..., 1:].masked_fill_(torch.rand(batch, 1, 1, keys - 1) < 0.4, torch.finfo(torch.float32).min)
    one = attend_in_one_product(*leaves, pieces, mask, 0.0)
    with patch("spacy_luke.encoders.kernels.entity_aware_attention._COPIED", copied):
        two = attend_into_one_buffer(*leaves, pieces, mask, 0.0)
    assert torch.allclose(one, two, atol=1e-5)
    weights = torch.randn_like(two)
    gradients = [torch.autograd.grad((found * weights).sum(), leaves) for found in (one, two)]
    assert all(torch.allclose(*both, atol=1e-4) for both in zip(*gradients, strict=True))


@pytest.mark.parametrize("masked", [False, True])
def test_one_product_under_autocast(masked: bool) -> None:
    """bfloat16 queries with the float32 mask of an encoder."""
    queries, keys, values = (torch.randn(2, 3, 9, 8).bfloat16() for _ in range(3))
    mask = torch.zeros(2, 1, 1, 9)
    mask[1, ..., 5:] = torch.finfo(torch.float32).min
    arguments = queries, -queries, keys, values, 4, mask if masked else None, 0.0
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        one, two = attend_in_one_product(*arguments), attend_into_one_buffer(*arguments)
    assert one.dtype == torch.bfloat16
    assert torch.allclose(one.float(), two.float(), atol=0.05)


@pytest.mark.parametrize("name", [name for name, (_, spans) in BATCHES.items() if spans])
def test_states_from_one_product_equal_those_of_transformers(tmp_path, monkeypatch, name: str) -> None:
    """The way of a GPU, which a CPU goes as well."""
    monkeypatch.setattr("spacy_luke.encoders.attention.entity_aware_kernel", lambda *_: attend_in_one_product)
    model, encoder = pair(tmp_path)
    assert largest_difference(model, encoder, make_input(*BATCHES[name])) < TOLERANCE


def test_one_product_drops_attention_weights() -> None:
    torch.manual_seed(0)
    queries, keys, values = torch.randn(1, 1, 4, 8), torch.randn(1, 1, 400, 8), torch.ones(1, 1, 400, 8)
    kept = attend_in_one_product(queries, queries, keys, values, 300, None, 0.5)
    assert not torch.allclose(kept, torch.ones_like(kept), atol=0.01)
    assert (kept.mean() - 1).abs() < 0.2, "what is left is scaled up"
