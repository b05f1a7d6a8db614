"""Alias tables count what aliases mean, and are spaCy knowledge bases."""

from __future__ import annotations

import pytest
import spacy
from spacy.kb import InMemoryLookupKB
from spacy.tokens import Doc, Span

from spacy_luke.errors import LukeError
from spacy_luke.knowledge_base import AliasTable, build_candidates, entities_of, load_kb

LINKS = [
    ("Ada", "Ada Lovelace"),
    ("Ada", "Ada Lovelace"),
    ("Ada", "Ada (language)"),
    ("ADA", "American Dental Association"),
    ("Ada", "NIL"),
    ("Bo", ""),
    ("ada", "Ada (language)"),
    ("The  Engine", "Analytical engine"),
    ("Paris", "Paris"),
]


@pytest.fixture
def nlp():
    return spacy.blank("en")


@pytest.fixture
def table(nlp) -> AliasTable:
    table = AliasTable()
    assert table.add(linked(nlp, LINKS)) == 7
    return table


def linked(nlp, links) -> Doc:
    """A Doc of nothing but linked entities; each space is a token."""
    words = [word for text, _ in links for word in text.split(" ")]
    doc = Doc(nlp.vocab, words=[word or " " for word in words], spaces=[word != "" for word in words])
    spans, start = [], 0
    for text, kb_id in links:
        end = start + len(text.split(" "))
        spans.append(Span(doc, start, end, "X", kb_id=kb_id))
        start = end
    doc.ents = spans
    return doc


def priors(kb, alias: str) -> dict[str, float]:
    return {c.entity_: round(c.prior_prob, 4) for c in kb.get_alias_candidates(alias)}


def test_links_are_counted_by_alias_with_single_spaces(table) -> None:
    assert table.counts == {
        "Ada": {"Ada Lovelace": 2, "Ada (language)": 1},
        "ADA": {"American Dental Association": 1},
        "ada": {"Ada (language)": 1},
        "The Engine": {"Analytical engine": 1},
        "Paris": {"Paris": 1},
    }
    assert table.entities.most_common(1) == [("Ada Lovelace", 2)]


def test_priors_are_shares_of_the_links_of_an_alias(table, nlp) -> None:
    kb = table.to_kb(nlp.vocab)
    assert priors(kb, "Ada") == {"Ada Lovelace": 0.6667, "Ada (language)": 0.3333}
    assert entities_of(kb) == sorted(table.entities)
    assert {c.entity_: c.entity_freq for c in kb.get_alias_candidates("Ada")} == {
        "Ada Lovelace": 2,
        "Ada (language)": 2,
    }


def test_an_alias_in_lower_case_is_added_unless_it_was_seen(table, nlp) -> None:
    kb = table.to_kb(nlp.vocab)
    assert priors(kb, "ada") == {"Ada (language)": 1.0}
    assert priors(kb, "the engine") == {"Analytical engine": 1.0}
    assert priors(table.to_kb(nlp.vocab, lowercase=False), "the engine") == {}
    both = AliasTable()
    both.add(linked(nlp, [("ADA", "A"), ("Ada", "B")]))
    assert priors(both.to_kb(nlp.vocab), "ada") == {"A": 0.5, "B": 0.5}


def test_rare_links_and_entities_are_left_out_and_priors_stay(table, nlp) -> None:
    kb = table.to_kb(nlp.vocab, min_count=2)
    assert priors(kb, "Ada") == {"Ada Lovelace": 0.6667}
    assert entities_of(kb) == ["Ada Lovelace"]
    assert priors(table.to_kb(nlp.vocab, max_candidates=1), "Ada") == {"Ada Lovelace": 0.6667}
    assert entities_of(table.to_kb(nlp.vocab, min_entity_count=2)) == ["Ada (language)", "Ada Lovelace"]


def test_entities_may_have_vectors(table, nlp) -> None:
    kb = table.to_kb(nlp.vocab, vectors={entity: [1.0, len(entity)] for entity in table.entities})
    assert kb.get_vector("Paris") == [1.0, 5.0]


def test_a_mention_is_looked_up_as_it_is_written_then_in_lower_case(table, nlp) -> None:
    kb = table.to_kb(nlp.vocab)
    doc = linked(nlp, [("ADA", ""), ("PARIS", ""), ("THE  ENGINE", ""), ("Rome", "")])
    names = [[c.entity_ for c in build_candidates()(kb, ent)] for ent in doc.ents]
    assert names == [["American Dental Association"], ["Paris"], ["Analytical engine"], []]
    exact = [len(list(build_candidates(lowercase=False)(kb, ent))) for ent in doc.ents]
    assert exact == [1, 0, 0, 0]


def test_a_knowledge_base_is_loaded_from_a_folder_or_a_function(table, nlp, tmp_path) -> None:
    table.to_kb(nlp.vocab).to_disk(tmp_path / "kb")
    other = spacy.blank("en").vocab
    for loader in (
        tmp_path / "kb",
        str(tmp_path / "kb"),
        spacy.registry.misc.get("spacy.KBFromFile.v1")(tmp_path / "kb"),
    ):
        assert priors(load_kb(loader, other, "linker"), "Paris") == {"Paris": 1.0}


@pytest.mark.parametrize("loader", ["/nowhere", lambda vocab: None, None])
def test_what_is_none_raises_l086(nlp, loader) -> None:
    with pytest.raises(LukeError, match=r"L086.*'linker'"):
        load_kb(loader, nlp.vocab, "linker")


def test_an_empty_one_raises_l087(nlp) -> None:
    with pytest.raises(LukeError, match="L087"):
        load_kb(lambda vocab: InMemoryLookupKB(vocab, 1), nlp.vocab, "linker")
