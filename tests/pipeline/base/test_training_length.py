"""A training that is too short for its own schedule is told, as spaCy tells nothing."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import DocBin, Span
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.util import load_config

from spacy_luke.pipeline.base.training_length import warn_of_short_training

ROOT = Path(__file__).parents[3]
BY_DOCS = {"@batchers": "spacy.batch_by_sequence.v1", "size": 4, "get_length": None}
BY_WORDS = {"@batchers": "spacy.batch_by_words.v1", "size": 100, "tolerance": 0.2, "discard_oversize": False}


def pipeline(*, warmup: int, **training: object) -> Language:
    """A pipeline with a [training] of the usual settings and these."""
    nlp = spacy.blank("en")
    nlp.config["training"].update({"batcher": BY_DOCS, **training})
    nlp.config["training"]["optimizer"]["learn_rate"] = {
        "@schedules": "warmup_linear.v1",
        "warmup_steps": warmup,
        "total_steps": 1000,
        "initial_rate": 0.001,
    }
    return nlp


def told(nlp: Language, docs: int) -> str:
    """The warning for a corpus of so many Docs; empty if there is none."""
    examples = [Example(nlp.make_doc("A"), nlp.make_doc("A")) for _ in range(docs)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_short_training(nlp, lambda: examples)
    assert len(caught) <= 1
    return "".join(str(one.message) for one in caught)


def test_epochs_of_few_docs_are_too_short_for_a_schedule_for_many():
    nlp = pipeline(warmup=12, max_epochs=3, max_steps=0, eval_frequency=20)
    message = told(nlp, 14)
    assert "W051" in message
    assert "at step 11 (3 epochs of 14 Docs in batches of 4)" in message
    assert "12 steps (warmup_steps)" in message
    assert "step 20 (eval_frequency)" in message


@pytest.mark.parametrize(
    ("docs", "rises", "evaluated"),
    [
        (16, False, False),  # 4 batches: steps 0 to 11
        (17, True, False),  # 5 batches: steps 0 to 14
        (24, True, False),  # 6 batches: steps 0 to 17
        (28, True, True),  # 7 batches: steps 0 to 20
        (500, True, True),
    ],
)
def test_what_a_corpus_is_too_small_for(docs, rises, evaluated):
    message = told(pipeline(warmup=12, max_epochs=3, max_steps=0, eval_frequency=20), docs)
    assert ("12 steps (warmup_steps)" not in message) == rises
    assert ("step 20 (eval_frequency)" not in message) == evaluated
    assert bool(message) == (not evaluated)


def test_training_ends_with_what_comes_first():
    assert "at step 10 (max_steps)" in told(pipeline(warmup=12, max_epochs=3, max_steps=10, eval_frequency=5), 500)
    assert "3 epochs of 8 Docs" in told(pipeline(warmup=12, max_epochs=3, max_steps=10, eval_frequency=5), 8)


@pytest.mark.parametrize("max_epochs", [0, -1])
def test_without_epochs_max_steps_decides(max_epochs):
    assert "at step 12 (max_steps)" in told(
        pipeline(warmup=12, max_epochs=max_epochs, max_steps=12, eval_frequency=12), 1
    )
    assert not told(pipeline(warmup=12, max_epochs=max_epochs, max_steps=13, eval_frequency=13), 1)
    assert not told(pipeline(warmup=12, max_epochs=max_epochs, max_steps=0, eval_frequency=99), 1)


def test_batches_of_words_are_not_counted():
    assert not told(pipeline(warmup=12, max_epochs=3, max_steps=0, eval_frequency=20, batcher=BY_WORDS), 1)


def test_a_constant_learning_rate_needs_no_steps():
    nlp = pipeline(warmup=12, max_epochs=1, max_steps=0, eval_frequency=1)
    nlp.config["training"]["optimizer"]["learn_rate"] = 0.001
    assert not told(nlp, 8)


@pytest.mark.parametrize("name", ["max_epochs", "max_steps", "eval_frequency", "batcher", "optimizer"])
def test_a_config_that_is_not_complete_is_left_to_spacy(name):
    nlp = pipeline(warmup=12, max_epochs=1, max_steps=0, eval_frequency=20)
    assert told(nlp, 8)
    del nlp.config["training"][name]
    assert not told(nlp, 8)


def test_a_large_corpus_is_not_read_to_its_end():
    nlp = pipeline(warmup=12, max_epochs=3, max_steps=0, eval_frequency=20)
    read = 0

    def get_examples():
        nonlocal read
        while True:
            read += 1
            yield None

    warn_of_short_training(nlp, get_examples)
    assert read == 7 * 4


@pytest.fixture
def sentences(tmp_path):
    """A corpus of three sentences with an entity each."""
    nlp = spacy.blank("en")
    corpus = DocBin()
    for text in ("Ada met Bo.", "Bo met Ada.", "Ada left."):
        doc = nlp.make_doc(text)
        doc[0].is_sent_start = True
        doc.set_ents([Span(doc, 0, 1, "PER")])
        corpus.add(doc)
    corpus.to_disk(tmp_path / "train.spacy")
    return tmp_path / "train.spacy"


@pytest.mark.parametrize(("name", "short"), [("ner.cfg", True), ("ner_small.cfg", False)])
def test_training_tells_it_before_it_starts(sentences, name, short):
    config = load_config(
        ROOT / "configs" / name, overrides={"paths.train": str(sentences), "paths.dev": str(sentences)}
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        init_nlp(config)
    assert any("W051" in str(one.message) for one in caught) == short
