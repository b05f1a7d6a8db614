"""The loss is transformers', and does not depend on how a step is cut into batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LukeForMaskedLM

from spacy_luke.checkpoints.heads import MASKED_LM
from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.encoders.inputs import EncoderInput
from spacy_luke.encoders.masked_lm import MaskedLMWithEntities
from spacy_luke.training.pretraining.batches import MaskedWindows, Part
from spacy_luke.training.pretraining.masking import Masking
from spacy_luke.training.pretraining.scores import Scores, Tally, batch_loss
from spacy_luke.training.pretraining.settings import WindowSettings
from spacy_luke.training.pretraining.store import WindowStore
from tests.training.pretraining.linked import make_docs
from tests.training.pretraining.test_batches import settings_of
from tests.util import luke_config, randomise, reference_input, write_luke

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> tuple[LukeForMaskedLM, MaskedLMWithEntities, MaskedWindows]:
    """transformers' model, ours with the same weights, and masked windows for them."""
    folder = tmp_path_factory.mktemp("luke")
    theirs = randomise(LukeForMaskedLM(luke_config(use_entity_aware_attention=False)))
    write_luke(folder, theirs)
    checkpoint = open_checkpoint(folder)
    ours, vocab = checkpoint.load_task_module(MASKED_LM, "full")
    store = WindowStore.write(folder / "store", make_docs(8), checkpoint.tokenizer, 100)
    masking = Masking(entities=0.4)
    masked = MaskedWindows(store, checkpoint.tokenizer, vocab, WindowSettings(), masking=masking, unknown="unk")
    assert isinstance(theirs, LukeForMaskedLM)
    assert isinstance(ours, MaskedLMWithEntities)
    return theirs, ours.eval(), masked


def step(masked: MaskedWindows, batch_size: int) -> list[tuple[Part, EncoderInput]]:
    return list(masked.evaluation(settings_of(batch_size=batch_size)))


def both_losses(model: MaskedLMWithEntities, parts: list[tuple[Part, EncoderInput]]) -> tuple[float, Scores]:
    tally = Tally(CPU)
    with torch.no_grad():
        loss = sum(float(batch_loss(model, part, batch, tally)) for part, batch in parts)
    return loss, tally.scores()


def reference(theirs: LukeForMaskedLM, part: Part, batch: EncoderInput) -> Any:
    """Losses of transformers for a batch: they are means over the batch."""
    labels = torch.full_like(batch.piece_ids, -100)
    labels.view(-1)[part.targets.pieces] = part.targets.piece_ids
    entity_labels = torch.full_like(batch.entity_ids, -100)
    entity_labels.view(-1)[part.targets.entities] = part.targets.entity_ids
    return theirs(**reference_input(batch), labels=labels, entity_labels=entity_labels)


def test_losses_and_accuracies_of_a_batch_equal_the_reference(models):
    theirs, ours, masked = models
    for part, batch in step(masked, 1000):
        alone = replace(part, pieces=len(part.targets.piece_ids), entities=len(part.targets.entity_ids))
        with torch.no_grad():
            expected = reference(theirs, part, batch)
        loss, scores = both_losses(ours, [(alone, batch)])
        assert loss == pytest.approx(float(expected.loss), rel=1e-4)
        assert scores.piece_loss == pytest.approx(float(expected.mlm_loss), rel=1e-4)
        assert scores.entity_loss == pytest.approx(float(expected.mep_loss), rel=1e-4)
        assert scores.loss == pytest.approx(loss, rel=1e-6)
        right = expected.entity_logits.argmax(-1).flatten()[part.targets.entities] == part.targets.entity_ids
        assert scores.entity_acc == pytest.approx(float(right.float().mean()))
        right = expected.logits.argmax(-1).flatten()[part.targets.pieces] == part.targets.piece_ids
        assert scores.piece_acc == pytest.approx(float(right.float().mean()))


def test_a_step_in_many_batches_has_the_loss_of_one(models):
    _, ours, masked = models
    whole, scores = both_losses(ours, step(masked, 10_000))
    parts = step(masked, 150)
    assert len(parts) > 4
    loss, others = both_losses(ours, parts)
    assert loss == pytest.approx(whole, rel=1e-4)
    assert others.loss == pytest.approx(scores.loss, rel=1e-4)
    assert others.piece_acc == scores.piece_acc


def test_gradients_of_a_step_are_those_of_the_reference(models):
    theirs, ours, masked = models
    parts = step(masked, 150)
    for part, batch in parts:
        batch_loss(ours, part, batch, Tally(CPU)).backward()
        expected = reference(theirs, part, batch)
        pieces, entities = len(part.targets.piece_ids) / part.pieces, len(part.targets.entity_ids) / part.entities
        (expected.mlm_loss * pieces + expected.mep_loss * entities).backward()
    for name, weight in (
        ("lm_head.dense.weight", ours.lm_head.dense.weight),
        ("entity_predictions.bias", ours.entity_predictions.bias),
        ("luke.encoder.layer.0.attention.self.query.weight", ours.encoder.layers[0].attention.query.weight),
    ):
        torch.testing.assert_close(theirs.get_parameter(name).grad, weight.grad, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("name", ["pieces", "entities"])
def test_a_task_with_nothing_to_predict_has_no_scores(models, name):
    _, ours, masked = models
    masking = Masking(**{name: 0.0})
    vocab = open_checkpoint(Path(masked.store.ids.filename).parents[1]).entity_vocab
    tokenizer = open_checkpoint(Path(masked.store.ids.filename).parents[1]).tokenizer
    other = MaskedWindows(masked.store, tokenizer, vocab, WindowSettings(), masking=masking, unknown="unk")
    loss, scores = both_losses(ours, step(other, 1000))
    left = scores.entity_loss if name == "pieces" else scores.piece_loss
    assert left == pytest.approx(loss, rel=1e-4)
    assert [scores.piece_loss, scores.piece_acc].count(None) == (2 if name == "pieces" else 0)
    assert [scores.entity_loss, scores.entity_acc].count(None) == (2 if name == "entities" else 0)
