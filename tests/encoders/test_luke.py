"""The encoder equals transformers' `LukeModel` on weights that went through a checkpoint folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LukeForEntitySpanClassification, LukeModel

from spacy_luke.checkpoints.heads import SPAN_CLASSIFIER
from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.encoders.config import LukeConfig
from spacy_luke.encoders.inputs import EncoderInput
from spacy_luke.encoders.layers import set_dropout
from spacy_luke.encoders.luke import LukeEncoder
from spacy_luke.errors import LukeError
from tests.util import luke_config, make_input, randomise, reference_input, write_luke

TOLERANCE = 1e-4

# Batches by what is special about them: lengths in pieces, mentions of each row.
BATCHES: dict[str, tuple[list[int], list[list[tuple[int, int]]] | None]] = {
    "no entity": ([7, 12], None),
    "one entity": ([9], [[(2, 5)]]),
    "padded pieces and masked entities": ([20, 9, 14], [[(1, 3), (5, 6), (2, 9)], [(0, 9)], []]),
    "a mention of 30 pieces": ([40, 40], [[(5, 35), (1, 2)], [(10, 40), (0, 30)]]),
    "the longest input": ([128, 3], [[(98, 128), (127, 128)], [(1, 2)]]),
    "one piece": ([1], [[(0, 1)]]),
}


def pair(folder: Path, model: torch.nn.Module | None = None, **changes: Any) -> tuple[torch.nn.Module, LukeEncoder]:
    """The model of transformers and ours with the same weights."""
    model = model or randomise(LukeModel(luke_config(**changes)))
    write_luke(folder, model)
    return model, open_checkpoint(folder).load_encoder().eval()


def largest_difference(model: torch.nn.Module, encoder: LukeEncoder, batch: EncoderInput) -> float:
    """Over pieces that are no padding, entities that are not masked, and the pooled state."""
    with torch.no_grad():
        theirs, ours = model(**reference_input(batch)), encoder(batch)
    differences = [(theirs.last_hidden_state - ours.pieces)[batch.piece_mask]]
    if batch.entity_ids is not None:
        differences.append((theirs.entity_last_hidden_state - ours.entities)[batch.entity_mask])
    else:
        assert ours.entities is None
    if ours.pooled is not None:
        differences.append(theirs.pooler_output - ours.pooled)
    return max(float(d.abs().max()) for d in differences)


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("entity_aware", [True, False])
def test_states_equal_the_reference(tmp_path, name, entity_aware):
    model, encoder = pair(tmp_path, use_entity_aware_attention=entity_aware)
    assert largest_difference(model, encoder, make_input(*BATCHES[name])) < TOLERANCE


@pytest.mark.parametrize(
    "changes",
    [
        {"entity_emb_size": 32},
        {"pad_token_id": 0},
        {"pad_token_id": 5},
        {"layer_norm_eps": 0.1},
        {"type_vocab_size": 1, "num_attention_heads": 1, "num_hidden_layers": 1},
        {"intermediate_size": 8, "vocab_size": 1000, "entity_vocab_size": 50},
    ],
    ids=str,
)
def test_every_parameter_of_the_configuration_is_honoured(tmp_path, changes):
    model, encoder = pair(tmp_path, **changes)
    batch = make_input(
        [20, 9], [[(1, 3), (4, 9)], [(2, 3)]], pad_id=changes.get("pad_token_id", 1), vocab_size=model.config.vocab_size
    )
    assert largest_difference(model, encoder, batch) < TOLERANCE


@pytest.mark.parametrize("name", ["relu", "gelu_new", "quick_gelu"])
def test_the_activation_named_in_the_configuration_is_used(tmp_path, name):
    model, encoder = pair(tmp_path, hidden_act=name)
    assert largest_difference(model, encoder, make_input([8], [[(1, 3)]])) < TOLERANCE


def test_token_types_are_honoured(tmp_path):
    model, encoder = pair(tmp_path)
    batch = make_input([8, 5], [[(1, 3)], [(0, 1)]])
    batch.piece_types = torch.randint(0, 2, batch.piece_ids.shape)
    assert largest_difference(model, encoder, batch) < TOLERANCE


def test_a_model_without_pooler_gives_no_pooled_state(tmp_path):
    model = randomise(LukeModel(luke_config(), add_pooling_layer=False))
    _, encoder = pair(tmp_path, model)
    batch = make_input([8], [[(1, 3)]])
    assert encoder(batch).pooled is None
    assert largest_difference(model, encoder, batch) < TOLERANCE


def test_an_entity_without_position_equals_the_reference(tmp_path):
    """An empty range stands for position ids that are all -1."""
    model, encoder = pair(tmp_path)
    assert largest_difference(model, encoder, make_input([8], [[(4, 4), (1, 3)]])) < TOLERANCE


def test_the_mean_of_positions_stays_exact_with_large_position_vectors(tmp_path):
    """RoBERTa's table has columns far from 0: their sums grow, their differences must not lose digits."""
    model = randomise(LukeModel(luke_config(max_position_embeddings=514)))
    with torch.no_grad():
        model.entity_embeddings.position_embeddings.weight[:, ::5] += 3.0
    _, encoder = pair(tmp_path, model)
    batch = make_input([512], [[(511, 512), (480, 510), (0, 1)]])
    assert largest_difference(model, encoder, batch) < TOLERANCE


