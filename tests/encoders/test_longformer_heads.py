"""The heads equal transformers' Longformer classes, and the default global pieces are theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn
from transformers.models.longformer.modeling_longformer import _compute_global_attention_mask

from spacy_luke.checkpoints.heads import HEADS, SPAN_CLASSIFIER, architecture_on
from spacy_luke.checkpoints.key_maps import to_hugging_face
from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.encoders.heads import TaskModule
from spacy_luke.encoders.inputs import EncoderInput
from tests.util import longformer_config, make_input, randomise, reference_input, write_longformer

from .global_masks import after_separators, before_separator, first_piece

TOLERANCE = 1e-4
SEPARATOR = 2
KINDS = [
    "LongformerForQuestionAnswering",
    "LongformerForSequenceClassification",
    "LongformerForTokenClassification",
    "LongformerForMultipleChoice",
    "LongformerForMaskedLM",
]
LABELLED = ["LongformerForSequenceClassification", "LongformerForTokenClassification"]


def question_batch() -> EncoderInput:
    """Three rows `<s> question </s></s> context </s>`, two of them padded."""
    batch = make_input([60, 41, 30], None)
    batch.piece_ids[batch.piece_ids == SEPARATOR] = 3
    for row, (first, length) in enumerate([(9, 60), (3, 41), (20, 30)]):
        batch.piece_ids[row, [first, first + 1, length - 1]] = SEPARATOR
    return batch


def modules(folder: Path, kind: str, **changes: Any) -> tuple[nn.Module, TaskModule]:
    labels = 5 if kind in LABELLED else 2
    theirs = randomise(getattr(transformers, kind)(longformer_config(num_labels=labels, **changes)))
    write_longformer(folder, theirs)
    return theirs, open_checkpoint(folder).load_task_module(kind, "special")[0].eval()


def reference_logits(model: nn.Module, batch: EncoderInput) -> torch.Tensor:
    inputs = reference_input(batch)
    if isinstance(model, transformers.LongformerForMultipleChoice):
        return model(**{name: tensor[None] for name, tensor in inputs.items()}).logits[0][:, None]
    output = model(**inputs)
    if isinstance(model, transformers.LongformerForQuestionAnswering):
        return torch.stack([output.start_logits, output.end_logits], dim=-1)
    return output.logits


@pytest.mark.parametrize("kind", KINDS)
def test_logits_equal_the_reference(tmp_path, kind):
    theirs, ours = modules(tmp_path, kind)
    batch = question_batch()
    batch.global_mask = torch.rand(batch.piece_ids.shape) < 0.1
    with torch.no_grad():
        assert (reference_logits(theirs, batch) - ours(batch)).abs().max() < TOLERANCE


@pytest.mark.parametrize("kind", KINDS)
def test_default_global_pieces_equal_the_reference(tmp_path, kind):
    """transformers is given no global mask, we are given that of the rule."""
    theirs, ours = modules(tmp_path, kind)
    batch = question_batch()
    with torch.no_grad():
        expected = reference_logits(theirs, batch)
        batch.global_mask = {
            "LongformerForQuestionAnswering": lambda ids: before_separator(ids, SEPARATOR),
            "LongformerForSequenceClassification": first_piece,
            "LongformerForMultipleChoice": lambda ids: after_separators(ids, SEPARATOR),
        }.get(kind, lambda ids: None)(batch.piece_ids)
        assert (expected - ours(batch)).abs().max() < TOLERANCE


def test_masks_of_separators_equal_the_reference():
    ids = question_batch().piece_ids
    assert torch.equal(before_separator(ids, SEPARATOR), _compute_global_attention_mask(ids, SEPARATOR))
    expected = _compute_global_attention_mask(ids, SEPARATOR, before_sep_token=False)
    assert torch.equal(after_separators(ids, SEPARATOR), expected)


def test_a_text_without_separator_has_no_global_piece():
    ids = torch.tensor([[0, 5, 6, 7], [0, 5, 2, 7]])
    assert before_separator(ids, SEPARATOR).tolist() == [[False] * 4, [True, True, False, False]]
    assert after_separators(ids, SEPARATOR).tolist() == [[False] * 4, [False] * 4]


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_equal_the_reference(tmp_path, kind):
    theirs, ours = modules(tmp_path, kind)
    batch = question_batch()
    batch.global_mask = first_piece(batch.piece_ids)
    for logits in (reference_logits(theirs, batch), ours(batch)):
        (logits * torch.arange(logits.numel()).reshape(logits.shape).sin()).sum().backward()
    expected = {name: p.grad for name, p in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        reference = expected[to_hugging_face(name, backbone="longformer.")]
        if parameter.grad is None:
            assert reference is None or reference.abs().max() < TOLERANCE, name
            continue
        gradient = parameter.grad
        if name in ("encoder.embeddings.word.weight", "encoder.embeddings.position.weight"):
            gradient, reference = gradient.clone(), reference.clone()
            gradient[1] = reference[1] = 0
        assert torch.allclose(gradient, reference, atol=TOLERANCE, rtol=1e-3), name


@pytest.mark.parametrize("tied", [True, False])
def test_the_decoder_of_the_language_model_is_tied_if_the_checkpoint_says_so(tmp_path, tied):
    theirs, ours = modules(tmp_path, "LongformerForMaskedLM", tie_word_embeddings=tied)
    assert (ours.lm_head.decoder is None) == tied
    batch = question_batch()
    with torch.no_grad():
        assert (reference_logits(theirs, batch) - ours(batch)).abs().max() < TOLERANCE


@pytest.mark.parametrize("kind", LABELLED)
def test_a_new_head_is_random_and_small(tmp_path, kind):
    write_longformer(tmp_path)
    module, _ = open_checkpoint(tmp_path).load_task_module(kind, "special", labels=50)
    head = [p for name, p in module.named_parameters() if not name.startswith("encoder.")]
    assert any(len(p) == 50 for p in head)
    for parameter in head:
        if parameter.ndim > 1:
            assert float(parameter.detach().std()) == pytest.approx(0.02, rel=0.1)
        else:
            assert not parameter.any()


def test_a_new_language_model_starts_with_a_unit_norm(tmp_path):
    write_longformer(tmp_path)
    module, _ = open_checkpoint(tmp_path).load_task_module("LongformerForMaskedLM", "special", labels=1)
    assert (module.lm_head.layer_norm.weight == 1).all()
    assert not module.lm_head.bias.any()


def test_a_multiple_choice_on_a_checkpoint_without_pooler_gets_a_new_one(tmp_path):
    modules(tmp_path, "LongformerForTokenClassification")
    module, _ = open_checkpoint(tmp_path).load_task_module("LongformerForMultipleChoice", "special", labels=1)
    assert float(module.encoder.pooler.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    assert module(question_batch()).shape == (3, 1)


@pytest.mark.parametrize("head", sorted(name for model_type, name in HEADS if model_type == "luke"))
def test_every_head_of_luke_runs_on_longformer(tmp_path, head):
    """Asked for by the name that its component has for it."""
    write_longformer(tmp_path)
    module, _ = open_checkpoint(tmp_path).load_task_module(architecture_on("luke", f"For{head}"), "special", labels=3)
    batch = make_input([40, 30], [[(1, 3), (30, 31)], [(2, 9), (4, 5)]], entities=4)
    batch.items = torch.tensor([[[0, 1], [1, 0], [1, 1]], [[1, 0], [0, 1], [0, 0]]])
    logits = module(batch)
    assert logits.shape[0] == 2
    assert logits.dtype == torch.float32
    logits.sum().backward()
    assert module.encoder.layers[0].attention.query.weight.grad.any()


def test_a_span_classifier_reads_the_pieces_of_its_mention_alone(tmp_path):
    """Other mentions of the batch change nothing, and masked ones may be anything."""
    write_longformer(tmp_path)
    module = open_checkpoint(tmp_path).load_task_module(SPAN_CLASSIFIER, "special", labels=3)[0].eval()
    many = make_input([40, 30], [[(1, 3), (30, 31)], [(2, 9)]], entities=4)
    one = make_input([40, 30], [[(1, 3)], [(2, 9)]], entities=4)
    with torch.no_grad():
        assert torch.allclose(module(many)[:, :1], module(one), atol=1e-6)
