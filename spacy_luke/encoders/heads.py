"""Task heads on the encoder's states, with the features and dropout of transformers' LUKE classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .inputs import EncoderInput, EncoderOutput
from .luke import LukeEncoder


class EntitySpanClassification(nn.Module):
    """An encoder with a label for every span: the last class of the LUKE family for named entities.

    Features of a span are its first piece, its last piece and its entity state (section 4.3 of the paper;
    transformers' `LukeForEntitySpanClassification`).
    """

    def __init__(self, encoder: LukeEncoder, labels: int):
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(encoder.config.hidden_dropout_prob)
        self.classifier = nn.Linear(3 * encoder.config.hidden_size, labels)

    def reset_head(self) -> None:
        """Random weights for the classifier, as the reference initialises it."""
        nn.init.normal_(self.classifier.weight, std=self.encoder.config.initializer_range)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, batch: EncoderInput) -> Tensor:
        """*Shape:* -> (batch, entities, labels), float32 logits; rows of masked entities mean nothing."""
        output: EncoderOutput = self.encoder(batch)
        assert output.entities is not None
        assert batch.entity_spans is not None
        first, end = batch.entity_spans.unbind(-1)
        last = (end - 1).clamp(min=0)
        features = torch.cat([_rows(output.pieces, first), _rows(output.pieces, last), output.entities], dim=-1)
        return self.classifier(self.dropout(features)).float()


def _rows(states: Tensor, index: Tensor) -> Tensor:
    """*Shapes:* (batch, rows, hidden), (batch, n) -> (batch, n, hidden)."""
    return states.gather(1, index.unsqueeze(-1).expand(-1, -1, states.shape[-1]))
