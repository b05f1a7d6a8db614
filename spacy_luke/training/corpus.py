"""Corpus readers that hand gold annotation to the predicted Docs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from spacy.errors import Errors
from spacy.language import Language
from spacy.tokens import Span, SpanGroup
from spacy.training import Corpus, Example

from ..annotations import QUESTIONS, get_questions, has_annotation, set_questions
from ..errors import warn


def build_gold_mentions_corpus(
    path: str | Path | None,
    sentences: bool = True,
    mentions: bool = False,
    spans_key: str | None = None,
    questions: bool = False,
    limit: int = 0,
) -> Callable[[Language], Iterator[Example]]:
    """Read DocBins, as `spacy-luke.gold_mentions_corpus.v1`.

    path: a .spacy file or a folder of them.
    sentences: predicted Docs start with the sentence boundaries of their references, as evaluations on corpora that
        come sentence by sentence do; components that split sentences then leave them alone.
    mentions: predicted Docs start with the entities of their references, for components that classify given mentions.
    spans_key: predicted Docs start with the spans under this key of `doc.spans` of their references.
    questions: predicted Docs start with the questions of their references.
    limit: most Docs to read; 0 = all.

    Entities and spans that the tokens of the predicted Doc cut are left out, with a warning (W012).
    """
    if path is None:
        raise ValueError(Errors.E913)
    corpus = Corpus(path, limit=limit)

    def read(nlp: Language) -> Iterator[Example]:
        lost = 0
        for example in corpus(nlp):
            give_sentences(example, wanted=sentences)
            lost += give_mentions(example, entities=mentions, spans_key=spans_key)
            if questions and has_annotation(example.reference, QUESTIONS):
                set_questions(example.predicted, get_questions(example.reference))
            yield example
        if lost:
            warn("W012", count=lost, path=path)

    return read


def give_sentences(example: Example, *, wanted: bool) -> None:
    """Copy the sentence boundaries of the reference to the predicted Doc, as far as their tokens align."""
    if wanted and example.reference.has_annotation("SENT_START"):
        for starts, token in zip(example.get_aligned_sent_starts(), example.predicted, strict=True):
            token.is_sent_start = bool(starts)


def give_mentions(example: Example, *, entities: bool, spans_key: str | None) -> int:
    """Copy entities and spans of the reference, with their ids, to the predicted Doc; RETURNS: how many were lost."""
    reference, predicted = example.reference, example.predicted
    lost = 0
    if entities:
        copied = _aligned(example, reference.ents)
        lost += len(reference.ents) - len(copied)
        predicted.set_ents(copied)
    if spans_key is not None and spans_key in reference.spans:
        spans = list(reference.spans[spans_key])
        copied = _aligned(example, spans)
        lost += len(spans) - len(copied)
        predicted.spans[spans_key] = SpanGroup(predicted, name=spans_key, spans=copied)
    return lost


def _aligned(example: Example, spans: Iterable[Span]) -> list[Span]:
    copies = []
    for span in spans:
        if aligned := example.get_aligned_spans_y2x([span], allow_overlap=True):
            start, end = aligned[0].start, aligned[0].end
            copy = Span(example.predicted, start, end, label=span.label, kb_id=span.kb_id, span_id=span.id)
            copies.append(copy)
    return copies
