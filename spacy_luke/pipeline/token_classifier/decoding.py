"""Decoding of raw scores of tokens to the entities that their tags spell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..base.entities import LabelledSpans
from ..base.losses import log_softmax
from .tag_scheme import TagScheme


@dataclass(frozen=True)
class TokenLogits:
    """Raw scores of the tokens of a Doc that are classified.

    tokens: indices in the Doc. *Shape:* (tokens,)
    sentences: the sentence of each. *Shape:* (tokens,)
    logits: *Shape:* (tokens, labels), float32
    """

    tokens: np.ndarray
    sentences: np.ndarray
    logits: np.ndarray


def tagged_spans(scored: TokenLogits, scheme: TagScheme, threshold: float) -> LabelledSpans:
    """The entities in the most probable tags of the tokens of a Doc, sentence by sentence; see `TagScheme.decode`.

    White space inside an entity belongs to it. The probability of an entity is the product of those of its tags, which
    the classifier takes as independent. Labels are indices of `scheme.types`, logits the logarithms of probabilities.
    """
    tags = scored.logits.argmax(axis=1)
    logs = log_softmax(scored.logits)[np.arange(len(tags)), tags] if len(tags) else np.zeros(0)
    types = {label: i for i, label in enumerate(scheme.types)}
    spans, labels, sums = [], [], []
    for sentence in np.split(np.arange(len(tags)), np.flatnonzero(np.diff(scored.sentences)) + 1):
        for first, after, label in scheme.decode(tags[sentence].tolist()):
            spans.append((scored.tokens[sentence[first]], scored.tokens[sentence[after - 1]] + 1))
            labels.append(types[label])
            sums.append(logs[sentence[first:after]].sum())
    found = LabelledSpans(
        np.array(spans, dtype=np.int64).reshape(-1, 2), np.array(labels, dtype=np.int64), np.array(sums), np.exp(sums)
    )
    return found.take(np.flatnonzero(found.probabilities >= threshold).tolist())
