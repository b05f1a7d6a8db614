"""Weights that a component loads when it is first used outlive the memory zone that it was used in."""

from __future__ import annotations

from typing import Any

import pytest
from spacy.lang.en import English
from spacy.language import Language
from spacy.tokens import Doc

from spacy_luke import default_model

from .every_component import QUESTION, blank, written

pytestmark = pytest.mark.filterwarnings("ignore:.*W0(01|26)", "ignore:.*W002")
FIRST = "Berlin is a city, says person PER in Germany ."
TEXT = "Angela Merkel met Barack Obama in Berlin. Grace Hopper worked for IBM in Philadelphia."
BARE = [path.name for path in sorted(default_model.bundled_pipeline().glob("luke_*"))]


def asked(nlp: Language, text: str) -> Doc:
    """A Doc with entities for the components that need them."""
    doc = nlp.make_doc(text)
    doc._.questions = [QUESTION]
    spans = [doc.char_span(text.find(name), text.find(name) + 6, "LOC") for name in ("Berlin",)]
    doc.ents = [span for span in spans if span is not None]
    return doc


def test_the_box_has_all_components_that_load_by_themselves() -> None:
    assert {"luke_ner", "luke_entity_linker", "luke_entity_typer", "luke_relations", "luke_qa"} <= set(BARE)


@pytest.mark.parametrize("factory", BARE)
def test_a_component_first_used_in_a_zone(factory: str) -> None:
    usual = blank(factory)
    expected = [written(usual(asked(usual, text))) for text in (FIRST, TEXT)]
    nlp = blank(factory)
    with nlp.memory_zone():
        assert written(nlp(asked(nlp, FIRST))) == expected[0]
    assert [written(nlp(asked(nlp, text))) for text in (FIRST, TEXT)] == expected
    with nlp.memory_zone():
        assert written(nlp(asked(nlp, TEXT))) == expected[1]
    other = English.from_config(nlp.config).from_bytes(nlp.to_bytes())
    assert [written(other(asked(other, text))) for text in (FIRST, TEXT)] == expected
    assert all(label in nlp.vocab.strings for label in _new(nlp.get_pipe(factory).label_data))  # type: ignore[attr-defined]


def _new(labels: Any) -> list[str]:
    """Labels that no text of the zone had as a word."""
    return [label for label in labels or () if label not in FIRST.split()]


def test_every_component_at_once() -> None:
    usual, nlp = blank(*BARE), blank(*BARE)
    expected = written(usual(asked(usual, TEXT)))
    with nlp.memory_zone():
        assert written(nlp(asked(nlp, TEXT))) == expected
    assert written(nlp(asked(nlp, TEXT))) == expected


def test_a_knowledge_base_of_the_zone_tells_its_entities_after_it() -> None:
    """Its entities and aliases have been words of the zone before it was loaded."""
    usual, nlp = blank("luke_entity_linker"), blank("luke_entity_linker")
    usual(asked(usual, FIRST))
    with nlp.vocab.memory_zone():
        nlp(asked(nlp, FIRST))
    kb, expected = nlp.get_pipe("luke_entity_linker").kb, usual.get_pipe("luke_entity_linker").kb  # type: ignore[attr-defined]
    assert sorted(kb.get_entity_strings()) == sorted(expected.get_entity_strings())
    assert sorted(kb.get_alias_strings()) == sorted(expected.get_alias_strings())
    assert "Warsaw" in kb.get_alias_strings()
