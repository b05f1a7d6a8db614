"""Every component with a tiny random checkpoint of its own, and all that they write into a Doc."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span
from transformers import LukeForEntitySpanClassification

import spacy_luke
from tests.pipeline.entity_linker.model import make_kb, write_linker
from tests.pipeline.entity_markers.model import ENTITY, PAIR, write_checkpoint
from tests.pipeline.multiple_choice.model import CHOICES, write_chooser
from tests.pipeline.qa.model import write_qa_checkpoint
from tests.pipeline.textcat.model import write_classifier
from tests.pipeline.token_classifier.model import BILUO, write_tagger
from tests.util import luke_config, randomise, write_luke

TEXT = "Ada Lovelace met Charles Babbage in London. Élodie O'Neil  moved to São Paulo (1066), they don't know why."
QUESTION = "Who met Babbage?"


def write_ner(folder: Path) -> None:
    labels = dict(enumerate(["NIL", "LOC", "ORG", "PER"]))
    names = {"id2label": labels, "label2id": {label: i for i, label in labels.items()}}
    write_luke(folder, randomise(LukeForEntitySpanClassification(luke_config(**names))))


WRITERS: dict[str, Callable[[Path], Any]] = {
    "luke_encoder": write_luke,
    "luke_ner": write_ner,
    "luke_relations": lambda folder: write_checkpoint(folder, PAIR),
    "luke_entity_typer": lambda folder: write_checkpoint(folder, ENTITY),
    "luke_token_classifier": lambda folder: write_tagger(folder, "luke", BILUO),
    "luke_textcat": lambda folder: write_classifier(folder, "luke"),
    "luke_multiple_choice": lambda folder: write_chooser(folder, "luke"),
    "luke_qa": write_qa_checkpoint,
    "luke_entity_linker": write_linker,
}
FACTORIES = tuple(WRITERS)


def open_component(factory: str, folder: Path, **config: Any) -> tuple[Language, Any]:
    """A pipeline that runs the checkpoint in a folder, which is written first, and its component."""
    if not folder.exists():
        WRITERS[factory](folder)
    nlp = spacy_luke.from_checkpoint(folder, config=config)
    pipe: Any = nlp.get_pipe(factory)
    if factory == "luke_entity_linker":
        pipe.set_kb(make_kb)
    return nlp, pipe


def asked(nlp: Language, text: str = TEXT) -> Doc:
    """A Doc that has something to do for every component."""
    doc = nlp.make_doc(text)
    doc._.questions = [QUESTION]
    doc._.choices = CHOICES
    found = [(doc.text.find(name), name, label) for name, label in (("Ada Lovelace", "PER"), ("London", "LOC"))]
    spans = [doc.char_span(start, start + len(name), label) for start, name, label in found if start >= 0]
    doc.ents = [span for span in spans if span is not None]
    return doc


def written(doc: Doc) -> list[Any]:
    """All that components have written, to the last bit."""
    return [
        [_entity(ent) for ent in doc.ents],
        [(r.head.start, r.tail.start, r.label, r.score) for r in doc._.relations],
        [(answer.text, answer.start_char, answer.score, answer.logit) for answer in doc._.answers],
        [(choice.index, choice.score, choice.logit) for choice in doc._.chosen],
        dict(doc.cats),
        [token._.luke_tag for token in doc],
        doc.tensor.tobytes(),
        {key: list(group.attrs.get("scores", ())) for key, group in doc.spans.items()},
    ]


def _entity(ent: Span) -> tuple[Any, ...]:
    vector = ent._.entity_vector
    types = ent._.entity_types, ent._.entity_type_scores
    kept = None if vector is None else vector.tobytes()
    return ent.start, ent.end, ent.label_, ent.kb_id_, ent._.score, types, ent._.linked_entities, kept


def blank(*factories: str, **config: Any) -> Language:
    """English with sentences and components that nobody gave weights."""
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    for factory in factories:
        nlp.add_pipe(factory, config=config)
    return nlp
