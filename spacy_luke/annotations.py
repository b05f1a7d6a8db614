"""Results of the components in a Doc: views over plain numbers and strings, so that every copy of a Doc has them.

Everything is kept in `doc.user_data` under the keys that spaCy itself uses for extension attributes. What belongs to a
span or token is kept by its characters, and its values hold distances only: so `Doc.from_docs` and `span.as_doc` move
relations, entity types and tags along. What belongs to a whole Doc (questions and answers, choices) goes where spaCy's
own Doc extensions go: into bytes, DocBins and copies, but not into parts or concatenations of Docs.

"Not annotated" and "annotated, with none found" are different things: `has_annotation` tells them apart, and assigning
None to an attribute removes an annotation.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, cast

import numpy as np
from spacy.tokens import Doc, Span, Token

from .errors import LukeError

RELATIONS, ENTITY_TYPES, LUKE_TAG = "relations", "entity_types", "luke_tag"
QUESTIONS, ANSWERS = "questions", "answers"
ENTITY_VECTOR = "entity_vector"
CHOICES, CHOSEN = "choices", "chosen"
ANNOTATIONS = (RELATIONS, ENTITY_TYPES, LUKE_TAG, QUESTIONS, ANSWERS, CHOICES, CHOSEN)


@dataclass(frozen=True)
class Relation:
    """A labelled relation between two spans of a Doc.

    score: probability in [0, 1]; 1 for gold annotation.
    """

    head: Span
    tail: Span
    label: str
    score: float = 1.0


@dataclass(frozen=True)
class Answer:
    """An answer to a question about a Doc.

    span: the tokens that the answer touches; None = the Doc does not answer the question.
    text: the answer to the character, which may be less than the tokens of `span`; default: the span's text.
    score: probability in [0, 1]; 1 for gold annotation.
    logit: start logit + end logit; NaN for gold annotation.
    start_char: character of the Doc where `text` begins; default: that of the span. -1 without an answer.
    """

    question: str
    span: Span | None
    text: str = ""
    score: float = 1.0
    logit: float = math.nan
    start_char: int = -1

    def __post_init__(self) -> None:
        if isinstance(self.span, Span):
            if not self.text:
                object.__setattr__(self, "text", self.span.text)
                object.__setattr__(self, "start_char", self.span.start_char)
            elif self.start_char < 0:
                found = self.span.doc.text.find(self.text, self.span.start_char, self.span.end_char)
                object.__setattr__(self, "start_char", found)


def has_annotation(doc: Doc, name: str) -> bool:
    """Whether a Doc is annotated with "relations", "entity_types" (of any span), "luke_tag" (of any token),
    "questions", "answers", "choices" or "chosen".

    True, too, where the annotation says that there is none.
    """
    if name not in ANNOTATIONS:
        raise LukeError("L073", name=name, known=", ".join(ANNOTATIONS))
    if not isinstance(doc, Doc):
        raise LukeError("L070", attribute="has_annotation", value=doc, wanted="a Doc")
    return any(key[1] == _stored(name) for key in _keys(doc))


# Relations: by the characters of the head, a list of [distance to the tail, length of the tail, label, score, label of
# the head, label of the tail]. A Doc without any has an empty list at its begin, which goes where relations go.


def get_relations(doc: Doc) -> tuple[Relation, ...]:
    """The relations of a Doc, ordered by head, then tail; () if there are none or the Doc is not annotated.

    Relations with a span outside the Doc, as in a part of a longer one, are left out.
    """
    found = []
    characters = Characters(doc)
    for start, end, values in _by_span(doc, RELATIONS):
        head = characters.span(start, end)
        for distance, length, label, score, head_label, tail_label in values:
            tail = characters.span(start + distance, start + distance + length)
            if head is not None and tail is not None:
                found.append(Relation(_labelled(head, head_label), _labelled(tail, tail_label), label, score))
    found.sort(key=lambda r: (r.head.start, r.head.end, r.tail.start, r.tail.end))
    return tuple(found)


def set_relations(doc: Doc, relations: Iterable[Relation | tuple[Any, ...]] | None) -> None:
    """Replace the relations of a Doc; None removes the annotation.

    relations: `Relation`s, or tuples (head, tail, label) or (head, tail, label, score), of spans of this Doc.
    """
    checked = None if relations is None else [_relation(doc, item) for item in _listed(relations, "doc._.relations")]
    _clear(doc, RELATIONS)
    if checked is not None and not checked:
        _data(doc)[_key(RELATIONS, 0, 0)] = []  # annotated, with none found
    for relation in checked or ():
        head, tail = relation.head, relation.tail
        _data(doc).setdefault(_key(RELATIONS, head.start_char, head.end_char), []).append(
            [
                tail.start_char - head.start_char,
                tail.end_char - tail.start_char,
                relation.label,
                float(relation.score),
                head.label_,
                tail.label_,
            ]
        )


def _relation(doc: Doc, item: Any) -> Relation:
    if isinstance(item, tuple) and 3 <= len(item) <= 4:
        item = Relation(*item)
    if not isinstance(item, Relation):
        raise LukeError("L070", attribute="doc._.relations", value=item, wanted="Relation(head, tail, label, score)")
    for role, span in (("head", item.head), ("tail", item.tail)):
        check_span(doc, span, f"{role} of a relation")
    if not isinstance(item.label, str) or not item.label:
        raise LukeError("L070", attribute="doc._.relations", value=item.label, wanted="a label that is a string")
    _check_score(item.score, "doc._.relations")
    return item


# Types of entities: by the characters of the span, a list of labels; beside it, the scores of all labels.


def get_entity_types(span: Span) -> tuple[str, ...]:
    """The types of a span; () if it has none or is not annotated."""
    return tuple(_data(span.doc).get(_key(ENTITY_TYPES, span.start_char, span.end_char)) or ())


def set_entity_types(span: Span, types: Iterable[str] | None) -> None:
    """Replace the types of a span, without scores; None removes the annotation."""
    check_span(span.doc, span, "span with types")
    key = _key(ENTITY_TYPES, span.start_char, span.end_char)
    if types is None:
        _data(span.doc).pop(key, None)
        _data(span.doc).pop(_scores_key(span), None)
        return
    labels = _listed(types, "span._.entity_types")
    for label in labels:
        if not isinstance(label, str) or not label:
            raise LukeError("L070", attribute="span._.entity_types", value=label, wanted="labels that are strings")
    _data(span.doc)[key] = list(dict.fromkeys(labels))
    _data(span.doc).pop(_scores_key(span), None)


def get_entity_type_scores(span: Span) -> dict[str, float]:
    """Label -> probability of all labels of the component that typed the span; {} if none did."""
    return dict(_data(span.doc).get(_scores_key(span)) or {})


def set_entity_type_scores(span: Span, scores: Mapping[str, float]) -> None:
    """Set the probability of each label."""
    check_span(span.doc, span, "span with types")
    if not isinstance(scores, Mapping):
        raise LukeError("L070", attribute="span._.entity_type_scores", value=scores, wanted="a dict label -> score")
    for score in scores.values():
        _check_score(score, "span._.entity_type_scores")
    _data(span.doc)[_scores_key(span)] = {str(label): float(score) for label, score in scores.items()}


def typed_spans(doc: Doc) -> list[Span]:
    """The spans of a Doc whose types are annotated, in text order."""
    characters = Characters(doc)
    spans = (characters.span(start, end) for start, end, _ in _by_span(doc, ENTITY_TYPES))
    return sorted((s for s in spans if s is not None), key=lambda s: (s.start, s.end))


def _scores_key(span: Span) -> tuple[Any, ...]:
    return _key("entity_type_scores", span.start_char, span.end_char)


# Vectors: by the characters of the span, an array.


def get_entity_vector(span: Span) -> np.ndarray | None:
    """The vector that `luke_encoder` gave the span; None if it gave none. *Shape:* (hidden,), float32"""
    return _data(span.doc).get(_key(ENTITY_VECTOR, span.start_char, span.end_char))


def set_entity_vectors(doc: Doc, spans: Iterable[Span], vectors: np.ndarray) -> None:
    """Replace the vectors of all spans of a Doc. *Shape:* (spans, hidden)"""
    _clear(doc, ENTITY_VECTOR)
    for span, vector in zip(spans, vectors, strict=True):
        _data(doc)[_key(ENTITY_VECTOR, span.start_char, span.end_char)] = vector


# Tags: by the characters of the token, a string.


def get_tag(token: Token) -> str | None:
    """The tag of a token; None if it has none."""
    return _data(token.doc).get(_token_key(token))


def set_tag(token: Token, tag: str | None) -> None:
    """Replace the tag of a token; None removes it."""
    if tag is None:
        _data(token.doc).pop(_token_key(token), None)
        return
    if not isinstance(tag, str) or not tag:
        raise LukeError("L070", attribute="token._.luke_tag", value=tag, wanted="a string that is not empty, or None")
    _data(token.doc)[_token_key(token)] = tag


def _token_key(token: Token) -> tuple[Any, ...]:
    return _key(LUKE_TAG, token.idx, token.idx + len(token))


# Questions: a list of strings. Answers: a list of [question, first character or -1, end, score, logit].


def get_questions(doc: Doc) -> tuple[str, ...]:
    """The questions about a Doc; () if there are none."""
    return tuple(_data(doc).get(_key(QUESTIONS)) or ())


def set_questions(doc: Doc, questions: Iterable[str] | None) -> None:
    """Replace the questions about a Doc; None removes the annotation."""
    items = None if questions is None else _listed(questions, "doc._.questions")
    for question in items or ():
        if not isinstance(question, str):
            raise LukeError("L070", attribute="doc._.questions", value=question, wanted="strings")
    _clear(doc, QUESTIONS)
    if items is not None:
        _data(doc)[_key(QUESTIONS)] = items


def get_answers(doc: Doc) -> tuple[Answer, ...]:
    """The answers in a Doc, in the order of the questions, best first; () if there are none.

    Several gold answers to a question are alternatives.
    """
    answers = []
    characters = Characters(doc)
    for question, start, end, score, logit in _data(doc).get(_key(ANSWERS)) or ():
        if start < 0:
            answers.append(Answer(question, None, "", score, logit))
        elif (span := characters.span(start, end)) is not None:
            answers.append(Answer(question, span, doc.text[start:end], score, logit, start))
    return tuple(answers)


def set_answers(doc: Doc, answers: Iterable[Answer | tuple[Any, ...]] | None) -> None:
    """Replace the answers in a Doc; None removes the annotation.

    answers: `Answer`s, or tuples (question, span) and so on; a span of None says that the Doc has no answer.
    """
    checked = None if answers is None else [_answer(doc, item) for item in _listed(answers, "doc._.answers")]
    _clear(doc, ANSWERS)
    if checked is not None:
        _data(doc)[_key(ANSWERS)] = [
            [
                answer.question,
                answer.start_char if answer.span is not None else -1,
                answer.start_char + len(answer.text) if answer.span is not None else -1,
                float(answer.score),
                float(answer.logit),
            ]
            for answer in checked
        ]


def _answer(doc: Doc, item: Any) -> Answer:
    if isinstance(item, tuple) and 2 <= len(item) <= 6:
        item = Answer(*item)
    if not isinstance(item, Answer) or not isinstance(item.question, str) or not isinstance(item.text, str):
        raise LukeError("L070", attribute="doc._.answers", value=item, wanted="Answer(question, span, text, score)")
    if item.span is not None:
        check_span(doc, item.span, "span of an answer")
        end = item.start_char + len(item.text)
        if item.start_char < 0 or doc.text[item.start_char : end] != item.text:
            raise LukeError("L072", text=item.text, span=item.span.text)
    elif item.text:
        wanted = "an Answer with a span of the Doc, or without text, which says that the Doc has no answer"
        raise LukeError("L070", attribute="doc._.answers", value=item, wanted=wanted)
    _check_score(item.score, "doc._.answers")
    return item


# Storage


def _data(doc: Doc) -> dict[Any, Any]:
    return cast("dict[Any, Any]", doc.user_data)


def _stored(name: str) -> str:
    return f"luke_{name}"


def _key(name: str, start: int | None = None, end: int | None = None) -> tuple[Any, ...]:
    return ("._.", _stored(name), start, end)


def _keys(doc: Doc) -> Iterator[tuple[Any, ...]]:
    """Keys of extension data. Other packages may keep anything in `user_data`."""
    return (key for key in _data(doc) if isinstance(key, tuple) and len(key) == 4 and key[0] == "._.")


def _by_span(doc: Doc, name: str) -> list[tuple[int, int, Any]]:
    """Characters of a span, value."""
    stored = _stored(name)
    return [(k[2], k[3], _data(doc)[k]) for k in _keys(doc) if k[1] == stored and k[2] is not None]


def _clear(doc: Doc, name: str) -> None:
    for key in [key for key in _keys(doc) if key[1] == _stored(name)]:
        del _data(doc)[key]


class Characters:
    """Spans of a Doc by their characters. One search a span: `Doc.char_span` makes the text of the Doc each time."""

    def __init__(self, doc: Doc):
        self.doc = doc
        self._starts = [token.idx for token in doc]
        self._ends = [token.idx + len(token) for token in doc]
        self.text = doc.text

    def span(self, start: int, end: int) -> Span | None:
        """The tokens that the characters touch; None outside the Doc."""
        if not 0 <= start < end <= len(self.text):
            return None
        first, last = bisect_right(self._ends, start), bisect_left(self._starts, end)
        return self.doc[first:last] if first < last else None


def _labelled(span: Span, label: str) -> Span:
    return Span(span.doc, span.start, span.end, label=label) if label else span


def _listed(items: Any, attribute: str) -> list[Any]:
    if isinstance(items, str | bytes | Mapping | Span | Relation | Answer) or not isinstance(items, Iterable):
        raise LukeError("L070", attribute=attribute, value=items, wanted="a list")
    return list(items)


def check_span(doc: Doc, span: Any, role: str) -> None:
    """L071 for anything that is no span of the Doc with at least one token."""
    if not isinstance(span, Span):
        raise LukeError("L071", role=role, value=span, reason="it is not a spaCy Span")
    if span.doc is not doc:
        raise LukeError("L071", role=role, value=span, reason="it belongs to another Doc")
    if span.start >= span.end:
        raise LukeError("L071", role=role, value=span, reason="it is empty")


def _check_score(score: Any, attribute: str) -> None:
    if isinstance(score, bool) or not isinstance(score, Real) or not 0 <= float(score) <= 1:  # NumPy's are Real, too
        raise LukeError("L070", attribute=attribute, value=score, wanted="a score in [0, 1]")
