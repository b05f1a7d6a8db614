"""Global pieces by default in transformers' Longformer classes.

*Shape* of ids and masks: (batch, pieces). Padding may be among the pieces of a mask: an encoder makes no masked piece
global. Token classification, masked language modelling and the bare model have no global pieces by default.

transformers refuses texts without exactly three separators; here a text without separator has no global piece.
"""

from __future__ import annotations

import torch
from torch import Tensor


def first_piece(piece_ids: Tensor) -> Tensor:
    """`LongformerForSequenceClassification`: the first piece, from which the label is read."""
    mask = torch.zeros_like(piece_ids, dtype=torch.bool)
    mask[:, 0] = True
    return mask


def before_separator(piece_ids: Tensor, separator: int) -> Tensor:
    """`LongformerForQuestionAnswering`: the question, which is what stands before the first separator.

    separator: `LongformerConfig.sep_token_id`.
    """
    first = _first(piece_ids, separator)
    return (_index(piece_ids) < first) & (first < piece_ids.shape[1])


def after_separators(piece_ids: Tensor, separator: int) -> Tensor:
    """`LongformerForMultipleChoice`: the second text, which starts two pieces after the first separator.

    separator: `LongformerConfig.sep_token_id`.
    """
    return _index(piece_ids) > _first(piece_ids, separator) + 1


def _first(piece_ids: Tensor, separator: int) -> Tensor:
    """Position of the first separator; the number of pieces if there is none. *Shape:* (batch, 1)"""
    index = _index(piece_ids).expand_as(piece_ids)
    return index.where(piece_ids == separator, piece_ids.shape[1]).amin(1, keepdim=True)


def _index(piece_ids: Tensor) -> Tensor:
    return torch.arange(piece_ids.shape[1], device=piece_ids.device)