@pytest.mark.parametrize("entity_aware", [True, False])
def test_masked_entities_change_no_piece(tmp_path, entity_aware):
    _, encoder = pair(tmp_path, use_entity_aware_attention=entity_aware)
    batch = make_input([12, 8], [[(1, 3), (4, 9)], [(2, 3)]])
    batch.entity_mask = torch.zeros_like(batch.entity_mask)
    with torch.no_grad():
        masked = encoder(batch).pieces
        without = encoder(EncoderInput(batch.piece_ids, batch.piece_mask)).pieces
    assert (masked - without)[batch.piece_mask].abs().max() < 5e-6  # rounding alone


def test_padding_changes_no_state(tmp_path):
    _, encoder = pair(tmp_path)
    batch = make_input([9, 30], [[(2, 5)], [(1, 2), (3, 4), (5, 9)]])
    first = {k: v[:1, : 9 if "piece" in k else 1] for k, v in vars(batch).items() if v is not None}
    padded, alone = encoder(batch), encoder(EncoderInput(**first))
    assert torch.allclose(alone.pieces[0], padded.pieces[0, :9], atol=1e-5)
    assert torch.allclose(alone.entities[0], padded.entities[0, :1], atol=1e-5)


@pytest.mark.parametrize("pad_id", [0, 1])
def test_too_many_pieces_raise_l003(pad_id):
    config = LukeConfig.from_dict(luke_config(pad_token_id=pad_id).to_dict())
    encoder = LukeEncoder(config)
    with pytest.raises(LukeError, match="L003") as error:
        encoder(make_input([config.max_pieces + 1], None, pad_id=pad_id))
    assert str(config.max_pieces + 1) in str(error.value)


def span_classifiers(folder: Path, **changes: Any) -> tuple[torch.nn.Module, torch.nn.Module]:
    labels = {i: f"L{i}" for i in range(5)}
    model = randomise(LukeForEntitySpanClassification(luke_config(id2label=labels, **changes)))
    write_luke(folder, model)
    return model, open_checkpoint(folder).load_task_module(SPAN_CLASSIFIER, "full")[0].eval()


@pytest.mark.parametrize("entity_aware", [True, False])
def test_span_logits_equal_the_reference(tmp_path, entity_aware):
    theirs, ours = span_classifiers(tmp_path, use_entity_aware_attention=entity_aware)
    for name in ("padded pieces and masked entities", "one piece", "a mention of 30 pieces"):
        batch = make_input(*BATCHES[name])
        with torch.no_grad():
            difference = theirs(**reference_input(batch, ends=True)).logits - ours(batch)
        assert difference[batch.entity_mask].abs().max() < TOLERANCE, name
    batch = make_input([9], [[(0, 1), (8, 9)]])  # one piece each, the first and the last
    with torch.no_grad():
        difference = theirs(**reference_input(batch, ends=True)).logits - ours(batch)
    assert difference.abs().max() < TOLERANCE


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("entity_aware", [True, False])
def test_gradients_equal_the_reference(tmp_path, entity_aware, training):
    """Of every weight, through the hand-written backward pass of `JointScores`, dropout 0."""
    theirs, ours = span_classifiers(tmp_path, use_entity_aware_attention=entity_aware)
    theirs.train(training)
    ours.train(training)
    batch = make_input(*BATCHES["padded pieces and masked entities"])
    target = torch.randint(0, 5, (int(batch.entity_mask.sum()),))
    for logits in (theirs(**reference_input(batch, ends=True)).logits, ours(batch)):
        torch.nn.functional.cross_entropy(logits[batch.entity_mask], target).backward()
    from spacy_luke.checkpoints.key_maps import to_hugging_face

    expected = {name: p.grad for name, p in theirs.named_parameters()}
    compared = 0
    for name, parameter in ours.named_parameters():
        reference = expected[to_hugging_face(name)]
        if reference is None:
            assert parameter.grad is None or not parameter.grad.any(), name
            continue
        gradient = parameter.grad
        if name.endswith(("embeddings.entity.weight", "word.weight", ".embeddings.position.weight")):
            # The reference gives its padding rows (of entities always row 0) no gradient.
            gradient, reference = gradient.clone(), reference.clone()
            row = 0 if "entity.weight" in name else 1
            gradient[row] = reference[row] = 0
        assert torch.allclose(gradient, reference, atol=TOLERANCE, rtol=1e-3), name
        compared += 1
    assert compared > 40


