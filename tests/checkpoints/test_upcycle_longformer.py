"""BERT, RoBERTa and XLM-R read as Longformer: what fits the source and the window stays what it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoTokenizer,
    LongformerModel,
    LongformerTokenizerFast,
    LukeForEntityClassification,
    LukeForMultipleChoice,
    LukeForQuestionAnswering,
    LukeForSequenceClassification,
    LukeForTokenClassification,
)

from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.checkpoints.upcycle_folder import upcycle_folder
from spacy_luke.default_model import bundled_encoder
from spacy_luke.encoders.config import LongformerConfig
from spacy_luke.errors import LukeError
from spacy_luke.tokenization.case import CASE_TYPES
from tests.checkpoints.test_upcycle import KINDS, batch_for, write_source
from tests.util import luke_config, randomise, reference_input, write_longformer, write_luke

TO: dict[str, Any] = {"plain_as": "longformer", "max_pieces": 150, "attention_window": 16}


def made(**changes: Any) -> dict[str, Any]:
    options = {**TO, **changes}
    return {"to": options.pop("plain_as"), **options}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case_types", [None, False, True])
@pytest.mark.parametrize("global_pieces", [False, True])
def test_states_of_short_texts_are_those_of_the_source(tmp_path, kind, case_types, global_pieces):
    """Of texts no longer than half a window, where every piece sees every other; global ones do so in any case."""
    model = write_source(tmp_path, kind)
    checkpoint = open_checkpoint(tmp_path, **{**TO, "attention_window": 126}, case_types=case_types)
    encoder = checkpoint.load_encoder().eval()
    batch = batch_for(checkpoint, [64, 20])
    with torch.no_grad():
        theirs = model(batch.piece_ids, attention_mask=batch.piece_mask.long())
        if case_types:
            batch.piece_types = torch.randint(0, CASE_TYPES, batch.piece_ids.shape)
        if global_pieces:
            batch.global_mask = torch.rand(batch.piece_ids.shape) < 0.1
        ours = encoder(batch)
    assert (theirs.last_hidden_state - ours.pieces)[batch.piece_mask].abs().max() < 1e-5
    assert (theirs.pooler_output - ours.pooled).abs().max() < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_states_of_long_texts_are_those_of_the_source_if_all_pieces_are_global(tmp_path, kind):
    """Up to the longest input of the source: the copies of the projections attend to all."""
    model = write_source(tmp_path, kind)
    checkpoint = open_checkpoint(tmp_path, **TO)
    batch = batch_for(checkpoint, [64, 20])
    batch.global_mask = batch.piece_mask
    with torch.no_grad():
        theirs = model(batch.piece_ids, attention_mask=batch.piece_mask.long()).last_hidden_state
        ours = checkpoint.load_encoder().eval()(batch).pieces
    assert (theirs - ours)[batch.piece_mask].abs().max() < 1e-5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("max_pieces", [10, 64, 65, 128, 150, 1000])
def test_positions_are_those_of_the_source_again_and_again(tmp_path, kind, max_pieces):
    write_source(tmp_path, kind)
    checkpoint = open_checkpoint(tmp_path, **{**TO, "max_pieces": max_pieces})
    assert checkpoint.config.max_pieces == max_pieces
    old = load_file(tmp_path / "model.safetensors")
    table = next(t for name, t in old.items() if name.endswith("embeddings.position_embeddings.weight"))
    new = checkpoint.load_encoder().embeddings.position.weight
    first = checkpoint.config.pad_token_id + 1
    if kind != "bert":  # which has no rows before the first position
        assert torch.equal(new[:first], table[:first])
        table = table[first:]
    assert len(new) == max_pieces + first
    for piece in range(max_pieces):
        assert torch.equal(new[first + piece], table[piece % 64])


@pytest.mark.parametrize("kind", KINDS)
def test_global_projections_start_as_copies(tmp_path, kind):
    write_source(tmp_path, kind)
    for layer in open_checkpoint(tmp_path, **TO).load_encoder().layers:
        a = layer.attention
        for copy, source in ((a.global_query, a.query), (a.global_key, a.key), (a.global_value, a.value)):
            assert torch.equal(copy.weight, source.weight)
            assert torch.equal(copy.bias, source.bias)
            assert copy.weight.data_ptr() != source.weight.data_ptr()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case_types", [False, True])
def test_a_written_longformer_equals_the_one_in_memory(tmp_path, kind, case_types):
    (tmp_path / "source").mkdir()
    write_source(tmp_path / "source", kind, head=kind != "xlm-roberta")
    upcycle_folder(tmp_path / "source", tmp_path / "out", **made(case_types=case_types, attention_window=(8, 16)))
    options = {**TO, "attention_window": (8, 16), "case_types": case_types}
    before, after = open_checkpoint(tmp_path / "source", **options), open_checkpoint(tmp_path / "out")
    assert isinstance(after.config, LongformerConfig)
    assert after.config == before.config
    assert after.settings == before.settings == ({"piece_types": "case"} if case_types else {})
    assert after.tokenizer.vocab == before.tokenizer.vocab
    assert after.tokenizer.case_types == case_types
    assert not after.upcycled
    encoder, reread = before.load_encoder(), after.load_encoder()
    assert all(torch.equal(a, b) for a, b in zip(encoder.parameters(), reread.parameters(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_opens_the_folder_with_the_same_states(tmp_path, kind):
    (tmp_path / "source").mkdir()
    write_source(tmp_path / "source", kind)
    upcycle_folder(tmp_path / "source", tmp_path / "out", **made())
    model, info = LongformerModel.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    checkpoint = open_checkpoint(tmp_path / "out")
    batch = batch_for(checkpoint, [150, 70])
    batch.global_mask = torch.rand(batch.piece_ids.shape) < 0.05
    with torch.no_grad():
        theirs = model.eval()(**reference_input(batch)).last_hidden_state
        ours = checkpoint.load_encoder().eval()(batch).pieces
    assert (theirs - ours)[batch.piece_mask].abs().max() < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_opens_the_tokenizer_with_the_markers(tmp_path, kind):
    (tmp_path / "source").mkdir()
    write_source(tmp_path / "source", kind)
    upcycle_folder(tmp_path / "source", tmp_path / "out", **made())
    theirs = AutoTokenizer.from_pretrained(tmp_path / "out")
    ours = open_checkpoint(tmp_path / "out").tokenizer
    assert isinstance(theirs, LongformerTokenizerFast) == (kind == "roberta")
    assert theirs.model_max_length == 150
    text = "Ada Lovelace met Babbage"
    plain = theirs(text, add_special_tokens=False, truncation=False, padding=False)["input_ids"]
    assert plain == ours.encode_text(text, []).ids.tolist()
    assert theirs.convert_tokens_to_ids(["<ent>", "<ent2>"]) == [ours.vocab["<ent>"], ours.vocab["<ent2>"]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case_types", [False, True])
def test_a_longformer_made_from_a_luke_has_the_states_of_its_pieces(tmp_path, kind, case_types):
    """And its markers, and its case types; what the LUKE has for entities is left out."""
    (tmp_path / "source").mkdir()
    write_source(tmp_path / "source", kind)
    upcycle_folder(tmp_path / "source", tmp_path / "luke", case_types=case_types)
    upcycle_folder(tmp_path / "luke", tmp_path / "out", **made(attention_window=126))
    source, after = open_checkpoint(tmp_path / "luke"), open_checkpoint(tmp_path / "out")
    assert isinstance(after.config, LongformerConfig)
    assert after.config.vocab_size == source.config.vocab_size
    assert after.settings == source.settings
    assert after.tokenizer.vocab == source.tokenizer.vocab
    batch = batch_for(source, [64, 20])
    batch.piece_types = torch.randint(0, source.config.type_vocab_size, batch.piece_ids.shape)
    with torch.no_grad():
        theirs = source.load_encoder().eval()(batch)
        ours = after.load_encoder().eval()(batch)
    assert (theirs.pieces - ours.pieces)[batch.piece_mask].abs().max() < 1e-5
    assert (theirs.pooled - ours.pooled).abs().max() < 1e-5
    _, info = LongformerModel.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    markers = AutoTokenizer.from_pretrained(tmp_path / "out").convert_tokens_to_ids(["<ent>", "<ent2>"])
    assert markers == [source.tokenizer.vocab["<ent>"], source.tokenizer.vocab["<ent2>"]]


@pytest.mark.parametrize(
    ("model", "head", "labels"),
    [
        (LukeForQuestionAnswering, "qa_outputs", ()),
        (LukeForTokenClassification, "classifier", ("O", "B-PER", "I-PER")),
        (LukeForMultipleChoice, "classifier", ()),
        (LukeForEntityClassification, None, ()),
        (LukeForSequenceClassification, None, ()),
    ],
)
def test_a_head_that_both_have_and_that_reads_no_entities_is_kept(tmp_path, model, head, labels):
    named = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    write_luke(tmp_path / "luke", randomise(model(luke_config(**(named if labels else {})))))
    upcycle_folder(tmp_path / "luke", tmp_path / "out", **made())
    after = open_checkpoint(tmp_path / "out")
    assert after.labels == labels
    old, new = (load_file(tmp_path / name / "model.safetensors") for name in ("luke", "out"))
    if head is None:
        assert after.architecture == "LongformerModel"
        assert not any(name.startswith("classifier") for name in new)
    else:
        assert after.architecture == model.__name__.replace("Luke", "Longformer")
        assert torch.equal(old[f"{head}.weight"], new[f"{head}.weight"])
        assert torch.equal(old[f"{head}.bias"], new[f"{head}.bias"])


def test_a_luke_is_read_as_longformer_only_where_that_was_asked_for(tmp_path):
    write_luke(tmp_path)
    assert open_checkpoint(tmp_path, **TO).config.model_type == "luke"


@pytest.mark.parametrize("setting", ["vocab_size", "max_position_embeddings", "hidden_size"])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_the_wrong_size_in_the_source_raise_l025(tmp_path, kind, setting):
    write_source(tmp_path, kind)
    data = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**data, setting: data[setting] + 4}))
    with pytest.raises(LukeError, match=r"L025.*embeddings\."):
        open_checkpoint(tmp_path, **TO).load_encoder()


@pytest.mark.parametrize("key", ["embeddings.word_embeddings.weight", "encoder.layer.1.attention.self.query.weight"])
def test_missing_keys_of_the_source_are_named(tmp_path, key):
    write_source(tmp_path, "roberta")
    weights = load_file(tmp_path / "model.safetensors")
    del weights[key]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(LukeError, match=f"L024.*{key}"):
        open_checkpoint(tmp_path, **TO).load_encoder()


@pytest.mark.parametrize("max_pieces", [0, -1])
def test_no_positions_at_all_raise_l080(tmp_path, max_pieces):
    write_source(tmp_path, "roberta")
    with pytest.raises(LukeError, match=r"L080.*max_pieces"):
        open_checkpoint(tmp_path, **{**TO, "max_pieces": max_pieces})


@pytest.mark.parametrize("window", [7, 0, (8,), (8, 3)])
def test_an_impossible_window_raises_l006(tmp_path, window):
    write_source(tmp_path, "roberta")
    with pytest.raises(LukeError, match=r"L006.*2 of them"):
        open_checkpoint(tmp_path, **{**TO, "attention_window": window})


def test_a_luke_with_independent_attention_cannot_become_a_longformer(tmp_path):
    with pytest.raises(LukeError, match=r"L031.*from model_type 'independent_luke'. Possible: .*\bluke\."):
        upcycle_folder(bundled_encoder(), tmp_path / "out", to="longformer")
    assert not (tmp_path / "out").exists()


def test_a_longformer_cannot_be_upcycled(tmp_path):
    write_longformer(tmp_path / "longformer")
    with pytest.raises(LukeError, match=r"L031.*longformer checkpoint from model_type 'longformer'"):
        upcycle_folder(tmp_path / "longformer", tmp_path / "out", to="longformer")
    assert not (tmp_path / "out").exists()
