"""Task heads on the encoder's states, with the features and dropout of transformers' LUKE classes.

They run on both encoders; Longformer makes the states of entities from their pieces (`MentionStates`).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import EncoderConfig
from .embeddings import init_weights
from .encoder import Encoder
from .independent_attention import IndependentLukeEncoder
from .inputs import EncoderInput, EncoderOutput
from .kernels.dropout import Dropout
from .layers import take_rows
from .span_filter import SpanFilter


class TaskModule(nn.Module):
    """An encoder with a head.

    pooling: whether transformers' class of the same name has a pooler, which it does not use unless `reads_pooled`.
    reads_pooled: whether the head reads the pooled state.
    reads_entities: whether the head reads states of entities.
    labelled: whether the rows of the head have labels.
    labels: rows of the head; one that is not `labelled` knows their number.
    """

    pooling: ClassVar[bool] = True
    reads_pooled: ClassVar[bool] = False
    reads_entities: ClassVar[bool] = True
    labelled: ClassVar[bool] = True
    classifier: Any

    def __init__(self, encoder: Encoder, labels: int):
        super().__init__()
        self.encoder = encoder
        self.dropout = Dropout(encoder.config.hidden_dropout_prob)
        self._make_head(encoder.config, labels)

    def _make_head(self, config: EncoderConfig, labels: int) -> None:
        """Make the layers beside the encoder: most heads classify one state."""
        self.classifier = nn.Linear(config.hidden_size, labels)

    @property
    def output(self) -> nn.Linear:
        """The layer with a row for each label."""
        return self.classifier

    def add_labels(self, count: int) -> None:
        """Give the head random rows for further labels, after those that it has, which stay as they are."""
        layer = self.output
        new = nn.Linear(layer.in_features, count, bias=layer.bias is not None)
        init_weights(new, self.encoder.config.initializer_range)
        for name, parameter in layer.named_parameters():
            rows = getattr(new, name).detach().to(parameter)
            gradient, parameter.grad = parameter.grad, None
            parameter.data = torch.cat([parameter.data, rows])  # still the parameter that an optimiser knows
            if gradient is not None:
                parameter.grad = torch.cat([gradient, torch.zeros_like(rows)])
        layer.out_features += count

    def reset_head(self) -> None:
        """Random weights for the head, as the reference initialises it."""
        for name, part in self.named_children():
            if name != "encoder":
                init_weights(part, self.encoder.config.initializer_range)


class EntitySpanClassification(TaskModule):
    """A label for every span (`LukeForEntitySpanClassification`; Yamada et al. 2020, section 4.3).

    Features of a span are its first piece, its last piece and its entity state.

    span_filter: drops spans before they are encoded, on an encoder with independent attention; None keeps all.
    """

    def _make_head(self, config: EncoderConfig, labels: int) -> None:
        self.classifier = nn.Linear(3 * config.hidden_size, labels)
        self.span_filter: SpanFilter | None = None

    def forward(self, batch: EncoderInput) -> Tensor:
        """The logits of every span; those of masked entities mean nothing.

        With a span filter there is one number more for each span, the filter's logit, and the logits of those that it
        drops are -inf.

        *Shape:* -> (batch, entities, labels), float32
        """
        if self.span_filter is None or batch.entity_spans is None:
            return self._classify(self.encoder(batch), batch)
        assert isinstance(self.encoder, IndependentLukeEncoder)
        output, kept = self.encoder.encode_filtered(batch, self.span_filter)
        logits = self._classify(output, kept.batch)
        every = logits.new_full((*kept.logits.shape, logits.shape[-1]), -torch.inf)
        return torch.cat([kept.put(logits, every), kept.logits.unsqueeze(-1)], dim=-1)

    def _classify(self, output: EncoderOutput, batch: EncoderInput) -> Tensor:
        assert output.pieces is not None
        assert output.entities is not None
        assert batch.entity_spans is not None
        first, end = batch.entity_spans.unbind(-1)
        last = (end - 1).clamp(min=0)
        if self.training:
            edges = [take_rows(output.pieces, edge) for edge in (first, last)]
            return self.classifier(self.dropout(torch.cat([*edges, output.entities], dim=-1))).float()
        # Without dropout, the classifier takes each piece once, however many spans it starts or ends.
        first_weight, last_weight, entity_weight = self.classifier.weight.chunk(3, dim=1)
        logits = F.linear(output.entities, entity_weight, self.classifier.bias)
        logits = logits + take_rows(F.linear(output.pieces, first_weight), first)
        return (logits + take_rows(F.linear(output.pieces, last_weight), last)).float()


class EntityClassification(TaskModule):
    """Labels for the one entity of each row (`LukeForEntityClassification`; Yamada et al. 2020, section 4.1)."""

    def forward(self, batch: EncoderInput) -> Tensor:
        """*Shape:* -> (batch, labels), float32 logits"""
        entities = self.encoder(batch, states="entities").entities
        assert entities is not None
        return self.classifier(self.dropout(entities[:, 0])).float()


class EntityPairClassification(TaskModule):
    """Labels for the two entities of each row (`LukeForEntityPairClassification`; Yamada et al. 2020, section 4.2).

    The classifier has no bias, but for checkpoints of the official repository whose config.json has
    `classifier_bias` (mLUKE's), which transformers ignores.
    """

    def _make_head(self, config: EncoderConfig, labels: int) -> None:
        self.classifier = nn.Linear(2 * config.hidden_size, labels, bias=bool(config.extra.get("classifier_bias")))

    def forward(self, batch: EncoderInput) -> Tensor:
        """*Shape:* -> (batch, labels), float32 logits"""
        entities = self.encoder(batch, states="entities").entities
        assert entities is not None
        return self.classifier(self.dropout(entities[:, :2].flatten(1))).float()


class UnmarkedClassification(TaskModule):
    """Labels for items that the text does not mark: the entities of an item see the pieces and each other, on an
    encoder with independent attention, and many items share the pieces.

    entities_per_item: how many entities are classified together.
    entity_types: vectors of what the text calls the entities, added to their embeddings; None = that is not read.
    """

    entities_per_item: ClassVar[int]

    def _make_head(self, config: EncoderConfig, labels: int) -> None:
        self.classifier = nn.Linear(self.entities_per_item * config.hidden_size, labels)
        self.entity_types: nn.Embedding | None = None

    def read_types(self, count: int) -> None:
        """Read the types of entities from now on: so many, and 0 for one that is not known."""
        config = self.encoder.config
        self.entity_types = nn.Embedding(count + 1, config.hidden_size, padding_idx=0)
        init_weights(self.entity_types, config.initializer_range)

    def forward(self, batch: EncoderInput) -> Tensor:
        """*Shape:* -> (batch, items, labels), float32 logits; rows of padding mean nothing."""
        assert isinstance(self.encoder, IndependentLukeEncoder)
        states = self.encoder.encode_items(batch, self.entities_per_item, self._offsets(batch.entity_types))
        items = states.unflatten(1, (-1, self.entities_per_item)).flatten(2)
        return self.classifier(self.dropout(items)).float()

    def _offsets(self, types: Tensor | None) -> Tensor | None:
        """*Shape:* (batch, entities) -> (batch, entities, hidden)"""
        if types is None or self.entity_types is None:
            return None
        if self.training:  # so that what the text calls an entity, which may be wrong, is not all that is read
            types = types * (torch.rand(types.shape, device=types.device) >= self.dropout.p)
        return self.entity_types(types)


class UnmarkedEntityClassification(UnmarkedClassification):
    """Labels for each entity."""

    entities_per_item = 1


class UnmarkedPairClassification(UnmarkedClassification):
    """Labels for each pair of entities."""

    entities_per_item = 2


class TokenClassification(TaskModule):
    """A label for each piece (`LukeForTokenClassification`, `LongformerForTokenClassification`)."""

    pooling = False
    reads_entities = False

    def forward(self, batch: EncoderInput) -> Tensor:
        """*Shape:* -> (batch, pieces, labels), float32 logits"""
        return self.classifier(self.dropout(self.encoder(batch, states="pieces").pieces)).float()


class SequenceClassification(TaskModule):
    """Labels for each text, read from the pooled state (`LukeForSequenceClassification`)."""

    reads_pooled = True
    reads_entities = False

    def forward(self, batch: EncoderInput) -> Tensor:
        """*Shape:* -> (batch, labels), float32 logits"""
        return self.classifier(self.dropout(self.encoder(batch, states="pooled").pooled)).float()


class MultipleChoice(TaskModule):
    """A score for each text, to compare with those of the other choices (`LukeForMultipleChoice`,
    `LongformerForMultipleChoice`)."""

    reads_pooled = True
    reads_entities = False
    labelled = False

    def _make_head(self, config: EncoderConfig, labels: int) -> None:
        self.classifier = nn.Linear(config.hidden_size, 1)

    def forward(self, batch: EncoderInput) -> Tensor:
        """*Shape:* -> (batch, 1), float32 logits; the choices of one question are rows, of this batch or several."""
        return self.classifier(self.dropout(self.encoder(batch, states="pooled").pooled)).float()


class QuestionAnswering(TaskModule):
    """Start and end of an answer (`LukeForQuestionAnswering`; Yamada et al. 2020, section 4.5). No dropout."""

    pooling = False
    reads_entities = False
    labelled = False

    def _make_head(self, config: EncoderConfig, labels: int) -> None:
        self.qa_outputs = nn.Linear(config.hidden_size, 2)

    @property
    def output(self) -> nn.Linear:
        return self.qa_outputs

    def forward(self, batch: EncoderInput) -> Tensor:
        """*Shape:* -> (batch, pieces, 2), float32 logits of start and end"""
        return self.qa_outputs(self.encoder(batch, states="pieces").pieces).float()


class MentionClassification(TaskModule):
    """Labels for single mentions."""

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
