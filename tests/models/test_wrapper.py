"""The optimiser step: a Thinc Optimizer drives torch's fused AdamW."""

import pytest
import torch
from thinc.api import Adam, Optimizer, warmup_linear

from spacy_luke.errors import LukeError, LukeWarning
from spacy_luke.models.architectures import build_luke_encoder, build_pair_classifier
from spacy_luke.models.wrapper import EncoderShim


def module() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.LayerNorm(3))


def step(shim: EncoderShim, optimizer: Adam, scale: float = 1.0) -> None:
    x = torch.arange(8.0).reshape(2, 4)
    (shim._model(x).pow(2).sum() * scale).backward()
    shim.finish_update(optimizer)


def test_a_step_is_that_of_adamw_with_the_settings_of_thinc() -> None:
    shim = EncoderShim(module())
    optimizer = Adam(0.01, beta1=0.8, beta2=0.9, eps=1e-5, L2=0.1, grad_clip=0.5, use_averages=False)
    other = module()
    decayed = [p for p in other.parameters() if p.ndim > 1]
    rest = [p for p in other.parameters() if p.ndim <= 1]
    adamw = torch.optim.AdamW(
        [{"params": decayed}, {"params": rest, "weight_decay": 0.0}],
        lr=0.01,
        betas=(0.8, 0.9),
        eps=1e-5,
        weight_decay=0.1,
    )
    for _ in range(3):
        step(shim, optimizer)
        other(torch.arange(8.0).reshape(2, 4)).pow(2).sum().backward()
        torch.nn.utils.clip_grad_norm_(other.parameters(), 0.5)
        adamw.step()
        adamw.zero_grad()
    for ours, theirs in zip(shim._model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_schedules_of_the_optimizer_are_followed() -> None:
    shim = EncoderShim(module())
    optimizer = Adam(warmup_linear(0.1, 2, 4), use_averages=False)
    rates = []
    for _ in range(4):
        step(shim, optimizer)
        rates.append(shim._adamw.learn_rate)
        optimizer.step_schedules()
    assert rates == pytest.approx([0.0, 0.05, 0.1, 0.05])


class Task(torch.nn.Module):
    """Named as a task module is."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = module()
        self.encoder.mention_states = torch.nn.Linear(3, 3)
        self.classifier = torch.nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states = self.encoder[1](self.encoder[0](x))
        return self.classifier(self.encoder.mention_states(states))


@pytest.mark.parametrize("head_rate", [1.0, 5.0])
def test_the_head_learns_at_a_rate_of_its_own(head_rate: float) -> None:
    """The first step of Adam moves each weight by the learning rate."""
    shim = EncoderShim(Task(), head_rate)
    before = {name: p.detach().clone() for name, p in shim._model.named_parameters()}
    step(shim, Adam(0.01, eps=1e-12, L2=0.0, use_averages=False, grad_clip=0.0))
    for name, parameter in shim._model.named_parameters():
        moved = (parameter - before[name]).abs()
        rate = 0.01 * (head_rate if name.startswith(("classifier.", "encoder.mention_states.")) else 1.0)
        torch.testing.assert_close(moved[moved > 0], torch.full_like(moved[moved > 0], rate), rtol=1e-3, atol=1e-6)


def test_a_head_rate_that_is_not_above_0_is_an_error() -> None:
    with pytest.raises(LukeError, match=r"L047.*head_rate"):
        build_pair_classifier(build_luke_encoder(), head_rate=0.0)


def test_gradients_are_cleared_by_a_step() -> None:
    shim = EncoderShim(module())
    step(shim, Adam(0.1, use_averages=False))
    assert all(p.grad is None for p in shim._model.parameters())


def test_a_step_without_gradients_changes_nothing() -> None:
    shim = EncoderShim(module())
    shim.finish_update(Adam(0.1, use_averages=False))
    assert all(torch.equal(a, b) for a, b in zip(shim._model.parameters(), module().parameters(), strict=True))


@pytest.mark.parametrize("setting", ["use_averages", "use_radam"])
def test_settings_without_effect_are_named(setting: str) -> None:
    optimizer = Optimizer(0.1, **{"use_averages": False, setting: True})
    with pytest.warns(LukeWarning, match=f"W007.*{setting}"):
        step(EncoderShim(module()), optimizer)


def test_weights_go_through_bytes() -> None:
    shim = EncoderShim(module())
    step(shim, Adam(0.1, use_averages=False))
    other = EncoderShim(module()).from_bytes(shim.to_bytes())
    assert all(torch.equal(a, b) for a, b in zip(shim._model.parameters(), other._model.parameters(), strict=True))
