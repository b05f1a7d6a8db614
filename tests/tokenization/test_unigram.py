"""XLM-R's Unigram: the ids of transformers' sentencepiece tokenizers, segment by segment."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from transformers import MLukeTokenizer, XLMRobertaTokenizer

from spacy_luke.tokenization.pieces import segments
from tests.tokenization.ugly import plain, texts, texts_with_spans
from tests.util import ENTITIES, SPECIAL_STRINGS


@pytest.fixture(scope="module")
def reference(unigram_folder) -> XLMRobertaTokenizer:
    return XLMRobertaTokenizer(str(unigram_folder / "sentencepiece.bpe.model"))


@pytest.mark.parametrize("space", sorted(ch for ch in map(chr, range(0x3001)) if ch.isspace()))
def test_white_space_is_what_it_is_for_the_reference(unigram, reference, space):
    for text in (space, f"a{space}", f"{space}a", f"a{space}b", f" {space} "):
        ids = reference(text, add_special_tokens=False)["input_ids"]
        assert unigram.encode_text(text, []).ids.tolist() == ids


@given(text=plain)
def test_a_segment_has_the_ids_of_the_reference(unigram, reference, text):
    ids = reference(text, add_special_tokens=False)["input_ids"]
    if ids or not text.strip():
        assert unigram.encode_text(text, []).ids.tolist() == ids


@given(example=texts_with_spans(plain))
def test_texts_with_spans_equal_mluke_tokenizer(unigram, unigram_folder, example):
    text, spans = example
    (unigram_folder / "entity_vocab.json").write_text(json.dumps(ENTITIES))
    names = ("sentencepiece.bpe.model", "entity_vocab.json")
    theirs = MLukeTokenizer(*(str(unigram_folder / name) for name in names), task="entity_span_classification")
    encoded = theirs(text, entity_spans=spans)
    boundaries = [b for span in spans for b in span]
    parts = [text[a:b] for a, b in segments(text, boundaries)]
    assume(all(theirs.tokenize(part) for part in parts if part.strip()))  # ours are unknown then
    ours = unigram.encode_text(text, boundaries)
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


@pytest.mark.parametrize(("text", "end"), [("e\u0301a", 2), ("e\xad\u0301a", 1), ("\ufb01a", 1), ("\uff21b", 1)])
def test_the_first_piece_has_all_that_is_normalised_to_it(unigram, text, end):
    """A letter with its accent; a letter before a soft hyphen; a ligature; a full-width letter."""
    encoded = unigram.encode_text(text, [])
    ends = [len(text.encode("utf8")[:b].decode("utf8")) for _, b in encoded.byte_spans]
    assert max(b for (a, _), b in zip(encoded.byte_spans, ends, strict=True) if a == 0) == end


@given(text=texts)
def test_no_character_is_lost_after_the_first_piece_of_a_word(unigram, text):
    """What the normaliser drops belongs to the piece before it, unless a word starts with it."""
    encoded = text.encode("utf8")
    covered = bytearray(len(encoded))
    for start, end in unigram.encode_text(text, []).byte_spans:
        covered[start:end] = b"\x01" * (end - start)
    flags = [covered[len(text[:i].encode("utf8"))] for i in range(len(text))]
    for before, after, character in zip(flags, flags[1:], text[1:], strict=False):
        assert after or not before or character.isspace()
