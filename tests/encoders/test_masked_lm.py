"""LUKE's masked language model equals transformers', in the logits of pieces and entities and in what is on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import LukeForMaskedLM

from spacy_luke.checkpoints.checkpoint import Description
from spacy_luke.checkpoints.heads import MASKED_LM
from spacy_luke.checkpoints.key_maps import to_hugging_face
from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.checkpoints.upcycle_folder import upcycle_folder
from spacy_luke.checkpoints.writer import save_checkpoint
from spacy_luke.encoders.inputs import EncoderInput
from spacy_luke.encoders.layers import flat_indices
from spacy_luke.encoders.masked_lm import MaskedLMWithEntities
from spacy_luke.errors import LukeError
from tests.util import (
    ENTITIES,
    longformer_config,
    luke_config,
    make_input,
    randomise,
    reference_input,
    write_longformer,
    write_luke,
)

TOLERANCE = 1e-4
TIED = {"lm_head.decoder.weight", "lm_head.decoder.bias", "entity_predictions.decoder.weight"}


def batch_of(entities: int = len(ENTITIES)) -> EncoderInput:
    return make_input([20, 9, 14], [[(3, 7), (9, 12)], [(1, 2)], [(0, 9), (4, 5), (4, 9)]], entities=entities)


def models(folder: Path, *, safe: bool = True, **changes: Any) -> tuple[LukeForMaskedLM, MaskedLMWithEntities]:
    """transformers' model, and ours with the same weights."""
    theirs = randomise(LukeForMaskedLM(luke_config(**changes)))
    write_luke(folder, theirs, safe_serialization=safe)
    ours = open_checkpoint(folder).load_task_module(MASKED_LM, "full")[0].eval()
    assert isinstance(theirs, LukeForMaskedLM)
    assert isinstance(ours, MaskedLMWithEntities)
    return theirs, ours


def test_the_logits_of_candidates_are_those_of_all_entities(tmp_path):
    _, module = models(tmp_path)
    candidates = torch.tensor([[3, 0, -1], [1, -1, -1], [4, 4, 2]])
    batch = replace(batch_of(), predicted_places=torch.tensor([0, 2, 7]))
    for own_decoder in (False, True):
        if own_decoder:
            module.entity_predictions.untie(module.encoder.config)
            assert (
                module.entity_predictions.decoder.weight.shape == module.encoder.entity_embeddings.entity.weight.shape
            )
            assert module.entity_predictions.decoder.bias is None
        with torch.no_grad():
            every, some = module(batch), module(replace(batch, candidates=candidates))
        assert (every.shape, some.dtype) == ((3, len(ENTITIES)), torch.float32)
        expected = every.gather(1, candidates.clamp(min=0)).masked_fill(candidates < 0, -torch.inf)
        assert torch.allclose(some, expected, atol=1e-5)


def both(module: MaskedLMWithEntities, batch: EncoderInput) -> tuple[torch.Tensor, torch.Tensor]:
    """The logits of all real pieces and entities."""
    pieces, entities = module.predict(
        batch, pieces=flat_indices(batch.piece_mask), entities=flat_indices(batch.entity_mask)
    )
    assert pieces is not None
    assert entities is not None
    return pieces, entities


def assert_same(theirs: LukeForMaskedLM, ours: MaskedLMWithEntities, batch: EncoderInput) -> None:
    with torch.no_grad():
        expected, (pieces, entities) = theirs(**reference_input(batch)), both(ours, batch)
    torch.testing.assert_close(pieces, expected.logits[batch.piece_mask], atol=TOLERANCE, rtol=1e-4)
    torch.testing.assert_close(entities, expected.entity_logits[batch.entity_mask], atol=TOLERANCE, rtol=1e-4)


