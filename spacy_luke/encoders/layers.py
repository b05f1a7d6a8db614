"""Layers that both encoders use."""

from __future__ import annotations

from torch import Tensor, nn

from ..checks import require_probability
from .activations import get_activation
from .attention import Attention, add_residual
from .config import EncoderConfig
from .kernels.dropout import Dropout
from .kernels.int8 import Linear


class FeedForward(nn.Module):
    """Two linear layers, residual and norm."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.inner = Linear(config.hidden_size, config.intermediate_size)
        self.activation = get_activation(config.hidden_act)
        self.outer = Linear(config.intermediate_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, rows: Tensor) -> Tensor:
        """*Shape:* (batch, rows, hidden) -> the same."""
        return self.norm(add_residual(self.dropout(self.outer(self.inner(rows, self.activation))), rows))


def set_dropout(module: nn.Module, rate: float) -> None:
    """Set every dropout rate in `module`, that of the attention weights too; L047 for a rate outside [0, 1]."""
    require_probability(dropout=rate)
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = rate
        elif isinstance(part, Attention):
            part.attention_dropout = rate


def take_rows(states: Tensor, index: Tensor) -> Tensor:
    """*Shapes:* (batch, rows, hidden), (batch, n) -> (batch, n, hidden)."""
    return states.gather(1, index.unsqueeze(-1).expand(-1, -1, states.shape[-1]))


def flat_indices(mask: Tensor) -> Tensor:
    """Indices of a flattened mask where it is True. Not for a mask on a GPU, for which the processor would wait.

    *Shape:* (batch, rows) -> (places,), int64
    """
    return mask.flatten().nonzero().squeeze(1)


def take_flat(states: Tensor, places: Tensor) -> Tensor:
    """*Shapes:* (batch, rows, hidden), (places,) -> (places, hidden); see `flat_indices`."""
    rows = states.shape[1]
    return states[places // rows, places % rows]
