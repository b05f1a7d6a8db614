"""The heads equal transformers' classes, in logits and gradients, though their last layer computes fewer rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import (
    LukeForEntityClassification,
    LukeForEntityPairClassification,
    LukeForMultipleChoice,
    LukeForSequenceClassification,
    LukeForTokenClassification,
)

from spacy_luke.checkpoints.heads import (
    ENTITY_CLASSIFIER,
    MULTIPLE_CHOICE,
    PAIR_CLASSIFIER,
    SEQUENCE_CLASSIFIER,
    TOKEN_CLASSIFIER,
)
from spacy_luke.checkpoints.key_maps import to_hugging_face
from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.encoders.heads import EntityPairClassification, TaskModule
from spacy_luke.encoders.inputs import EncoderInput
from tests.util import luke_config, make_input, randomise, reference_input, write_luke

TOLERANCE = 1e-4
KINDS = {
    ENTITY_CLASSIFIER: (LukeForEntityClassification, [[(3, 7)], [(1, 2)], [(0, 9)]]),
    PAIR_CLASSIFIER: (LukeForEntityPairClassification, [[(3, 7), (9, 12)], [(5, 8), (1, 4)], [(2, 9), (4, 6)]]),
}


def modules(folder: Path, kind: str, **changes: Any) -> tuple[nn.Module, TaskModule, EncoderInput]:
    """transformers' model, ours with the same weights, and a batch with padding."""
    reference, spans = KINDS[kind]
    theirs = randomise(reference(luke_config(num_labels=5, **changes)))
    write_luke(folder, theirs)
    ours = open_checkpoint(folder).load_task_module(kind, "full")[0].eval()
    return theirs, ours, make_input([20, 9, 14], spans)