@pytest.mark.parametrize("safe", [True, False], ids=["tied tensors left out", "tied tensors present"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("width", [16, 32], ids=["narrow entities", "as wide as the pieces"])
def test_logits_equal_the_reference(tmp_path, width, tied, safe):
    theirs, ours = models(tmp_path, safe=safe, entity_emb_size=width, tie_word_embeddings=tied)
    if not safe:
        assert set(torch.load(tmp_path / "pytorch_model.bin")) >= TIED
    assert (ours.lm_head.decoder is None) == tied
    assert_same(theirs, ours, batch_of())


@pytest.mark.parametrize("activation", ["relu", "gelu_new"])
def test_the_activation_is_that_of_the_encoder_for_entities_alone(tmp_path, activation):
    assert_same(*models(tmp_path, hidden_act=activation), batch_of())


@pytest.mark.parametrize("entity_aware", [True, False])
def test_gradients_equal_the_reference(tmp_path, entity_aware):
    theirs, ours = models(tmp_path, use_entity_aware_attention=entity_aware)
    batch = batch_of()
    expected = theirs(**reference_input(batch))
    for pieces, entities in (
        (expected.logits[batch.piece_mask], expected.entity_logits[batch.entity_mask]),
        both(ours, batch),
    ):
        torch.nn.functional.cross_entropy(pieces, torch.arange(len(pieces))).backward(retain_graph=True)
        torch.nn.functional.cross_entropy(entities, torch.arange(len(entities))).backward()
    gradients = {name: p.grad for name, p in theirs.named_parameters()}
    compared = 0
    for name, parameter in ours.named_parameters():
        reference = gradients[to_hugging_face(name)]
        if reference is None:
            assert parameter.grad is None or not parameter.grad.any(), name
            continue
        gradient = parameter.grad.clone()
        if name.endswith(("embeddings.entity.weight", "word.weight", ".embeddings.position.weight")):
            # As an input, the reference gives its padding row (of entities always row 0) no gradient.
            row = 0 if "entity.weight" in name else 1
            gradient[row] = reference[row]
        assert torch.allclose(gradient, reference, atol=TOLERANCE, rtol=1e-3), name
        compared += 1
    assert compared > 45


def test_chosen_rows_are_those_rows_alone(tmp_path):
    _, module = models(tmp_path)
    batch = batch_of()
    assert batch.entity_mask is not None
    chosen = batch.piece_mask & (torch.arange(20) % 3 == 0)
    masked = batch.entity_mask & (torch.arange(3) % 2 == 0)
    with torch.no_grad():
        pieces, entities = both(module, batch)
        assert torch.allclose(module(batch)[batch.piece_mask], pieces, atol=1e-5)
        some = module.predict(batch, pieces=flat_indices(chosen))
        assert some.entities is None
        assert torch.allclose(some.pieces, pieces[chosen[batch.piece_mask]], atol=1e-5)
        some = module.predict(batch, entities=flat_indices(masked))
        assert some.pieces is None
        assert some.entities.shape == (4, len(ENTITIES))
        assert torch.allclose(some.entities, entities[masked[batch.entity_mask]], atol=1e-5)
        assert module.predict(batch) == (None, None)


def test_no_row_but_the_chosen_ones_is_decoded(tmp_path):
    _, module = models(tmp_path)
    decoded = []
    for part in (module.lm_head, module.entity_predictions):
        part.register_forward_hook(lambda _, __, logits: decoded.append(tuple(logits.shape)))
    batch = batch_of()
    chosen = torch.zeros_like(batch.piece_mask)
    chosen[1, 3] = chosen[2, 5] = True
    assert batch.entity_mask is not None
    module.predict(batch, pieces=flat_indices(chosen), entities=flat_indices(batch.entity_mask))
    assert decoded == [(2, 430), (6, len(ENTITIES))]


def test_pieces_are_predicted_without_entities(tmp_path):
    theirs, ours = models(tmp_path)
    batch = make_input([20, 9], None)
    with torch.no_grad():
        expected = theirs(**reference_input(batch)).logits
        torch.testing.assert_close(ours(batch)[batch.piece_mask], expected[batch.piece_mask], atol=TOLERANCE, rtol=1e-4)


def test_the_chosen_rows_of_a_longformer_are_those_rows(tmp_path):
    import transformers

    write_longformer(tmp_path, randomise(transformers.LongformerForMaskedLM(longformer_config())))
    module = open_checkpoint(tmp_path).load_task_module(MASKED_LM, "special")[0].eval()
    batch = make_input([40, 30], None)
    chosen = batch.piece_mask & (torch.arange(40) % 7 == 0)
    with torch.no_grad():
        predicted = module.predict(batch, pieces=flat_indices(chosen))
        assert predicted.entities is None
        assert torch.allclose(predicted.pieces, module(batch)[chosen], atol=1e-5)


# --- the entity vocabulary, and on disk


@pytest.mark.parametrize("tied", [True, False])
def test_a_trimmed_vocabulary_has_the_logits_of_the_titles_that_stay(tmp_path, tied):
    (tmp_path / "titles.txt").write_text("Babbage\nLondon\n")
    _, full = models(tmp_path / "in", tie_word_embeddings=tied)
    ours, vocab = open_checkpoint(tmp_path / "in").load_task_module(MASKED_LM, str(tmp_path / "titles.txt"))
    assert len(vocab) == 6
    assert ours.entity_predictions.bias.shape == (6,)
    batch = batch_of(entities=3)  # special entities, whose ids are the same
    titles = ["[PAD]", "[UNK]", "[MASK]", "[MASK2]", "Babbage", "London"]
    with torch.no_grad():
        expected, (pieces, entities) = both(full, batch), both(ours.eval(), batch)
    assert torch.allclose(pieces, expected[0], atol=1e-5)
    old, new = ([v[title] for title in titles] for v in (open_checkpoint(tmp_path / "in").entity_vocab, vocab))
    assert torch.allclose(entities[:, new], expected[1][:, old], atol=1e-5)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("entity_vocab", ["full", "special"])
def test_transformers_opens_what_we_wrote_with_the_same_logits(tmp_path, entity_vocab, tied):
    models(tmp_path / "in", tie_word_embeddings=tied)
    checkpoint = open_checkpoint(tmp_path / "in")
    module, vocab = checkpoint.load_task_module(MASKED_LM, entity_vocab)
    description = Description(MASKED_LM, module.encoder.config, checkpoint.tokenizer, vocab)
    save_checkpoint(tmp_path / "out", description, module.eval())
    model, info = LukeForMaskedLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert "id2label" not in json.loads((tmp_path / "out" / "config.json").read_text())
    assert_same(model.eval(), module, batch_of(entities=len(vocab)))
    if entity_vocab == "full":
        before, after = (set(load_file(tmp_path / place / "model.safetensors")) for place in ("in", "out"))
        copies = {"lm_head.decoder.weight", "lm_head.decoder.bias"} | (
            set() if tied else {"entity_predictions.decoder.weight"}
        )
        assert after == before | copies


def test_a_vocabulary_bias_of_the_wrong_size_raises_l025(tmp_path):
    from safetensors.torch import save_file

    models(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights["entity_predictions.bias"] = torch.zeros(9)
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(LukeError, match=r"L025.*entity_predictions\.bias is \(9,\), config\.json says \(7,\)"):
        open_checkpoint(tmp_path).load_task_module(MASKED_LM, "special")


def test_a_new_head_has_unit_norms_no_bias_and_the_table_of_the_encoder(tmp_path):
    write_luke(tmp_path)
    module, _ = open_checkpoint(tmp_path).load_task_module(MASKED_LM, "full", labels=1)
    for norm in (module.lm_head.layer_norm, module.entity_predictions.transform.LayerNorm):
        assert (norm.weight == 1).all()
    assert not module.lm_head.bias.any()
    assert not module.entity_predictions.bias.any()
    assert float(module.entity_predictions.transform.dense.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    assert both(module, batch_of())[1].shape == (6, len(ENTITIES))


@pytest.mark.parametrize("tied", [True, False])
def test_a_longformer_made_of_it_keeps_the_head_of_the_pieces(tmp_path, tied):
    _, ours = models(tmp_path / "in", tie_word_embeddings=tied)
    upcycle_folder(tmp_path / "in", tmp_path / "out", to="longformer", max_pieces=128, attention_window=256)
    made = open_checkpoint(tmp_path / "out")
    assert made.architecture == "LongformerForMaskedLM"
    batch = make_input([20, 9], None)
    with torch.no_grad():
        logits = made.load_task_module(made.architecture, "special")[0].eval()(batch)
        assert torch.allclose(logits[batch.piece_mask], ours(batch)[batch.piece_mask], atol=1e-4)
