"""Docs that a person annotated."""

from __future__ import annotations

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc

import spacy_luke  # noqa: F401  (registers doc._.relations)


@pytest.fixture(scope="session")
def nlp() -> Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    return nlp


def annotate(nlp: Language, text: str, ents: dict[str, str], relations: list[tuple[str, str, str, float]]) -> Doc:
    """A Doc with the first occurrences of these texts as entities, and relations between them."""
    doc = nlp(text)
    spans = {
        words: doc.char_span(text.index(words), text.index(words) + len(words), label=label)
        for words, label in ents.items()
    }
    doc.ents = list(spans.values())
    doc._.relations = [(spans[head], spans[tail], label, score) for head, tail, label, score in relations]
    return doc


@pytest.fixture
def curie(nlp) -> Doc:
    return annotate(
        nlp,
        "Marie Curie was born in Warsaw and worked in Paris with Pierre Curie.",
        {"Marie Curie": "PERSON", "Warsaw": "GPE", "Paris": "GPE", "Pierre Curie": "PERSON"},
        [
            ("Marie Curie", "Warsaw", "born_in", 0.97),
            ("Marie Curie", "Pierre Curie", "spouse", 0.41),
            ("Marie Curie", "Pierre Curie", "colleague", 0.83),
            ("Pierre Curie", "Marie Curie", "spouse", 0.52),
        ],
    )


@pytest.fixture
def three(nlp) -> Doc:
    return annotate(
        nlp,
        "Ada met Charles. He built an engine. Later, Cambridge honoured Babbage.",
        {"Ada": "PERSON", "Charles": "PERSON", "engine": "PRODUCT", "Cambridge": "ORG", "Babbage": "PERSON"},
        [
            ("Ada", "Charles", "met", 0.91),
            ("Charles", "engine", "built", 0.82),
            ("Cambridge", "Ada", "honoured", 0.73),
        ],
    )
