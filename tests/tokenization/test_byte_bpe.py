"""Byte-level BPE: LukeTokenizer's ids and positions, and pieces that tile the text."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacy.strings import StringStore
from transformers import LukeTokenizer, RobertaTokenizerFast

from spacy_luke.errors import LukeError
from spacy_luke.tokenization.pieces import PieceTokenizer
from tests.tokenization.ugly import plain, texts, texts_with_spans, words
from tests.util import SPECIAL_STRINGS, TEXTS, luke_tokenizer, read_files, write_byte_bpe

MAXIMUM = 10_000
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}


@pytest.fixture(scope="module")
def reference(bpe_folder) -> LukeTokenizer:
    return luke_tokenizer(
        bpe_folder, task="entity_span_classification", max_entity_length=MAXIMUM, max_mention_length=MAXIMUM
    )


def encode(
    reference: LukeTokenizer, text: str, spans: list[tuple[int, int]]
) -> tuple[list[int], list[tuple[int, int]]]:
    """Ids without <s> and </s>, and half-open piece ranges counted without <s>."""
    encoded = reference(text, entity_spans=spans)
    starts, ends = encoded["entity_start_positions"], encoded["entity_end_positions"]
    return encoded["input_ids"][1:-1], [(s - 1, e) for s, e in zip(starts, ends, strict=True)]


def drop_empty(items: list[tuple[str, bool]]) -> tuple[list[str], list[bool], str]:
    kept = [(word, space) for word, space in items if word]
    return [w for w, _ in kept], [s for _, s in kept], "".join(w + " " * s for w, s in kept)


@given(example=texts_with_spans(plain))
def test_texts_with_spans_equal_luke_tokenizer(bpe, reference, example):
    text, spans = example
    ids, ranges = encode(reference, text, spans)
    ours = bpe.encode_text(text, [b for span in spans for b in span])
    assert ours.ids.tolist() == ids
    assert [(ours.boundary_index[a], ours.boundary_index[b]) for a, b in spans] == ranges


@given(items=words)
def test_words_equal_luke_tokenizer_with_every_word_as_a_span(bpe, reference, items):
    items = [(w, s) for w, s in items if not any(special in w for special in SPECIAL_STRINGS)]
    tokens, spaces, text = drop_empty(items)
    if not tokens or any(special in text for special in SPECIAL_STRINGS):
        return
    edges = np.cumsum([0, *(len(w) + s for w, s in zip(tokens, spaces, strict=True))]).tolist()
    spans = [(a, a + len(w)) for a, w in zip(edges, tokens, strict=False)]
    ids, ranges = encode(reference, text, spans)
    ours = bpe.encode_words(tokens, spaces)
    assert ours.ids.tolist() == ids
    assert list(zip(ours.starts.tolist(), ours.ends.tolist(), strict=True)) == ranges


@given(items=words)
def test_words_equal_the_text_cut_at_every_word_edge(any_tokenizer, items):
    """Of every kind of tokenizer, empty words too."""
    tokens, spaces = [w for w, _ in items], [s for _, s in items]
    text = "".join(w + " " * s for w, s in items)
    edges = np.cumsum([0, *(len(w) + s for w, s in items)]).tolist()
    bounds = [(a, a + len(w)) for a, w in zip(edges, tokens, strict=False)]
    cut = any_tokenizer.encode_text(text, [b for bound in bounds for b in bound])
    ours = any_tokenizer.encode_words(tokens, spaces)
    assert ours.ids.tolist() == cut.ids.tolist()
    assert ours.starts.tolist() == [cut.boundary_index[a] for a, _ in bounds]
    assert ours.ends.tolist() == [cut.boundary_index[b] for _, b in bounds]


@given(text=texts, data=st.data())
def test_byte_spans_tile_the_text(bpe, text, data):
    boundaries = data.draw(st.lists(st.integers(0, len(text)), max_size=5))
    spans = bpe.encode_text(text, boundaries).byte_spans
    assert spans[:, 0].tolist() == [0, *spans[:-1, 1].tolist()][: len(spans)]
    assert (spans[:, 0] < spans[:, 1]).all()
    assert (spans[-1, 1] if len(spans) else 0) == len(text.encode("utf8"))


@given(text=texts)
def test_pieces_decode_to_the_text(bpe, bpe_folder, text):
    pieces = {i: piece for piece, i in bpe.vocab.items()}
    from transformers.models.gpt2.tokenization_gpt2 import bytes_to_unicode

    byte_of = {ch: byte for byte, ch in bytes_to_unicode().items()}
    spelled = bytes(byte_of[ch] for i in bpe.encode_text(text, []).ids.tolist() for ch in pieces[i])
    assert spelled.decode("utf8") == text


@pytest.mark.parametrize("text", TEXTS)
def test_tokenizer_json_gives_the_ids_of_vocab_and_merges(bpe, bpe_folder, tmp_path, text):
    fast = RobertaTokenizerFast(str(bpe_folder / "vocab.json"), str(bpe_folder / "merges.txt"))
    fast.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    ours = PieceTokenizer(read_files(tmp_path))
    assert ours.special == bpe.special
    assert ours.vocab == bpe.vocab
    assert ours.encode_text(text, []).ids.tolist() == bpe.encode_text(text, []).ids.tolist()


@pytest.mark.parametrize(
    ("changes", "byte_level"),
    [
        ({"pre_tokenizer": BYTE_LEVEL}, True),
        ({"pre_tokenizer": {**BYTE_LEVEL, "use_regex": False}}, False),
        ({"normalizer": {"type": "Lowercase"}}, False),
    ],
    ids=["written before use_regex was there", "without regular expression", "with normaliser"],
)
def test_a_bpe_that_cuts_texts_otherwise_is_refused(tmp_path, bpe, bpe_folder, changes, byte_level):
    names = [str(bpe_folder / name) for name in ("vocab.json", "merges.txt")]
    data = json.loads(RobertaTokenizerFast(*names).backend_tokenizer.to_str())
    files = {"tokenizer.json": json.dumps({**data, **changes}).encode()}
    if byte_level:
        assert (
            PieceTokenizer(files).encode_text("Ada met", []).ids.tolist() == bpe.encode_text("Ada met", []).ids.tolist()
        )
    else:
        with pytest.raises(LukeError, match=r"L028.*byte-level"):
            PieceTokenizer(files)


@pytest.mark.parametrize("written", ["tokenizer_config.json", "tokenizer.json"])
def test_add_prefix_space_puts_a_space_before_the_document_alone(tmp_path, bpe, written):
    if written == "tokenizer.json":
        write_byte_bpe(tmp_path)
        names = [str(tmp_path / name) for name in ("vocab.json", "merges.txt")]
        fast = RobertaTokenizerFast(*names, add_prefix_space=True)
        for name in names:
            (tmp_path / name.rsplit("/", 1)[1]).unlink()
        fast.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    else:
        write_byte_bpe(tmp_path, add_prefix_space=True)
    prefixed = PieceTokenizer(read_files(tmp_path))
    tokens = ["(", "Ada", ")"]
    expected = bpe.encode_text(" (Ada)", [2, 5])
    assert prefixed.encode_words(tokens, [False] * 3).ids.tolist() == expected.ids.tolist()
    strings = StringStore(tokens)
    hashed = prefixed.encode_hashes([strings[token] for token in tokens], [False] * 3, strings.__getitem__)
    assert hashed.ids.tolist() == expected.ids.tolist()
    text = prefixed.encode_text("(Ada)", [1, 4])
    assert text.ids.tolist() == expected.ids.tolist()
    assert text.byte_spans[-1].tolist() == [4, 5]
    assert text.byte_spans[0, 0] == 0
    # Slow tokenizers put none before white space.
    slow = written == "tokenizer_config.json"
    expected = bpe.encode_text("\nAda", [1]) if slow else bpe.encode_text(" \nAda", [2])
    assert prefixed.encode_words(["\n", "Ada"], [False, False]).ids.tolist() == expected.ids.tolist()


def test_a_byte_that_the_vocabulary_lacks_is_one_unknown_piece(tmp_path, bpe_folder):
    """As for LukeTokenizer; the pieces around it keep their place."""
    files = read_files(bpe_folder)
    vocab = json.loads(files["vocab.json"])
    del vocab["x"]
    (tmp_path / "vocab.json").write_text(json.dumps(vocab))
    merges = [line for line in files["merges.txt"].decode().split("\n") if "x" not in line]
    (tmp_path / "merges.txt").write_text("\n".join(merges))
    ours = PieceTokenizer(read_files(tmp_path))
    encoded = ours.encode_text("axxb", [])
    assert encoded.ids.tolist() == [vocab["a"], vocab["<unk>"], vocab["<unk>"], vocab["b"]]
    assert encoded.byte_spans.tolist() == [[0, 1], [1, 2], [2, 3], [3, 4]]
    assert (
        encoded.ids.tolist() == encode(luke_tokenizer(tmp_path, task="entity_span_classification"), "axxb", [(0, 4)])[0]
    )


def test_a_token_of_600_pieces_stays_whole(bpe):
    encoded = bpe.encode_words(["A", "\U0001f469" * 600, "B"], [True, True, False])
    assert encoded.ends[1] - encoded.starts[1] >= 600
    assert encoded.starts[2] == encoded.ends[1]
