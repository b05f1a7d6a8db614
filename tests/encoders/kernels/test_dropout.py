"""Dropout on a CPU, by random bits of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from spacy_luke.encoders.attention import Attention
from spacy_luke.encoders.kernels import routes
from spacy_luke.encoders.kernels.attention import self_attention_kernel
from spacy_luke.encoders.kernels.dropout import Dropout, dropout
from spacy_luke.encoders.layers import set_dropout
from spacy_luke.errors import LukeError
from tests.encoders.test_gpu_route import batch_for, module_of


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_rate_is_that_share_of_the_numbers_and_the_rest_grows(rate: float) -> None:
    torch.manual_seed(0)
    kept = dropout(torch.ones(4, 100_000), rate)
    assert ((kept == 0).float().mean(1) - rate).abs().max() < 0.01, "in each row"
    lanes = (kept.flatten().view(-1, 4) == 0).float().mean(0)
    assert (lanes - rate).abs().max() < 0.01, "of those that share random bits"
    assert torch.allclose(kept[kept != 0], torch.tensor(1 / (1 - rate)), rtol=1e-3)


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(0)
    dropped = (dropout(torch.ones(400_000), 0.5) == 0).double()
    for distance in range(1, 9):
        pairs = torch.stack([dropped[distance:], dropped[:-distance]])
        assert torch.corrcoef(pairs)[0, 1].abs() < 0.01


@pytest.mark.parametrize("shape", [(), (1,), (3,), (7, 5), (2, 0, 3)])
def test_any_shape(shape: tuple[int, ...]) -> None:
    states = torch.ones(shape)
    assert set(dropout(states, 0.5).unique().tolist()) <= {0.0, 2.0}
    assert dropout(states, 0.5).shape == shape


def test_the_ends_of_the_scale() -> None:
    states = torch.randn(1000)
    assert dropout(states, 0.0) is states
    assert dropout(states, 1.0).eq(0).all()
    assert torch.allclose(dropout(states, 1e-9), states)
    assert dropout(states, 1 - 1e-9).eq(0).all()


def test_the_gradient_flows_through_what_is_kept() -> None:
    states = torch.randn(50, 40).t().requires_grad_()
    kept = dropout(states, 0.3)
    (gradient,) = torch.autograd.grad(kept.sum(), states)
    assert torch.allclose(gradient * states, kept)
    assert gradient.eq(0).any()


def test_the_seed_of_pytorch_decides() -> None:
    def drawn(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return dropout(torch.ones(1000), 0.5)

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_what_is_computed_again_drops_the_same() -> None:
    states = torch.randn(1000, requires_grad=True)
    kept = checkpoint(lambda x: dropout(x * 2, 0.5), states, use_reentrant=False)
    (gradient,) = torch.autograd.grad(kept.sum(), states)
    assert torch.allclose(gradient * states, kept)


def test_the_type_stays() -> None:
    states = torch.ones(9, dtype=torch.bfloat16, requires_grad=True)
    kept = dropout(states, 0.5)
    (gradient,) = torch.autograd.grad(kept.sum(), states)
    assert kept.dtype == gradient.dtype == torch.bfloat16


def test_where_pytorch_draws_in_parallel_it_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Intel's processors, by MKL."""
    states = torch.randn(1000)

    def drawn(drop: Callable[[torch.Tensor, float], torch.Tensor]) -> torch.Tensor:
        torch.manual_seed(0)
        return drop(states, 0.5)

    assert not torch.equal(drawn(dropout), drawn(F.dropout))
    monkeypatch.setattr(routes, "_vendor", lambda: routes.INTEL)
    with routes.use("auto"):
        assert torch.equal(drawn(dropout), drawn(F.dropout))
    monkeypatch.setattr(routes, "_vendor", lambda: routes.AMD)
    with routes.use("auto"):
        assert not torch.equal(drawn(dropout), drawn(F.dropout))
    with routes.use("plain"):
        assert torch.equal(drawn(dropout), drawn(F.dropout))


@pytest.mark.parametrize("rate", [10, -0.1, float("nan"), True])
def test_a_rate_that_cannot_be_raises_l047(rate: float) -> None:
    with pytest.raises(LukeError, match=r"L047.*dropout"):
        set_dropout(Dropout(0.5), rate)


def test_only_training_drops() -> None:
    states = torch.ones(1000)
    part = Dropout(0.5)
    assert part(states).eq(0).any()
    assert part.eval()(states) is states


@pytest.mark.parametrize(
    ("kind", "places"),
    [
        ("luke", {"kernels.entity_aware_attention"}),
        ("longformer", {"kernels.attention", "sliding_window"}),
        ("independent", {"kernels.attention", "independent_attention"}),
    ],
)
def test_attention_with_dropout_is_that_without_but_for_what_is_dropped(
    kind: str, places: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes other ways, which keep the weights."""
    module, batch = module_of(kind, "EntitySpanClassification"), batch_for(kind, "EntitySpanClassification")
    set_dropout(module, 0.0)
    without = module.train()(batch)
    dropped = set()

    def keep(place: str, weights: torch.Tensor, rate: float) -> torch.Tensor:
        dropped.add((place, rate))
        return weights

    for place in places:
        monkeypatch.setattr(f"spacy_luke.encoders.{place}.dropout", partial(keep, place))
    for part in module.modules():
        if isinstance(part, Attention):
            part.attention_dropout = 0.5
    assert torch.allclose(module(batch), without, atol=1e-5)
    assert dropped == {(place, 0.5) for place in places}


@pytest.mark.parametrize("masked", [False, True])
def test_attention_in_bfloat16_that_drops_is_that_in_float32_but_for_rounding(masked: bool) -> None:
    torch.manual_seed(0)
    queries, keys, values = torch.randn(3, 2, 4, 30, 16)
    mask = torch.zeros(2, 1, 1, 30).masked_fill_(torch.arange(30) >= 25, torch.finfo(torch.float32).min)
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        with routes.use("all"):
            attend = self_attention_kernel(queries.to(dtype), keys.to(dtype), 0.3)
            assert attend is not None
            torch.manual_seed(1)
            parts = (tensor.to(dtype) for tensor in (queries, keys, values))
            found.append(attend(*parts, mask if masked else None, 0.3))
    exact, rounded = found
    assert rounded.dtype == torch.bfloat16
    assert torch.isfinite(rounded).all()
    assert torch.allclose(rounded.float(), exact, rtol=0.05, atol=0.05)
