"""Relations: by the characters of the head, a list of [distance to the tail, length of the tail, label, score, label of
the head, label of the tail]. A Doc without any has an empty list at its start, which goes where relations go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from spacy.tokens import Doc, Span

from ..errors import LukeError
from .store import (
    RELATIONS,
    Characters,
    by_span,
    check_score,
    check_span,
    clear,
    data_of,
    key_of,
    labelled,
    listed,
    plain_number,
    span_record,
)


@dataclass(frozen=True)
class Relation:
    """A labelled relation between two spans of a Doc.

    head, tail: as read from a Doc, its entities of these tokens and labels, with their links; other spans have none.
    score: probability in [0, 1]; 1 for gold annotation.
    """

    head: Span
    tail: Span
    label: str
    score: float = 1.0

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain data; see `spacy_luke.to_dict`."""
        head, tail = ({**span_record(span), "label": span.label_ or None} for span in (self.head, self.tail))
        return {"head": head, "tail": tail, "label": self.label, "score": plain_number(self.score)}

    toDict = to_dict  # the name by which srsly asks for JSON, and with it `Doc.to_json`


def get_relations(doc: Doc) -> tuple[Relation, ...]:
    """The relations of a Doc, ordered by head, then tail; () if there are none or the Doc is not annotated.

    Relations with a span outside the Doc, as in a part of a longer one, are left out.
    """
    found = []
    characters = Characters(doc)
    entities = {(ent.start, ent.end, ent.label_): ent for ent in doc.ents}

    def mention(span: Span, label: str) -> Span:
        return entities.get((span.start, span.end, label)) or labelled(span, label)

    for start, end, values in by_span(doc, RELATIONS):
        head = characters.span(start, end)
        for distance, length, label, score, head_label, tail_label in values:
            tail = characters.span(start + distance, start + distance + length)
            if head is not None and tail is not None:
                found.append(Relation(mention(head, head_label), mention(tail, tail_label), label, score))
    found.sort(key=lambda r: (r.head.start, r.head.end, r.tail.start, r.tail.end))
    return tuple(found)


def set_relations(doc: Doc, relations: Iterable[Relation | tuple[Any, ...]] | None) -> None:
    """Replace the relations of a Doc; None removes the annotation.

    relations: `Relation`s, or tuples (head, tail, label) or (head, tail, label, score), of spans of this Doc.
    """
    checked = None if relations is None else [_relation(doc, item) for item in listed(relations, "doc._.relations")]
    clear(doc, RELATIONS)
    if checked is not None and not checked:
        data_of(doc)[key_of(RELATIONS, 0, 0)] = []  # annotated, with none found
    for relation in checked or ():
        head, tail = relation.head, relation.tail
        data_of(doc).setdefault(key_of(RELATIONS, head.start_char, head.end_char), []).append(
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
    check_score(item.score, "doc._.relations")
    return item