@pytest.mark.parametrize("states", ["all", "entities", "pieces"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_gradient_checkpointing_changes_no_gradient(tmp_path, states, precision):
    _, encoder = pair(tmp_path)
    encoder.train()
    encoder.precision = precision
    batch = make_input(*BATCHES["padded pieces and masked entities"])
    found = []
    for checkpointing in (False, True):
        encoder.gradient_checkpointing = checkpointing
        output = encoder(batch, states=states)
        sum(t.square().sum() for t in vars(output).values() if t is not None).backward()
        found.append({name: p.grad for name, p in encoder.named_parameters() if p.grad is not None})
        encoder.zero_grad(set_to_none=True)
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(gradient, found[1][name]) for name, gradient in found[0].items())


def test_bfloat16_gives_float32_states_close_to_the_exact_ones(tmp_path):
    _, encoder = pair(tmp_path)
    batch = make_input(*BATCHES["padded pieces and masked entities"])
    with torch.no_grad():
        exact = encoder(batch)
        encoder.precision = "bfloat16"
        rough = encoder(batch)
    assert exact.entities is not None
    assert rough.entities is not None
    for a, b, keep in (
        (exact.pieces, rough.pieces, batch.piece_mask),
        (exact.entities, rough.entities, batch.entity_mask),
    ):
        assert b.dtype == torch.float32
        assert 0 < (a - b)[keep].abs().max() < 0.1


@pytest.mark.parametrize("entity_aware", [True, False])
def test_bfloat16_trains(tmp_path, entity_aware):
    _, encoder = pair(tmp_path, use_entity_aware_attention=entity_aware)
    encoder.precision = "bfloat16"
    encoder.train()
    batch = make_input(*BATCHES["padded pieces and masked entities"])
    encoder(batch).pieces[batch.piece_mask].square().sum().backward()
    for name, parameter in encoder.named_parameters():
        if parameter.grad is not None:
            assert parameter.grad.isfinite().all(), name
    assert encoder.layers[0].attention.key.weight.grad.any()


def test_set_dropout_reaches_the_attention_weights(tmp_path):
    _, encoder = pair(tmp_path)
    encoder.train()
    batch = make_input([12], [[(1, 3)]])
    assert torch.equal(encoder(batch).pieces, encoder(batch).pieces)
    set_dropout(encoder, 0.5)
    assert {layer.attention.attention_dropout for layer in encoder.layers} == {0.5}
    assert not torch.equal(encoder(batch).pieces, encoder(batch).pieces)


def test_random_weights_follow_the_initializer_range():
    config = LukeConfig.from_dict(luke_config(initializer_range=0.3).to_dict())
    encoder = LukeEncoder(config)
    encoder.reset_parameters()
    assert abs(float(encoder.embeddings.word.weight.detach().std()) - 0.3) < 0.02
    assert not encoder.embeddings.word.weight[config.pad_token_id].any()
    assert not encoder.layers[0].attention.query.bias.any()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", BATCHES)
def test_states_on_the_gpu_equal_the_reference(tmp_path, name):
    model, encoder = pair(tmp_path)
    batch = make_input(*BATCHES[name])
    with torch.no_grad():
        theirs = model(**reference_input(batch)).last_hidden_state
        ours = encoder.to("cuda")(batch.to("cuda")).pieces.cpu()
    assert (theirs - ours)[batch.piece_mask].abs().max() < TOLERANCE


def test_a_batch_moves_between_devices_whole():
    batch = make_input([4, 2], [[(1, 2)], []])
    moved = batch.to("meta")
    assert {t.device.type for t in vars(moved).values() if isinstance(t, torch.Tensor)} == {"meta"}
    assert moved.known == batch.known  # which could not be read off there
    assert not batch.known.full_pieces
    assert not batch.known.full_entities
