"""Baselines that need no neural network, for evaluate_joint.py: functions that annotate a Doc.

Types: those that a mention has in the training data. Relations: the most frequent one of pairs with the same three
words before the later one. Questions: the words that stand nearest to theirs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc

from spacy_luke.annotations import (
    Answer,
    get_entity_types,
    get_questions,
    get_relations,
    set_answers,
    set_entity_types,
    set_relations,
    typed_spans,
)
from spacy_luke.converters import read_docbin

TOKENIZER = spacy.blank("en").tokenizer


def types_in_training(file: Path, nlp: Language) -> Callable[[Doc], Doc]:
    """Gives a mention the types that its text, or else its last word, has most often."""
    seen: defaultdict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    for doc in read_docbin(file, nlp.vocab):
        for span in typed_spans(doc):
            for key in (span.text, span[-1].lower_, ""):
                seen[key][get_entity_types(span)] += 1

    def annotate(doc: Doc) -> Doc:
        for ent in doc.ents:
            key = next(key for key in (ent.text, ent[-1].lower_, "") if key in seen)
            set_entity_types(ent, seen[key].most_common(1)[0][0])
        return doc

    return annotate


def relation_between(file: Path, nlp: Language) -> Callable[[Doc], Doc]:
    """Gives a pair the most frequent relation of pairs in its order and with its last three words between them."""
    seen: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)

    def between(head: Any, tail: Any) -> tuple[str, ...]:
        start, end = sorted((head, tail), key=lambda span: span.start)
        order = "head first" if head.start <= tail.start else "tail first"
        return (order, *(t.lower_ for t in head.doc[start.end : end.start][-3:]))

    for doc in read_docbin(file, nlp.vocab):
        labels = {(r.head.start, r.head.end, r.tail.start, r.tail.end): r.label for r in get_relations(doc)}
        for head, tail in pairs(list(doc.spans["mentions"])):
            label = labels.get((head.start, head.end, tail.start, tail.end), "")
            seen[between(head, tail)][label] += 1

    def annotate(doc: Doc) -> Doc:
        found = []
        for head, tail in pairs(doc.ents):
            counts = seen.get(between(head, tail))
            label = counts.most_common(1)[0][0] if counts else ""
            if label:
                found.append((head, tail, label))
        set_relations(doc, found)
        return doc

    return annotate


def pairs(spans: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
    return ((a, b) for a in spans for b in spans if (a.start, a.end) != (b.start, b.end))


def nearest_words(doc: Doc) -> Doc:
    """Answers a question with the content words that stand nearest to those of the question."""
    answers = []
    for question in get_questions(doc):
        asked = {t.lower_ for t in TOKENIZER(question)}
        hits = [t.i for t in doc if t.lower_ in asked and not t.is_stop and not t.is_punct]
        free = [t.i for t in doc if t.lower_ not in asked and not t.is_stop and not t.is_punct and not t.is_space]
        if not free:
            continue
        best = min(free, key=lambda i: sum(min(abs(i - hit), 10) for hit in hits))
        start = end = best
        while start - 1 in free:
            start -= 1
        while end + 1 in free:
            end += 1
        answers.append(Answer(question, doc[start : end + 1]))
    set_answers(doc, answers)
    return doc
