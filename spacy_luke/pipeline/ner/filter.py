"""The span filter of `luke_ner`: whether there is one, and what it says of the candidates of a Doc."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...batching.mentions import SpanCandidates
from ...checkpoints.checkpoint import Description
from ...encoders.config import has_independent_attention
from ...encoders.span_filter import SpanFilterSettings, build_span_filter
from ...errors import LukeError
from ..base.losses import sigmoid
from ..base.stored_head import StoredHead

SPAN_FILTER = "span_filter"  # its settings, in our own block of config.json


def usable_filter(wanted: SpanFilterSettings | None, source: Description, name: str) -> SpanFilterSettings | None:
    """Settings of the filter of component `name` on an encoder: those `wanted`, else those saved; None for no filter.

    L055 if one is wanted and the encoder has no independent attention; L047 if the saved one was trained on another
    layer.
    """
    saved = source.build_setting(SPAN_FILTER, build_span_filter) if source.settings.get(SPAN_FILTER) else None
    settings = wanted or saved
    if settings is None:
        return None
    if not has_independent_attention(source.config):
        if wanted is None:  # that of a checkpoint which is trained for full attention
            return None
        raise LukeError("L055", name=name)
    if saved and saved.layer != settings.layer:
        reason = f"the filter of the checkpoint was trained on layer {saved.layer}"
        raise LukeError("L047", setting="layer", value=settings.layer, reason=reason)
    return settings


def without_filter(head: StoredHead) -> StoredHead:
    """The same head without its filter."""
    settings = {name: value for name, value in head.settings.items() if name != SPAN_FILTER}
    weights = {name: value for name, value in head.weights.items() if not name.startswith(f"{SPAN_FILTER}.")}
    return replace(head, settings=settings, weights=weights)


@dataclass(frozen=True)
class FilterProbabilities:
    """Probabilities that a span filter gives the candidates of a Doc.

    spans: token ranges. *Shape:* (spans, 2)
    probabilities: of being an entity. *Shape:* (spans,)
    ranks: of the candidate's mention in its window, 0 for the most probable. *Shape:* (spans,)
    """

    spans: np.ndarray
    probabilities: np.ndarray
    ranks: np.ndarray


def filter_probabilities(candidates: SpanCandidates, logits: np.ndarray) -> FilterProbabilities:
    """Probabilities of candidates from the filter's logits of their mentions. *Shape:* (mentions,)"""
    order = np.lexsort((-logits, candidates.window_of))
    _, first, size = np.unique(candidates.window_of[order], return_index=True, return_counts=True)
    ranks = np.zeros(len(logits), dtype=np.int64)
    ranks[order] = np.arange(len(logits)) - np.repeat(first, size)
    of = candidates.mention_of
    return FilterProbabilities(candidates.spans, sigmoid(logits)[of], ranks[of])
