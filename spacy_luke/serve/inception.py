"""INCEpTION's external recommender: suggestions of one layer and feature, with scores.

Protocol: version 1 of https://inception-project.github.io/releases/, appendix "External Recommender", and
inception-imls-external of INCEpTION. A request has a document (UIMA CAS XMI) with its type system, and the answer is
the same document with the predicted annotations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from spacy.language import Language
from spacy.tokens import Doc, Span
from starlette.concurrency import run_in_threadpool

from ..annotations import (
    get_entity_type_scores,
    get_entity_types,
    get_link,
    get_linked_entities,
    get_relations,
    get_score,
)
from ..annotations.store import Characters
from ..converters.inception import HEAD, TAIL, choose_layers, find_label, is_relation, parse_cas
from ..errors import LukeError
from .jobs import Jobs, Text, to_json
from .schema import InceptionRequest

PREDICTED = "inception_internal_predicted"
RELATIONS = "relations"
DOCUMENT = "document.xmi"
# First character, end, value, score
Suggestion = tuple[int, int, str, float | None]


def _label(ent: Span) -> tuple[str, float | None]:
    return ent.label_, get_score(ent)


def _type(ent: Span) -> tuple[str, float | None]:
    best = next(iter(get_entity_types(ent)), "")
    return best, get_entity_type_scores(ent).get(best)


def _link(ent: Span) -> tuple[str, float | None]:
    link = get_link(ent)
    return link, dict(get_linked_entities(ent)).get(link)


# What is suggested for an entity: a value, "" for none, and its score.
RECOMMENDERS: Mapping[str, Callable[[Span], tuple[str, float | None]]] = {
    "entities": _label,
    "types": _type,
    "links": _link,
}


def add_inception(app: FastAPI, jobs: Jobs, nlp: Language) -> None:
    """Add the routes of recommenders, below /inception."""
    # Relations are between spans that people have marked, so nothing else may say which entities there are.
    finders = {name for name in nlp.pipe_names if "doc.ents" in nlp.get_pipe_meta(name).assigns}
    others = [name for name in nlp.pipe_names if name not in finders]

    @app.post("/inception/{recommender}/predict", tags=["INCEpTION"])
    async def predict(request: Request, recommender: str, body: InceptionRequest) -> Response:
        """Predict `entities`, `types` or `links` for a layer of spans, or `relations` between its spans for a layer of
        relations.
        """
        known = [*RECOMMENDERS, RELATIONS]
        if recommender not in known:
            raise LukeError("L047", setting="recommender", value=recommender, reason=f"there are {', '.join(known)}")
        cas = await run_in_threadpool(parse_cas, body.document.xmi, DOCUMENT, body.typeSystem)
        layer, feature = find_layer(cas, body.metadata.layer, body.metadata.feature)
        if recommender == RELATIONS:
            spans = marked_spans(cas, layer)
            ends = [(span.begin, span.end, label) for span, label in spans]
            row = Text(1, cas.sofa_string, entities=ends)
            found = await jobs.annotate(request, [row], lambda docs: list(_relations(docs[0], ends)), others)
            made = [
                make_relation(layer, feature, spans[head][0], spans[tail][0], *value) for head, tail, *value in found
            ]
        else:
            value_of = RECOMMENDERS[recommender]
            row = Text(1, cas.sofa_string)
            suggested = await jobs.annotate(request, [row], lambda docs: list(_suggestions(docs, value_of)))
            made = [make_annotation(layer, feature, *one) for one in suggested]

        def write() -> bytes:
            cas.add_all(made)
            return to_json({"document": cas.to_xmi()})

        return Response(await run_in_threadpool(write), media_type="application/json")


def find_layer(cas: Any, layer: str, feature: str) -> tuple[Any, str]:
    """The type of a layer, and its feature; L178 for what the type system does not have."""
    if not isinstance(cas.sofa_string, str):
        raise LukeError("L060", path=DOCUMENT, line=1, reason="its CAS has no text")
    if not cas.typesystem.contains_type(layer):
        names = sorted(one.name for one in cas.typesystem.get_types())
        raise LukeError("L178", path=DOCUMENT, what="layer", name=layer, known=", ".join(names))
    found = cas.typesystem.get_type(layer)
    features = _features(found)
    for name in (feature, PREDICTED):
        if name not in features:
            known = ", ".join(sorted(features))
            raise LukeError("L178", path=DOCUMENT, what=f"feature of {layer}", name=name, known=known)
    return found, feature


def _features(layer: Any) -> set[str]:
    return {feature.name for feature in layer.all_features}


def marked_spans(cas: Any, relation_layer: Any) -> list[tuple[Any, str]]:
    """The annotations that a relation may connect, with their labels, in the order of the text. L178 for a layer that
    is none of relations.
    """
    if not is_relation(relation_layer):
        known = "relations have Governor and Dependent"
        raise LukeError("L178", path=DOCUMENT, what="layer of relations", name=relation_layer.name, known=known)
    ends = next(one.rangeType.name for one in relation_layer.all_features if one.name == HEAD)
    known_types = {one.name: one for one in cas.typesystem.get_types()}
    spans = []
    for name in choose_layers(DOCUMENT, known_types, None):
        if is_relation(known_types[name]) or not cas.typesystem.subsumes(ends, name):
            continue
        label = find_label(DOCUMENT, known_types[name], {})
        spans += [(one, str(getattr(one, label) or "")) for one in cas.select(name) if one.type.name == name]
    return sorted(spans, key=lambda pair: (pair[0].begin, pair[0].end))


def _suggestions(docs: Sequence[Doc], value_of: Callable[[Span], tuple[str, float | None]]) -> Iterator[Suggestion]:
    for ent in docs[0].ents:
        value, score = value_of(ent)
        if value:
            yield ent.start_char, ent.end_char, value, score


def _relations(doc: Doc, marked: Sequence[tuple[int, int, str]]) -> Iterator[tuple[int, int, str, float]]:
    """Relations between marked spans, by their numbers: head, tail, label, score."""
    characters = Characters(doc)
    numbers: dict[tuple[int, int], int] = {}
    for number, (start, end, _) in enumerate(marked):
        span = characters.span(start, end)
        if span is not None:
            numbers.setdefault((span.start, span.end), number)
    for relation in get_relations(doc):
        head, tail = (numbers.get((span.start, span.end)) for span in (relation.head, relation.tail))
        if head is not None and tail is not None:
            yield head, tail, relation.label, relation.score


def make_annotation(
    layer: Any, feature: str, begin: int, end: int, value: str, score: float | None, **more: Any
) -> Any:
    """A predicted annotation. INCEpTION's types have a feature for the score of each feature."""
    values = {"begin": begin, "end": end, feature: value, PREDICTED: True, **more}
    if score is not None and f"{feature}_score" in _features(layer):
        values[f"{feature}_score"] = score
    return layer(**values)


def make_relation(layer: Any, feature: str, head: Any, tail: Any, label: str, score: float) -> Any:
    """A predicted relation, which is where its tail is."""
    return make_annotation(layer, feature, tail.begin, tail.end, label, score, **{HEAD: head, TAIL: tail})
