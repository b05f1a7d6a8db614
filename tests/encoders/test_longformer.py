"""The encoder equals transformers' `LongformerModel` on weights that went through a checkpoint folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LongformerModel

from spacy_luke.checkpoints.key_maps import to_hugging_face
from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.encoders.config import LongformerConfig
from spacy_luke.encoders.encoder import Encoder
from spacy_luke.encoders.inputs import EncoderInput
from spacy_luke.encoders.layers import set_dropout
from spacy_luke.encoders.longformer import LongformerEncoder
from spacy_luke.errors import LukeError
from tests.util import longformer_config, make_input, randomise, reference_input, write_longformer

TOLERANCE = 1e-4

# Batches by what is special about them: lengths in pieces, global pieces of each row.
BATCHES: dict[str, tuple[list[int], list[list[int]] | None]] = {
    "one piece": ([1], None),
    "one global piece alone": ([1], [[0]]),
    "shorter than a window": ([3, 2], None),
    "longer than the first windows": ([9, 7], [[0], []]),
    "no global piece": ([70, 33], None),
    "no global piece in one row": ([70, 33], [[0, 1, 50], []]),
    "global pieces everywhere": ([64, 65, 20], [[0, 1, 2], [63, 64], [7, 19]]),
    "as many global pieces as the heads are wide": ([50], [list(range(20, 28))]),
    "more global pieces than the heads are wide": ([50, 40], [list(range(20, 33)), [0]]),
    "all pieces are global": ([45, 21], [list(range(45)), list(range(21))]),
    "the longest input": ([200], [[0, 150]]),
}


def make_batch(lengths: list[int], global_pieces: list[list[int]] | None, **options: Any) -> EncoderInput:
    batch = make_input(lengths, None, **options)
    if global_pieces is not None:
        batch.global_mask = torch.zeros_like(batch.piece_mask)
        for row, positions in enumerate(global_pieces):
            batch.global_mask[row, positions] = True
    return batch


def pair(folder: Path, model: torch.nn.Module | None = None, **changes: Any) -> tuple[torch.nn.Module, Encoder]:
    """The model of transformers and ours with the same weights."""
    model = model or randomise(LongformerModel(longformer_config(**changes)))
    write_longformer(folder, model)
    return model, open_checkpoint(folder).load_encoder().eval()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return pair(tmp_path_factory.mktemp("pair"))


def largest_difference(model: torch.nn.Module, encoder: Encoder, batch: EncoderInput) -> float:
    """Over all pieces, masked ones too, and the pooled state."""
    with torch.no_grad():
        theirs, ours = model(**reference_input(batch)), encoder(batch)
    assert ours.entities is None
    differences = [theirs.last_hidden_state - ours.pieces]
    if ours.pooled is not None:
        differences.append(theirs.pooler_output - ours.pooled)
    return max(float(d.abs().max()) for d in differences)


@pytest.mark.parametrize("name", BATCHES)
def test_states_equal_the_reference(models, name):
    assert largest_difference(*models, make_batch(*BATCHES[name])) < TOLERANCE


@given(st.data())
@settings(max_examples=60)
def test_states_equal_the_reference_whatever_is_masked_and_global(models, data):
    """Masked pieces between others and pieces that are masked and global are among the batches."""
    lengths = data.draw(st.lists(st.integers(1, 70), min_size=1, max_size=3))
    batch = make_batch(lengths, None, seed=data.draw(st.integers(0, 5)))
    shape = batch.piece_mask.shape
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 1000)))
    masked, are_global = data.draw(st.sampled_from([0.0, 0.1, 0.9])), data.draw(st.sampled_from([0.0, 0.02, 0.1, 0.9]))
    batch.piece_mask &= torch.rand(shape, generator=generator) >= masked
    batch.global_mask = torch.rand(shape, generator=generator) < are_global
    assert largest_difference(*models, batch) < TOLERANCE


def test_a_text_that_is_masked_as_a_whole_equals_the_reference(models):
    batch = make_batch([40, 30], [[3], [0, 2]])
    batch.piece_mask[1] = False
    assert largest_difference(*models, batch) < TOLERANCE


@pytest.mark.parametrize(
    "changes",
    [
        {"attention_window": 8},
        {"attention_window": [16, 8, 4]},
        {"attention_window": [64, 64, 32], "hidden_act": "relu"},
        {"attention_window": [128, 4, 4]},
        {"pad_token_id": 0},
        {"pad_token_id": 5},
        {"layer_norm_eps": 0.1},
        {"type_vocab_size": 1, "num_attention_heads": 1, "num_hidden_layers": 1, "attention_window": 4},
        {"intermediate_size": 8, "vocab_size": 1000},
    ],
    ids=str,
)
def test_every_parameter_of_the_configuration_is_honoured(tmp_path, changes):
    model, encoder = pair(tmp_path, **changes)
    pad_id, vocab_size = model.config.pad_token_id, model.config.vocab_size
    batch = make_batch([150, 90], [[0, 140], [5]], pad_id=pad_id, vocab_size=vocab_size)
    assert largest_difference(model, encoder, batch) < TOLERANCE


def test_piece_types_are_honoured(models):
    batch = make_batch([30, 20], [[0], [1]])
    batch.piece_types = torch.randint(0, 2, batch.piece_ids.shape)
    assert largest_difference(*models, batch) < TOLERANCE


def test_a_model_without_pooler_gives_no_pooled_state(tmp_path):
    model = randomise(LongformerModel(longformer_config(), add_pooling_layer=False))
    _, encoder = pair(tmp_path, model)
    batch = make_batch([30], None)
    assert encoder(batch).pooled is None
    assert largest_difference(model, encoder, batch) < TOLERANCE


def test_windows_need_not_divide_each_other(tmp_path):
    """transformers pads to the largest and wants it to be a multiple of all; the window of a layer is what counts."""
    model, encoder = pair(tmp_path, attention_window=[8, 8, 16])
    data = {**encoder.config.to_dict(), "attention_window": [8, 12, 10]}
    uneven = LongformerEncoder(LongformerConfig.from_dict(data)).eval()
    uneven.load_state_dict(encoder.state_dict())
    batch = make_batch([70, 41], [[0, 30], [40]])
    for layer, window in zip(model.encoder.layer, [8, 12, 10], strict=True):
        layer.attention.self.one_sided_attn_window_size = window // 2
    model.config.attention_window = 120  # what the input is padded to: a multiple of all three
    with torch.no_grad():
        theirs, ours = model(**reference_input(batch)).last_hidden_state, uneven(batch).pieces
    assert (theirs - ours).abs().max() < TOLERANCE


@pytest.mark.parametrize("name", ["shorter than a window", "no global piece in one row", "all pieces are global"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_equal_the_reference(tmp_path, name, checkpointing):
    """Of every weight, with masked pieces between the others; dropout 0."""
    model, encoder = pair(tmp_path)
    model.train()
    encoder.train()
    encoder.gradient_checkpointing = checkpointing
    batch = make_batch(*BATCHES[name])
    batch.piece_mask[0, 1] = False
    wave = torch.arange(batch.piece_ids.numel() * 32).reshape(*batch.piece_ids.shape, 32).sin()
    for output, pooled in (
        ((theirs := model(**reference_input(batch))).last_hidden_state, theirs.pooler_output),
        ((ours := encoder(batch)).pieces, ours.pooled),
    ):
        ((output * wave).sum() + pooled.square().sum()).backward()
    expected = {name: p.grad for name, p in model.named_parameters()}
    compared = 0
    for ours_name, parameter in encoder.named_parameters():
        reference = expected[to_hugging_face(ours_name, encoder="", backbone="")]
        if parameter.grad is None:  # global projections without global pieces; a global key's bias never matters
            assert reference is None or reference.abs().max() < TOLERANCE, ours_name
            continue
        gradient = parameter.grad
        if ours_name in ("embeddings.word.weight", "embeddings.position.weight"):
            # The reference pads to the window: its padding row has other uses.
            gradient, reference = gradient.clone(), reference.clone()
            gradient[1] = reference[1] = 0
        assert torch.allclose(gradient, reference, atol=TOLERANCE, rtol=1e-3), ours_name
        compared += 1
    assert compared > 50


def test_gradient_checkpointing_keeps_less(tmp_path):
    _, encoder = pair(tmp_path)
    encoder.train()
    kept = []
    for checkpointing in (False, True):
        encoder.gradient_checkpointing = checkpointing
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=sizes: s.append(t.numel()) or t, lambda t: t):
            encoder(make_batch([200], [[0]])).pieces.sum()
        kept.append(sum(sizes))
    assert kept[1] < kept[0] / 4


def test_padding_changes_no_state(models):
    _, encoder = models
    batch = make_batch([50, 120], [[0, 20], [119]])
    assert batch.global_mask is not None
    alone = EncoderInput(batch.piece_ids[:1, :50], batch.piece_mask[:1, :50], global_mask=batch.global_mask[:1, :50])
    with torch.no_grad():
        assert torch.allclose(encoder(alone).pieces[0], encoder(batch).pieces[0, :50], atol=1e-5)


def test_a_global_mask_without_global_pieces_means_none(models):
    _, encoder = models
    batch, empty = make_batch([60], None), make_batch([60], [[]])
    with torch.no_grad():
        assert torch.equal(encoder(batch).pieces, encoder(empty).pieces)


def test_too_many_pieces_raise_l003(models):
    _, encoder = models
    with pytest.raises(LukeError, match=r"L003.*201 pieces.*200"):
        encoder(make_batch([201], None))


def test_bfloat16_gives_float32_states_close_to_the_exact_ones(models):
    _, encoder = models
    batch = make_batch([70, 33], [[0, 1, 50], []])
    batch.piece_mask[1, 2] = False
    with torch.no_grad():
        exact = encoder(batch).pieces
        encoder.precision = "bfloat16"
        rough = encoder(batch).pieces
        encoder.precision = "float32"
    assert rough.dtype == torch.float32
    assert 0 < (exact - rough).abs().max() < 0.2


@pytest.mark.parametrize("name", ["no global piece in one row", "more global pieces than the heads are wide"])
def test_bfloat16_trains(tmp_path, name):
    _, encoder = pair(tmp_path)
    encoder.precision = "bfloat16"
    encoder.train()
    batch = make_batch(*BATCHES[name])
    encoder(batch).pieces[batch.piece_mask].square().sum().backward()
    assert all(p.grad.isfinite().all() for p in encoder.parameters() if p.grad is not None)
    attention = encoder.layers[0].attention
    assert attention.key.weight.grad.any()
    assert attention.global_value.weight.grad.any()


@pytest.mark.parametrize("name", ["no global piece in one row", "all pieces are global"])
def test_set_dropout_reaches_the_attention_weights(tmp_path, name):
    _, encoder = pair(tmp_path)
    encoder.train()
    batch = make_batch(*BATCHES[name])
    assert torch.equal(encoder(batch).pieces, encoder(batch).pieces)
    set_dropout(encoder, 0.5)
    assert {layer.attention.attention_dropout for layer in encoder.layers} == {0.5}
    for part in encoder.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    assert not torch.equal(encoder(batch).pieces, encoder(batch).pieces)


def test_random_weights_follow_the_initializer_range():
    config = LongformerConfig.from_dict(longformer_config(initializer_range=0.3).to_dict())
    encoder = LongformerEncoder(config)
    encoder.reset_parameters()
    assert abs(float(encoder.embeddings.word.weight.detach().std()) - 0.3) < 0.02
    assert not encoder.layers[0].attention.global_query.bias.any()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", BATCHES)
def test_states_on_the_gpu_equal_the_reference(models, name):
    model, encoder = models
    batch = make_batch(*BATCHES[name])
    with torch.no_grad():
        theirs = model(**reference_input(batch)).last_hidden_state
        ours = encoder.to("cuda")(batch.to("cuda")).pieces.cpu()
    encoder.to("cpu")
    assert (theirs - ours).abs().max() < TOLERANCE
