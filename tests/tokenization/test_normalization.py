"""SentencePiece's normalisation, character by character."""

from __future__ import annotations

import base64

import pytest
import sentencepiece
from hypothesis import given, settings

from spacy_luke.errors import LukeError
from spacy_luke.tokenization.loading import load_tokenizer
from spacy_luke.tokenization.normalization import SentencePieceNormalizer
from spacy_luke.tokenization.sentencepiece import SENTENCEPIECE, tokenizer_json_of
from tests.tokenization.ugly import texts


@pytest.fixture(scope="module")
def charsmap(unigram_folder) -> bytes:
    data = tokenizer_json_of((unigram_folder / SENTENCEPIECE).read_bytes())
    return base64.b64decode(data["normalizer"]["normalizers"][0]["precompiled_charsmap"])


@pytest.fixture(scope="module")
def normalize(charsmap) -> SentencePieceNormalizer:
    return SentencePieceNormalizer(charsmap)


@pytest.fixture(scope="module")
def reference(unigram_folder) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(str(unigram_folder / SENTENCEPIECE))


@settings(max_examples=500)
@given(text=texts)
def test_the_normal_form_is_that_of_sentencepiece(normalize, reference, text) -> None:
    normal, origins = normalize(text)
    assert normal == reference.normalize(text)
    assert len(origins) == len(normal)
    assert all(0 <= start < end <= len(text) for start, end in origins)
    assert origins == sorted(origins)


@pytest.mark.parametrize(
    ("text", "normal", "origins"),
    [
        ("\ufb01e", "▁fie", [(0, 1), (0, 1), (0, 1), (1, 2)]),
        ("e\u0301x", "▁éx", [(0, 2), (0, 2), (2, 3)]),
        ("\uff76\uff9e", "▁\u30ac", [(0, 2), (0, 2)]),
        ("\u1112\u1161\u11ab", "▁\ud55c", [(0, 3), (0, 3)]),
        (" \t a  \uff22 ", "▁a▁B", [(3, 4), (3, 4), (4, 5), (6, 7)]),
        ("a\x1bb", "▁ab", [(0, 1), (0, 1), (2, 3)]),
        ("", "", []),
        (" \u3000\n", "", []),
    ],
)
def test_characters_know_where_they_come_from(normalize, reference, text, normal, origins) -> None:
    assert normalize(text) == (normal, origins)
    assert reference.normalize(text) == normal


@pytest.mark.parametrize("end", [0, 3, 4, 5, 1000])
def test_a_damaged_table_is_an_error(charsmap, end) -> None:
    with pytest.raises(ValueError, match="damaged"):
        SentencePieceNormalizer(charsmap[:end])


def test_a_damaged_table_of_a_tokenizer_is_a_coded_error(unigram_folder) -> None:
    data = (unigram_folder / "tokenizer.json").read_text(encoding="utf8")
    start = data.index('"precompiled_charsmap":') + 24
    broken = data[:start].rstrip('"') + '"AAAA' + data[data.index('"', start + 10) :]
    with pytest.raises(LukeError, match=r"L022.*normalizer"):
        load_tokenizer({"tokenizer.json": broken.encode("utf8")})
