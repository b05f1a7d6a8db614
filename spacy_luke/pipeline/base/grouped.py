"""The base of components that read several rows for one result: the windows of a text, the choices of a question."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from ...batching.collate import LazyRow, batch_groups, batch_rows, collate, make_batches, padded_size
from ...encoders.inputs import EncoderInput
from ...tokenization.entity_vocab import PAD
from ...tokenization.loading import SpecialPieces
from .component import TaskComponent, Training

RowT = TypeVar("RowT", bound=LazyRow)
# Rows of a group and their logits -> the gradient on these, and the loss. *Shape:* (rows, columns) -> the same
GroupLoss = Callable[[Sequence[RowT], np.ndarray], tuple[np.ndarray, float]]


@dataclass
class GroupedTraining(Training[list[Sequence[RowT]]], Generic[RowT]):
    """Groups of rows and loss of an update: each group has one loss.

    loss_of_group: rows of a group and their logits -> gradient and loss, as `loss_of`.
    large: groups that take several batches; they are found while `batches` are made.
    """

    loss_of_group: GroupLoss[RowT]
    large: list[Sequence[RowT]]


class GroupedComponent(TaskComponent, Generic[RowT]):
    """A component that puts the logits of several rows, a group, together before the softmax and before the loss."""

    def _row_logits(self, rows: Iterable[RowT]) -> Iterator[tuple[RowT, np.ndarray]]:
        """Each row with its logits; rows of all Docs go together, sorted by length. *Shape:* (columns,), float32"""
        special, entity_pad = self._pads
        batches = make_batches(rows, self.max_batch_pieces, special, entity_pad=entity_pad)
        for group, logits in self._predict_batches(batches):
            yield from zip(group, logits, strict=True)

    def _grouped_training(
        self, groups: Sequence[Sequence[RowT]], total: int, loss_of_group: GroupLoss[RowT]
    ) -> GroupedTraining[RowT]:
        """Put whole groups together to batches. total: of what the loss is the mean."""
        large: list[Sequence[RowT]] = []

        def loss_of(batched: list[Sequence[RowT]], logits: np.ndarray, batch: EncoderInput) -> tuple[np.ndarray, float]:
            ends = np.cumsum([len(group) for group in batched])
            parts = zip(batched, np.split(logits, ends[:-1]), strict=True)
            gradients, losses = zip(*(loss_of_group(group, group_logits) for group, group_logits in parts), strict=True)
            return np.concatenate(gradients), sum(losses)

        return GroupedTraining(self._batches(groups, large), total, loss_of, loss_of_group, large)

    def _batches(
        self, groups: Sequence[Sequence[RowT]], large: list[Sequence[RowT]]
    ) -> Iterator[tuple[list[Sequence[RowT]], EncoderInput]]:
        """Padded inputs and the groups they are made of; those that take several go to `large`."""
        for batched in batch_groups(groups, self.max_batch_pieces):
            rows = [row for group in batched for row in group]
            if len(rows) > 1 and padded_size(rows) > self.max_batch_pieces:
                large += batched
            else:
                yield batched, self._collated(rows)

    def _learn(self, training: Training[Any]) -> Iterator[float]:
        assert isinstance(training, GroupedTraining)
        yield from super()._learn(training)
        for group in training.large:
            yield self._learn_in_parts(group, training)

    def _learn_in_parts(self, group: Sequence[RowT], training: GroupedTraining[RowT]) -> float:
        """The same for one group that takes several batches.

        The first pass gives the logits, all of which the loss needs; the second, with the same dropout, the gradients
        (Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", section 3.2). So
        nothing beyond one batch is ever kept for the backward pass.
        """
        parts = list(batch_rows(group, self.max_batch_pieces))
        number = {id(row): i for i, row in enumerate(group)}
        places = [[number[id(row)] for row in part] for part in parts]
        device = next(self._module.parameters()).device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            found = np.concatenate([self._forward(part)[0] for part in parts])
        logits = np.empty_like(found)
        logits[np.concatenate(places)] = found
        gradient, loss = training.loss_of_group(group, logits)
        for part, place in zip(parts, places, strict=True):
            self._forward(part)[1](self._mean_gradient(gradient[place], training.total))
        return loss

    def _forward(self, rows: Sequence[RowT]) -> tuple[np.ndarray, Callable[[Any], Any]]:
        """The logits of a batch of rows, and what takes the gradient on them. *Shape:* (rows, columns), float32"""
        logits, backprop = self.model.begin_update(self._collated(rows))
        return self.model.ops.to_numpy(logits), backprop

    def _collated(self, rows: Sequence[RowT]) -> EncoderInput:
        special, entity_pad = self._pads
        return collate([row.make(special) for row in rows], piece_pad=special.pad, entity_pad=entity_pad)

    @property
    def _pads(self) -> tuple[SpecialPieces, int]:
        """The special pieces, and the id of the padding entity."""
        description = self._require_weights()
        return description.tokenizer.special, description.entity_vocab[PAD]
