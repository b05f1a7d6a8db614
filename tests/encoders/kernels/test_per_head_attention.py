"""Attention a head at a time: PyTorch's numbers, where it is the faster way and only there."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spacy_luke.encoders.kernels import attention, per_head_attention
from spacy_luke.encoders.kernels.attention import is_by_head
from spacy_luke.encoders.kernels.per_head_attention import attend_by_head
from tests.encoders.kernels.needs import needs_onednn
from tests.encoders.test_luke import TOLERANCE, largest_difference, pair
from tests.util import make_input

pytestmark = needs_onednn
LENGTH = 410  # rows of a text that is attended to by head


def rows_of(batch: int, heads: int, length: int, width: int) -> Tensor:
    """As heads are split off: not contiguous."""
    return torch.randn(batch, length, heads, width).transpose(1, 2)


@settings(deadline=None)
@given(
    batch=st.integers(1, 3),
    heads=st.integers(1, 4),
    rows=st.integers(1, 40),
    keys=st.lists(st.integers(1, 30), min_size=1, max_size=3),
    masked=st.sampled_from([None, "keys", "rows and keys", "one for all"]),
)
def test_the_context_is_that_of_pytorch(batch, heads, rows, keys, masked) -> None:
    width = 8
    queries = [rows_of(batch, heads, rows, width) for _ in keys]
    keys_by_kind = [rows_of(batch, heads, number, width) for number in keys]
    values = rows_of(batch, heads, sum(keys), width)
    shapes = {
        "keys": (batch, 1, 1, sum(keys)),
        "rows and keys": (batch, 1, rows, sum(keys)),
        "one for all": (1, 1, rows, sum(keys)),
    }
    mask = 3 * torch.randn(shapes[masked]) if masked else None
    arguments = [*queries, *keys_by_kind, values, *([] if mask is None else [mask])]
    before = [tensor.clone() for tensor in arguments]
    with torch.no_grad():
        found = attend_by_head(queries, keys_by_kind, values, mask)
    scores = (
        torch.cat([q @ k.transpose(2, 3) for q, k in zip(queries, keys_by_kind, strict=True)], dim=-1) * width**-0.5
    )
    expected = (scores if mask is None else scores + mask).softmax(-1) @ values
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-5)
    assert all(map(torch.equal, arguments, before)), "an argument was changed"


@pytest.fixture
def asked(monkeypatch) -> list[int]:
    """Number of kinds of queries of each call."""
    found: list[int] = []

    def counted(queries, *rest) -> Tensor:
        found.append(len(queries))
        return attend_by_head(queries, *rest)

    for module in (attention, per_head_attention):
        monkeypatch.setattr(module, "attend_by_head", counted)
    return found


LONG = {"max_position_embeddings": LENGTH + 2}
SPANS = [[(start, start + 3) for start in range(0, 70)], [(5, 9), (280, 300)]]


@pytest.mark.parametrize("spans", [None, SPANS], ids=["pieces", "pieces and entities"])
@pytest.mark.parametrize("lengths", [[LENGTH, LENGTH], [LENGTH, 300]], ids=["full", "padded"])
def test_the_states_of_long_texts_equal_those_of_transformers(tmp_path, asked, spans, lengths) -> None:
    model, encoder = pair(tmp_path, **LONG)
    assert largest_difference(model, encoder, make_input(lengths, spans)) < TOLERANCE
    assert asked == [1 if spans is None else 2] * model.config.num_hidden_layers


def test_it_is_for_long_rows_on_few_threads_without_gradients(monkeypatch) -> None:
    long, short = torch.zeros(1, 2, LENGTH, 8), torch.zeros(1, 2, 20, 8)
    assert not is_by_head(long, LENGTH), "autograd needs more than it keeps"
    with torch.no_grad():
        assert is_by_head(long, LENGTH)
        assert not is_by_head(short, LENGTH)
        assert not is_by_head(long.double(), LENGTH)
        with torch.autocast("cpu", torch.bfloat16):
            assert not is_by_head(long, LENGTH)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 32)
        assert not is_by_head(long, LENGTH)


@pytest.mark.parametrize("spans", [None, SPANS[:1]])
def test_dropout_is_left_to_pytorch(tmp_path, asked, spans) -> None:
    _, encoder = pair(tmp_path, **LONG, attention_probs_dropout_prob=0.1)
    with torch.no_grad():
        encoder.train()(make_input([LENGTH], spans))
        assert not asked
        encoder.eval()(make_input([LENGTH], spans))
        assert asked
