"""WordPiece from tokenizer.json: nothing padded or cut, no word without a piece."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from transformers import BertTokenizer

from spacy_luke.tokenization.case import case_type
from spacy_luke.tokenization.pieces import PieceTokenizer
from tests.tokenization.ugly import plain, words
from tests.util import read_files, write_word_piece


def test_the_padding_and_truncation_of_tokenizer_json_are_ignored(word_piece, word_piece_folder):
    """The file asks for 16 pieces, always; MiniLM's asks for 128."""
    assert b'"padding": {' in (word_piece_folder / "tokenizer.json").read_bytes()
    assert len(word_piece.encode_text("a", []).ids) == 1
    assert len(word_piece.encode_text("a " * 50, []).ids) == 50
    assert len(word_piece.encode_words(["a"] * 50, [True] * 50).ids) == 50


def assigned(text: str) -> bool:
    """The reference drops what its Unicode tables do not know, and `tokenizers` has tables of its own."""
    return not any(unicodedata.category(ch) in ("Cn", "Co") for ch in text)


@given(text=plain.filter(assigned))
def test_ids_equal_the_reference(word_piece, word_piece_folder, text):
    vocab = sorted(word_piece.vocab, key=word_piece.vocab.get)
    file = word_piece_folder / "reference_vocab.txt"
    if not file.exists():
        file.write_text("\n".join(vocab), encoding="utf8")
    pieces = BertTokenizer(str(file)).tokenize(text)
    if pieces or not text.strip():
        assert word_piece.encode_text(text, []).ids.tolist() == [word_piece.vocab[piece] for piece in pieces]


@pytest.mark.parametrize("word", ["\u200d", "\u0301", "\ufeff", "\x00", "\xad", "\u202e"])
def test_a_word_that_normalises_to_nothing_is_unknown(word_piece, word):
    encoded = word_piece.encode_words(["Ada", word, "met"], [True, True, False])
    assert (encoded.ends - encoded.starts).tolist()[1] == 1
    assert encoded.ids[encoded.starts[1]] == word_piece.special.unk
    assert word_piece.encode_text(f"a {word}", [2]).byte_spans[-1].tolist() == [2, 2 + len(word.encode("utf8"))]


@given(items=words)
def test_white_space_has_no_pieces_and_other_words_do(word_piece, items):
    encoded = word_piece.encode_words([w for w, _ in items], [s for _, s in items])
    for (word, _), start, end in zip(items, encoded.starts, encoded.ends, strict=True):
        assert (end > start) == bool(word.strip())


@pytest.mark.parametrize("lowercase", [True, False])
def test_lowercase_is_read_from_the_normalizer(tmp_path, lowercase):
    write_word_piece(tmp_path, lowercase=lowercase)
    assert PieceTokenizer(read_files(tmp_path)).lowercase == lowercase


def test_case_types_are_those_of_the_word_of_a_piece(word_piece_folder):
    tokenizer = PieceTokenizer(read_files(word_piece_folder), case_types=True)
    encoded = tokenizer.encode_words(["Babbage", "met", "NASA", "iPhone", "42.5", "?", " "], [True] * 7)
    found = [set(encoded.types[a:b].tolist()) for a, b in zip(encoded.starts, encoded.ends, strict=True)]
    assert found == [{2}, {1}, {3}, {4}, {5}, {0}, set()]
    assert PieceTokenizer(read_files(word_piece_folder)).encode_words(["Babbage"], [False]).types.max() == 0


def test_case_types_of_a_text_are_those_of_its_words(word_piece_folder):
    tokenizer = PieceTokenizer(read_files(word_piece_folder), case_types=True)
    for text in ("Babbage met NASA, iPhone 42", "É MET É é, 4é"):  # in ASCII, and with characters of several bytes
        encoded = tokenizer.encode_text(text, [])
        word_of = {place: word[0] for word in re.finditer(r"\w+", text) for place in range(*word.span())}
        for end, found in zip(encoded.byte_spans[:, 1].tolist(), encoded.types.tolist(), strict=True):
            last = len(text.encode("utf8")[:end].decode()) - 1
            assert found == case_type(word_of.get(last, "")), (text, last)
        assert len(set(encoded.types.tolist())) > 2
    assert tokenizer.encode_text("", []).types.tolist() == []