@pytest.mark.parametrize("entity_aware", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_equal_the_reference(tmp_path, kind, entity_aware) -> None:
    theirs, ours, batch = modules(tmp_path, kind, use_entity_aware_attention=entity_aware)
    with torch.no_grad():
        difference = theirs(**reference_input(batch)).logits - ours(batch)
    assert difference.abs().max() < TOLERANCE


@pytest.mark.parametrize("entity_aware", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_equal_the_reference(tmp_path, kind, entity_aware) -> None:
    theirs, ours, batch = modules(tmp_path, kind, use_entity_aware_attention=entity_aware)
    target = torch.tensor([0, 4, 2])
    for logits in (theirs(**reference_input(batch)).logits, ours(batch)):
        torch.nn.functional.cross_entropy(logits, target).backward()
    expected = {name: p.grad for name, p in theirs.named_parameters()}
    compared = 0
    for name, parameter in ours.named_parameters():
        reference, gradient = expected[to_hugging_face(name)], parameter.grad
        if reference is None:
            assert gradient is None or not gradient.any(), name
            continue
        # The reference gives its padding rows (of entities always row 0) no gradient. A query that no row of the last
        # layer asks has none at all here.
        gradient = torch.zeros_like(reference) if gradient is None else gradient.clone()
        if name.endswith(("embeddings.entity.weight", "word.weight", ".embeddings.position.weight")):
            row = 0 if "entity.weight" in name else 1
            gradient[row] = reference[row]
        assert torch.allclose(gradient, reference, atol=TOLERANCE, rtol=1e-3), name
        compared += 1
    assert compared > 40


@pytest.mark.parametrize("entity_aware", [True, False])
@pytest.mark.parametrize("states", ["entities", "pieces"])
def test_fewer_rows_are_the_same_rows_with_the_same_gradients(tmp_path, states, entity_aware) -> None:
    _, module, batch = modules(tmp_path, PAIR_CLASSIFIER, use_entity_aware_attention=entity_aware)
    encoder = module.encoder
    found = []
    for wanted in ("all", states):
        rows = getattr(encoder(batch, states=wanted), states)
        rows = rows[batch.entity_mask if states == "entities" else batch.piece_mask]
        (rows * torch.arange(rows.numel()).reshape(rows.shape).sin()).sum().backward()
        found.append((rows.detach(), {n: p.grad for n, p in encoder.named_parameters() if p.grad is not None}))
        encoder.zero_grad(set_to_none=True)
    (all_rows, all_gradients), (rows, gradients) = found
    torch.testing.assert_close(rows, all_rows, atol=1e-5, rtol=1e-5)
    for name, gradient in all_gradients.items():
        torch.testing.assert_close(gradients.get(name, torch.zeros_like(gradient)), gradient, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_layer_computes_the_entities_only(tmp_path, kind) -> None:
    _, module, batch = modules(tmp_path, kind)
    computed = []
    for layer in module.encoder.layers:
        layer.feed_forward.register_forward_hook(lambda _, rows, __: computed.append(rows[0].shape[1]))
    module(batch)
    entities = batch.entity_ids.shape[1]
    assert computed == [20 + entities, entities]


@pytest.mark.parametrize("spans", [None, [[(3, 7)], [(1, 2)], [(0, 9)]]], ids=["pieces alone", "with entities"])
@pytest.mark.parametrize("entity_aware", [True, False])
def test_token_classification_equals_the_reference(tmp_path, entity_aware, spans) -> None:
    theirs = randomise(LukeForTokenClassification(luke_config(num_labels=5, use_entity_aware_attention=entity_aware)))
    write_luke(tmp_path, theirs)
    ours = open_checkpoint(tmp_path).load_task_module(TOKEN_CLASSIFIER, "full")[0].eval()
    batch = make_input([20, 9, 14], spans)
    logits, expected = ours(batch), theirs(**reference_input(batch)).logits
    mask = batch.piece_mask
    torch.testing.assert_close(logits[mask], expected[mask], atol=TOLERANCE, rtol=1e-4)
    target = torch.arange(int(mask.sum())) % 5
    for rows in (logits, expected):
        torch.nn.functional.cross_entropy(rows[mask], target).backward()
    for name in ("classifier.weight", "encoder.layers.0.attention.query.weight"):
        reference = theirs.get_parameter(to_hugging_face(name)).grad
        torch.testing.assert_close(ours.get_parameter(name).grad, reference, atol=TOLERANCE, rtol=1e-3)


@pytest.mark.parametrize("spans", [None, [[(3, 7)], [(1, 2)], [(0, 9)]]], ids=["pieces alone", "with entities"])
@pytest.mark.parametrize(
    ("kind", "reference"),
    [(SEQUENCE_CLASSIFIER, LukeForSequenceClassification), (MULTIPLE_CHOICE, LukeForMultipleChoice)],
)
def test_heads_on_the_pooled_state_equal_the_reference(tmp_path, kind, reference, spans) -> None:
    """In logits and gradients, though the last layer computes nothing but the first piece."""
    theirs = randomise(reference(luke_config(num_labels=5)))
    write_luke(tmp_path, theirs)
    ours = open_checkpoint(tmp_path).load_task_module(kind, "full")[0].eval()
    batch = make_input([20, 9, 14], spans)
    given = reference_input(batch)
    if kind == MULTIPLE_CHOICE:
        given = {name: tensor[None] for name, tensor in given.items()}
    computed = []
    for layer in ours.encoder.layers:
        layer.feed_forward.register_forward_hook(lambda _, rows, __: computed.append(rows[0].shape[1]))
    logits, expected = ours(batch), theirs(**given).logits.reshape(3, -1)
    torch.testing.assert_close(logits, expected, atol=TOLERANCE, rtol=1e-4)
    assert computed == [20 + (spans is not None), 1]
    for rows in (logits, expected):
        (rows * torch.arange(rows.numel()).reshape(rows.shape).sin()).sum().backward()
    for name in ("classifier.weight", "encoder.pooler.weight", "encoder.layers.0.attention.query.weight"):
        gradient = theirs.get_parameter(to_hugging_face(name)).grad
        torch.testing.assert_close(ours.get_parameter(name).grad, gradient, atol=TOLERANCE, rtol=1e-3)


@pytest.mark.parametrize("classifier_bias", [None, False, True])
def test_pairs_have_a_bias_only_if_the_checkpoint_says_so(tmp_path, classifier_bias) -> None:
    given = {} if classifier_bias is None else {"classifier_bias": classifier_bias}
    model = randomise(LukeForEntityPairClassification(luke_config(num_labels=5, **given)))
    if classifier_bias:  # as the paper's code makes it
        model.classifier = randomise(nn.Linear(64, 5))
    write_luke(tmp_path, model)
    module, _ = open_checkpoint(tmp_path).load_task_module(PAIR_CLASSIFIER, "full")
    assert isinstance(module, EntityPairClassification)
    assert (module.classifier.bias is not None) == bool(classifier_bias)
    batch = make_input([20, 9, 14], KINDS[PAIR_CLASSIFIER][1])
    with torch.no_grad():
        states = model.luke(**reference_input(batch)).entity_last_hidden_state
        expected = model.classifier(states[:, :2].flatten(1))
        torch.testing.assert_close(module.eval()(batch), expected, atol=TOLERANCE, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_head_is_random_and_small(tmp_path, kind) -> None:
    modules(tmp_path, kind, initializer_range=0.02)
    module, _ = open_checkpoint(tmp_path).load_task_module(kind, "special", labels=50)
    weight = module.classifier.weight
    assert weight.shape[0] == 50
    assert float(weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    assert module.classifier.bias is None or not module.classifier.bias.any()


@pytest.mark.parametrize("kind", KINDS)
def test_further_labels_leave_the_others_as_they_are(tmp_path, kind) -> None:
    _, module, batch = modules(tmp_path, kind)
    parameters = dict(module.output.named_parameters())
    module(batch)[:, :5].sum().backward()
    gradients = {name: parameter.grad.clone() for name, parameter in parameters.items()}
    with torch.no_grad():
        before = module(batch)
    module.add_labels(2)
    assert module.output.out_features == 7
    with torch.no_grad():
        after = module(batch)
    assert after.shape == (3, 7)
    assert torch.allclose(after[:, :5], before, atol=1e-6)
    assert module.output.weight[5:].abs().min() > 0, "random rows"
    for name, parameter in module.output.named_parameters():
        assert parameter is parameters[name], "still the one that an optimiser knows"
        assert torch.equal(parameter.grad[:5], gradients[name])
        assert not parameter.grad[5:].any()
    assert (module.output.bias is None) == ("bias" not in parameters)


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_head_leaves_the_encoder_as_it_is(tmp_path, kind) -> None:
    _, module, _ = modules(tmp_path, kind)
    before = {name: parameter.clone() for name, parameter in module.named_parameters()}
    module.reset_head()
    changed = {name for name, parameter in module.named_parameters() if not torch.equal(parameter, before[name])}
    assert changed
    assert changed == {name for name in before if not name.startswith("encoder.")}
