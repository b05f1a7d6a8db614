"""What components share that read several rows for one result: the windows of a text, the choices of a question."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from ...batching.collate import MadeRow, batch_bundles, batch_rows, collate, make_batches, padded_size
from ...encoders.inputs import EncoderInput
from ...tokenization.entity_vocab import PAD
from ...tokenization.loading import SpecialPieces
from .component import LukePipe

RowT = TypeVar("RowT", bound=MadeRow)
# Rows of a bundle and their logits -> the gradient on these, and the loss. *Shape:* (rows, columns) -> the same
Loss = Callable[[Sequence[RowT], np.ndarray], tuple[np.ndarray, float]]


class BundlePipe(LukePipe, Generic[RowT]):
    """A component that puts the logits of several rows, a bundle, together before the softmax and before the loss."""

    def _row_logits(self, rows: Iterable[RowT]) -> Iterator[tuple[RowT, np.ndarray]]:
        """Each row with its logits; rows of all Docs go together, sorted by length. *Shape:* (columns,), float32"""
        special, entity_pad = self._pads
        batches = make_batches(rows, self.max_batch_pieces, special, entity_pad=entity_pad)
        for group, logits in self._predicted(batches):
            yield from zip(group, logits, strict=True)

    def _learn(self, bundles: Sequence[Sequence[RowT]], loss: Loss[RowT], drop: float) -> float:
        """Accumulate the gradient of the loss of all bundles; returns the loss.

        drop: every dropout rate of the model.
        """
        self._begin_update(drop)
        total = 0.0
        large: list[Sequence[RowT]] = []
        for group, batch in self._ahead(self._batches(bundles, large)):
            logits, backprop = self.model.begin_update(batch)
            ends = np.cumsum([len(bundle) for bundle in group])
            of_bundles = np.split(self.model.ops.to_numpy(logits), ends[:-1])
            learned = [loss(*pair) for pair in zip(group, of_bundles, strict=True)]
            gradient: Any = np.concatenate([of_bundle for of_bundle, _ in learned])
            backprop(self.model.ops.asarray2f(gradient))
            total += sum(value for _, value in learned)
        return total + sum(self._learn_in_parts(bundle, loss) for bundle in large)

    def _batches(
        self, bundles: Sequence[Sequence[RowT]], large: list[Sequence[RowT]]
    ) -> Iterator[tuple[list[Sequence[RowT]], EncoderInput]]:
        """Padded inputs and the bundles they are made of; those that take several go to `large`."""
        for group in batch_bundles(bundles, self.max_batch_pieces):
            rows = [row for bundle in group for row in bundle]
            if len(rows) > 1 and padded_size(rows) > self.max_batch_pieces:
                large += group
            else:
                yield group, self._collated(rows)

    def _learn_in_parts(self, bundle: Sequence[RowT], loss: Loss[RowT]) -> float:
        """The same for one bundle that takes several batches.

        The first pass gives the logits, all of which the loss needs; the second, with the same dropout, the gradients
        (Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", section 3.2). So
        nothing beyond one batch is ever kept for the backward pass.
        """
        parts = list(batch_rows(bundle, self.max_batch_pieces))
        number = {id(row): i for i, row in enumerate(bundle)}
        places = [[number[id(row)] for row in part] for part in parts]
        device = next(self._module.parameters()).device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            found = np.concatenate([self._forward(part)[0] for part in parts])
        logits = np.empty_like(found)
        logits[np.concatenate(places)] = found
        gradient, value = loss(bundle, logits)
        for part, place in zip(parts, places, strict=True):
            of_part: Any = gradient[place]
            self._forward(part)[1](self.model.ops.asarray2f(of_part))
        return value

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
