"""Windows to pretrain on cover a Doc once, and show what is linked in it."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, Span

from spacy_luke.batching.pieces import doc_pieces
from spacy_luke.tokenization.pieces import PieceTokenizer
from spacy_luke.training.pretraining.windows import BEGIN, BLANK, INSIDE, linked_windows
from tests.tokenization.ugly import texts
from tests.util import read_files, write_byte_bpe, write_unigram, write_word_piece

NLP = spacy.blank("en")


@pytest.fixture(scope="module", params=[write_byte_bpe, write_word_piece, write_unigram], ids=lambda f: f.__name__)
def tokenizer(request, tmp_path_factory) -> PieceTokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    request.param(folder)
    return PieceTokenizer(read_files(folder))


def linked(doc: Doc, *ranges: tuple[int, int]) -> Doc:
    doc.set_ents([Span(doc, a, b, "E", kb_id=f"title of {doc[a:b].text}") for a, b in ranges])
    return doc


@given(text=texts, data=st.data(), max_pieces=st.integers(1, 12), bounds=st.booleans())
def test_windows_cover_a_doc_once_and_show_its_entities(tokenizer, text, data, max_pieces, bounds):
    doc = NLP.make_doc(text)
    if bounds:
        for token in doc:
            token.is_sent_start = token.i % 5 == 0
    edges = data.draw(st.lists(st.integers(0, len(doc)), unique=True, max_size=8).map(sorted))
    linked(doc, *zip(edges[::2], edges[1::2], strict=False))
    windows = linked_windows(doc, tokenizer, max_pieces)
    assert all(0 < len(window.ids) <= max_pieces for window in windows)
    if not len(doc):
        return
    pieces = doc_pieces(doc, tokenizer)
    expected = {"ids": pieces.pieces.ids, "types": pieces.pieces.types}
    for name, whole in expected.items():
        assert np.array_equal(np.concatenate([[], *(getattr(window, name) for window in windows)]), whole)
    assert sum(int((window.kinds == BEGIN).sum()) for window in windows) == pieces.visible.sum()
    shown = [title for window in windows for title in window.titles]
    # Whatever fits a window is in one.
    fitting = []
    for ent in doc.ents:
        seen = [token.i for token in ent if pieces.visible[token.i]]
        if seen and pieces.pieces.ends[seen[-1]] - pieces.pieces.starts[seen[0]] <= max_pieces:
            fitting.append(ent.kb_id_)
    assert shown == fitting


def test_a_window_ends_with_a_sentence_where_it_can(tokenizer):
    words = [f"w{i % 3}" for i in range(40)]
    doc = Doc(NLP.vocab, words=words, sent_starts=[i in (0, 4, 9, 11) for i in range(40)])
    starts = doc_pieces(doc, tokenizer).pieces.starts
    longest = int(starts[11]) + 1
    first, second, *_ = linked_windows(doc, tokenizer, longest)
    assert len(first.ids) == starts[11]
    # The last sentence is too long for a window: it is filled to the last token that fits.
    assert longest - 4 <= len(second.ids) <= longest
    assert second.kinds[0] == BEGIN


def test_no_window_ends_inside_an_entity(tokenizer):
    doc = linked(Doc(NLP.vocab, words=["a"] * 12), (3, 6), (8, 12))
    starts = doc_pieces(doc, tokenizer).pieces.starts
    windows = linked_windows(doc, tokenizer, int(starts[5]))
    assert len(windows[0].ids) == starts[3]
    shown = [window for window in windows if window.titles]
    assert [window.titles for window in shown] == [["title of a a a"], ["title of a a a a"]]
    for window in shown:
        ((start, end),) = window.ranges
        assert (window.kinds[start:end] != BLANK).all()


def test_an_entity_that_is_longer_than_a_window_is_in_none(tokenizer):
    doc = linked(Doc(NLP.vocab, words=["a"] * 12), (0, 10))
    windows = linked_windows(doc, tokenizer, 4)
    assert all(not window.titles and not len(window.ranges) for window in windows)


@pytest.mark.parametrize("kb_id", ["", "NIL", "[MASK]", "[UNK]"])
def test_what_is_no_entity_of_a_knowledge_base_is_not_linked(tokenizer, kb_id):
    doc = Doc(NLP.vocab, words=["Ada", "met", "us"])
    doc.set_ents([Span(doc, 0, 1, "E", kb_id=kb_id)])
    (window,) = linked_windows(doc, tokenizer, 100)
    assert not window.titles


def test_pieces_of_a_word_begin_it_or_are_inside(tmp_path):
    write_byte_bpe(tmp_path)
    doc = NLP.make_doc("Lovelace  met\n\nXyzzy")
    (window,) = linked_windows(doc, PieceTokenizer(read_files(tmp_path)), 100)
    pieces = doc_pieces(doc, PieceTokenizer(read_files(tmp_path)))
    for token in doc:
        start, end = pieces.pieces.starts[token.i], pieces.pieces.ends[token.i]
        kinds = [BLANK] * (end - start) if token.is_space else [BEGIN, *[INSIDE] * (end - start - 1)]
        assert window.kinds[start:end].tolist() == kinds
    assert (window.kinds == BEGIN).sum() == 3
    assert (window.kinds == BLANK).any()


def test_a_doc_without_tokens_has_no_window(tokenizer):
    assert linked_windows(NLP.make_doc(""), tokenizer, 10) == []
