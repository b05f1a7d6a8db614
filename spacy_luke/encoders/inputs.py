"""Input and output of an encoder: every tensor with its shape and meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .piece_states import PieceSource


@dataclass(frozen=True)
class BatchFacts:
    """Facts that an encoder needs about a batch before it computes. Read off the batch while it is on the CPU: on a GPU
    the processor would wait for all that was computed before.

    full_pieces, full_entities: whether no piece and no entity is masked.
    global_slots: most global pieces of a row.
    """

    full_pieces: bool
    full_entities: bool
    global_slots: int

    @classmethod
    def from_batch(cls, batch: EncoderInput) -> BatchFacts:
        """Look at a batch."""
        slots = 0
        if batch.global_mask is not None:
            slots = int((batch.global_mask & batch.piece_mask).sum(1).max())
        full_entities = batch.entity_mask is None or bool(batch.entity_mask.all())
        return cls(bool(batch.piece_mask.all()), full_entities, slots)


@dataclass
class EncoderInput:
    """One padded batch of windows.

    A mention is contiguous, so a half-open range of two numbers stands for the padded list of position ids that
    other implementations carry.

    piece_ids: vocabulary ids; padded with the pad id, on the right. *Shape:* (batch, pieces), int64
    piece_mask: True for real pieces. *Shape:* (batch, pieces), bool
    piece_types: token type ids, all 0 if None. *Shape:* (batch, pieces), int64
    entity_ids: ids of the entity vocabulary. *Shape:* (batch, entities), int64
    entity_spans: half-open ranges of 0-based piece positions, special pieces counted; an empty range has no
        position. *Shape:* (batch, entities, 2), int64
    entity_mask: True for real entities. *Shape:* (batch, entities), bool
    entity_drawn: True for the entities that a span filter is to keep while it is trained; None outside training.
        *Shape:* (batch, entities), bool
    entity_types: what the text calls each entity, as the head numbers it; 0 = not known. None for heads that do not
        read it. *Shape:* (batch, entities), int64
    items: what is classified: for each item the indices of its entities; None = what the head takes by itself.
        *Shape:* (batch, items, entities of an item), int64
    predicted_places: the entities that a masked language model is to predict, as `flat_indices` counts them; None = it
        predicts pieces. *Shape:* (predicted entities,), int64
    candidates: for each predicted entity, row after row, the entity ids that it may be, filled up with -1; None = it
        may be any of the vocabulary. *Shape:* (predicted entities, candidates), int64
    global_mask: True for the pieces that Longformer lets attend to all pieces and be attended to by all; none if None.
        A piece that `piece_mask` leaves out is not global. LUKE, where all pieces are, does not read it.
        *Shape:* (batch, pieces), bool
    facts: what `known` gives, for a batch that was moved to another device.
    piece_source: where an encoder with independent attention gets the states of the pieces from; None = it encodes
        them.

    The first three entity tensors are all None for an input without entities. With windows of 3 and 2 pieces, one with
    a mention of its last two pieces:

        piece_ids     <s>  a   b  c  </s>      entity_spans  (2, 4)
                      <s>  d   e  </s> <pad>                 (0, 0) masked
    """

    piece_ids: Tensor
    piece_mask: Tensor
    piece_types: Tensor | None = None
    entity_ids: Tensor | None = None
    entity_spans: Tensor | None = None
    entity_mask: Tensor | None = None
    entity_drawn: Tensor | None = None
    entity_types: Tensor | None = None
    items: Tensor | None = None
    predicted_places: Tensor | None = None
    candidates: Tensor | None = None
    global_mask: Tensor | None = None
    facts: BatchFacts | None = None
    piece_source: PieceSource | None = None

    @property
    def known(self) -> BatchFacts:
        """Facts that the encoder needs before it computes."""
        return self.facts or BatchFacts.from_batch(self)

    def to(self, device: torch.device | str) -> EncoderInput:
        """The same batch on another device; from pinned memory, without waiting for the copy."""
        facts = self.known
        tensors = {name: v.to(device, non_blocking=v.is_pinned()) for name, v in self._tensors().items()}
        return EncoderInput(**tensors, facts=facts, piece_source=self.piece_source)

    def pinned(self) -> EncoderInput:
        """The same batch in memory from which a GPU copies by itself."""
        tensors = {name: v.pin_memory() for name, v in self._tensors().items()}
        return EncoderInput(**tensors, facts=self.known, piece_source=self.piece_source)

    def _tensors(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}


@dataclass(frozen=True)
class Recording:
    """Layers whose states and attention weights are kept: 0 is what the embeddings give, n what layer n gives.

    states: layers of which it keeps the states.
    attentions: layers of which it keeps the attention weights. These layers are computed plainly, not in the fastest
        way, so that their states are rounded otherwise; the embeddings have no attention.
    """

    states: frozenset[int] = frozenset()
    attentions: frozenset[int] = frozenset()


@dataclass
class EncoderOutput:
    """States of the last layer, and what was recorded of all, in the order of the layers; None without a recording.

    States of padding are undefined.

    pieces: None if only the entities or the pooled states were asked for. *Shape:* (batch, pieces, hidden)
    entities: None for an input without entities, for an encoder that makes no states of them, or if only the pieces
        or the pooled states were asked for.
        *Shape:* (batch, entities, hidden)
    pooled: the first piece through the pooler; None if the encoder has none or only the entities were asked for.
        *Shape:* (batch, hidden)
    hidden_states: of the pieces after each recorded layer. *Shape:* layers x (batch, pieces, hidden)
    entity_hidden_states: of the entities; None for an input without entities, and for an encoder that makes no states
        of them in its layers. *Shape:* layers x (batch, entities, hidden)
    attentions: how much each row, pieces before entities, attends to each.
        *Shape:* layers x (batch, heads, rows, rows), float32

        Of Longformer: how much each piece attends to the global pieces of its text, in their order (as many slots as
        the text with most of them has), then to the pieces from half a window before it to half a window after it; 0
        for slots without a piece, and for the whole row of a global piece.
        *Shape:* layers x (batch, heads, pieces, slots + window + 1), float32
    global_attentions: how much each global piece, a column each, attends to each piece; 0 for slots without a piece.
        None for LUKE, and for an input without global pieces.
        *Shape:* layers x (batch, heads, pieces, slots), float32
    """

    pieces: Tensor | None
    entities: Tensor | None
    pooled: Tensor | None
    hidden_states: tuple[Tensor, ...] | None = None
    entity_hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    global_attentions: tuple[Tensor, ...] | None = None
