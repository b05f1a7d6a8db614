"""BERT, RoBERTa and XLM-R read as LUKE: the pieces stay what they were, and what is new starts where it should."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    AddedToken,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    LukeModel,
    LukeTokenizer,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaModel,
    RobertaTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from spacy_luke.checkpoints.checkpoint import Checkpoint
from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.checkpoints.upcycle import upcycled_config
from spacy_luke.checkpoints.upcycle_folder import upcycle_folder
from spacy_luke.encoders.inputs import EncoderInput
from spacy_luke.encoders.luke import LukeEncoder
from spacy_luke.errors import LukeError
from spacy_luke.tokenization.case import CASE_TYPES
from spacy_luke.tokenization.loading import read_tokenizer_files
from spacy_luke.tokenization.pieces import PieceTokenizer
from tests.util import (
    make_input,
    randomise,
    reference_input,
    write_byte_bpe,
    write_luke,
    write_unigram,
    write_word_piece,
)

KINDS = ["bert", "roberta", "xlm-roberta"]


def write_source(folder: Path, kind: str, *, head: bool = False, **changes: Any) -> nn.Module:
    """A tiny random checkpoint of `kind` with a tokenizer.json (RoBERTa: vocab.json and merges.txt)."""
    write = {"bert": write_word_piece, "roberta": write_byte_bpe, "xlm-roberta": write_unigram}[kind]
    tiny: dict[str, Any] = {
        "vocab_size": write(folder),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 64 if kind == "bert" else 66,
        "type_vocab_size": 2 if kind == "bert" else 1,
        **changes,
    }
    model: nn.Module
    if kind == "bert":
        model = (BertForMaskedLM if head else BertModel)(BertConfig(**tiny))
    elif kind == "roberta":
        model = (RobertaForMaskedLM if head else RobertaModel)(RobertaConfig(**tiny))
    else:
        model = XLMRobertaModel(XLMRobertaConfig(**tiny))
    randomise(model).save_pretrained(folder)
    return model


def opened(folder: Path, **options: Any) -> tuple[Checkpoint, LukeEncoder]:
    checkpoint = open_checkpoint(folder, **options)
    return checkpoint, checkpoint.load_encoder().eval()


def batch_for(checkpoint: Checkpoint, lengths: list[int], spans: Any = None) -> EncoderInput:
    config = checkpoint.config
    return make_input(lengths, spans, vocab_size=config.vocab_size - 2, pad_id=config.pad_token_id, entities=4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case_types", [None, False, True])
def test_states_of_pieces_are_those_of_the_source(tmp_path, kind, case_types):
    """Up to the longest input of the source, whatever the case types, which all start as type 0."""
    model = write_source(tmp_path, kind)
    checkpoint, encoder = opened(tmp_path, case_types=case_types)
    assert checkpoint.config.max_pieces == 64
    batch = batch_for(checkpoint, [64, 20])
    with torch.no_grad():
        theirs = model(batch.piece_ids, attention_mask=batch.piece_mask.long())
        if case_types:
            batch.piece_types = torch.randint(0, CASE_TYPES, batch.piece_ids.shape)
        ours = encoder(batch)
    assert (theirs.last_hidden_state - ours.pieces)[batch.piece_mask].abs().max() < 1e-4
    assert (theirs.pooler_output - ours.pooled).abs().max() < 1e-4


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_a_source_with_a_head_is_read_without_it(tmp_path, kind):
    model = write_source(tmp_path, kind, head=True)
    checkpoint, encoder = opened(tmp_path)
    batch = batch_for(checkpoint, [30, 20])
    with torch.no_grad():
        theirs = model.base_model(batch.piece_ids, attention_mask=batch.piece_mask.long()).last_hidden_state
        ours = encoder(batch)
    assert ours.pooled is None
    assert (theirs - ours.pieces)[batch.piece_mask].abs().max() < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_entity_aware_queries_start_as_copies_of_the_query(tmp_path, kind):
    write_source(tmp_path, kind)
    _, encoder = opened(tmp_path)
    for layer in encoder.layers:
        a = layer.attention
        for copy in (a.piece_to_entity_query, a.entity_to_piece_query, a.entity_to_entity_query):
            assert torch.equal(copy.weight, a.query.weight)
            assert torch.equal(copy.bias, a.query.bias)
            assert copy.weight.data_ptr() != a.query.weight.data_ptr()


@pytest.mark.parametrize("kind", KINDS)
def test_a_masked_entity_starts_as_the_mask_piece_at_its_place(tmp_path, kind):
    """Entity and piece embeddings of [MASK] over one piece are equal."""
    write_source(tmp_path, kind)
    checkpoint, encoder = opened(tmp_path)
    ids = torch.full((1, 20), checkpoint.tokenizer.special.mask)
    for title in ("[MASK]", "[MASK2]"):
        spans = torch.tensor([[(i, i + 1) for i in range(20)]])
        entity_ids = torch.full((1, 20), checkpoint.entity_vocab[title])
        entities = encoder.entity_embeddings(entity_ids, spans)
        assert torch.allclose(entities, encoder.embeddings(ids, None), atol=1e-5)


@pytest.mark.parametrize(("kind", "at", "hash_"), [("bert", "@", "#"), ("roberta", "@", "#")])
def test_marker_pieces_start_as_at_and_hash(tmp_path, kind, at, hash_):
    write_source(tmp_path, kind)
    checkpoint, encoder = opened(tmp_path)
    vocab, table = checkpoint.tokenizer.vocab, encoder.embeddings.word.weight
    assert [vocab["<ent>"], vocab["<ent2>"]] == [len(table) - 2, len(table) - 1]
    assert torch.equal(table[vocab["<ent>"]], table[vocab[at]])
    assert torch.equal(table[vocab["<ent2>"]], table[vocab[hash_]])


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_opens_the_upcycled_folder_with_the_same_states(tmp_path, kind):
    (tmp_path / "source").mkdir()
    write_source(tmp_path / "source", kind)
    upcycle_folder(tmp_path / "source", tmp_path / "luke")
    model, info = LukeModel.from_pretrained(
        tmp_path / "luke", output_loading_info=True, add_pooling_layer=True, attn_implementation="eager"
    )
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    checkpoint, encoder = opened(tmp_path / "luke")
    batch = batch_for(checkpoint, [64, 20], [[(0, 30), (2, 3)], [(5, 9)]])
    with torch.no_grad():
        theirs, ours = model.eval()(**reference_input(batch)), encoder(batch)
    assert (theirs.last_hidden_state - ours.pieces)[batch.piece_mask].abs().max() < 1e-4
    assert (theirs.entity_last_hidden_state - ours.entities)[batch.entity_mask].abs().max() < 1e-4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case_types", [False, True])
def test_a_written_upcycled_checkpoint_equals_the_one_in_memory(tmp_path, kind, case_types):
    (tmp_path / "source").mkdir()
    write_source(tmp_path / "source", kind)
    upcycle_folder(tmp_path / "source", tmp_path / "luke", case_types=case_types)
    before, encoder = opened(tmp_path / "source", case_types=case_types)
    after, reread = opened(tmp_path / "luke")
    assert before.upcycled
    assert not after.upcycled
    assert after.config == before.config
    assert after.tokenizer.vocab == before.tokenizer.vocab
    assert after.tokenizer.special == before.tokenizer.special
    assert after.tokenizer.case_types == case_types
    assert all(torch.equal(a, b) for a, b in zip(encoder.parameters(), reread.parameters(), strict=True))


@pytest.mark.parametrize("form", ["vocab.json", "tokenizer.json"])
def test_an_upcycled_roberta_has_files_for_luke_tokenizer(tmp_path, form):
    source = tmp_path / "source"
    source.mkdir()
    write_source(source, "roberta")
    if form == "tokenizer.json":
        fast = RobertaTokenizerFast(str(source / "vocab.json"), str(source / "merges.txt"))
        fast.backend_tokenizer.save(str(source / "tokenizer.json"))
        (source / "vocab.json").unlink()
        (source / "merges.txt").unlink()
    (source / "tokenizer_config.json").write_text('{"errors": "ignore", "add_prefix_space": false}')
    upcycle_folder(source, tmp_path / "luke")
    settings = json.loads((tmp_path / "luke" / "tokenizer_config.json").read_text(encoding="utf8"))
    assert (settings["errors"], settings["tokenizer_class"]) == ("ignore", "LukeTokenizer"), (
        "what it does not know stays"
    )
    theirs = LukeTokenizer.from_pretrained(tmp_path / "luke", task="entity_span_classification")
    ours = open_checkpoint(tmp_path / "luke").tokenizer
    text = "Ada Lovelace met  Babbage in São Paulo."
    spans = [(0, 12), (18, 25)]
    encoded = theirs(text, entity_spans=spans)
    mine = ours.encode_text(text, [b for span in spans for b in span])
    assert encoded["input_ids"] == [ours.special.bos, *mine.ids.tolist(), ours.special.eos]
    assert theirs.convert_tokens_to_ids(["<ent>", "<ent2>"]) == [ours.vocab["<ent>"], ours.vocab["<ent2>"]]
    assert len(theirs) == open_checkpoint(tmp_path / "luke").config.vocab_size


@pytest.mark.parametrize("form", ["vocab.json", "tokenizer.json"])
def test_added_tokens_and_their_flags_are_kept_for_luke_tokenizer(tmp_path, form):
    source = tmp_path / "source"
    source.mkdir()
    model = write_source(source, "roberta")
    fast = RobertaTokenizerFast(str(source / "vocab.json"), str(source / "merges.txt"))
    fast.add_tokens(["MVX", AddedToken("ketorol", lstrip=True), AddedToken("York", rstrip=True, normalized=False)])
    model.resize_token_embeddings(len(fast))
    model.save_pretrained(source)
    fast.save_pretrained(source)
    if form == "tokenizer.json":
        for name in ("vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json"):
            (source / name).unlink()
        (source / "tokenizer_config.json").write_text('{"backend": "tokenizers"}')
    upcycle_folder(source, tmp_path / "luke")
    theirs = LukeTokenizer.from_pretrained(tmp_path / "luke")
    ours = open_checkpoint(tmp_path / "luke").tokenizer
    text = "Ada MVX met ketorol in York and MVXetorol."
    expected = fast(text, add_special_tokens=False)["input_ids"]
    assert theirs(text, add_special_tokens=False)["input_ids"] == expected
    assert (
        ours.encode_text(text, []).ids.tolist() == open_checkpoint(source).tokenizer.encode_text(text, []).ids.tolist()
    )
    assert ours.encode_text(text, []).ids.tolist() == expected
    assert theirs.convert_tokens_to_ids(["<ent>", "<ent2>"]) == [ours.vocab["<ent>"], ours.vocab["<ent2>"]]
    assert len(theirs) == open_checkpoint(tmp_path / "luke").config.vocab_size


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_added_tokens_of_an_upcycled_tokenizer_json_are_kept(tmp_path, kind):
    source = tmp_path / "source"
    source.mkdir()
    model = write_source(source, kind)
    fast = PreTrainedTokenizerFast(tokenizer_file=str(source / "tokenizer.json"))
    fast.add_tokens(["MVX", AddedToken("ketorol", lstrip=True)])
    model.resize_token_embeddings(model.config.vocab_size + 2)
    model.save_pretrained(source)
    fast.backend_tokenizer.save(str(source / "tokenizer.json"))
    upcycle_folder(source, tmp_path / "luke")
    theirs = AutoTokenizer.from_pretrained(tmp_path / "luke")
    ours = open_checkpoint(tmp_path / "luke").tokenizer
    for text in ("Ada MVX met ketorol", "aMVXb ketorol"):
        ids = theirs(text, add_special_tokens=False, truncation=False, padding=False)["input_ids"]
        assert ours.encode_text(text, []).ids.tolist() == ids
        assert ours.vocab["MVX"] in ids


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_an_upcycled_tokenizer_json_opens_in_transformers_with_its_markers(tmp_path, kind):
    (tmp_path / "source").mkdir()
    write_source(tmp_path / "source", kind)
    upcycle_folder(tmp_path / "source", tmp_path / "luke")
    theirs = AutoTokenizer.from_pretrained(tmp_path / "luke")
    ours = open_checkpoint(tmp_path / "luke").tokenizer
    added = json.loads((tmp_path / "luke" / "tokenizer.json").read_text(encoding="utf8"))["added_tokens"]
    flags = {token["content"]: (token["special"], token["normalized"]) for token in added}
    assert flags["<ent>"] == flags["<ent2>"] == (True, False)
    ids = theirs("Ada <ent> Babbage", add_special_tokens=False, truncation=False, padding=False)["input_ids"]
    assert ours.vocab["<ent>"] in ids


def test_rows_of_a_table_are_those_of_the_whole(tmp_path):
    write_source(tmp_path, "bert")
    weights = open_checkpoint(tmp_path).weights
    for name in ("embeddings.position_embeddings.weight", "embeddings.word_embeddings.weight"):
        name = next(key for key in weights.shapes() if key.endswith(name))
        assert torch.equal(weights.get(name, [7, 2]), weights.get(name)[[7, 2]])


@pytest.mark.parametrize(("to", "pad"), [("luke", None), ("luke", 9), ("longformer", 9)])
def test_special_ids_are_those_of_the_tokenizer_whatever_config_json_says(tmp_path, to, pad):
    write_source(tmp_path, "roberta")
    data = json.loads((tmp_path / "config.json").read_text(encoding="utf8"))
    changed = {**data, "pad_token_id": pad, "bos_token_id": 7, "tie_word_embeddings": False}
    tokenizer = PieceTokenizer(read_tokenizer_files(tmp_path))
    config = upcycled_config(changed, tokenizer, to=to, case_types=False)
    special = tokenizer.special
    assert (config.pad_token_id, config.bos_token_id, config.eos_token_id) == (special.pad, special.bos, special.eos)
    assert config.vocab_size == data["vocab_size"] + 2
    assert "tie_word_embeddings" not in config.extra, "no head is kept of another kind of model"


def test_case_types_follow_the_tokenizer_unless_told(tmp_path):
    write_source(tmp_path, "bert")
    assert opened(tmp_path)[0].settings == {"piece_types": "case"}
    assert opened(tmp_path)[0].tokenizer.case_types
    assert opened(tmp_path)[0].config.type_vocab_size == CASE_TYPES
    assert opened(tmp_path, case_types=False)[0].settings == {}
    assert not opened(tmp_path, case_types=False)[0].tokenizer.case_types


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", ["embeddings.word_embeddings.weight", "encoder.layer.1.attention.self.query.weight"])
def test_missing_keys_of_the_source_are_named(tmp_path, kind, key):
    write_source(tmp_path, kind)
    weights = load_file(tmp_path / "model.safetensors")
    del weights[key]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(LukeError, match="L024") as error:
        opened(tmp_path)
    assert key in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("setting", ["vocab_size", "max_position_embeddings", "hidden_size"])
def test_weights_of_the_wrong_size_in_the_source_raise_l025(tmp_path, kind, setting):
    write_source(tmp_path, kind)
    data = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**data, setting: data[setting] + 4}))
    with pytest.raises(LukeError, match=r"L025.*embeddings\."):
        opened(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_tokenizer_with_more_pieces_than_the_source_raises_l025(tmp_path, kind):
    write_source(tmp_path, kind, vocab_size=100)
    with pytest.raises(LukeError, match=r"L025.*vocab_size of 100"):
        open_checkpoint(tmp_path)


def test_relative_positions_raise_l004(tmp_path):
    write_source(tmp_path, "bert", position_embedding_type="relative_key")
    with pytest.raises(LukeError, match=r"L004.*relative_key"):
        opened(tmp_path)


def test_a_luke_checkpoint_cannot_be_upcycled(tmp_path):
    write_luke(tmp_path / "luke")
    with pytest.raises(LukeError, match=r"L031.*luke"):
        upcycle_folder(tmp_path / "luke", tmp_path / "out")
    assert not (tmp_path / "out").exists()
