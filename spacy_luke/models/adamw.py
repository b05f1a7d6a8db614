"""torch's fused AdamW, driven by a Thinc optimiser."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import torch
from thinc.api import Optimizer
from torch import Tensor, nn

from ..errors import warn

# What torch's optimiser keeps of a parameter.
_STATE = ("step", "exp_avg", "exp_avg_sq")


class ThincAdamW:
    """One fused torch AdamW: learning rate, betas, eps, L2 and grad_clip are read from a Thinc optimiser before each
    step, so its schedules work. What differs from Thinc's own step:

    - grad_clip bounds the norm of all gradients together, as is usual in PyTorch, not that of each array
    - L2 leaves out biases and norms, as in the paper's code
    - use_averages and use_radam have no effect (W007)

    parameters: those that are stepped, with their names.
    rates: learning rates of parameters by their names, as multiples of the optimiser's.
    """

    def __init__(
        self,
        parameters: Iterable[tuple[str, nn.Parameter]],
        driver: Optimizer,
        rates: Mapping[str, float] = MappingProxyType({}),
    ):
        if driver.averages is not None:
            warn("W007", setting="use_averages = true")
        if driver.use_radam:
            warn("W007", setting="use_radam = true")
        self.driver = driver
        self._named = dict(parameters)
        groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
        for name, parameter in self._named.items():
            groups.setdefault((parameter.ndim > 1, rates.get(name, 1.0)), []).append(parameter)
        settings = [
            {"params": part, "decays": decays, "rate": rate, "weight_decay": 0.0}
            for (decays, rate), part in groups.items()
        ]
        kind = torch.optim.AdamW if driver.L2_is_weight_decay else torch.optim.Adam
        self._optimizer = kind(settings, lr=float(driver.learn_rate), fused=True)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Those that are stepped."""
        return list(self._named.values())

    @property
    def learn_rate(self) -> float:
        """Learning rate of the last step, before any multiple."""
        return self._optimizer.param_groups[0]["lr"] / self._optimizer.param_groups[0]["rate"]

    def step(self) -> None:
        """One step on the accumulated gradients, which are then cleared; none if there are none."""
        with_grad = [p for p in self._named.values() if p.grad is not None]
        if not with_grad:
            return
        driver = self.driver
        for group in self._optimizer.param_groups:
            group["lr"] = float(driver.learn_rate) * group["rate"]
            group["betas"] = (float(driver.b1), float(driver.b2))
            group["eps"] = float(driver.eps)
            if group["decays"]:
                group["weight_decay"] = float(driver.L2)
        if driver.grad_clip:
            nn.utils.clip_grad_norm_(with_grad, float(driver.grad_clip))
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def grow(self) -> None:
        """Keep zeros of the rows that parameters have got since the last step, after their others."""
        for parameter, kept in self._optimizer.state.items():
            for what, tensor in kept.items():
                if tensor.ndim and len(tensor) < len(parameter):
                    new = tensor.new_zeros(len(parameter) - len(tensor), *tensor.shape[1:])
                    kept[what] = torch.cat([tensor, new])

    def state(self) -> dict[str, Tensor]:
        """State that the next steps depend on, beside the weights: `{parameter}.{what}` -> tensor."""
        return {
            f"{name}.{what}": self._optimizer.state[parameter][what]
            for name, parameter in self._named.items()
            if parameter in self._optimizer.state
            for what in _STATE
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        for name, parameter in self._named.items():
            kept = {what: state[f"{name}.{what}"] for what in _STATE if f"{name}.{what}" in state}
            if kept:
                self._optimizer.state[parameter] = {what: t.to(parameter.device) for what, t in kept.items()}
