"""Tokenizer files are saved in the forms that transformers 4 and 5 each look for, with the same pieces in both."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import LukeModel

from spacy_luke.tokenization.loading import read_tokenizer_files
from spacy_luke.tokenization.pieces import PieceTokenizer
from spacy_luke.tokenization.saving import files_to_save
from spacy_luke.tokenization.sentencepiece import SENTENCEPIECE
from tests.mluke_model import SCRIPTS, write_mluke
from tests.util import TEXTS, read_files, write_byte_bpe, write_unigram, write_word_piece


@pytest.fixture(scope="module")
def mluke(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mluke")
    write_mluke(folder, LukeModel)
    return folder


@pytest.mark.parametrize("flags", [True, False], ids=["tokenizer_config.json", "added_tokens.json"])
def test_a_sentencepiece_model_gets_a_tokenizer_json_with_the_same_ids(mluke, flags) -> None:
    """transformers 5 counts the pieces of the model file from 0. Older checkpoints have only ids of added pieces."""
    files = read_tokenizer_files(mluke)
    if not flags:
        settings = json.loads(files["tokenizer_config.json"])
        del settings["added_tokens_decoder"]
        files["tokenizer_config.json"] = json.dumps(settings).encode()
    saved = files_to_save(files)
    assert {name: saved[name] for name in files} == files
    assert saved.keys() - files.keys() == {"tokenizer.json"}
    theirs, ours = Tokenizer.from_str(saved["tokenizer.json"].decode()), PieceTokenizer(files)
    assert theirs.get_vocab() == ours.vocab
    if not flags:
        marker = next(
            token for token in json.loads(saved["tokenizer.json"])["added_tokens"] if token["id"] == ours.vocab["<ent>"]
        )
        assert {name for name, flag in marker.items() if flag is True} == {"special"}, "no flags of its own"
    assert theirs.token_to_id("<ent>") == ours.vocab["<ent>"] == theirs.get_vocab_size() - 2
    again = PieceTokenizer(saved)
    assert again.special == ours.special
    for text in SCRIPTS:
        assert again.encode_text(text, [3]).ids.tolist() == ours.encode_text(text, [3]).ids.tolist()
    assert files_to_save(saved) == saved


def test_a_sentencepiece_model_alone_gets_a_tokenizer_json(unigram_folder) -> None:
    files = {SENTENCEPIECE: (unigram_folder / SENTENCEPIECE).read_bytes()}
    saved = files_to_save(files)
    assert saved.keys() == {SENTENCEPIECE, "tokenizer.json"}
    assert Tokenizer.from_str(saved["tokenizer.json"].decode()).get_vocab() == PieceTokenizer(files).vocab


def test_the_flags_of_an_added_piece_are_kept(mluke) -> None:
    saved = files_to_save(read_tokenizer_files(mluke))
    described = json.loads(saved["tokenizer_config.json"])["added_tokens_decoder"]
    added = {str(token.pop("id")): token for token in json.loads(saved["tokenizer.json"])["added_tokens"]}
    assert added.keys() == described.keys()
    markers = [i for i, token in described.items() if token["content"].startswith("<ent")]
    assert [added[i] for i in markers] == [described[i] for i in markers]
    assert len(markers) == 2


@pytest.mark.parametrize("kind", ["byte BPE", "WordPiece", "Unigram"])
def test_files_that_both_read_stay_as_they_are(tmp_path, kind) -> None:
    {"byte BPE": write_byte_bpe, "WordPiece": write_word_piece, "Unigram": write_unigram}[kind](tmp_path)
    files = read_tokenizer_files(tmp_path)
    assert files == read_files(tmp_path)
    assert files_to_save(files) == files


@pytest.mark.parametrize(("merges", "prefix"), [("pairs", False), ("strings", True)])
def test_a_byte_bpe_in_tokenizer_json_gets_the_files_of_transformers_4(tmp_path, merges, prefix) -> None:
    write_byte_bpe(tmp_path)
    config = {"tokenizer_config.json": json.dumps({"add_prefix_space": prefix}).encode()}
    alone = PieceTokenizer({**read_files(tmp_path), **config})
    vocab = json.loads((tmp_path / "vocab.json").read_text(encoding="utf8"))
    pairs = [line.split(" ") for line in (tmp_path / "merges.txt").read_text(encoding="utf8").splitlines()[1:] if line]
    marker = {"id": 421, "content": "<ent>", "single_word": False, "lstrip": True, "rstrip": False}
    data = {
        "added_tokens": [{**marker, "normalized": False, "special": True}],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "vocab": vocab,
            "merges": pairs if merges == "pairs" else [" ".join(pair) for pair in pairs],
        },
    }
    files = {
        "tokenizer.json": json.dumps(data).encode(),
        "tokenizer_config.json": b'{"extra_special_tokens": ["<ent>"]}',
    }
    saved = files_to_save(files)
    settings = json.loads(saved["tokenizer_config.json"])
    assert json.loads(saved["vocab.json"]) == vocab
    assert json.loads(saved["added_tokens.json"]) == {"<ent>": 421}
    assert settings["added_tokens_decoder"]["421"]["lstrip"]
    assert settings["add_prefix_space"] is prefix
    assert settings["additional_special_tokens"] == ["<ent>"]
    assert "extra_special_tokens" not in settings
    assert "entity_vocab" not in settings
    for text in TEXTS:
        for given in (files, saved):
            assert (
                PieceTokenizer(given).encode_text(text, [3]).ids.tolist() == alone.encode_text(text, [3]).ids.tolist()
            )
    assert PieceTokenizer(saved).vocab == PieceTokenizer(files).vocab == {**vocab, "<ent>": 421}


def test_what_a_unigram_does_not_know_is_the_unknown_piece(tmp_path) -> None:
    """In mLUKE's tokenizer.json, as transformers 5 saves it, `unk_id` is that of <s>."""
    write_unigram(tmp_path)
    files = read_tokenizer_files(tmp_path)
    expected = PieceTokenizer(files).encode_text("a\u2603b", []).ids.tolist()
    data = json.loads(files["tokenizer.json"])
    data["model"]["unk_id"] = 0
    for unknown in ("<unk>", {"content": "<unk>", "lstrip": False}):
        settings = json.dumps({"unk_token": unknown}).encode()
        given = {"tokenizer.json": json.dumps(data).encode(), "tokenizer_config.json": settings}
        tokenizer = PieceTokenizer(given)
        assert tokenizer.encode_text("a\u2603b", []).ids.tolist() == expected
        assert tokenizer.special.unk in expected


def test_a_unigram_without_normalisation_has_pieces_for_white_space(tmp_path) -> None:
    """As `tokenizers` has them; SentencePiece's normalisation would take them away."""
    write_unigram(tmp_path)
    data = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf8"))
    data["normalizer"] = None
    data["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    theirs = Tokenizer.from_str(json.dumps({**data, "added_tokens": []}))
    ours = PieceTokenizer({"tokenizer.json": json.dumps(data).encode()})
    for text in ["a  b ", "  Ada \n\n met", "\tAda", " ", "  ", "Ada\u3000met\u3000"]:
        found = ours.encode_text(text, [])
        assert found.ids.tolist() == theirs.encode(text, add_special_tokens=False).ids
        assert found.byte_spans[-1, 1] == len(text.encode("utf8"))
