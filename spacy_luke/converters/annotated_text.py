"""What an annotation tool knows of a text, by its characters <-> what a Doc does."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from spacy.tokens import Doc, Span, SpanGroup

from ..annotations import (
    RELATIONS,
    Relation,
    get_answers,
    get_choices,
    get_chosen,
    get_linked_entities,
    get_questions,
    get_relations,
    get_score,
    get_tag,
    has_annotation,
    set_relations,
    set_score,
    typed_spans,
)
from ..annotations.store import Characters
from ..extensions import write_scored_spans
from .report import CHOSEN_FROM, ConversionReport
from .texts import char_span, set_entities, shown


@dataclass(frozen=True)
class TextMention:
    """A labelled range of characters (code points), half-open.

    id: what relations call it; several labels of one range may share it.
    score: probability in [0, 1]; None for what a person said.
    """

    id: str
    start: int
    end: int
    label: str
    kb_id: str = ""
    score: float | None = None


@dataclass(frozen=True)
class TextRelation:
    """head, tail: ids of mentions. score: probability in [0, 1]; None for what a person said."""

    head: str
    tail: str
    label: str
    score: float | None = None


@dataclass
class AnnotatedText:
    """A text with annotations.

    relations: None if the text is not annotated with relations.
    cats: category -> probability; None if the text is not annotated with categories.
    sentences: the first character of each sentence, in text order; None if they are not known.
    name: id of the text in the tool; "" for none.
    meta: what else is known of the text.
    """

    text: str
    mentions: list[TextMention] = field(default_factory=list)
    relations: list[TextRelation] | None = None
    cats: dict[str, float] | None = None
    sentences: list[int] | None = None
    name: str = ""
    meta: dict[str, Any] = field(default_factory=dict)


def write_annotations(
    doc: Doc, content: AnnotatedText, report: ConversionReport, place: str, *, spans_key: str | None
) -> Doc:
    """Write into a Doc of the same text what is known of it; the report says what there is no place for.

    spans_key: of `doc.spans`, where mentions may overlap; None = `doc.ents`, where of those that do the longest is
        kept.
    """
    if content.name:
        doc.user_data["id"] = content.name
    if content.meta:
        doc.user_data["meta"] = content.meta
    if content.cats is not None:
        doc.cats = dict(content.cats)
    if content.sentences is not None:
        _mark_sentences(doc, set(content.sentences))
    characters = Characters(doc)
    placed: list[tuple[TextMention, Span]] = []
    for mention in content.mentions:
        span = char_span(
            characters, mention.start, mention.end, report, place, label=mention.label, kb_id=mention.kb_id
        )
        if span is None:
            report.empty_entities.add(f"{place} {mention.label}")
        else:
            placed.append((mention, span))
    if spans_key is None:
        by_id = _write_entities(doc, placed, report, place)
    else:
        by_id = _write_spans(doc, placed, spans_key, report, place)
    if content.relations is not None:
        _write_relations(doc, content, by_id, report, place)
    return doc


def _mark_sentences(doc: Doc, first: set[int]) -> None:
    # All at once: setting `token.is_sent_start` looks at every token of the Doc each time.
    starts: Any = np.array([[1 if not token.i or token.idx in first else -1] for token in doc], dtype="int64")
    if len(doc):
        doc.from_array(["SENT_START"], starts.astype("uint64"))


def _write_entities(
    doc: Doc, placed: list[tuple[TextMention, Span]], report: ConversionReport, place: str
) -> dict[str, Span]:
    set_entities(doc, [span for _, span in placed], report, place)
    entities = {(span.start, span.end): span for span in doc.ents}
    by_id: dict[str, Span] = {}
    for mention, span in placed:
        entity = entities.get((span.start, span.end))
        if entity is None:
            continue
        by_id.setdefault(mention.id, entity)
        if mention.score is not None and entity.label_ == mention.label:
            set_score(entity, mention.score)
    return by_id


def _write_spans(
    doc: Doc, placed: list[tuple[TextMention, Span]], spans_key: str, report: ConversionReport, place: str
) -> dict[str, Span]:
    spans: dict[tuple[int, int, str], Span] = {}
    scores: dict[tuple[int, int, str], float | None] = {}
    by_id: dict[str, Span] = {}
    for mention, span in placed:
        key = (span.start, span.end, mention.label)
        if key in spans:
            report.repeated_mentions.add(f"{place} {shown(span.text)!r} {mention.label}")
        by_id.setdefault(mention.id, spans.setdefault(key, span))
        scores.setdefault(key, mention.score)
    known = [score for score in scores.values() if score is not None]
    if spans and len(known) == len(spans):
        write_scored_spans(doc, spans_key, list(spans.values()), known)
        return by_id
    doc.spans[spans_key] = SpanGroup(doc, name=spans_key, spans=list(spans.values()))
    for key, span in spans.items():
        if (score := scores[key]) is not None:
            set_score(span, score)
    return by_id


def _write_relations(
    doc: Doc, content: AnnotatedText, by_id: dict[str, Span], report: ConversionReport, place: str
) -> None:
    """As `write_relations`: where there are relations and none can be written, the Doc stays without annotation."""
    named = {mention.id for mention in content.mentions}
    relations: list[Relation] = []
    seen: set[tuple[int, int, str, int, int, str, str]] = set()
    for item in content.relations or ():
        head, tail = by_id.get(item.head), by_id.get(item.tail)
        if item.head not in named or item.tail not in named:
            report.unknown_ends.add(f"{place} {item.label}")
        elif head is None or tail is None or (head.start, head.end) == (tail.start, tail.end):
            report.lost_relations.add(place)
        else:
            key = (head.start, head.end, head.label_, tail.start, tail.end, tail.label_, item.label)
            if key in seen:
                report.repeated_relations.add(place)
            else:
                relations.append(Relation(head, tail, item.label, 1.0 if item.score is None else item.score))
            seen.add(key)
            continue
        report.dropped_relations[item.label] += 1
    if relations or not content.relations:
        set_relations(doc, relations)


def read_annotations(
    doc: Doc, report: ConversionReport, place: str, *, spans_key: str | None, holds: frozenset[str]
) -> AnnotatedText:
    """What a Doc knows of its text, for a tool; the report counts it, and what the tool's format has no place for.

    spans_key: mentions are those of `doc.spans[spans_key]`; None = `doc.ents`.
    holds: of "cats", "links", "meta", "scores" what the format has a place for.
    """
    content = AnnotatedText(doc.text)
    name, meta = doc.user_data.get("id"), doc.user_data.get("meta")
    content.name = str(name) if isinstance(name, str | int) else ""
    if isinstance(meta, dict) and "meta" in holds:
        content.meta = {str(key): value for key, value in meta.items()}
    elif meta:
        report.not_carried["meta"] += 1
    by_place: dict[tuple[int, int, str | None], str] = {}
    seen: set[tuple[int, int, str]] = set()
    for span, score in _scored_spans(doc, spans_key):
        key = (span.start, span.end, span.label_)
        if not span.text.strip():
            report.empty_entities.add(f"{place} {span.label_}")
            continue
        if key in seen:
            report.repeated_mentions.add(f"{place} {shown(span.text)!r} {span.label_}")
            continue
        seen.add(key)
        if not span.label_:
            report.not_carried["mentions without label"] += 1
            continue
        if span.kb_id_ and "links" not in holds:
            report.not_carried["links"] += 1
        if score is not None and "scores" not in holds:
            report.not_carried["scores of mentions"] += 1
            score = None
        mention = TextMention(
            str(len(content.mentions)), span.start_char, span.end_char, span.label_, span.kb_id_, score
        )
        content.mentions.append(mention)
        by_place[key] = mention.id
        by_place.setdefault((span.start, span.end, None), mention.id)
        report.entities[span.label_] += 1
    if has_annotation(doc, RELATIONS):
        content.relations = list(_read_relations(doc, by_place, report, place, scores="scores" in holds))
        report.relations.update(relation.label for relation in content.relations)
        report.unrelated += not content.relations
    if doc.cats and "cats" in holds:
        content.cats = {str(label): float(value) for label, value in doc.cats.items()}
        report.cats.update(label for label, value in content.cats.items() if value >= CHOSEN_FROM)
    elif doc.cats:
        report.not_carried["categories"] += len(doc.cats)
    for kind, count in _other_annotations(doc, seen).items():
        if count:
            report.not_carried[kind] += count
    report.documents += 1
    report.tokens += len(doc)
    return content


def _scored_spans(doc: Doc, spans_key: str | None) -> Iterator[tuple[Span, float | None]]:
    if spans_key is None:
        yield from ((span, get_score(span)) for span in doc.ents)
        return
    group = doc.spans.get(spans_key, SpanGroup(doc))
    scores = group.attrs.get("scores", ())
    for index, span in enumerate(group):
        yield span, float(scores[index]) if len(scores) == len(group) else get_score(span)


def _read_relations(
    doc: Doc, by_place: dict[tuple[int, int, str | None], str], report: ConversionReport, place: str, *, scores: bool
) -> Iterator[TextRelation]:
    for relation in get_relations(doc):
        ends = []
        for span in (relation.head, relation.tail):
            key = (span.start, span.end, span.label_ or None)
            ends.append(by_place.get(key) or by_place.get((span.start, span.end, None)))
        head, tail = ends
        if head is None or tail is None:
            report.unknown_ends.add(f"{place} {relation.label}")
            report.dropped_relations[relation.label] += 1
            continue
        score = None if relation.score == 1 else relation.score  # gold annotation has 1
        if score is not None and not scores:
            report.not_carried["scores of relations"] += 1
            score = None
        yield TextRelation(head, tail, relation.label, score)


def _other_annotations(doc: Doc, written: Container[tuple[int, int, str]]) -> dict[str, int]:
    """What no tool takes from us, and how much of it there is.

    written: the mentions that it does take: a span that is one of them is no loss, whatever its key.
    """

    def lost(spans: Iterable[Span]) -> int:
        return sum((span.start, span.end, span.label_) not in written for span in spans)

    found = {f"doc.spans[{key!r}]": lost(group) for key, group in doc.spans.items()}
    found["doc.ents"] = lost(doc.ents)
    found["questions"] = len(get_questions(doc))
    found["answers"] = len(get_answers(doc))
    found["choices"] = len(get_choices(doc))
    found["chosen options"] = len(get_chosen(doc))
    found["entities with types"] = len(typed_spans(doc))
    found["entities with candidates of links"] = sum(bool(get_linked_entities(span)) for span in doc.ents)
    found["tags of tokens"] = sum(get_tag(token) is not None for token in doc)
    return found
