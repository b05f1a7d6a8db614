"""Recall, share of candidates and F1 of a span filter at each threshold, measured on annotated Docs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from spacy.tokens import Doc
from spacy.training import Example

from ...errors import LukeError
from ...progress import track
from ..base.entities import SpanLogits
from ..base.gold import aligned_tokens
from .component import LukeNER
from .scorer import score_ner

THRESHOLDS = (0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.005, 0.002, 0.001)


@dataclass(frozen=True)
class FilterPoint:
    """A threshold and what it does.

    recall: share of the gold entities among the candidates that are kept.
    kept: share of the candidates that are kept.
    f: F1 of the entities that are found.
    """

    threshold: float
    recall: float
    kept: float
    f: float


def measure_filter(
    pipe: LukeNER, examples: Sequence[Example], thresholds: Sequence[float] = THRESHOLDS
) -> list[FilterPoint]:
    """Recall, share of candidates, and F1 at each threshold, highest first, the filter's floor included.

    examples: predicted Docs as the component gets them, references with gold entities.

    L056 if the component has no filter; L057 if no gold entity is a candidate.
    """
    every: list[np.ndarray] = []
    gold: list[np.ndarray] = []
    places: list[dict[tuple[int, ...], int]] = []
    docs = [example.predicted for example in examples]
    found = pipe.filter_probabilities(docs)
    assert pipe.span_filter is not None
    floor = pipe.span_filter.settings.floor
    for example, doc_filter in zip(examples, found, strict=True):
        # A candidate within the floor is kept at every threshold.
        every.append(np.where(doc_filter.ranks < floor, np.inf, doc_filter.probabilities))
        places.append({span: i for i, span in enumerate(map(tuple, doc_filter.spans.tolist()))})
        spans = {aligned_tokens(example, span) for span in pipe.gold_of(example.reference)}
        gold.append(every[-1][[places[-1][span] for span in spans if span in places[-1]]])
    all_values, gold_values = np.concatenate([*every, []]), np.concatenate([*gold, []])
    if not len(gold_values):
        raise LukeError("L057", name=pipe.name)
    scored = _at_threshold(pipe, docs, min(thresholds))
    scored_probabilities = [
        values[[place[span] for span in map(tuple, doc_filter.spans.tolist())]]
        for values, place, doc_filter in zip(every, places, scored, strict=True)
    ]
    points = []
    for t in track(sorted(thresholds, reverse=True), "Choosing a threshold", "thresholds"):
        # What is said of a span depends on no other: the scores at a higher threshold are some of these.
        kept = [
            SpanLogits(doc_filter.spans[values >= t], doc_filter.logits[values >= t])
            for doc_filter, values in zip(scored, scored_probabilities, strict=True)
        ]
        recall, share = float((gold_values >= t).mean()), float((all_values >= t).mean())
        points.append(FilterPoint(t, recall, share, _f1(pipe, examples, kept)))
    return points


def choose_threshold(points: Sequence[FilterPoint], recall: float, f1_loss: float | None = None) -> FilterPoint:
    """The highest threshold that keeps at least `recall` of the gold entities; the lowest one if none does.

    f1_loss: instead, the highest threshold whose F1 is at most so much below the best.
    """
    if f1_loss is not None:
        best = max(point.f for point in points)
        return next(point for point in points if point.f >= best - f1_loss)
    return next((point for point in points if point.recall >= recall), points[-1])


def _at_threshold(pipe: LukeNER, docs: Sequence[Doc], threshold: float) -> list[SpanLogits]:
    """The scores of the candidates that the filter keeps at a threshold."""
    span_filter = pipe.span_filter
    assert span_filter is not None
    settings = span_filter.settings
    span_filter.settings = replace(settings, threshold=threshold)
    try:
        return pipe.predict(docs)
    finally:
        span_filter.settings = settings


def _f1(pipe: LukeNER, examples: Sequence[Example], scored: Sequence[SpanLogits]) -> float:
    """F1 of what the component makes of scores; 0 if there is nothing."""
    docs = [example.predicted.copy() for example in examples]
    pipe.set_annotations(docs, scored)
    scores = score_ner(
        [Example(doc, example.reference) for doc, example in zip(docs, examples, strict=True)],
        spans_key=pipe.spans_key,
    )
    return float(scores[f"spans_{pipe.spans_key}_f" if pipe.overlap else "ents_f"] or 0.0)
