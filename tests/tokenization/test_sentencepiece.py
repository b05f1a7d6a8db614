"""A SentencePiece model is read as the tokenizer.json that transformers makes of it."""

from __future__ import annotations

import io
import json
import sys

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from spacy_luke.errors import LukeError
from spacy_luke.tokenization.loading import load_tokenizer
from spacy_luke.tokenization.pieces import PieceTokenizer
from spacy_luke.tokenization.sentencepiece import SENTENCEPIECE, tokenizer_json_of
from tests.tokenization.ugly import texts, words
from tests.util import TEXTS


@pytest.fixture(scope="module")
def model(unigram_folder) -> bytes:
    return (unigram_folder / SENTENCEPIECE).read_bytes()


@pytest.fixture(scope="module")
def from_model(model) -> PieceTokenizer:
    return PieceTokenizer({SENTENCEPIECE: model})


def test_the_tokenizer_json_is_that_of_transformers(unigram_folder, model) -> None:
    theirs = json.loads((unigram_folder / "tokenizer.json").read_text(encoding="utf8"))
    assert tokenizer_json_of(model) == theirs


def test_neither_sentencepiece_nor_protobuf_is_needed(model, monkeypatch) -> None:
    for name in ("sentencepiece", "google.protobuf"):
        monkeypatch.setitem(sys.modules, name, None)
    assert load_tokenizer({SENTENCEPIECE: model}).kind == "unigram"


@given(text=texts, data=st.data())
def test_texts_have_the_pieces_of_the_tokenizer_json(from_model, unigram, text, data) -> None:
    boundaries = data.draw(st.lists(st.integers(0, len(text)), max_size=4))
    ours, theirs = from_model.encode_text(text, boundaries), unigram.encode_text(text, boundaries)
    assert ours.ids.tolist() == theirs.ids.tolist()
    assert ours.byte_spans.tolist() == theirs.byte_spans.tolist()
    assert from_model.special == unigram.special


@given(items=words)
def test_words_have_the_pieces_of_the_tokenizer_json(from_model, unigram, items) -> None:
    args = [w for w, _ in items], [s for _, s in items]
    assert from_model.encode_words(*args).ids.tolist() == unigram.encode_words(*args).ids.tolist()


def test_added_pieces_keep_their_ids(from_model, model) -> None:
    rows = from_model.rows
    files = {SENTENCEPIECE: model, "added_tokens.json": json.dumps({"<ent>": rows, "<ent2>": rows + 1}).encode()}
    assert PieceTokenizer(files).vocab["<ent2>"] == rows + 1
    assert PieceTokenizer(files).vocab["<mask>"] == rows - 1


@given(data=st.data())
def test_a_model_that_is_cut_is_a_coded_error_unless_between_two_pieces(model, data) -> None:
    end = data.draw(st.integers(0, len(model) - 1))
    try:
        read = tokenizer_json_of(model[:end])
    except LukeError as error:
        code = error.code
    else:
        code = "L022"
        assert 5 < len(read["model"]["vocab"]) <= len(tokenizer_json_of(model)["model"]["vocab"])
    assert code == "L022"


@pytest.mark.parametrize("content", [b"", b"no model", b"\xff" * 50, b"\x0a\x02\x0a\x00" * 3])
def test_what_is_no_model_is_a_coded_error(content) -> None:
    with pytest.raises(LukeError, match=r"L022.*sentencepiece\.bpe\.model"):
        PieceTokenizer({SENTENCEPIECE: content})


def test_a_model_of_another_kind_is_a_coded_error() -> None:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS[:2] * 3), model_writer=model, vocab_size=80, model_type="bpe", minloglevel=2
    )
    with pytest.raises(LukeError, match=r"L028.*no Unigram"):
        PieceTokenizer({SENTENCEPIECE: model.getvalue()})


def test_a_number_without_end_raises_l022():
    """Else it would be put together byte by byte, in a time that grows with the square of their number."""
    with pytest.raises(LukeError, match=r"L022.*more than 64 bits"):
        tokenizer_json_of(b"\xff" * 10**6)
