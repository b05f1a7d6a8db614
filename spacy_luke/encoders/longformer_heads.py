"""Task heads on pieces, with the features and dropout of transformers' Longformer classes.

`TokenClassification`, `QuestionAnswering`, `MultipleChoice` and the heads that read entities are those of LUKE, in
`heads.py`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import EncoderConfig
from .heads import TaskModule
from .inputs import EncoderInput


class _Perceptron(nn.Module):
    """Two linear layers, dropout before each."""

    def __init__(self, config: EncoderConfig, labels: int):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.out_proj = nn.Linear(config.hidden_size, labels)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, states: Tensor) -> Tensor:
        return self.out_proj(self.dropout(torch.tanh(self.dense(self.dropout(states)))))


class FirstPieceClassification(TaskModule):
    """Labels for each text, read from its first piece (`LongformerForSequenceClassification`)."""

    pooling = False
    reads_entities = False

    def _make_head(self, config: EncoderConfig, labels: int) -> None:
        self.classifier = _Perceptron(config, labels)

    def forward(self, batch: EncoderInput) -> Tensor:
        """*Shape:* -> (batch, labels), float32 logits"""
        pieces = self.encoder(batch, states="pieces").pieces
        assert pieces is not None
        return self.classifier(pieces[:, 0]).float()


class _LanguageModel(nn.Module):
    """From states to the piece table; GELU whatever the encoder's activation.

    Without a decoder of its own it multiplies with the encoder's piece table.
    """

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        tied = config.extra.get("tie_word_embeddings", True)
        self.decoder = None if tied else nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    def forward(self, states: Tensor, table: Tensor) -> Tensor:
        rows = self.layer_norm(F.gelu(self.dense(states)))
        return F.linear(rows, table if self.decoder is None else self.decoder.weight, self.bias)


class MaskedLM(TaskModule):
    """Which piece stands where (`LongformerForMaskedLM`)."""

    pooling = False
    reads_entities = False
    labelled = False

    def _make_head(self, config: EncoderConfig, labels: int) -> None:
        self.lm_head = _LanguageModel(config)

    def forward(self, batch: EncoderInput) -> Tensor:
        """*Shape:* -> (batch, pieces, vocabulary), float32 logits"""
        pieces = self.encoder(batch, states="pieces").pieces
        return self.lm_head(pieces, self.encoder.embeddings.word.weight).float()
