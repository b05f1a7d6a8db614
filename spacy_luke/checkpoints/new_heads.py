"""Heads with random weights, on encoders that have theirs."""

from __future__ import annotations

from torch import nn

from ..encoders.config import EncoderConfig
from ..encoders.embeddings import init_weights
from ..encoders.encoder import Encoder
from ..encoders.heads import EntitySpanClassification, TaskModule
from ..encoders.span_filter import SpanFilter, SpanFilterSettings
from .heads import find_head


def with_new_head(
    encoder: Encoder, architecture: str, labels: int, span_filter: SpanFilterSettings | None = None
) -> TaskModule:
    """An encoder with a new head, and with a pooler if the head reads one.

    architecture: that of the head, on whichever encoder; L023 if this encoder has no such head.
    span_filter: also one of these, for `EntitySpanClassification`.
    """
    config = encoder.config
    head = find_head(config.model_type, architecture)
    if head.reads_pooled and encoder.pooler is None:
        encoder.pooler = nn.Linear(config.hidden_size, config.hidden_size)
        init_weights(encoder.pooler, config.initializer_range)
    module = head(encoder, labels)
    module.reset_head()
    if isinstance(module, EntitySpanClassification) and span_filter is not None:
        module.span_filter = new_span_filter(config, span_filter)
    return module


def new_span_filter(config: EncoderConfig, settings: SpanFilterSettings) -> SpanFilter:
    """A filter that keeps next to nothing yet."""
    span_filter = SpanFilter(config, settings)
    init_weights(span_filter, config.initializer_range)
    span_filter.start_rare()
    return span_filter
