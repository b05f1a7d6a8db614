"""Start of a pretraining run: all that its source knows, and new parts where it has none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F
from transformers import LukeForMaskedLM

from spacy_luke.checkpoints.checkpoint import Checkpoint, Description
from spacy_luke.checkpoints.from_scratch import new_checkpoint
from spacy_luke.checkpoints.heads import MASKED_LM
from spacy_luke.checkpoints.pretraining import load_for_pretraining, with_entity_queries
from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.checkpoints.writer import save_checkpoint
from spacy_luke.encoders.layers import flat_indices
from spacy_luke.encoders.masked_lm import MaskedLMWithEntities
from spacy_luke.errors import LukeError, LukeWarning
from tests.checkpoints.test_upcycle import write_source
from tests.util import (
    ENTITIES,
    luke_config,
    make_input,
    randomise,
    reference_input,
    write_byte_bpe,
    write_longformer,
    write_luke,
    write_unigram,
    write_word_piece,
)

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
NEW = ["London", "São Paulo", "Nobody"]
SPANS = [[(3, 7), (9, 12)], [(1, 2)]]


def start(checkpoint: Checkpoint, vocab: str = "full", **options: Any) -> tuple[MaskedLMWithEntities, Any]:
    given = {"entity_aware_attention": False, "entity_emb_size": None, **options}
    module, entity_vocab = load_for_pretraining(checkpoint, vocab, **given)
    return module.eval(), entity_vocab


def outputs(module: MaskedLMWithEntities, batch: Any) -> list[torch.Tensor]:
    with torch.no_grad():
        predicted = module.predict(
            batch, pieces=flat_indices(batch.piece_mask), entities=flat_indices(batch.entity_mask)
        )
    assert predicted.pieces is not None
    assert predicted.entities is not None
    return [predicted.pieces, predicted.entities]


# --- from plain encoders


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_the_head_that_predicts_pieces_is_that_of_the_source(tmp_path, kind):
    theirs = write_source(tmp_path, kind, head=True)
    checkpoint = open_checkpoint(tmp_path)
    module, _ = start(checkpoint.with_entities(NEW))
    config = module.encoder.config
    batch = make_input([20, 9], SPANS, vocab_size=config.vocab_size - 2, pad_id=config.pad_token_id, entities=4)
    batch.entity_ids = batch.entity_spans = batch.entity_mask = None
    with torch.no_grad():
        logits = module(batch)
        expected = theirs(batch.piece_ids, attention_mask=batch.piece_mask.long()).logits
    assert (logits[..., :-2] - expected)[batch.piece_mask].abs().max() < 1e-4
    markers = [checkpoint.tokenizer.vocab.get(like, checkpoint.tokenizer.special.unk) for like in "@#"]
    assert torch.equal(module.lm_head.bias[-2:], module.lm_head.bias[markers])


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm-roberta"])
def test_a_source_without_heads_gets_new_ones(tmp_path, kind):
    write_source(tmp_path, kind)
    module, vocab = start(open_checkpoint(tmp_path).with_entities(NEW))
    assert not module.lm_head.bias.any()
    assert (module.entity_predictions.transform.LayerNorm.weight == 1).all()
    assert float(module.entity_predictions.transform.dense.weight.detach().std()) == pytest.approx(0.02, rel=0.2)
    assert module.entity_predictions.bias.shape == (len(vocab),) == (7,)
    assert all(not parameter.is_meta for parameter in module.parameters())


def test_an_entity_starts_as_the_mean_of_the_pieces_of_its_title(tmp_path):
    write_source(tmp_path, "roberta")
    checkpoint = open_checkpoint(tmp_path)
    module, vocab = start(checkpoint.with_entities(NEW))
    words, table = module.encoder.embeddings.word.weight, module.encoder.entity_embeddings.entity.weight
    for title in NEW:
        pieces = torch.from_numpy(checkpoint.tokenizer.encode_text(title, []).ids)
        torch.testing.assert_close(table[vocab[title]], words[pieces].mean(0))
    assert torch.equal(table[vocab["[MASK]"]], words[checkpoint.tokenizer.special.mask])


def test_the_entity_table_can_be_narrower_than_the_encoder(tmp_path):
    (tmp_path / "in").mkdir()
    write_source(tmp_path / "in", "roberta")
    checkpoint = open_checkpoint(tmp_path / "in")
    module, vocab = start(checkpoint.with_entities(NEW), entity_emb_size=8)
    embeddings = module.encoder.entity_embeddings
    assert embeddings.entity.weight.shape == (len(vocab), 8)
    assert embeddings.projection.weight.shape == (32, 8)
    assert module.entity_predictions.transform.dense.weight.shape == (8, 32)
    assert float(embeddings.entity.weight.detach().std()) == pytest.approx(0.02, rel=0.3)
    whole, _ = start(checkpoint)
    assert torch.equal(embeddings.position.weight, whole.encoder.entity_embeddings.position.weight)
    save_checkpoint(
        tmp_path / "out", Description(MASKED_LM, module.encoder.config, checkpoint.tokenizer, vocab), module
    )
    _, info = LukeForMaskedLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["unexpected_keys"]


# --- from a LUKE


def test_a_luke_keeps_its_heads_and_the_rows_of_its_titles(tmp_path):
    theirs = randomise(LukeForMaskedLM(luke_config(use_entity_aware_attention=False, entity_emb_size=32)))
    write_luke(tmp_path, theirs)
    module, vocab = start(open_checkpoint(tmp_path).with_entities(NEW))
    assert {title: vocab[title] for title in ENTITIES} == ENTITIES
    assert [vocab[title] for title in NEW] == [3, 7, 8]
    batch = make_input([20, 9], SPANS)
    with torch.no_grad():
        expected = theirs(**reference_input(batch))
    pieces, entities = outputs(module, batch)
    torch.testing.assert_close(pieces, expected.logits[batch.piece_mask], atol=1e-4, rtol=1e-4)
    known = len(ENTITIES)
    torch.testing.assert_close(entities[:, :known], expected.entity_logits[batch.entity_mask], atol=1e-4, rtol=1e-4)
    assert entities.shape[1] == known + 2
    assert not module.entity_predictions.bias[known:].any()


def test_the_vocabulary_can_be_that_of_the_corpus_alone(tmp_path):
    write_luke(tmp_path)
    (tmp_path / "titles.json").write_text(json.dumps(NEW))
    checkpoint = open_checkpoint(tmp_path)
    table = checkpoint.load_encoder("full").entity_embeddings.entity.weight
    module, vocab = start(checkpoint.with_entities(NEW), str(tmp_path / "titles.json"), entity_aware_attention=True)
    assert len(vocab) == 4 + len(NEW)
    assert "Ada Lovelace" not in vocab
    new = module.encoder.entity_embeddings.entity.weight
    for title in ("London", "[MASK]", "[PAD]"):
        assert torch.equal(new[vocab[title]], table[ENTITIES[title]])


def test_queries_that_are_no_copies_are_left_out_with_a_warning(tmp_path):
    write_luke(tmp_path)
    with pytest.warns(LukeWarning, match="W027"):
        module, _ = start(open_checkpoint(tmp_path))
    assert not module.encoder.layers[0].attention.entity_aware
    module, _ = start(open_checkpoint(tmp_path), entity_aware_attention=True)
    assert module.encoder.layers[0].attention.entity_aware


def test_copied_queries_compute_what_plain_attention_does_and_transformers_opens_them(tmp_path, recwarn):
    write_source(tmp_path, "roberta", head=True)
    checkpoint = open_checkpoint(tmp_path)
    plain, vocab = start(checkpoint.with_entities(NEW))
    assert not recwarn.list
    aware = with_entity_queries(plain).eval()
    batch = make_input([20, 9], SPANS, vocab_size=plain.encoder.config.vocab_size, entities=len(vocab))
    for a, b in zip(outputs(plain, batch), outputs(aware, batch), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
    assert aware.lm_head.dense.weight.data_ptr() == plain.lm_head.dense.weight.data_ptr()
    description = Description(MASKED_LM, aware.encoder.config, checkpoint.tokenizer, vocab)
    save_checkpoint(tmp_path / "out", description, aware)
    theirs, info = LukeForMaskedLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert theirs.config.use_entity_aware_attention
    assert not info["unexpected_keys"]
    assert all("pooler" in name for name in info["missing_keys"])
    with torch.no_grad():
        expected = theirs.eval()(**reference_input(batch)).entity_logits[batch.entity_mask]
    torch.testing.assert_close(outputs(plain, batch)[1], expected, atol=1e-4, rtol=1e-4)
    again, _ = start(open_checkpoint(tmp_path / "out"))
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), again.parameters(), strict=True))
    assert not recwarn.list


def independent(folder: Path) -> Path:
    write_luke(folder)
    checkpoint = open_checkpoint(folder).with_independent_attention()
    save_checkpoint(folder / "out", checkpoint.describe(checkpoint.config), checkpoint.load_encoder())
    return folder / "out"


def longformer(folder: Path) -> Path:
    write_longformer(folder)
    return folder


def without_queries(folder: Path) -> Path:
    write_luke(folder, randomise(LukeForMaskedLM(luke_config(use_entity_aware_attention=False))))
    return folder


@pytest.mark.parametrize(
    ("write", "options", "reason"),
    [
        (longformer, {}, "longformer"),
        (independent, {}, "independent"),
        (without_queries, {"entity_aware_attention": True}, "no entity-aware attention"),
        (without_queries, {"entity_emb_size": 8}, "16 wide"),
    ],
)
def test_what_cannot_be_pretrained_raises_l098(tmp_path, write, options, reason):
    with pytest.raises(LukeError, match=rf"L098.*{reason}"):
        start(open_checkpoint(write(tmp_path)), **options)


# --- from scratch


def test_a_model_with_entity_queries_keeps_its_decoder_of_entities(tmp_path):
    write_luke(tmp_path, randomise(LukeForMaskedLM(luke_config(use_entity_aware_attention=False))))
    module, vocab = open_checkpoint(tmp_path).load_task_module(MASKED_LM, "full")
    module.entity_predictions.untie(module.encoder.config)
    aware = with_entity_queries(module.eval()).eval()
    assert aware.entity_predictions.decoder.weight is not aware.encoder.entity_embeddings.entity.weight
    batch = make_input([20, 9], SPANS, entities=len(vocab))
    for ours, expected in zip(outputs(aware, batch), outputs(module, batch), strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("write", [write_byte_bpe, write_word_piece, write_unigram], ids=lambda f: f.__name__)
@pytest.mark.parametrize("case_types", [None, True, False])
def test_a_model_from_scratch_fits_its_tokenizer(tmp_path, write, case_types):
    pieces = write(tmp_path)
    checkpoint = new_checkpoint(tmp_path, SIZES, max_pieces=40, case_types=case_types)
    config = checkpoint.config
    assert config.max_pieces == 40
    cased = case_types if case_types is not None else write is write_word_piece
    assert config.type_vocab_size == (6 if cased else 1)
    assert checkpoint.tokenizer.case_types == cased
    assert checkpoint.settings == ({"piece_types": "case"} if cased else {})
    assert checkpoint.path == tmp_path, "which messages name"
    module, vocab = start(checkpoint.with_entities(NEW))
    assert module.encoder.embeddings.word.weight.shape == (pieces + 2, 32)
    assert checkpoint.tokenizer.vocab["<ent2>"] == pieces + 1
    assert float(module.encoder.embeddings.word.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    table = module.encoder.entity_embeddings.entity.weight
    assert torch.equal(table[vocab["[MASK]"]], table[vocab["[MASK2]"]])
    batch = make_input([40, 9], SPANS, vocab_size=pieces, pad_id=config.pad_token_id, entities=len(vocab))
    assert all(tensor.isfinite().all() for tensor in outputs(module, batch))


def test_what_was_made_from_scratch_is_a_checkpoint(tmp_path):
    write_byte_bpe(tmp_path)
    checkpoint = new_checkpoint(tmp_path, SIZES)
    module, vocab = start(checkpoint)
    description = Description(MASKED_LM, module.encoder.config, checkpoint.tokenizer, vocab)
    save_checkpoint(tmp_path / "out", description, module)
    theirs, info = LukeForMaskedLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"]
    batch = make_input([20, 9], SPANS, entities=4)
    with torch.no_grad():
        logits = theirs.eval()(**reference_input(batch)).entity_logits[batch.entity_mask]
    torch.testing.assert_close(logits, outputs(module, batch)[1], atol=1e-4, rtol=1e-4)
    assert F.softmax(logits, -1).isfinite().all()


@pytest.mark.parametrize(
    ("sizes", "code"),
    [({"vocab_size": 3}, "L080"), ({"hidden_size": "wide"}, "L004"), ({"hidden_size": 33}, "L002")],
)
def test_sizes_that_cannot_be_are_coded_errors(tmp_path, sizes, code):
    write_byte_bpe(tmp_path)
    with pytest.raises(LukeError, match=code):
        new_checkpoint(tmp_path, {**SIZES, **sizes})


def test_a_folder_without_tokenizer_raises_l028(tmp_path):
    with pytest.raises(LukeError, match="L028"):
        new_checkpoint(tmp_path, SIZES)
