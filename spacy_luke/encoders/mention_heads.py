"""Task heads on states of mentions, many items of one text at once: for encoders whose mentions see the whole text."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from .config import EncoderConfig
from .heads import TaskModule
from .inputs import EncoderInput
from .rows import take_rows


class MentionClassification(TaskModule):
    """Labels for single mentions."""

    def _make_head(self, config: EncoderConfig, labels: int) -> None:
        self.classifier = nn.Linear(config.hidden_size, labels)

    def forward(self, batch: EncoderInput) -> Tensor:
        """*Shape:* -> (batch, items, labels), float32 logits; rows of padding mean nothing."""
        assert batch.items is not None
        states = self.encoder(batch, states="entities").entities
        return self.classifier(self.dropout(take_rows(states, batch.items[..., 0]))).float()


class MentionPairClassification(TaskModule):
    """Labels for pairs of mentions.

    LUKE's pair meets in the encoder, where its mentions are marked; here the encoder does not know which mentions are
    paired, so the head has a layer in which they meet: GELU(A head + B tail + C (head * tail)).
    """

    def _make_head(self, config: EncoderConfig, labels: int) -> None:
        self.from_head = nn.Linear(config.hidden_size, config.hidden_size)
        self.from_tail = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.from_both = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.classifier = nn.Linear(config.hidden_size, labels)

    def forward(self, batch: EncoderInput) -> Tensor:
        """*Shape:* -> (batch, items, labels), float32 logits; rows of padding mean nothing."""
        assert batch.items is not None
        states = self.encoder(batch, states="entities").entities
        assert states is not None
        states = self.dropout(states)
        head, tail = batch.items.unbind(-1)
        both = self.from_both(take_rows(states, head) * take_rows(states, tail))
        # Through their matrices once a mention, not once a pair.
        met = both + take_rows(self.from_head(states), head) + take_rows(self.from_tail(states), tail)
        return self.classifier(self.dropout(F.gelu(met))).float()
