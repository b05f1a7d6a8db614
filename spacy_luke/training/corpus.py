"""Corpus readers that hand gold annotation to the predicted Docs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from spacy.errors import Errors
from spacy.language import Language
from spacy.tokens import Span, SpanGroup
from spacy.training import Corpus, Example
from spacy.training.corpus import FILE_TYPE, walk_corpus
from spacy.util import filter_spans

from ..annotations import (
    CHOICES,
    QUESTIONS,
    get_answers,
    get_choices,
    get_questions,
    has_annotation,
    set_choices,
    set_questions,
)
from ..errors import warn


def build_gold_mentions_corpus(
    path: str | Path | None,
    sentences: bool = True,
    mentions: bool = False,
    limit: int = 0,
    spans_key: str | None = None,
    questions: bool = False,
    links: bool = True,
    ents_key: str | None = None,
) -> Callable[[Language], Iterator[Example]]:
    """Read DocBins, as `spacy-luke.gold_mentions_corpus.v1`.

    path: a .spacy file or a folder of them.
    sentences: predicted Docs start with the sentence boundaries of their references, as evaluations on corpora that
        come sentence by sentence do; components that split sentences then leave them alone.
    mentions: predicted Docs start with the entities of their references, with their labels, links (`kb_id_`) and ids,
        for components that classify given mentions.
    links: with their links, too; a component that finds these is not to be given them.
    limit: most Docs to read; 0 = all. Of a folder, each file gives an equal share, its first Docs.
    ents_key: predicted Docs start with the spans under this key of `doc.spans` of their references as their entities;
        of those that overlap, the longest. For references whose own entities are not to be learned.
    spans_key: predicted Docs start with the spans under this key of `doc.spans` of their references.
    questions: predicted Docs start with the questions about their references, those that only a gold answer has last,
        and with the options of multiple choice.

    What a reference is not annotated with, the predicted Doc is not given. Mentions that do not lie on the predicted
    Doc's tokens cannot be given, either; each read tells how many at its end (W012).
    """
    if path is None:
        raise ValueError(Errors.E913)

    def read(nlp: Language) -> Iterator[Example]:
        total = 0
        lost: list[Span] = []
        for example in _examples(path, limit, nlp):
            if sentences:
                _give_sentences(example)
            if mentions:
                total += len(example.reference.ents)
                lost += _give_entities(example, links)
            if ents_key is not None:
                total += len(example.reference.spans.get(ents_key, ()))
                lost += _give_spans_as_entities(example, ents_key)
            if spans_key is not None:
                total += len(example.reference.spans.get(spans_key, ()))
                lost += _give_spans(example, spans_key)
            if questions:
                _give_questions(example)
            yield example
        if lost:
            first = "; ".join(f"{span.text!r} ({span.label_})" for span in lost[:5])
            warn("W012", path=path, lost=len(lost), total=total, examples=first)

    return read


def _examples(path: str | Path, limit: int, nlp: Language) -> Iterator[Example]:
    """Read the Docs of a file or folder. spaCy's own reader takes the whole limit from the first files of a folder."""
    if limit < 1:
        yield from Corpus(path)(nlp)
        return
    files = walk_corpus(path, FILE_TYPE)
    for number, file in enumerate(files):
        if share := (limit + len(files) - 1 - number) // len(files):
            yield from Corpus(file, limit=share)(nlp)


def _give_sentences(example: Example) -> None:
    if example.reference.has_annotation("SENT_START"):
        for starts, token in zip(example.get_aligned_sent_starts(), example.predicted, strict=True):
            token.is_sent_start = bool(starts)


def _give_entities(example: Example, links: bool) -> list[Span]:
    """Give the entities; returns those that do not align. Tokens without gold annotation stay without."""
    if not example.reference.has_annotation("ENT_IOB"):
        return []
    predicted = example.predicted
    given, lost = _aligned(example, example.reference.ents)
    if not links:
        given = [Span(predicted, s.start, s.end, label=s.label, span_id=s.id) for s in given]
    taken = {token.i for span in given for token in span}
    unknown = [i for i, iob in enumerate(example.get_aligned("ENT_IOB")) if iob == 0 and i not in taken]
    predicted.set_ents(given, missing=[predicted[i : i + 1] for i in unknown])
    return lost


def _give_spans(example: Example, key: str) -> list[Span]:
    """Give the spans under a key; returns those that do not align."""
    if key not in example.reference.spans:
        return []
    given, lost = _aligned(example, example.reference.spans[key])
    example.predicted.spans[key] = SpanGroup(example.predicted, name=key, spans=given)
    return lost


def _give_spans_as_entities(example: Example, key: str) -> list[Span]:
    """Give the spans under a key as entities; returns those that do not align."""
    if key not in example.reference.spans:
        return []
    given, lost = _aligned(example, example.reference.spans[key])
    example.predicted.set_ents(filter_spans(given))
    return lost


def _give_questions(example: Example) -> None:
    reference = example.reference
    asked = [*get_questions(reference), *(answer.question for answer in get_answers(reference))]
    if asked or has_annotation(reference, QUESTIONS):
        set_questions(example.predicted, list(dict.fromkeys(asked)))
    if has_annotation(reference, CHOICES):
        set_choices(example.predicted, get_choices(reference))


def _aligned(example: Example, spans: Iterable[Span]) -> tuple[list[Span], list[Span]]:
    """Spans of the reference as spans of the predicted Doc, and those that end inside one of its tokens."""
    given, lost = [], []
    for span in spans:
        found = example.get_aligned_spans_y2x([span], allow_overlap=True)
        if found:
            start, end = found[0].start, found[0].end
            label, kb_id, span_id = span.label, span.kb_id, span.id
            given.append(Span(example.predicted, start, end, label=label, kb_id=kb_id, span_id=span_id))
        else:
            lost.append(span)
    return given, lost
