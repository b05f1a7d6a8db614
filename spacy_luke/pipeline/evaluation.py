"""Scores of components on annotated Docs, and how many of these have gold annotation for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.scorer import Scorer
from spacy.tokens import Doc
from spacy.training import Example
from thinc.util import convert_recursive

from ..annotations import (
    LUKE_TAG,
    RELATIONS,
    get_answers,
    get_chosen,
    get_entity_labels,
    has_annotation,
    typed_spans,
)
from ..errors import LukeError, warn
from ..progress import track
from .entity_linker.component import LukeEntityLinker
from .entity_typer.component import LukeEntityTyper
from .multiple_choice.component import LukeMultipleChoice
from .ner.component import LukeNER
from .qa.component import LukeQA
from .relations.candidates import EntityPairs
from .relations.component import LukeRelations
from .textcat.component import LukeTextCategorizer
from .token_classifier.component import LukeTokenClassifier
from .token_classifier.gold import ENTS


@dataclass(frozen=True)
class ComponentScores:
    """Scores of a component.

    name: of the component. scores: as its scorer gives them.
    gold: what it predicts, as references are annotated with it, in a word.
    gold_docs: how many references are; None for a component of another package, of which that is not known.
    """

    name: str
    scores: dict[str, Any]
    gold: str = "annotation"
    gold_docs: int | None = None

    @property
    def has_gold(self) -> bool:
        """Whether there is anything to score against."""
        if self.gold_docs is None:
            return any(value is not None for value in self.scores.values())
        return self.gold_docs > 0


@dataclass(frozen=True)
class Evaluation:
    """Scores of a pipeline.

    not_run: components that find entities, where gold ones were given.
    words: tokens of the predicted Docs. speed: of them, how many a second, with tokenization.
    """

    components: Sequence[ComponentScores]
    not_run: Sequence[str]
    docs: int
    words: int
    speed: float


def evaluate(
    nlp: Language, examples: Sequence[Example], names: Sequence[str] = (), *, gold_entities: bool = False
) -> Evaluation:
    """Run a pipeline and score components, each with its own scorer.

    examples: predicted Docs as the pipeline gets them, which are left as they are; references with gold annotation.
    names: of the components to score, which may be of other packages; default: all of this package, of which L160 if
        there is none.
    gold_entities: predicted Docs have the entities; components that find entities do not run.

    L080 for a name that no component with a scorer has, L161 if nothing is left to score that uses entities. W047 for a
    component whose entities nothing gives, so that it finds nothing.
    """
    names = _to_score(nlp, names)
    not_run = [name for name in nlp.pipe_names if finds_entities(nlp, name)] if gold_entities else []
    scored = [name for name in names if name not in not_run]
    if gold_entities and (not scored or (len(scored) < len(names) and names != _ours(nlp))):
        raise LukeError("L161", components=", ".join(name for name in names if name in not_run))
    if not gold_entities:
        for name in scored:
            if _lacks_entities(nlp, name):
                warn("W047", name=name)
    with nlp.select_pipes(disable=not_run):
        scores, speed = _run_and_score(nlp, examples)
    return Evaluation(
        [_with_gold(nlp, name, scores[name], examples) for name in scored],
        not_run,
        len(examples),
        sum(len(example.predicted) for example in examples),
        speed,
    )


def _run_and_score(nlp: Language, examples: Sequence[Example]) -> tuple[dict[str, Any], float]:
    """Scores by component, and words a second, as `nlp.evaluate` gives them, which does not say how far it is."""
    copies = [Example(example.predicted.copy(), example.reference) for example in examples]
    started = time.perf_counter()
    for example in copies:  # for the time that it takes: what is predicted may start with annotation
        nlp.make_doc(example.reference.text)
    docs = nlp.pipe(example.predicted for example in copies)
    for example, doc in zip(copies, track(docs, "Evaluating", "Docs", len(copies)), strict=True):
        example.predicted = doc
    seconds = time.perf_counter() - started
    scores = Scorer(nlp=nlp).score(copies, per_component=True)
    plain: dict[str, Any] = convert_recursive(lambda value: isinstance(value, np.floating), float, scores)
    return plain, sum(len(example.predicted) for example in copies) / seconds


def finds_entities(nlp: Language, name: str) -> bool:
    """Whether a component writes `doc.ents`."""
    pipe = nlp.get_pipe(name)
    if isinstance(pipe, LukeTokenClassifier):
        return pipe.attribute == ENTS
    return "doc.ents" in nlp.get_pipe_meta(name).assigns


def keys_of_given_spans(nlp: Language) -> list[str]:
    """Keys of `doc.spans` whose spans components classify, in place of entities."""
    keys = set()
    for _, pipe in nlp.pipeline:
        source = pipe.pairs if isinstance(pipe, LukeRelations) else pipe
        if isinstance(source, EntityPairs | LukeEntityTyper) and source.spans_key is not None:
            keys.add(source.spans_key)
    return sorted(keys)


def _gold_entities(pipe: Any, doc: Doc) -> bool:
    if get_entity_labels(doc) == set():
        return False
    return pipe.spans_key in doc.spans if pipe.overlap else doc.has_annotation("ENT_IOB")


def _gold_tags(pipe: Any, doc: Doc) -> bool:
    if pipe.attribute == ENTS:
        return get_entity_labels(doc) != set() and doc.has_annotation("ENT_IOB")
    return has_annotation(doc, LUKE_TAG) if pipe.attribute == LUKE_TAG else doc.has_annotation(pipe.attribute.upper())


# Component, what it predicts, and whether a reference is annotated with that.
_GOLD: Sequence[tuple[type, str, Callable[[Any, Doc], bool]]] = (
    (LukeNER, "entities", _gold_entities),
    (LukeRelations, "relations", lambda _, doc: has_annotation(doc, RELATIONS)),
    (LukeEntityTyper, "entity types", lambda _, doc: bool(typed_spans(doc))),
    (LukeTokenClassifier, "tags", _gold_tags),
    (LukeTextCategorizer, "categories", lambda _, doc: bool(doc.cats)),
    (LukeMultipleChoice, "choices", lambda _, doc: bool(get_chosen(doc))),
    (LukeQA, "answers", lambda _, doc: bool(get_answers(doc))),
    (LukeEntityLinker, "links", lambda _, doc: any(ent.kb_id_ for ent in doc.ents)),
)


def _ours(nlp: Language) -> list[str]:
    return [name for name, pipe in nlp.pipeline if isinstance(pipe, tuple(kind for kind, *_ in _GOLD))]


def _to_score(nlp: Language, names: Sequence[str]) -> list[str]:
    if not names:
        if not (ours := _ours(nlp)):
            raise LukeError("L160", components=", ".join(nlp.pipe_names) or "none")
        return ours
    known = [name for name, pipe in nlp.pipeline if hasattr(pipe, "score")]
    for name in names:
        if name not in known:
            wanted = f"the name of a component with scores; the pipeline has {', '.join(known) or 'none'}"
            raise LukeError("L080", argument="component", value=name, wanted=wanted)
    return [name for name in known if name in names]


def _lacks_entities(nlp: Language, name: str) -> bool:
    """Whether a component classifies entities or spans, which no component before it finds."""
    before = nlp.pipe_names[: nlp.pipe_names.index(name)]
    found = any(finds_entities(nlp, other) or "doc.spans" in nlp.get_pipe_meta(other).assigns for other in before)
    return "doc.ents" in nlp.get_pipe_meta(name).requires and not found


def _with_gold(nlp: Language, name: str, scores: dict[str, Any], examples: Sequence[Example]) -> ComponentScores:
    pipe = nlp.get_pipe(name)
    for kind, gold, is_annotated in _GOLD:
        if isinstance(pipe, kind):
            docs = sum(is_annotated(pipe, example.reference) for example in examples)
            return ComponentScores(name, scores, gold, docs)
    return ComponentScores(name, scores)
