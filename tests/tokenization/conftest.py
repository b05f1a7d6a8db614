"""One toy tokenizer of each kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from spacy_luke.tokenization.pieces import PieceTokenizer
from tests.util import read_files, write_byte_bpe, write_unigram, write_word_piece


@pytest.fixture(scope="session")
def bpe_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bpe")
    write_byte_bpe(folder)
    return folder


@pytest.fixture(scope="session")
def unigram_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("unigram")
    write_unigram(folder)
    return folder


@pytest.fixture(scope="session")
def word_piece_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wordpiece")
    write_word_piece(folder)
    return folder


@pytest.fixture(scope="session")
def bpe(bpe_folder) -> PieceTokenizer:
    return PieceTokenizer(read_files(bpe_folder))


@pytest.fixture(scope="session")
def unigram(unigram_folder) -> PieceTokenizer:
    return PieceTokenizer(read_files(unigram_folder))


@pytest.fixture(scope="session")
def word_piece(word_piece_folder) -> PieceTokenizer:
    return PieceTokenizer(read_files(word_piece_folder))


@pytest.fixture(params=["bpe", "unigram", "word_piece"])
def any_tokenizer(request) -> PieceTokenizer:
    return request.getfixturevalue(request.param)
