"""Components on a Longformer have a defined result for Docs that are empty, endless, or all entities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from spacy.tokens import Doc, Span

from tests.pipeline.longformer_model import CHOICES, LABELS, TEXT, cut, make, watch, write_encoder

ITEMS = ["luke_relations", "luke_entity_typer"]
# Component -> settings with which pairs of different sentences are candidates.
CONFIG = {"luke_relations": {"pairs": {"@misc": "spacy-luke.entity_pairs.v1", "across_sentences": True}}}
TINY = {"num_hidden_layers": 1, "attention_window": [8], "hidden_size": 16, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def pipelines(folder):
    return {factory: make(factory, folder, **CONFIG.get(factory, {})) for factory in LABELS}


def all_entities(nlp, words: list[str], label: str = "PER") -> Doc:
    spaces = [True] * (len(words) - 1) + [False]  # a last space would be a piece of no word
    doc = Doc(nlp.vocab, words=words, spaces=spaces, sent_starts=[i % 7 == 0 for i in range(len(words))])
    doc.set_ents([Span(doc, i, i + 1, label=label) for i in range(len(doc))])
    return doc


# Short and empty


@pytest.mark.parametrize("text", ["", " ", " \n\n \t "])
@pytest.mark.parametrize("factory", LABELS)
def test_a_doc_without_words_reaches_no_encoder(pipelines, factory: str, text: str, monkeypatch) -> None:
    nlp, pipe = pipelines[factory]
    batches = watch(pipe, monkeypatch)
    doc = cut(nlp.make_doc(text))
    doc._.questions = ["Who?"]
    doc = nlp(doc)
    assert doc.text == text
    assert not doc.ents
    assert not doc._.relations
    assert [answer.text for answer in doc._.answers or ()] == ([""] if factory == "luke_qa" else [])
    assert all(len(items) == len(logits) == 0 for items, logits in pipe.logits([doc]))
    assert not batches


@pytest.mark.parametrize("factory", LABELS)
def test_empty_docs_between_others_change_nothing(pipelines, factory: str) -> None:
    nlp, pipe = pipelines[factory]
    words = all_entities(nlp, TEXT.split())
    words._.questions = ["Who met Babbage?"]
    words._.choices = CHOICES
    [(items, expected)] = pipe.logits([words])
    assert len(items)
    empty, found, blank = pipe.logits([cut(nlp.make_doc("")), words, cut(nlp.make_doc("  "))])
    for rows, others in zip(found[1], expected, strict=True):
        np.testing.assert_allclose(rows, others, atol=1e-5)
    assert not len(empty[1])
    assert not len(blank[1])


def test_a_doc_of_one_token_has_one_candidate(pipelines) -> None:
    nlp, pipe = pipelines["luke_ner"]
    [([span], logits)] = pipe.logits([cut(nlp.make_doc("Ada"))])
    assert span.text == "Ada"
    assert np.isfinite(logits).all()
    assert len(nlp(cut(nlp.make_doc("Ada"))).ents) <= 1


def test_a_doc_of_one_token_has_an_entity_type_and_no_pair(pipelines) -> None:
    nlp, pipe = pipelines["luke_entity_typer"]
    doc = nlp(all_entities(nlp, ["Ada"]))
    assert set(doc.ents[0]._.entity_type_scores) == set(pipe.logit_labels)
    nlp, pipe = pipelines["luke_relations"]
    assert nlp(all_entities(nlp, ["Ada"]))._.relations == ()


@pytest.mark.parametrize("factory", ITEMS)
def test_a_doc_without_entities_reaches_no_encoder(pipelines, factory: str, monkeypatch) -> None:
    nlp, pipe = pipelines[factory]
    batches = watch(pipe, monkeypatch)
    [(items, logits)] = pipe.logits([cut(nlp.make_doc(TEXT), 8)])
    assert items == []
    assert logits.shape == (0, len(pipe.logit_labels))
    assert not batches


# All entities


@pytest.mark.parametrize("factory", ITEMS)
def test_all_pieces_may_be_global(pipelines, factory: str, monkeypatch) -> None:
    nlp, pipe = pipelines[factory]
    batches = watch(pipe, monkeypatch)
    doc = all_entities(nlp, TEXT.split())
    [(items, logits)] = pipe.logits([doc])
    assert len(items) == (len(doc) * (len(doc) - 1) if factory == "luke_relations" else len(doc))
    assert np.isfinite(logits).all()
    [batch] = batches
    assert batch.global_mask[0, :-1].all(), "all but </s>"


def test_entities_of_many_windows_are_each_read_once_within_the_budget(pipelines, monkeypatch) -> None:
    nlp, pipe = pipelines["luke_entity_typer"]
    monkeypatch.setattr(pipe, "max_batch_pieces", 300)
    batches = watch(pipe, monkeypatch)
    doc = all_entities(nlp, TEXT.split() * 50)
    [(spans, logits)] = pipe.logits([doc])
    assert [(span.start, span.end) for span in spans] == [(i, i + 1) for i in range(len(doc))]
    assert np.isfinite(logits).all()
    assert max(batch.piece_ids.numel() for batch in batches) <= 300
    assert max(batch.piece_ids.shape[1] for batch in batches) <= 128


# Endless


def test_a_document_of_200_000_tokens_is_read_within_the_budget(tmp_path, monkeypatch) -> None:
    suggester = {"@misc": "spacy-luke.span_suggester.v1", "max_pieces": 2}
    nlp, pipe = make("luke_ner", write_encoder(tmp_path / "encoder", **TINY), suggester=suggester)
    batches: list[tuple[int, int]] = []
    forward = pipe._module.forward
    monkeypatch.setattr(
        pipe._module,
        "forward",
        lambda batch: batches.append((batch.piece_ids.numel(), batch.entity_spans.shape[:2].numel())) or forward(batch),
    )
    words = [word for word in TEXT.split() if len(word) > 1] * 20_000
    words = words[:200_000]
    doc = Doc(nlp.vocab, words=words, sent_starts=[i % 40 == 0 for i in range(len(words))])
    [scored] = pipe.predict([doc])
    assert len(scored.spans) > 100_000
    assert scored.logits.any(axis=1).all(), "every candidate is scored"
    assert max(pieces for pieces, _ in batches) <= pipe.max_batch_pieces == 4096
    assert max(mentions for _, mentions in batches) <= 2 * 4096, "no more than two for each piece"


def test_a_sentence_without_end_is_read_in_windows(pipelines, monkeypatch) -> None:
    nlp, pipe = pipelines["luke_ner"]
    batches = watch(pipe, monkeypatch)
    [(spans, logits)] = pipe.logits([cut(nlp.make_doc(f"{TEXT} " * 60))])
    assert len(spans) > 8_000
    assert np.isfinite(logits).all()
    assert logits.any(axis=1).all()
    assert max(batch.piece_ids.numel() for batch in batches) <= 4096


def test_a_token_longer_than_a_window_is_no_candidate_and_hurts_no_other(pipelines) -> None:
    nlp, pipe = pipelines["luke_ner"]
    doc = Doc(nlp.vocab, words=["Ada", "qz" * 400, "London"], sent_starts=[True, False, False])
    [(spans, logits)] = pipe.logits([doc])
    assert [span.text for span in spans] == ["Ada", "London"]
    assert np.isfinite(logits).all()
    nlp, pipe = pipelines["luke_qa"]
    doc = Doc(nlp.vocab, words=["Ada", "qz" * 400, "London"])
    doc._.questions = ["Who?"]
    [answer] = nlp(doc)._.answers
    assert answer.text in doc.text
