"""A pipeline whose results are known: it finds names, and does what a text says. Given to the command as --code."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span

from spacy_luke import Answer, Relation
from spacy_luke.annotations import get_questions, set_answers, set_entity_types, set_relations, set_score

# Name -> label, probability
NAMES = {"Ada": ("PER", 0.9), "Babbage": ("PER", 0.7), "London": ("LOC", 0.4)}
# Texts with "WAIT" wait until it is set.
may_go_on = threading.Event()
may_go_on.set()


@Language.component("names", assigns=["doc.ents"])
def names(doc: Doc) -> Doc:
    if "RAISE" in doc.text:
        raise RuntimeError("what the text says")
    if "WAIT" in doc.text and not may_go_on.wait(30):
        raise RuntimeError("nobody let it go on")
    if "SLEEP" in doc.text:
        time.sleep(2)
    doc.set_ents([Span(doc, token.i, token.i + 1, NAMES[token.text][0]) for token in doc if token.text in NAMES])
    for ent in doc.ents:
        set_score(ent, NAMES[ent.text][1])
    return doc


@Language.component("relations", requires=["doc.ents"])
def relations(doc: Doc) -> Doc:
    ents = list(doc.ents)
    set_relations(doc, [Relation(a, b, "met", 0.6) for a, b in pairwise(ents)])
    for ent in ents:
        set_entity_types(ent, ["person", "scientist"])
    return doc


@Language.component("answers")
def answers(doc: Doc) -> Doc:
    first = doc.ents[0] if doc.ents else None
    set_answers(doc, [Answer(question, first, score=0.8, logit=1.0) for question in get_questions(doc)])
    return doc


def make_pipeline() -> Language:
    nlp = spacy.blank("en")
    nlp.meta["name"], nlp.meta["version"] = "rules", "1.2.3"
    for name in ("sentencizer", "names", "relations", "answers"):
        nlp.add_pipe(name)
    return nlp
