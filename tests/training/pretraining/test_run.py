"""A run from its config to checkpoints."""

from __future__ import annotations

import json
from typing import Any

import pytest
import spacy
import torch
from transformers import LukeForMaskedLM

from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.converters import write_docbin
from tests.checkpoints.test_upcycle import write_source
from tests.training.pretraining.linked import (
    PEOPLE,
    PLACES,
    RATE,
    STAGE_1,
    STAGE_2,
    make_doc,
    make_docs,
    read_weights,
    run,
    write_corpus,
)
from tests.util import write_luke


def test_both_losses_fall_on_a_small_corpus(folder):
    write_corpus(folder, 40, 10)
    settings: dict[str, Any] = {
        f"{STAGE_1}__steps": 0,
        f"{STAGE_2}__steps": 75,
        f"{STAGE_2}__optimizer__learn_rate__total_steps": 150,
        f"{STAGE_2}__{RATE}": 0.003,
        "eval_frequency": 25,
        "batch_size": 800,
        "accumulate_gradient": 1,
        "dropout": 0.0,
        "masking__entities": 0.4,
    }
    _, (first, _, last) = run(folder, **settings)
    assert last.train.piece_loss < 0.75 * first.train.piece_loss
    assert last.train.entity_loss < 0.6 * first.train.entity_loss
    assert last.train.entity_acc > 2 / 6  # of six entities
    assert first.dev is not None
    assert last.dev is not None
    assert last.dev.piece_loss < first.dev.piece_loss
    assert last.dev.entity_loss < first.dev.entity_loss


def test_each_evaluation_reports_and_saves(folder):
    made, reports = run(folder)
    assert [report.step for report in reports] == [3, 4, 6, 8]
    assert [report.stage for report in reports] == ["1_entities", "1_entities", "2_all", "2_all"]
    assert all(report.words_per_second > 0 for report in reports)
    out = folder / "out"
    facts = json.loads((out / "model-last" / "pretraining.json").read_text())
    assert facts["step"] == 8
    assert facts["dev"]["loss"] == reports[-1].dev.loss
    assert facts["words"] == reports[-1].words > 0
    losses = [report.dev.loss for report in reports]
    best = json.loads((out / "model-best" / "pretraining.json").read_text())
    assert best["dev"]["loss"] == min(losses)
    assert best["step"] == max(report.step for report in reports if report.best)
    assert json.loads((out / "entities.json").read_text())[0] in {*PEOPLE, *PLACES}
    assert made.evaluate() == reports[-1].dev
    assert "6 titles in the entity vocabulary" in made.summary()
    assert "8 steps, 8 done" in made.summary()


def test_transformers_opens_the_checkpoint_and_components_start_from_it(folder):
    run(folder)
    path = folder / "out" / "model-best"
    theirs, info = LukeForMaskedLM.from_pretrained(path, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert theirs.config.use_entity_aware_attention
    checkpoint = open_checkpoint(path)
    assert {*PEOPLE[:2], "London"} <= set(checkpoint.entity_vocab.title_of.values())
    for name in ("luke_ner", "luke_relations", "luke_entity_typer", "luke_qa", "luke_encoder"):
        nlp = spacy.blank("en")
        pipe = nlp.add_pipe(name)
        options = {} if name in ("luke_qa", "luke_encoder") else {"labels": ["A", "B"]}
        pipe.initialize(lambda: [], nlp=nlp, checkpoint=str(path), **options)
        assert pipe.has_weights


def test_the_first_stage_trains_what_luke_adds_alone(folder):
    write_luke(folder / "luke")
    options: dict[str, Any] = {"model__checkpoint": str(folder / "luke"), f"{STAGE_1}__{RATE}": 0.01}
    options["model__entity_aware_attention"] = True
    run(folder, max_steps=4, **options)
    before, after = read_weights(folder / "luke"), read_weights(folder / "out" / "model-last")
    changed = {name for name in before if not torch.equal(before[name], after[f"luke.{name}"][: len(before[name])])}
    assert changed
    assert all(name.startswith("entity_embeddings.") for name in changed)
    assert not torch.equal(after["lm_head.dense.bias"], torch.zeros(32))  # new, so it learns, too
    run(folder, resume=True, **options)
    later = read_weights(folder / "out" / "model-last")
    assert not torch.equal(
        after["luke.embeddings.word_embeddings.weight"], later["luke.embeddings.word_embeddings.weight"]
    )


def test_a_run_without_dev_corpus_has_no_best_model(folder):
    _, reports = run(folder, dev_corpus=None)
    assert all(report.dev is None and not report.best for report in reports)
    assert not (folder / "out" / "model-best").exists()
    assert (folder / "out" / "model-last" / "config.json").exists()


@pytest.mark.parametrize("changes", [{"precision": "bfloat16"}, {"gradient_checkpointing": True}])
def test_other_ways_to_compute_learn_as_well(folder, changes):
    _, expected = run(folder)
    _, reports = run(folder, "other", **changes)
    assert reports[-1].dev.loss == pytest.approx(expected[-1].dev.loss, rel=0.02)


def test_a_corpus_without_sentences_is_learned(folder):
    write_docbin(make_docs(12, bounds=False), folder / "train.spacy")
    _, reports = run(folder)
    assert reports[-1].train.entity_loss is not None


def test_an_uncased_source_learns_with_case_types(tmp_path):
    write_source(tmp_path, "bert", head=True)
    write_corpus(tmp_path)
    run(tmp_path, model__checkpoint=str(tmp_path), model__sizes={}, max_steps=2)
    checkpoint = open_checkpoint(tmp_path / "out" / "model-last")
    assert checkpoint.tokenizer.case_types
    assert checkpoint.settings == {"piece_types": "case"}
    run(tmp_path, "plain", model__checkpoint=str(tmp_path), model__case_types=False, max_steps=2)
    assert not open_checkpoint(tmp_path / "plain" / "model-last").tokenizer.case_types


def test_a_luke_goes_on_with_its_entities(folder):
    run(folder, max_steps=2)
    first = folder / "out" / "model-last"
    more = [make_doc([["We saw", "Paris", "and", "London", "again."]])] * 4
    write_docbin(more, folder / "train.spacy")
    run(folder, "more", model__checkpoint=str(first), max_steps=2)
    old, new = (open_checkpoint(path).entity_vocab for path in (first, folder / "more" / "model-last"))
    assert new.title_of == {**old.title_of, len(old): "Paris"}
    run(folder, "alone", model__checkpoint=str(first), max_steps=2, entity_vocab__keep=False)
    alone = open_checkpoint(folder / "alone" / "model-last").entity_vocab
    assert set(alone.title_of.values()) == {"Paris", "London"}
