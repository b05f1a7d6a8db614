"""XLM-R's Unigram: the ids of transformers' sentencepiece tokenizers, segment by segment."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from transformers import MLukeTokenizer, XLMRobertaTokenizer

from tests.tokenization.ugly import plain, texts, texts_with_spans
from tests.util import ENTITIES, SPECIAL_STRINGS


@pytest.fixture(scope="module")
def reference(unigram_folder) -> XLMRobertaTokenizer:
    return XLMRobertaTokenizer(str(unigram_folder / "sentencepiece.bpe.model"))


def usual(text: str) -> bool:
    """Text on which sentencepiece and its conversion to `tokenizers` agree on what is white space and a character."""
    return text.isprintable() and "\u2581" not in text


@given(text=plain.filter(usual))
def test_a_segment_has_the_ids_of_the_reference(unigram, reference, text):
    ids = reference(text.strip(), add_special_tokens=False)["input_ids"]
    if ids or not text.strip():
        assert unigram.encode_text(text, []).ids.tolist() == ids


@given(example=texts_with_spans(plain.filter(usual)))
def test_texts_with_spans_equal_mluke_tokenizer(unigram, unigram_folder, example):
    text, spans = example
    (unigram_folder / "entity_vocab.json").write_text(json.dumps(ENTITIES))
    names = ("sentencepiece.bpe.model", "entity_vocab.json")
    theirs = MLukeTokenizer(*(str(unigram_folder / name) for name in names), task="entity_span_classification")
    encoded = theirs(text, entity_spans=spans)
    ours = unigram.encode_text(text, [b for span in spans for b in span])
    if unigram.special.unk not in ours.ids:
        assert ours.ids.tolist() == encoded["input_ids"][1:-1]
        assert [ours.boundary_index[a] + 1 for a, _ in spans] == encoded["entity_start_positions"]


@pytest.mark.parametrize("special", SPECIAL_STRINGS)
@pytest.mark.parametrize("around", ["", " ", "\x00", "a", "\u2581", "\x00 "])
def test_special_strings_stay_text(unigram, special, around):
    ids = unigram.encode_text(around + special + around, []).ids.tolist()
    special_ids = set(vars(unigram.special).values()) - {unigram.special.unk}
    assert not special_ids & set(ids)
    assert len(ids) > 1


@given(text=texts)
def test_byte_spans_lie_in_the_text_and_never_go_back(unigram, text):
    spans = unigram.encode_text(text, []).byte_spans
    assert (spans[:, 0] <= spans[:, 1]).all()
    assert (spans[1:, 0] >= spans[:-1, 0]).all()
    assert (spans >= 0).all()
    assert (spans <= len(text.encode("utf8"))).all()
