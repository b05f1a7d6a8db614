"""Dropout on a CPU, by random bits of its own."""

from __future__ import annotations

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from spacy_luke.encoders.attention import Attention
from spacy_luke.encoders.dropout import Dropout, dropout
from spacy_luke.encoders.layers import set_dropout
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
    assert dropout(torch.ones(9, dtype=torch.bfloat16), 0.5).dtype == torch.bfloat16


def test_only_training_drops() -> None:
    states = torch.ones(1000)
    part = Dropout(0.5)
    assert part(states).eq(0).any()
    assert part.eval()(states) is states


@pytest.mark.parametrize("kind", ["luke", "longformer", "independent"])
@pytest.mark.parametrize("name", ["EntitySpanClassification", "TokenClassification"])
def test_attention_with_dropout_is_that_without_but_for_what_is_dropped(
    kind: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes other ways, which keep the weights."""
    module, batch = module_of(kind, name), batch_for(kind, name)
    set_dropout(module, 0.0)
    without = module.train()(batch)
    rates = []
    for place in ("attention", "joint_attention", "independent", "sliding_window"):
        monkeypatch.setattr(
            f"spacy_luke.encoders.{place}.dropout", lambda weights, rate: (rates.append(rate), weights)[1]
        )
    for part in module.modules():
        if isinstance(part, Attention):
            part.attention_dropout = 0.5
    assert torch.allclose(module(batch), without, atol=1e-5)
    assert rates
    assert set(rates) == {0.5}
