"""Scores of links, counted by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import spacy
from spacy.pipeline.entity_linker import entity_linker_score
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_luke.pipeline.entity_linker.scorer import build_entity_linker_scorer

NLP = spacy.blank("en")
score = build_entity_linker_scorer()


def make_doc(links: Sequence[str | None], words: Sequence[str] = ("Ada", "met", "Bo", "in", "Rome", "today")) -> Doc:
    """links: kb_id of each word that is an entity, "" for an entity without one, None for no entity."""
    doc = Doc(NLP.vocab, words=list(words))
    found = enumerate(links)
    doc.ents = [Span(doc, i, i + 1, "PER" if i < 3 else "LOC", kb_id=k) for i, k in found if k is not None]
    return doc


def example(cand: Sequence[str | None], gold: Sequence[str | None]) -> Example:
    return Example(make_doc(cand), make_doc(gold))


def test_links_are_counted_with_and_without_nil() -> None:
    scores = score(
        [
            #        right, wrong, nothing there, missing,     NIL for NIL
            example(["Q1", None, "Q9", None, "NIL", "NIL"], ["Q1", None, "Q2", None, "Q3", "NIL"]),
            # wrong for NIL
            example(["Q1", None, None, None, None, None], ["NIL", None, None, None, None, None]),
        ]
    )
    assert scores["nel_in_kb_acc"] == pytest.approx(1 / 3)
    assert scores["nel_acc"] == pytest.approx(2 / 5)
    assert (scores["nel_micro_p"], scores["nel_micro_r"]) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert set(scores["nel_f_per_type"]) == {"PER", "LOC"}


def test_scores_are_those_of_spacy_where_all_is_annotated() -> None:
    examples = [example(["Q1", None, "Q9", None, "NIL"], ["Q1", None, "Q2", None, "Q3"])]
    theirs = entity_linker_score(examples)
    ours = score(examples)
    assert {name: ours[name] for name in theirs if "desc" not in name} == {
        name: value for name, value in theirs.items() if "desc" not in name
    }


def test_entities_without_annotation_and_entities_that_were_not_found_do_not_count() -> None:
    scores = score([example(["Q1", None, "Q7", "Q8"], ["Q1", None, "", None, "Q3"])])
    assert scores["nel_acc"] == scores["nel_in_kb_acc"] == scores["nel_micro_f"] == 1.0


def test_an_entity_without_link_is_a_missing_link() -> None:
    scores = score([example([""], ["Q1"])])
    assert scores["nel_in_kb_acc"] == scores["nel_micro_r"] == 0.0
    scores = score([example(["", None, "Q1"], ["Q1", None, "Q1"])])
    assert (scores["nel_micro_p"], scores["nel_micro_r"]) == (1.0, 0.5)


def test_docs_without_annotation_change_nothing() -> None:
    annotated = example(["Q1", None, "Q9"], ["Q1", None, "Q2"])
    scores = score([example(["Q1"], []), annotated, example(["Q1"], [""])])
    assert scores == score([annotated])
    assert scores.keys() == {
        "nel_in_kb_acc",
        "nel_acc",
        "nel_score",
        "nel_f_per_type",
        *(f"nel_{kind}_{part}" for kind in ("micro", "macro") for part in "prf"),
    }


@pytest.mark.parametrize("gold", [[], [""], [None, None]])
def test_nothing_annotated_gives_none(gold) -> None:
    scores = score([example(["Q1"], gold)])
    assert {scores[name] for name in ("nel_acc", "nel_in_kb_acc", "nel_micro_f", "nel_macro_f")} == {None}


def test_only_nil_has_no_accuracy_in_the_knowledge_base() -> None:
    scores = score([example(["NIL"], ["NIL"])])
    assert scores["nel_acc"] == 1.0
    assert scores["nel_in_kb_acc"] is None


def test_other_tokens_of_the_same_text_are_the_same_place() -> None:
    words = ["Ada", "met", "Bo", "in", "Ro", "me"]
    cand = Doc(NLP.vocab, words=words, spaces=[True] * 4 + [False, False])
    cand.ents = [Span(cand, 4, 6, "LOC", kb_id="Q3")]
    gold = Doc(NLP.vocab, words=["Ada", "met", "Bo", "in", "Rome"], spaces=[True] * 4 + [False])
    gold.ents = [Span(gold, 4, 5, "LOC", kb_id="Q3")]
    assert score([Example(cand, gold)])["nel_in_kb_acc"] == 1.0
