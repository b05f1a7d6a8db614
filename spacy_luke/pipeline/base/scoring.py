"""Helpers of the scorers: ranges of a text that do not depend on its tokens, and the shape of the results."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from spacy.scorer import PRFScore
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example

from ...annotations import get_entity_labels

# First and end, in characters that are no white space.
CharRange = tuple[int, int]


class CharRanges:
    """The character ranges of the spans of a Doc.

    The Docs of an Example have the same text up to white space and case, so the same words have the same range in both,
    however each Doc is cut into tokens. spaCy's alignment would drop spans that end inside a token of the other Doc; in
    a score, they are wrong and have to count.
    """

    def __init__(self, doc: Doc):
        # As spaCy's alignment: lower case, in which some characters are two ("İ").
        widths = (0 if char.isspace() else len(char.lower()) for char in doc.text)
        self._before = list(accumulate(widths, initial=0))

    def __call__(self, span: Span) -> CharRange:
        return self._before[span.start_char], self._before[span.end_char]


def char_ranges(example: Example) -> tuple[CharRanges, CharRanges]:
    """Character ranges in the predicted Doc and in the reference; spaCy's E949 if their texts are not the same."""
    _ = example.alignment
    return CharRanges(example.predicted), CharRanges(example.reference)


def with_annotated_labels(example: Example) -> Example:
    """The Example without entities and spans of labels that the reference is not annotated with, predicted or gold.

    The tokens of such gold entities are as those without annotation.
    """
    labels = get_entity_labels(example.reference)
    if labels is None:
        return example
    predicted, reference = example.predicted.copy(), example.reference.copy()
    predicted.set_ents([ent for ent in predicted.ents if ent.label_ in labels])
    known, others = ([e for e in reference.ents if (e.label_ in labels) is wanted] for wanted in (True, False))
    reference.set_ents(known, missing=others, default="unmodified" if labels else "missing")
    for doc in (predicted, reference):
        for key, group in list(doc.spans.items()):
            kept = [i for i, span in enumerate(group) if span.label_ in labels]
            attrs = dict(group.attrs)
            if "scores" in attrs:
                attrs["scores"] = [attrs["scores"][i] for i in kept]
            doc.spans[key] = SpanGroup(doc, name=key, spans=[group[i] for i in kept], attrs=attrs)
    return Example(predicted, reference)


def prf(prefix: str, score: PRFScore | None) -> dict[str, float | None]:
    """`{prefix}_p`, `_r` and `_f`; None, as spaCy's scorer does it, if there is nothing gold and nothing predicted."""
    if score is None or not len(score):
        return {f"{prefix}_{part}": None for part in "prf"}
    return {f"{prefix}_{part}": value for part, value in score.to_dict().items()}


def calibration_error(predictions: Sequence[tuple[float, bool]], bins: int = 10) -> float | None:
    """Expected calibration error (Guo et al. 2017, "On Calibration of Modern Neural Networks", section 2): the distance
    between the mean probability of what was predicted and the share of it that is right, by bins of equal width, each
    weighted with its share of the predictions.

    predictions: probability in [0, 1] of each, and whether it is right. None for no predictions.
    """
    found = calibration_bins(predictions, bins)
    if found is None:
        return None
    gaps = [one["count"] * abs(one["probability"] - one["right"]) for one in found]
    return sum(gaps) / len(predictions)


def calibration_bins(predictions: Sequence[tuple[float, bool]], bins: int = 10) -> list[dict[str, Any]] | None:
    """The bins of `calibration_error` that are not empty: mean `probability`, share that is `right`, `count`."""
    if not predictions:
        return None
    # Sorted, so that the sums do not depend on the order of the predictions
    probabilities, right = (np.array(column, dtype=np.float64) for column in zip(*sorted(predictions), strict=True))
    place = np.clip(np.ceil(probabilities * bins).astype(np.int64) - 1, 0, bins - 1)
    return [
        {"probability": float(probabilities[here].mean()), "right": float(right[here].mean()), "count": int(here.sum())}
        for here in (place == number for number in np.unique(place))
    ]


def calibration(prefix: str, predictions: Sequence[tuple[float, bool]]) -> dict[str, Any]:
    """`{prefix}_ece` and `{prefix}_calibration`, the calibration error and its bins; None for no predictions."""
    return {
        f"{prefix}_ece": calibration_error(predictions),
        f"{prefix}_calibration": calibration_bins(predictions),
    }


def per_label(key: str, scores: dict[str, PRFScore]) -> dict[str, Any]:
    """Label -> `p`, `r` and `f`, labels in alphabetical order; None if there is no label."""
    return {key: {label: scores[label].to_dict() for label in sorted(scores)} or None}
