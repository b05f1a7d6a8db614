"""States of mentions for an encoder that has no entities, made from the states of their pieces."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import EncoderConfig
from .layers import take_rows


class MentionStates(nn.Module):
    """A projection of the first, the last and the mean piece of each mention.

    It starts as the average of the three, which is a state that the encoder could have made itself.
    """

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.hidden = config.hidden_size
        self.projection = nn.Linear(3 * config.hidden_size, config.hidden_size)

    def reset_parameters(self) -> None:
        """Start as the average."""
        with torch.no_grad():
            self.projection.weight.copy_(torch.eye(self.hidden).repeat(1, 3) / 3)
            self.projection.bias.zero_()

    def forward(self, pieces: Tensor, spans: Tensor) -> Tensor:
        """The states of the mentions, float32; that of an empty range is the bias.

        *Shapes:* (batch, pieces, hidden), (batch, entities, 2) -> (batch, entities, hidden)
        """
        start, end = spans.unbind(-1)
        # Pieces are projected, not mentions: of these there may be many more.
        first_states, last_states, mean_states = (
            F.linear(pieces, weight) for weight in self.projection.weight.chunk(3, dim=1)
        )
        # cumulated[i] is the sum of rows 0 … i-1, so rows a … b-1 sum to cumulated[b] - cumulated[a]. In double
        # precision, for the sums of a long text have few digits left for a mention of one piece.
        cumulated = F.pad(mean_states.double().cumsum(1), (0, 0, 1, 0))
        length = (end - start).clamp(min=1).unsqueeze(-1)
        states = ((take_rows(cumulated, end) - take_rows(cumulated, start)) / length).to(pieces.dtype)
        last_piece = pieces.shape[1] - 1
        states = states + take_rows(first_states, start.clamp(0, last_piece))
        states = states + take_rows(last_states, (end - 1).clamp(0, last_piece))
        states = states.masked_fill((end <= start)[..., None], 0) + self.projection.bias
        return states.float()
