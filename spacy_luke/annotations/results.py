"""All results in a Doc as plain data: see `to_dict`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from spacy.tokens import Doc, Span, SpanGroup

from ..errors import LukeError
from .choices import get_choices, get_chosen
from .entities import get_entity_type_scores, get_entity_types, get_link, get_score, get_tag, linked_spans, typed_spans
from .questions import get_answers, get_questions
from .relations import get_relations
from .store import (
    ANSWERS,
    CHOICES,
    CHOSEN,
    ENTITY_TYPES,
    LINKED_ENTITIES,
    LUKE_TAG,
    QUESTIONS,
    RELATIONS,
    is_stored,
    plain_number,
    span_record,
)

Record = dict[str, Any]


def to_dict(doc: Doc) -> Record:
    """The results in a Doc as dicts, lists, strings and numbers, which `json.dumps` takes.

    A key is there if the Doc is annotated with it, and its list is empty if nothing was found:

    - `text`: that of the Doc, always there. `start` and `end`, wherever they stand, count its characters (code points),
      half-open; the `text` beside them is what they cut out.
    - `entities`: `start`, `end`, `text`, `label`, `kb_id`, `score`, for `doc.ents`; a link to none ("NIL") is
      null.
    - `spans`: the same by their key in `doc.spans`.
    - `tags`: `start`, `end`, `text`, `tag`, for tokens with `token._.luke_tag`.
    - `types`: `start`, `end`, `text`, `types`, `scores` (label -> probability), for spans with `span._.entity_types`.
    - `links`: `start`, `end`, `text`, `candidates` (`id`, `score`; best first), for spans with
      `span._.linked_entities`.
    - `relations`: `head` and `tail` (`start`, `end`, `text`, `label`), `label`, `score`.
    - `questions`: strings.
    - `answers`: `question`, `start`, `end`, `text`, `score`, `logit`; without answer, the first three of an answer are
      null, null and "".
    - `choices`: `question`, `options`.
    - `chosen`: `question`, `number`, `index`, `text`, `score`, `logit`.
    - `cats`: label -> probability.

    A score is a probability in [0, 1], a logit any number. null stands for what there is not: a label, a link, the
    score of what was not predicted, the logit of gold annotation. Vectors are not in it.

    L070 for anything but a Doc.
    """
    if not isinstance(doc, Doc):
        raise LukeError("L070", attribute="to_dict", value=doc, wanted="a Doc")
    found: Record = {"text": doc.text}
    if doc.has_annotation("ENT_IOB"):
        found["entities"] = [_labelled(ent, get_score(ent)) for ent in doc.ents]
    if doc.spans:
        found["spans"] = {key: _group(group) for key, group in doc.spans.items()}
    for name, key, records in _OF_ANNOTATION:
        if is_stored(doc, name):
            found[key] = records(doc)
    if doc.cats:
        found["cats"] = {str(label): plain_number(score) for label, score in doc.cats.items()}
    return found


def _labelled(span: Span, score: float | None) -> Record:
    return {
        **span_record(span),
        "label": span.label_ or None,
        "kb_id": get_link(span) or None,
        "score": plain_number(score),
    }


def _group(group: SpanGroup) -> list[Record]:
    """The spans under a key, with the scores that luke_ner and spaCy's spancat give them."""
    scores: Sequence[Any] = group.attrs.get("scores", ())
    known = scores if len(scores) == len(group) else [None] * len(group)
    return [_labelled(span, score) for span, score in zip(group, known, strict=True)]


def _tags(doc: Doc) -> list[Record]:
    tagged = ((doc[token.i : token.i + 1], get_tag(token)) for token in doc)
    return [{**span_record(span), "tag": tag} for span, tag in tagged if tag is not None]


def _types(doc: Doc) -> list[Record]:
    return [
        {**span_record(span), "types": list(get_entity_types(span)), "scores": get_entity_type_scores(span)}
        for span in typed_spans(doc)
    ]


def _links(doc: Doc) -> list[Record]:
    return [
        {**span_record(span), "candidates": [{"id": kb_id, "score": score} for kb_id, score in links]}
        for span, links in linked_spans(doc)
    ]


# Annotation, key, records.
_OF_ANNOTATION: Sequence[tuple[str, str, Callable[[Doc], list[Any]]]] = (
    (LUKE_TAG, "tags", _tags),
    (ENTITY_TYPES, "types", _types),
    (LINKED_ENTITIES, "links", _links),
    (RELATIONS, "relations", lambda doc: [relation.to_dict() for relation in get_relations(doc)]),
    (QUESTIONS, "questions", lambda doc: list(get_questions(doc))),
    (ANSWERS, "answers", lambda doc: [answer.to_dict() for answer in get_answers(doc)]),
    (CHOICES, "choices", lambda doc: [choices.to_dict() for choices in get_choices(doc)]),
    (CHOSEN, "chosen", lambda doc: [choice.to_dict() for choice in get_chosen(doc)]),
)

# All keys of a record.
KEYS = ("text", "entities", "spans", *(key for _, key, _ in _OF_ANNOTATION), "cats")
