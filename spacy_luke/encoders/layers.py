"""What the layers of both encoders share."""

from __future__ import annotations

from torch import Tensor, nn

from ..checks import require_probability
from .activations import get_activation
from .attention import Attention
from .config import EncoderConfig
from .dropout import Dropout
from .linear import Linear


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
        return self.norm(self.dropout(self.outer(self.inner(rows, self.activation))) + rows)


def set_dropout(module: nn.Module, rate: float) -> None:
    """Set every dropout rate in `module`, that of the attention weights too; L047 for a rate outside [0, 1]."""
    require_probability(dropout=rate)
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = rate
        elif isinstance(part, Attention):
            part.attention_dropout = rate
