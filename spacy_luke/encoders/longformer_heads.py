"""Task heads on pieces, with the features and dropout of transformers' Longformer classes.

`TokenClassification`, `QuestionAnswering`, `MultipleChoice` and the heads that read entities are those of LUKE, in
`heads.py`; `MaskedLM` is in `masked_lm.py`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import EncoderConfig
from .dropout import Dropout
from .heads import TaskModule
from .inputs import EncoderInput


class _Perceptron(nn.Module):
    """Two linear layers, dropout before each."""

    def __init__(self, config: EncoderConfig, labels: int):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.out_proj = nn.Linear(config.hidden_size, labels)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, states: Tensor) -> Tensor:
        return self.out_proj(self.dropout(torch.tanh(self.dense(self.dropout(states)))))


class FirstPieceClassification(TaskModule):
    """Labels for each text, read from its first piece (`LongformerForSequenceClassification`)."""

    pooling = False
    reads_entities = False

    def _make_head(self, config: EncoderConfig, labels: int) -> None:
        self.classifier = _Perceptron(config, labels)

    @property
    def output(self) -> nn.Linear:
        """The layer with a row for each label."""
        return self.classifier.out_proj

    def forward(self, batch: EncoderInput) -> Tensor:
        """*Shape:* -> (batch, labels), float32 logits"""
        pieces = self.encoder(batch, states="pieces").pieces
        assert pieces is not None
        return self.classifier(pieces[:, 0]).float()
