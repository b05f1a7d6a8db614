"""The losses of both tasks, and how often the most probable piece or entity is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ...encoders.inputs import EncoderInput
from ...encoders.masked_lm import MaskedLMWithEntities
from .batches import Part
from .ranks import ONE_PROCESS, Ranks


@dataclass(frozen=True)
class Scores:
    """Means over what was predicted; None for a task with nothing to predict.

    loss: the sum of both losses.
    """

    piece_loss: float | None
    piece_acc: float | None
    entity_loss: float | None
    entity_acc: float | None

    @property
    def loss(self) -> float:
        return (self.piece_loss or 0.0) + (self.entity_loss or 0.0)

    def to_dict(self) -> dict[str, Any]:
        return {**vars(self), "loss": self.loss}


class Tally:
    """Sums over batches, which stay on the device until they are asked for."""

    def __init__(self, device: torch.device):
        # Of pieces, then of entities: loss, right ones, all.
        self._sums = torch.zeros(2, 3, dtype=torch.float64, device=device)

    def add(self, task: int, loss: Tensor, logits: Tensor, targets: Tensor) -> None:
        right = (logits.argmax(-1) == targets).sum()
        self._sums[task] += torch.stack(
            [loss.detach().double(), right.double(), right.new_tensor(len(targets)).double()]
        )

    def scores(self, ranks: Ranks = ONE_PROCESS) -> Scores:
        """Means over the batches of all processes, in each of them; afterwards, the tally is that of all."""
        ranks.all_reduce(self._sums)
        (piece_loss, pieces, all_pieces), (entity_loss, entities, all_entities) = self._sums.tolist()
        return Scores(
            piece_loss / all_pieces if all_pieces else None,
            pieces / all_pieces if all_pieces else None,
            entity_loss / all_entities if all_entities else None,
            entities / all_entities if all_entities else None,
        )


def batch_loss(module: MaskedLMWithEntities, part: Part, batch: EncoderInput | None, tally: Tally) -> Tensor:
    """Share of a batch in the loss of its step: the mean cross entropy of the step's masked pieces and that of its
    masked entities, one added to the other (Yamada et al. 2020, section 3.3). 0 for a batch of another process.
    """
    if batch is None or part.targets is None:
        return torch.zeros(())
    targets = part.targets.to(batch.piece_ids.device)
    wanted = targets.entities if len(targets.entity_ids) else None
    predicted = module.predict(batch, pieces=targets.pieces, entities=wanted)
    loss = torch.zeros((), device=batch.piece_ids.device)
    tasks = (
        (predicted.pieces, targets.piece_ids, part.pieces),
        (predicted.entities, targets.entity_ids, part.entities),
    )
    for task, (logits, ids, count) in enumerate(tasks):
        if logits is not None and len(ids):
            summed = F.cross_entropy(logits, ids, reduction="sum")
            tally.add(task, summed, logits, ids)
            loss = loss + summed / count
    return loss
