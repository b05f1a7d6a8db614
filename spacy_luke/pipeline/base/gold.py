"""Gold spans of an Example as targets of candidate spans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from spacy.tokens import Doc, Span
from spacy.training import Example

from ...annotations import get_entity_labels
from ...batching.mentions import SpanCandidates
from ...errors import warn

_SHOWN = 5


@dataclass
class GoldSpans:
    """Targets of the mentions of a Doc, or of its tokens where those are classified, and what could not become one.

    targets: index of the label of each mention. *Shape:* (mentions,)
    known: False where the annotation of a token is missing. *Shape:* (mentions,)
    unannotated: indices of the labels that the reference is not annotated with: a mention without entity may have them.
    taken: True for mentions that share a token with a gold span, where spans do not overlap: without entity of their
        own, they have no other label either. *Shape:* (mentions,), or None where spans may overlap
    missed: reason -> how many gold spans cannot be learned; missed_texts: those spans.
    several_labels: how many gold spans repeat a span with another label.
    total: of tokens, how many gold spans or tags there are.
    """

    targets: np.ndarray
    known: np.ndarray
    unannotated: Sequence[int] = ()
    taken: np.ndarray | None = None
    missed: Counter[str] = field(default_factory=Counter)
    missed_texts: list[str] = field(default_factory=list)
    unknown_labels: list[str] = field(default_factory=list)
    several_labels: int = 0
    total: int = 0

    def possible(self, mentions: np.ndarray, labels: int, negative: int) -> np.ndarray:
        """Mask of the labels that some mentions may have.

        mentions: their indices. labels: how many there are. negative: index of that for "no entity".

        *Shape:* (mentions,) -> (mentions, labels), bool
        """
        targets = self.targets[mentions]
        found = np.zeros((len(targets), labels), dtype=bool)
        found[np.arange(len(targets)), targets] = True
        free = targets == negative if self.taken is None else (targets == negative) & ~self.taken[mentions]
        found[np.ix_(free, self.unannotated)] = True
        return found


@dataclass
class GoldReport:
    """Losses of the gold annotation of a corpus on its way to the targets: spans, tags, links, answers, texts, items.

    max_pieces: longest that is predicted, of what may be too long for that; None = any.
    total: how much there is. missed: reason -> how many cannot be learned. first: the first of them, as text.
    several_labels: of how many another label is learned. too_long: how many are longer than `max_pieces`.
    """

    max_pieces: int | None = None
    total: int = 0
    several_labels: int = 0
    too_long: int = 0
    missed: Counter[str] = field(default_factory=Counter)
    first: list[str] = field(default_factory=list)

    def add(self, gold: GoldSpans, spans: int) -> None:
        """Count the gold spans of one Doc."""
        self.total += spans
        self.several_labels += gold.several_labels
        self.missed += gold.missed
        self.first += gold.missed_texts[: _SHOWN - len(self.first)]

    def miss(self, reason: str, text: str) -> None:
        """Count one that cannot be learned."""
        self.missed[reason] += 1
        if len(self.first) < _SHOWN:
            self.first.append(text)

    def warn(self, name: str, code: str = "W003", *, several: str = "spans", **values: Any) -> None:
        """Give W003, or another code for what is missed, W009 and W029, if there is something to tell.

        several: what may have several labels, for W009.
        values: of the message, beside those that W003 has, or instead of them.
        """
        if self.missed:
            known: dict[str, Any] = {"missed": self.missed.total(), "total": self.total, "reasons": listed(self.missed)}
            warn(code, **{"name": name, **known, "examples": "; ".join(self.first), **values})
        if self.several_labels:
            warn("W009", name=name, count=self.several_labels, what=several)
        if self.too_long:
            warn("W029", name=name, count=self.too_long, total=self.total, max_pieces=self.max_pieces)


def listed(counts: Counter[str]) -> str:
    """Counts by reason, as text, most frequent first."""
    return ", ".join(f"{count} {reason}" for reason, count in counts.most_common())


def gold_spans(
    example: Example,
    spans: Sequence[Span],
    candidates: SpanCandidates,
    labels: Sequence[str],
    negative: str,
    *,
    overlap: bool,
) -> GoldSpans:
    """Match the gold `spans` of the reference with the candidates of the predicted Doc.

    overlap: spans may share tokens.
    """
    label_index = {label: i for i, label in enumerate(labels)}
    count = len(candidates.mentions)
    targets, known = np.full(count, label_index[negative], dtype=np.int64), _known(example, spans, candidates)
    taken = None if overlap else _touching(candidates, _tokens_of(example, spans))
    gold = GoldSpans(targets, known, unannotated_labels(example, labels, negative), taken)
    tokens = map(tuple, candidates.spans.tolist())
    mention = dict(zip(tokens, candidates.mention_of.tolist(), strict=True))
    labelled: set[int] = set()
    for span in spans:
        if span.label_ not in label_index:
            gold.unknown_labels.append(span.label_)
            continue
        index, reason = _find(example, span, mention)
        if index is None:
            gold.missed[reason] += 1
            gold.missed_texts.append(f"{span.text!r} ({span.label_})")
        elif index in labelled:
            gold.several_labels += 1
        else:
            labelled.add(index)
            gold.targets[index] = label_index[span.label_]
    return gold


def has_entity_annotation(reference: Doc, spans: Sequence[Span]) -> bool:
    """Whether a reference with these gold spans says anything of its entities."""
    return get_entity_labels(reference) != set() and (len(spans) > 0 or reference.has_annotation("ENT_IOB"))


def aligned_tokens(example: Example, span: Span) -> tuple[int, int] | None:
    """The tokens of the predicted Doc for a span of the reference; None if it ends inside a token."""
    aligned = example.get_aligned_spans_y2x([span], allow_overlap=True)
    return (aligned[0].start, aligned[0].end) if aligned else None


def tokens_without_annotation(example: Example) -> np.ndarray:
    """Mask of tokens of the predicted Doc without entity annotation in the reference, or with a label that the
    reference is not annotated with. *Shape:* (tokens,), bool
    """
    labels = get_entity_labels(example.reference)
    missing = np.array([iob == 0 or labels == set() for iob in example.get_aligned("ENT_IOB")], dtype=bool)
    for ent in example.reference.ents:
        if labels is not None and ent.label_ not in labels:
            missing[example.alignment.y2x[ent.start : ent.end]] = True
    return missing


def unannotated_labels(example: Example, labels: Sequence[str], negative: str) -> list[int]:
    """Indices of the labels that the reference is not annotated with; see `set_entity_labels`."""
    annotated = get_entity_labels(example.reference)
    if annotated is None:
        return []
    return [i for i, label in enumerate(labels) if label != negative and label not in annotated]


def _find(example: Example, span: Span, mention: dict[tuple[int, int], int]) -> tuple[int | None, str]:
    tokens = aligned_tokens(example, span)
    if tokens is None:
        return None, "not on token boundaries"
    start, end = tokens
    if (start, end) in mention:
        return mention[start, end], ""
    doc = example.predicted
    if doc.has_annotation("SENT_START") and any(token.is_sent_start for token in doc[start + 1 : end]):
        return None, "across a sentence boundary"
    return None, "too long or not suggested"


def _known(example: Example, spans: Sequence[Span], candidates: SpanCandidates) -> np.ndarray:
    """Whether every token of a mention has entity annotation in the reference."""
    reference = example.reference
    known = np.ones(len(candidates.mentions), dtype=bool)
    if not spans and not reference.has_annotation("ENT_IOB"):
        known[:] = False
        return known
    unknown_tokens = tokens_without_annotation(example)
    if reference.has_annotation("ENT_IOB"):
        known &= ~_touching(candidates, unknown_tokens)
    return known


def _tokens_of(example: Example, spans: Sequence[Span]) -> np.ndarray:
    """Mask of the tokens of the predicted Doc that belong to spans of the reference. *Shape:* (tokens,), bool"""
    inside = np.zeros(len(example.predicted), dtype=bool)
    for span in spans:
        inside[example.alignment.y2x[span.start : span.end]] = True
    return inside


def _touching(candidates: SpanCandidates, tokens: np.ndarray) -> np.ndarray:
    """Mask of the mentions that have one of some tokens in them. *Shape:* (tokens,), bool -> (mentions,), bool"""
    before = np.concatenate([[0], np.cumsum(tokens)])
    touched = before[candidates.spans[:, 1]] > before[candidates.spans[:, 0]]
    found = np.zeros(len(candidates.mentions), dtype=bool)
    found[candidates.mention_of[touched]] = True
    return found
