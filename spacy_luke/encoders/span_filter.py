"""A small classifier on the pieces of a low layer that says which candidate spans are worth encoding."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..checks import require_at_least, require_probability
from ..errors import LukeError
from .config import EncoderConfig
from .inputs import EncoderInput
from .layers import take_rows

_WIDTH = 128
_LENGTHS = 32
_SLICE = 4096  # most candidates that are scored at once, of all texts of a batch
_PRIOR = -4.0  # logit of the share of candidates that are entities, about 2 %


@dataclass(frozen=True)
class SpanFilterSettings:
    """See `build_span_filter`."""

    layer: int
    threshold: float
    floor: int
    hard_negatives: int


def build_span_filter(
    layer: int = 2, threshold: float = 0.02, floor: int = 4, hard_negatives: int = 8
) -> SpanFilterSettings:
    """Settings of a span filter, as `spacy-luke.span_filter.v1`. It needs an encoder with independent attention.

    layer: number of layers that the pieces have gone through when the filter reads them.
    threshold: least probability in [0, 1] with which the filter keeps a span; 0 keeps all. Lower loses fewer entities,
        higher is faster: `python -m spacy luke tune-filter` chooses it on dev data.
    floor: number of spans of a window that are kept however improbable, the most probable first.
    hard_negatives: number of candidates of a window that the filter finds most probable and that take part in
        training whether or not they were drawn.

    L047 for values that cannot be.
    """
    require_at_least(1, layer=layer)
    require_at_least(0, floor=floor, hard_negatives=hard_negatives)
    require_probability(threshold=threshold)
    return SpanFilterSettings(layer, threshold, floor, hard_negatives)


@dataclass
class KeptEntities:
    """The entities of a batch that are encoded.

    batch: the batch with these entities only, padded anew.
    index: which of the former entities they are; 0 for padding. *Shape:* (batch, kept), int64
    logits: what the filter says of every former entity, float32. *Shape:* (batch, entities)
    """

    batch: EncoderInput
    index: Tensor
    logits: Tensor

    def put(self, rows: Tensor, every: Tensor) -> Tensor:
        """`every` with the rows of what was kept in their places.

        *Shapes:* (batch, kept, width), (batch, entities, width) -> (batch, entities, width)
        """
        assert self.batch.entity_mask is not None
        spare = every.shape[1]  # where padding goes
        index = self.index.masked_fill(~self.batch.entity_mask, spare)[..., None].expand_as(rows)
        return F.pad(every, (0, 0, 0, 1)).scatter(1, index, rows)[:, :spare]


class SpanFilter(nn.Module):
    """Whether a span may be an entity: a layer of 128 units on the states of its first and last piece and its length.

    It is trained with the rest on all candidates. While training, those that `EncoderInput.entity_drawn` marks are
    kept, and beside them the `hard_negatives` most probable ones of each window.
    """

    def __init__(self, config: EncoderConfig, settings: SpanFilterSettings):
        super().__init__()
        if settings.layer >= config.num_hidden_layers:
            reason = f"the encoder has {config.num_hidden_layers} layers, and it must be fewer"
            raise LukeError("L047", setting="layer", value=settings.layer, reason=reason)
        self.settings = settings
        self.first = nn.Linear(config.hidden_size, _WIDTH)
        self.last = nn.Linear(config.hidden_size, _WIDTH, bias=False)
        self.length = nn.Embedding(_LENGTHS, _WIDTH)
        self.score = nn.Linear(_WIDTH, 1)

    def init_prior(self) -> None:
        """Begin with few spans being probable, as is so."""
        with torch.no_grad():
            self.score.bias.fill_(_PRIOR)

    def forward(self, pieces: Tensor, batch: EncoderInput) -> KeptEntities:
        """*Shape:* (batch, pieces, hidden), states after the filter's layer"""
        assert batch.entity_spans is not None
        assert batch.entity_mask is not None
        logits = self._logits(pieces, batch.entity_spans)
        keep, index = _compacted(self._keep(logits.detach(), batch))
        kept = replace(
            batch,
            entity_ids=batch.entity_ids.gather(1, index) if batch.entity_ids is not None else None,
            entity_spans=take_rows(batch.entity_spans, index),
            entity_mask=keep,
        )
        return KeptEntities(kept, index, logits)

    def _logits(self, pieces: Tensor, spans: Tensor) -> Tensor:
        """Outside training in slices, which take less memory."""
        first, last = self.first(pieces), self.last(pieces)
        size = spans.shape[1] if torch.is_grad_enabled() else _SLICE // max(len(spans), 1)
        parts = [self._scores(first, last, part) for part in spans.split(max(size, 1), dim=1)]
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]

    def _scores(self, first: Tensor, last: Tensor, spans: Tensor) -> Tensor:
        start, end = spans.unbind(-1)
        inner = take_rows(first, start) + take_rows(last, (end - 1).clamp(min=0))
        inner = inner + self.length((end - start).clamp(max=_LENGTHS - 1))
        return self.score(F.gelu(inner)).squeeze(-1).float()

    def _keep(self, logits: Tensor, batch: EncoderInput) -> Tensor:
        """*Shape:* (batch, entities) -> the same, bool"""
        assert batch.entity_mask is not None
        logits = logits.masked_fill(~batch.entity_mask, -torch.inf)
        if self.training and batch.entity_drawn is not None:
            keep, least = batch.entity_drawn, self.settings.hard_negatives
        else:
            keep, least = logits.sigmoid() >= self.settings.threshold, self.settings.floor
        return (keep | best_of_each(logits, least)) & batch.entity_mask


def best_of_each(logits: Tensor, count: int) -> Tensor:
    """The `count` highest of each row, the first of equal ones. *Shape:* (rows, n) -> the same, bool"""
    best = logits.argsort(dim=1, descending=True, stable=True)[:, :count]
    return torch.zeros_like(logits, dtype=torch.bool).scatter_(1, best, True)


def _compacted(keep: Tensor) -> tuple[Tensor, Tensor]:
    """The mask and the former index of what is kept, in order, padded with index 0.

    *Shape:* (batch, entities) -> 2 x (batch, kept)
    """
    counts = keep.sum(1)
    index = (~keep).to(torch.uint8).argsort(dim=1, stable=True)[:, : _highest(counts)]
    mask = torch.arange(index.shape[1], device=keep.device) < counts[:, None]
    return mask, index.masked_fill(~mask, 0)


def _highest(counts: Tensor) -> int:
    """The one value that the processor reads off a GPU while a batch is computed, and waits for: how much there is to
    compute further is known only then."""
    return int(counts.max())
