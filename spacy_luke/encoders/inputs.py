"""What goes into an encoder and what comes out: every tensor with its shape and meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


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
    items: what is classified: for each item the indices of its entities; None = what the head takes by itself.
        *Shape:* (batch, items, entities of an item), int64
    global_mask: True for the pieces that Longformer lets attend to all pieces and be attended to by all; none if None.
        A piece that `piece_mask` leaves out is not global. LUKE, where all pieces are, does not read it.
        *Shape:* (batch, pieces), bool

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
    items: Tensor | None = None
    global_mask: Tensor | None = None

    def to(self, device: torch.device | str) -> EncoderInput:
        """The same batch on another device."""
        moved: dict[str, Any] = {k: None if v is None else v.to(device) for k, v in vars(self).items()}
        return EncoderInput(**moved)


@dataclass
class EncoderOutput:
    """States of the last layer.

    pieces: None if only the entities or the pooled states were asked for. *Shape:* (batch, pieces, hidden)
    entities: None for an input without entities, for an encoder that makes no states of them, or if only the pieces
        or the pooled states were asked for.
        *Shape:* (batch, entities, hidden)
    pooled: the first piece through the pooler; None if the encoder has none or only the entities were asked for.
        *Shape:* (batch, hidden)
    """

    pieces: Tensor | None
    entities: Tensor | None
    pooled: Tensor | None
