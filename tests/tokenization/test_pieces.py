"""Behaviour of tokenizers of every kind, and errors for files that are none."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacy.strings import StringStore
from transformers import RobertaTokenizerFast

from spacy_luke.errors import LukeError
from spacy_luke.tokenization.loading import read_tokenizer_files
from spacy_luke.tokenization.pieces import PieceTokenizer, moved, segments
from tests.tokenization.ugly import texts, words
from tests.util import SPECIAL_STRINGS, read_files, write_byte_bpe


@given(items=words)
def test_words_own_disjoint_pieces_in_order(any_tokenizer, items):
    encoded = any_tokenizer.encode_words([w for w, _ in items], [s for _, s in items])
    assert (encoded.starts <= encoded.ends).all()
    assert (encoded.ends[:-1] <= encoded.starts[1:]).all()
    assert len(encoded.ids) == len(encoded.types)
    assert (encoded.ends <= len(encoded.ids)).all()
    assert len(encoded.starts) == len(encoded.ends) == len(items)


@given(items=words)
def test_hashes_of_words_give_the_pieces_of_the_words(any_tokenizer, items):
    strings, spaces = StringStore(), [space for _, space in items]
    for tokenizer in (any_tokenizer, PieceTokenizer(any_tokenizer.files, case_types=True)):
        expected = tokenizer.encode_words([word for word, _ in items], spaces)
        found = tokenizer.encode_hashes([strings.add(word) for word, _ in items], spaces, strings.__getitem__)
        for name, array in vars(expected).items():
            assert vars(found)[name].tolist() == array.tolist(), name


@given(text=texts, data=st.data())
def test_no_text_gives_a_special_piece(any_tokenizer, text, data):
    """Except the unknown piece, which WordPiece and Unigram have for what they do not know."""
    boundaries = data.draw(st.lists(st.integers(0, len(text)), max_size=4))
    special = set(vars(any_tokenizer.special).values())
    if any_tokenizer.kind != "bpe":
        special.discard(any_tokenizer.special.unk)
    assert not special & set(any_tokenizer.encode_text(text, boundaries).ids.tolist())


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("half", ["\ud800", "\udc00\ud800", "\udfff!"])
def test_half_a_character_raises_l120_with_its_place(any_tokenizer, half, masks):
    text = "M\xe9 " * 30 + half + " met" * 30
    with pytest.raises(LukeError, match=rf"L120.*at 90 of the whole.*U\+{ord(half[0]):04X}"):
        any_tokenizer.encode_text(text, [3], masks=masks)
    mended = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert len(any_tokenizer.encode_text(mended, [3]).ids)


@pytest.mark.parametrize("text", SPECIAL_STRINGS)
def test_no_special_string_is_a_piece(any_tokenizer, text):
    assert len(any_tokenizer.encode_text(text, []).ids) > 1
    assert len(any_tokenizer.encode_words(["a", text, "b"], [True, True, False]).ids) > 3


def test_a_piece_is_text_with_the_space_before_it(bpe, unigram, word_piece):
    assert [bpe.text_of(piece) for piece in ("Ġmet", "s", "Ã©", "Ã")] == [" met", "s", "é", "�"]
    assert [unigram.text_of(piece) for piece in ("▁the", "s")] == [" the", "s"]
    assert [word_piece.text_of(piece) for piece in ("##ing", "▁")] == ["##ing", "▁"]


def test_a_mask_in_a_text_is_the_mask_piece_if_it_is_asked_for(any_tokenizer):
    mask = any_tokenizer.special.mask
    found = any_tokenizer.encode_text("Ada [MASK] met", [], masks=True)
    assert found.ids.tolist().count(mask) == 1
    assert (
        found.ids.tolist()[found.ids.tolist().index(mask) + 1 :] == any_tokenizer.encode_text(" met", []).ids.tolist()
    )
    assert mask not in any_tokenizer.encode_text("Ada [MASK] met", []).ids
    assert not found.types.any(), "the types of a tokenizer without types for the case"


def test_nothing_has_no_pieces(any_tokenizer):
    words = any_tokenizer.encode_words([], [])
    assert [len(array) for array in vars(words).values()] == [0, 0, 0, 0]
    words = any_tokenizer.encode_hashes([], [], StringStore().__getitem__)
    assert [len(array) for array in vars(words).values()] == [0, 0, 0, 0]
    text = any_tokenizer.encode_text("", [0])
    assert text.ids.tolist() == []
    assert text.byte_spans.shape == (0, 2)
    assert text.boundary_index == {0: 0}


@given(text=texts)
def test_a_segment_is_tokenised_the_same_every_time(any_tokenizer, text):
    first, again = any_tokenizer.encode_text(text, []), PieceTokenizer(any_tokenizer.files).encode_text(text, [])
    assert first.ids.tolist() == again.ids.tolist()


# --- alignment


def test_a_boundary_after_one_space_moves_before_it():
    text = "Ana met  Bo ."
    assert [text[a:b] for a, b in segments(text, [0, 3, 9, 11])] == ["Ana", " met ", " Bo", " ."]
    assert [moved(text, b) for b in (0, 4, 8, 9)] == [0, 3, 7, 8]


@pytest.mark.parametrize("space", ["\t", "\n", "\xa0", "\u3000"])
def test_no_other_white_space_moves_a_boundary(space):
    assert segments(f"a{space}b", [2]) == [(0, 2), (2, 3)]


@given(text=texts, data=st.data())
def test_segments_tile_the_text(text, data):
    found = segments(text, data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    assert "".join(text[a:b] for a, b in found) == text
    assert all(a < b for a, b in found)


# --- files


def test_files_are_kept_as_they_are(any_tokenizer, request):
    assert PieceTokenizer(any_tokenizer.files).files == any_tokenizer.files


@pytest.mark.parametrize("files", [{}, {"vocab.txt": b"a"}, {"vocab.json": b"{}"}])
def test_no_tokenizer_raises_l028(files):
    with pytest.raises(LukeError, match="L028"):
        PieceTokenizer(files)


def test_a_folder_without_tokenizer_is_named_with_the_remedy(tmp_path):
    (tmp_path / "merges.txt").write_text("")
    path = re.escape(str(tmp_path))
    with pytest.raises(LukeError, match=rf"L028.*{path} has none \(found: merges.txt\).*save_pretrained\('{path}'\)"):
        read_tokenizer_files(tmp_path)


@pytest.mark.parametrize("content", [b"{", b"[]", b'"a"', b"\xff"])
@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "added_tokens.json"])
def test_broken_json_raises_l022_with_the_name_of_the_file(word_piece_folder, name, content):
    with pytest.raises(LukeError, match=f"L022.*{name}"):
        PieceTokenizer({**read_files(word_piece_folder), name: content})


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"type": "WordLevel", "vocab": {}, "unk_token": "a"}},
        {"model": None},
        {"model": "BPE"},
        {"model": {"type": "BPE", "vocab": {}, "merges": []}, "pre_tokenizer": {"type": "Whitespace"}},
        {"model": {"type": "BPE", "vocab": {}, "merges": []}, "pre_tokenizer": None},
        {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}, "pre_tokenizer": {"type": "Whitespace"}},
    ],
    ids=str,
)
def test_a_tokenizer_json_of_another_kind_raises_l028(word_piece_folder, changes):
    data = json.loads((word_piece_folder / "tokenizer.json").read_bytes())
    with pytest.raises(LukeError, match="L028"):
        PieceTokenizer({"tokenizer.json": json.dumps({**data, **changes}).encode()})


@pytest.mark.parametrize(
    "model",
    [
        {"type": "WordPiece"},
        {"type": "WordPiece", "vocab": [["a", 0.0]], "unk_token": ["a", 0.0]},
        {"type": "Unigram"},
        {"type": "Unigram", "vocab": {"a": 0}},
        {"type": "Unigram", "vocab": [1]},
        {"type": "Unigram", "vocab": [["a", 0.0, 1]]},
    ],
    ids=str,
)
def test_a_tokenizer_json_without_vocabulary_raises_l028(word_piece_folder, model):
    data = json.loads((word_piece_folder / "tokenizer.json").read_bytes())
    with pytest.raises(LukeError, match=r"L028.*vocabulary"):
        PieceTokenizer({"tokenizer.json": json.dumps({**data, "model": model}).encode()})


@pytest.mark.parametrize("missing", ["<s>", "</s>", "<pad>", "<unk>", "<mask>"])
def test_a_vocabulary_without_a_special_piece_raises_l028_with_its_name(bpe_folder, missing):
    files = read_files(bpe_folder)
    vocab = json.loads(files["vocab.json"])
    del vocab[missing]
    with pytest.raises(LukeError, match=f"L028.*{missing}"):
        PieceTokenizer({**files, "vocab.json": json.dumps(vocab).encode()})


def test_merges_that_do_not_fit_raise_l028(bpe_folder):
    with pytest.raises(LukeError, match="L028"):
        PieceTokenizer({**read_files(bpe_folder), "merges.txt": b"#version: 0.2\nnot there\n"})


def test_special_pieces_may_have_names_of_their_own(bpe_folder):
    files = read_files(bpe_folder)
    vocab = json.loads(files["vocab.json"])
    vocab["<start>"] = vocab.pop("<s>")
    settings = {"cls_token": {"content": "<start>"}, "bos_token": "<start>"}
    files |= {"vocab.json": json.dumps(vocab).encode(), "special_tokens_map.json": json.dumps(settings).encode()}
    assert PieceTokenizer(files).special.bos == 0


def test_a_panic_of_the_library_is_an_error_with_a_code(tmp_path):
    """It is no Exception, and would end a server."""
    write_byte_bpe(tmp_path)
    fast = RobertaTokenizerFast(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    data = json.loads(fast.backend_tokenizer.to_str())
    data["model"]["continuing_subword_prefix"] = "x"
    with pytest.raises(LukeError, match=r"L022.*tokenizer\.json"):
        PieceTokenizer({"tokenizer.json": json.dumps(data).encode()})
