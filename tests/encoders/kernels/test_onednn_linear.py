"""Products by oneDNN: those of PyTorch, but for rounding, with their gradients; and when PyTorch computes itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from spacy_luke.encoders.kernels import onednn_linear as products
from spacy_luke.encoders.kernels.onednn_linear import linear
from tests.encoders.kernels.needs import needs_onednn

SIZES = st.integers(1, 40)


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape).requires_grad_()


def close(ours: Tensor, theirs: Tensor) -> bool:
    return torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5 * max(1.0, float(theirs.detach().norm())))


@pytest.fixture
def calls(monkeypatch) -> Iterator[list[str]]:
    """The activations of the products that oneDNN is asked for."""
    found: list[str] = []
    multiply = products.multiply

    def counted(rows: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str = "none") -> Tensor:
        found.append(activation)
        return multiply(rows, weight, bias, activation)

    monkeypatch.setattr(products, "multiply", counted)
    return found


@settings(deadline=None)
@given(
    leading=st.lists(st.integers(0, 9), min_size=1, max_size=2),
    inputs=SIZES,
    outputs=SIZES,
    skipped=st.integers(0, 3),
    has_bias=st.booleans(),
    activation=st.sampled_from([None, F.gelu, torch.tanh]),
)
def test_products_and_their_gradients_are_those_of_pytorch(leading, inputs, outputs, skipped, has_bias, activation):
    rows, table, bias = drawn(*leading, inputs), drawn(outputs, skipped + inputs), drawn(outputs)
    weight = table[:, skipped:]
    leaves = [rows, table, *([bias] if has_bias else [])]
    ours = linear(rows, weight, bias if has_bias else None, activation)
    theirs = F.linear(rows, weight, bias if has_bias else None)
    theirs = theirs if activation is None else activation(theirs)
    assert ours.shape == theirs.shape
    assert close(ours, theirs)
    for power in (1, 2):  # the gradient of a plain sum has no strides
        gradients = [torch.autograd.grad((of**power).sum(), leaves, retain_graph=True) for of in (ours, theirs)]
        assert all(map(close, *gradients))
    with torch.inference_mode():
        assert close(linear(rows, weight, bias if has_bias else None, activation), theirs)


@needs_onednn
def test_gelu_is_part_of_the_product_unless_there_are_gradients(calls) -> None:
    rows, weight = drawn(5, 8), drawn(6, 8)
    with torch.no_grad():
        linear(rows, weight, None, F.gelu)
        linear(rows, weight, None, torch.tanh)
    assert calls == ["gelu", "none"]
    linear(rows, weight, None, F.gelu).sum().backward()
    assert calls[2:] == ["none"] * 3, "forward, and the gradients of rows and weight"


@needs_onednn
def test_no_gradient_is_computed_that_nobody_needs(calls) -> None:
    linear(drawn(5, 8), drawn(6, 8).detach()).sum().backward()
    assert len(calls) == 2


@needs_onednn
@pytest.mark.filterwarnings("ignore:TF32 acceleration")
def test_pytorch_multiplies_slices_what_is_not_float32_and_when_it_is_told_to(calls) -> None:
    rows, weight = drawn(5, 8), drawn(6, 8)
    assert torch.equal(linear(rows.double(), weight.double()), F.linear(rows.double(), weight.double()))
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(rows, weight).dtype == torch.bfloat16
    with torch.backends.mkldnn.flags(enabled=False):
        assert torch.equal(linear(rows, weight), F.linear(rows, weight))
    assert not calls
    assert torch.equal(linear(rows[:, 2:], weight[:, 2:]), F.linear(rows[:, 2:], weight[:, 2:])), (
        "slices are slow there"
    )
    assert not calls
    linear(rows, weight)
    assert calls


@pytest.mark.parametrize("error", [AttributeError, RuntimeError, None])
def test_onednn_is_not_used_where_it_is_missing_or_wrong(monkeypatch, error: type[Exception] | None) -> None:
    def multiply(rows: Tensor, weight: Tensor, *_: object) -> Tensor:
        if error is not None:
            raise error
        return torch.zeros(len(rows), len(weight))

    monkeypatch.setattr(products, "multiply", multiply)
    monkeypatch.setattr(products, "_has_onednn", products._has_onednn.__wrapped__)
    assert not products._has_onednn()
    rows, weight = drawn(5, 8), drawn(6, 8)
    assert torch.equal(linear(rows, weight, None, F.gelu), F.gelu(F.linear(rows, weight)))
