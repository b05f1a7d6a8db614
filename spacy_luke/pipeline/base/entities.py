"""Decoding of raw scores of candidate spans to the spans that are annotated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from spacy.attrs import ENT_IOB, ENT_TYPE
from spacy.tokens import Doc, Span

from ...extensions import write_scored_spans
from .losses import softmax

DECODINGS = ("greedy", "joint")
_EPSILON = 1e-12  # probabilities nearer to 0 or 1 than this count as this near


@dataclass(frozen=True)
class SpanLogits:
    """Raw scores of the candidates of a Doc.

    spans: token ranges. *Shape:* (spans, 2)
    logits: *Shape:* (spans, labels), float32
    """

    spans: np.ndarray
    logits: np.ndarray


@dataclass(frozen=True)
class LabelledSpans:
    """Spans with a label.

    spans: token ranges. *Shape:* (spans, 2)
    labels: index of the label. *Shape:* (spans,)
    logits: raw score of the label. *Shape:* (spans,)
    probabilities: of the label. *Shape:* (spans,)
    """

    spans: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    probabilities: np.ndarray

    @property
    def log_odds(self) -> np.ndarray:
        """log(p / (1 - p)) of the probabilities p. *Shape:* (spans,)"""
        p = np.clip(self.probabilities, _EPSILON, 1 - _EPSILON)
        return np.log(p / (1 - p))

    def take(self, index: list[int]) -> LabelledSpans:
        """Some of the spans."""
        return LabelledSpans(*(values[index] for values in vars(self).values()))

    def in_doc(self, doc: Doc, labels: Sequence[str]) -> list[Span]:
        """Convert to spans of the Doc that they are of. labels: what the indices mean."""
        pairs = zip(self.spans.tolist(), self.labels.tolist(), strict=True)
        return [Span(doc, start, end, label=labels[label]) for (start, end), label in pairs]


def positive_spans(scored: SpanLogits, negative: int, threshold: float) -> LabelledSpans:
    """The candidates whose most probable label is not the negative one and has at least the probability `threshold`."""
    if not len(scored.spans):
        none = np.zeros(0, dtype=np.int64)
        return LabelledSpans(scored.spans, none, none, none)
    labels = scored.logits.argmax(axis=1)
    positive = np.flatnonzero(labels != negative)
    logits, labels = scored.logits[positive], labels[positive]
    rows = np.arange(len(positive))
    probabilities = softmax(logits)[rows, labels]
    sure = probabilities >= threshold
    return LabelledSpans(scored.spans[positive][sure], labels[sure], logits[rows, labels][sure], probabilities[sure])


def greedy(found: LabelledSpans) -> list[int]:
    """Indices of spans that do not overlap, chosen by raw score, best first, and given in text order.

    Equal scores keep their order, as in the paper's code (studio-ousia/luke, examples/legacy/ner/main.py).
    """
    occupied = bytearray(int(found.spans[:, 1].max(initial=0)))
    chosen = []
    spans = found.spans.tolist()
    for i in np.argsort(-found.logits, kind="stable").tolist():
        start, end = spans[i]
        if not any(occupied[start:end]):
            occupied[start:end] = b"\1" * (end - start)
            chosen.append(i)
    return sorted(chosen, key=lambda i: int(found.spans[i, 0]))


def joint(found: LabelledSpans) -> list[int]:
    """Indices of the spans that do not overlap and are the most probable together, in text order.

    Whether one is an entity is taken as independent of the others, so that the sum of the log-odds counts, and a span
    with a probability below one half is never chosen. This is weighted interval scheduling (Kleinberg and Tardos 2005,
    Algorithm Design, section 6.1).
    """
    spans, odds = found.spans, found.log_odds
    order = np.lexsort((spans[:, 0], spans[:, 1]))  # by their ends
    before = np.searchsorted(spans[order, 1], spans[order, 0], side="right").tolist()  # how many end before each
    best = [0.0]  # sum of the best ones among the first n
    for n, (i, free) in enumerate(zip(order.tolist(), before, strict=True)):
        best.append(max(best[n], best[free] + odds[i]))
    chosen, n = [], len(order)
    while n:
        if best[n] > best[n - 1]:
            chosen.append(int(order[n - 1]))
            n = before[n - 1]
        else:
            n -= 1
    return chosen[::-1]


def write_entities(
    doc: Doc, found: LabelledSpans, labels: Sequence[str], spans_key: str, *, overwrite: bool, decoding: str = "greedy"
) -> None:
    """Write those that do not overlap to `doc.ents`, and with their scores to `doc.spans[spans_key]`.

    overwrite: replace entities that the Doc has; otherwise they stay, and what overlaps them is left out.
    decoding: how those that do not overlap are chosen: `greedy` or `joint`.

    As in spaCy's `ner`, no entity has a token that is blocked (`doc.set_ents(..., blocked=...)`), which stays so, while
    tokens that are marked as outside of entities or as missing may become part of one.
    """
    existing = [] if overwrite else list(doc.ents)
    blocked = blocked_tokens(doc)
    found = found.take(_outside(found, [*existing, *blocked], len(doc)))
    found = found.take(joint(found) if decoding == "joint" else greedy(found))
    spans = found.in_doc(doc, labels)
    doc.set_ents([*existing, *spans], blocked=blocked, default="outside")
    write_scored_spans(doc, spans_key, spans, found.probabilities.tolist())


def blocked_tokens(doc: Doc) -> list[Span]:
    """The tokens that are to be in no entity: spaCy marks each as the start of one without a label."""
    iob, label = doc.to_array([ENT_IOB, ENT_TYPE]).T
    return [doc[i : i + 1] for i in np.flatnonzero((iob == 3) & (label == 0)).tolist()]


def _outside(found: LabelledSpans, taken: Sequence[Span], length: int) -> list[int]:
    """Indices of the spans that have no token of those that are taken, in a Doc of so many tokens."""
    before = np.zeros(length + 1, dtype=np.int64)
    for span in taken:
        before[span.start + 1 : span.end + 1] = 1
    before = before.cumsum()
    return np.flatnonzero(before[found.spans[:, 1]] == before[found.spans[:, 0]]).tolist()
