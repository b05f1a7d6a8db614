"""What components share that read several rows for one result: the windows of a text, the choices of a question."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from ..batching.collate import MadeRow, batch_bundles, batch_rows, collate, make_batches, padded_size
from ..tokenization.entity_vocab import PAD
from .base import LukePipe

RowT = TypeVar("RowT", bound=MadeRow)
# Rows of a bundle and their logits -> the gradient on these, and the loss. *Shape:* (rows, columns) -> the same
Loss = Callable[[Sequence[RowT], np.ndarray], tuple[np.ndarray, float]]


class BundlePipe(LukePipe, Generic[RowT]):
    """A component that puts the logits of several rows, a bundle, together before the softmax and before the loss."""

    def _row_logits(self, rows: Iterable[RowT]) -> Iterator[tuple[RowT, np.ndarray]]:
        """Each row with its logits; rows of all Docs go together, sorted by length. *Shape:* (columns,), float32"""
        description = self._require_weights()
        special, entity_pad = description.tokenizer.special, description.entity_vocab[PAD]
        for group, batch in make_batches(rows, self.max_batch_pieces, special, entity_pad=entity_pad):
            yield from zip(group, self.model.ops.to_numpy(self.model.predict(batch)), strict=True)

    def _learn(self, bundles: Sequence[Sequence[RowT]], loss: Loss[RowT], drop: float) -> float:
        """Accumulate the gradient of the loss of all bundles; returns the loss.

        drop: every dropout rate of the model.
        """
        self._begin_update(drop)
        total = 0.0
        for group in batch_bundles(bundles, self.max_batch_pieces):
            rows = [row for bundle in group for row in bundle]
            if len(rows) > 1 and padded_size(rows) > self.max_batch_pieces:
                total += self._learn_in_parts(rows, loss)
                continue
            logits, backprop = self._forward(rows)
            ends = np.cumsum([len(bundle) for bundle in group])
            learned = [loss(*pair) for pair in zip(group, np.split(logits, ends[:-1]), strict=True)]
            backprop(np.concatenate([gradient for gradient, _ in learned]))
            total += sum(value for _, value in learned)
        return total

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
            self._forward(part)[1](gradient[place])
        return value

    def _forward(self, rows: Sequence[RowT]) -> tuple[np.ndarray, Callable[[np.ndarray], Any]]:
        """The logits of a batch of rows, and what takes the gradient on them. *Shape:* (rows, columns), float32"""
        description = self._require_weights()
        special, entity_pad = description.tokenizer.special, description.entity_vocab[PAD]
        batch = collate([row.make(special) for row in rows], piece_pad=special.pad, entity_pad=entity_pad)
        logits, backprop = self.model.begin_update(batch)
        return self.model.ops.to_numpy(logits), lambda d_logits: backprop(self.model.ops.asarray2f(d_logits))
