"""Marked rows: LukeTokenizer's ids and positions, markers that nest, and passages that show what is marked."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import spacy
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc

from spacy_luke.batching.pieces import doc_pieces
from spacy_luke.batching.windows import SentenceWindows
from spacy_luke.errors import LukeError
from spacy_luke.pipeline.entity_markers.markers import (
    MarkedItem,
    MarkedLayout,
    MarkerVocab,
    Passage,
    find_passages,
    insert_markers,
    marked_row,
    marker_ids,
)
from spacy_luke.tokenization.entity_vocab import EntityVocab
from spacy_luke.tokenization.pieces import PieceTokenizer
from tests.tokenization.ugly import plain, texts
from tests.util import TEXTS, luke_tokenizer, read_files, write_byte_bpe, write_unigram, write_word_piece

FAR = 10_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bpe")
    write_byte_bpe(folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder) -> PieceTokenizer:
    return PieceTokenizer(read_files(folder))


@pytest.fixture(scope="module")
def references(folder) -> dict:
    tasks = {1: "entity_classification", 2: "entity_pair_classification"}
    return {spans: luke_tokenizer(folder, task=task) for spans, task in tasks.items()}


def marker_vocab(tokenizer: PieceTokenizer, longest: int = 30, max_pieces: int = FAR) -> MarkerVocab:
    markers = marker_ids(tokenizer, tokenizer.rows + 2)
    return MarkerVocab(tokenizer, EntityVocab.special_only(), markers, longest, max_pieces)


@st.composite
def passages(draw, texts=plain) -> Passage:
    """A text and one or two spans in it without white space at their edges, apart or touching, in any order."""
    text = draw(texts)
    places = [i for i, char in enumerate(text) if not char.isspace()]
    count = draw(st.integers(1, 2))
    assume(len(places) >= count)
    if count == 1:
        first, last = sorted(draw(st.tuples(st.sampled_from(places), st.sampled_from(places))))
        return Passage(text, ((first, last + 1),))
    chosen = sorted(draw(st.lists(st.integers(0, len(places) - 1), min_size=3, max_size=3)))
    assume(chosen[0] < chosen[2])
    middle = min(chosen[1], chosen[2] - 1)  # the first span ends here, the second starts at or after the next place
    start = draw(st.integers(middle + 1, chosen[2]))
    spans = [(places[chosen[0]], places[middle] + 1), (places[start], places[chosen[2]] + 1)]
    return Passage(text, tuple(draw(st.permutations(spans))))


@settings(max_examples=150)
@given(passage=passages())
def test_rows_are_those_of_luke_tokenizer(tokenizer, references, passage: Passage) -> None:
    row = marked_row(passage, marker_vocab(tokenizer))
    expected = references[len(passage.spans)](passage.text, entity_spans=list(passage.spans))
    assert row.piece_ids.tolist() == expected["input_ids"]
    for (start, end), positions in zip(row.entity_spans.tolist(), expected["entity_position_ids"], strict=True):
        assert list(range(start, end)) == [p for p in positions if p >= 0]
    assert not row.piece_types.any()


@pytest.mark.parametrize("longest", [1, 2, 4])
def test_long_mentions_have_the_positions_of_their_beginning(folder, tokenizer, longest: int) -> None:
    text = TEXTS[0]
    spans = ((0, 12), (17, 32))
    row = marked_row(Passage(text, spans), marker_vocab(tokenizer, longest))
    reference = luke_tokenizer(folder, task="entity_pair_classification", max_mention_length=longest)
    expected = reference(text, entity_spans=list(spans))
    assert row.piece_ids.tolist() == expected["input_ids"]
    for (start, end), positions in zip(row.entity_spans.tolist(), expected["entity_position_ids"], strict=True):
        assert list(range(start, end)) == positions


DRAWN = [
    # spans, result with [ for <ent> and { for <ent2>, which stand before and after their spans
    ([(0, 1), (2, 3)], "[a[b{c{d"),
    ([(2, 3), (0, 1)], "{a{b[c[d"),
    ([(0, 2), (2, 4)], "[ab[{cd{"),
    ([(2, 4), (0, 2)], "{ab{[cd["),
    ([(0, 4), (1, 2)], "[a{b{cd["),
    ([(1, 2), (0, 4)], "{a[b[cd{"),
    ([(0, 4), (0, 2)], "[{ab{cd["),
    ([(0, 2), (0, 4)], "{[ab[cd{"),
    ([(0, 4), (2, 4)], "[ab{cd{["),
    ([(2, 4), (0, 4)], "{ab[cd[{"),
    ([(1, 3), (1, 3)], "a[{bc{[d"),
    ([(0, 3), (2, 4)], "[ab{c[d{"),
    ([(2, 4), (0, 3)], "{ab[c{d["),
    ([(1, 3)], "a[bc[d"),
]


@pytest.mark.parametrize(("spans", "expected"), DRAWN, ids=[drawn for _, drawn in DRAWN])
def test_markers_nest(spans, expected: str) -> None:
    ids, types, ranges = insert_markers(np.array([*map(ord, "abcd")]), np.arange(1, 5), spans, [ord("["), ord("{")])
    drawn = "".join(map(chr, ids.tolist()))
    assert drawn == expected
    assert [drawn[a] + drawn[b - 1] for a, b in ranges] == ["[[", "{{"][: len(spans)]
    assert "".join(str(t) for t in types if t) == "1234"
    assert [t == 0 for t in types] == [char in "[{" for char in drawn]


small_spans = st.tuples(st.integers(0, 7), st.integers(1, 8)).filter(lambda s: s[0] < s[1])


@given(spans=st.lists(small_spans, min_size=1, max_size=2))
def test_between_its_markers_is_the_span(spans) -> None:
    text = "abcdefgh"
    ids, _, ranges = insert_markers(np.array([*map(ord, text)]), np.zeros(8, dtype=int), spans, [ord("["), ord("{")])
    drawn = "".join(map(chr, ids.tolist()))
    plain_text = str.maketrans("", "", "[{")
    assert drawn.translate(plain_text) == text
    for marker, (start, end), (a, b) in zip("[{", spans, ranges, strict=False):
        assert drawn.count(marker) == 2
        assert drawn[a] == drawn[b - 1] == marker
        assert drawn[a:b].translate(plain_text) == text[start:end]


@pytest.mark.parametrize("write", [write_byte_bpe, write_unigram, write_word_piece])
def test_every_tokenizer_marks_every_text(tmp_path, write) -> None:
    write(tmp_path)
    vocab = marker_vocab(PieceTokenizer(read_files(tmp_path)))

    @settings(max_examples=60)
    @given(passage=passages(texts))
    def check(passage: Passage) -> None:
        row = marked_row(passage, vocab)
        assert (np.diff(row.entity_spans, axis=1) >= 3).all(), "two markers and at least one piece"
        for marker in vocab.markers[: len(passage.spans)]:
            assert row.piece_ids.tolist().count(marker) == 2

    check()


def test_pieces_carry_the_case_of_their_words(tmp_path) -> None:
    write_word_piece(tmp_path)
    tokenizer = PieceTokenizer(read_files(tmp_path), case_types=True)
    row = marked_row(Passage("Ada met BABBAGE in 1660", ((0, 3), (8, 15))), marker_vocab(tokenizer))
    markers = np.isin(row.piece_ids, marker_ids(tokenizer, tokenizer.rows + 2))
    assert not row.piece_types[markers].any()
    types = row.piece_types[1:-1][~markers[1:-1]]
    plain_types = tokenizer.encode_words(["Ada", "met", "BABBAGE", "in", "1660"], [True] * 4 + [False]).types
    assert types.tolist() == plain_types.tolist()
    assert len(set(types.tolist())) == 4


# Lengths


@settings(max_examples=60)
@given(before=st.integers(0, 40), between=st.integers(0, 40), after=st.integers(0, 40), limit=st.integers(8, 60))
def test_rows_fit_and_keep_the_spans(tokenizer, before: int, between: int, after: int, limit: int) -> None:
    text = "x" * before + "!" + "y" * between + "?" + "z" * after
    spans = ((before, before + 1), (before + between + 1, before + between + 2))
    full = marked_row(Passage(text, spans), marker_vocab(tokenizer))
    row = marked_row(Passage(text, spans), marker_vocab(tokenizer, max_pieces=limit))
    hull = int(full.entity_spans.max() - full.entity_spans.min())
    if row is None:
        assert hull + 2 > limit
        return
    assert row.pieces == min(full.pieces, limit)
    for (a, b), (c, d) in zip(row.entity_spans.tolist(), full.entity_spans.tolist(), strict=True):
        assert row.piece_ids[a:b].tolist() == full.piece_ids[c:d].tolist()


def make_doc(text: str) -> Doc:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    return nlp(text)


def found(tokenizer, doc: Doc, spans, max_pieces: int = 126, context: str = "none"):
    [passage] = find_passages(doc, doc_pieces(doc, tokenizer), [spans], SentenceWindows(max_pieces, context))
    return passage


THREE = make_doc("Ada met Bo. London calls Paris. They ran.")


@pytest.mark.parametrize(
    ("spans", "context", "text"),
    [
        ([(0, 1), (2, 3)], "none", "Ada met Bo."),
        ([(4, 5)], "none", " London calls Paris."),
        ([(6, 7), (2, 3)], "none", "Ada met Bo. London calls Paris."),
        ([(4, 5), (6, 7)], "document", "Ada met Bo. London calls Paris. They ran."),
    ],
)
def test_a_passage_is_the_sentences_of_its_spans(tokenizer, spans, context: str, text: str) -> None:
    passage = found(tokenizer, THREE, spans, context=context)
    assert passage.text == text
    assert [passage.text[a:b] for a, b in passage.spans] == [THREE[a:b].text for a, b in spans]


def test_white_space_at_the_edges_is_not_marked(tokenizer) -> None:
    doc = make_doc("Ada  \n met   Bo ")
    passage = found(tokenizer, doc, [(0, 2), (2, len(doc))])
    assert [passage.text[a:b] for a, b in passage.spans] == ["Ada", "met   Bo"]
    assert found(tokenizer, doc, [(0, 1), (1, 2)]) == "white space only"


def test_white_space_that_words_carry_is_not_marked(tokenizer) -> None:
    """In the middle of a passage and at its end."""
    carried = Doc(THREE.vocab, words=["Ada ", " met", " Bo  ", "London "], spaces=[False] * 4, sent_starts=[1, 0, 0, 1])
    passage = found(tokenizer, carried, [(0, 1), (2, 3)])
    assert passage.text == "Ada  met Bo "
    assert [passage.text[a:b] for a, b in passage.spans] == ["Ada", "Bo"]
    assert marked_row(passage, marker_vocab(tokenizer)) is not None


@pytest.mark.parametrize("span", [(2, 2), (3, 2), (-1, 1), (0, 100)])
def test_spans_that_are_none_are_errors(tokenizer, span) -> None:
    with pytest.raises(LukeError, match="L045"):
        found(tokenizer, THREE, [(0, 1), span])


@settings(max_examples=40)
@given(data=st.data(), length=st.integers(5, 30), context=st.sampled_from(["none", "document"]))
def test_long_sentences_are_cut_around_the_spans(tokenizer, data, length: int, context: str) -> None:
    words = ["Ada", "met", "Babbage", "in", "London"] * 20
    doc = Doc(THREE.vocab, words=words)
    spans = [(i, i + 1) for i in data.draw(st.lists(st.integers(0, 99), min_size=1, max_size=2))]
    pieces = doc_pieces(doc, tokenizer)
    passage = found(tokenizer, doc, spans, length, context)
    low, high = min(spans)[0], max(spans)[0]
    hull = int(pieces.pieces.ends[high] - pieces.pieces.starts[low])
    if hull > length - 2 * len(spans):
        assert passage == ("too far apart for a window" if len(spans) > 1 else "too long for a window")
        return
    assert [passage.text[a:b] for a, b in passage.spans] == [words[a] for a, _ in spans]
    row = marked_row(passage, marker_vocab(tokenizer, max_pieces=length + 2))
    assert row.pieces <= length + 2
    longest_word = int((pieces.pieces.ends - pieces.pieces.starts).max())
    assert row.pieces >= length + 2 - 2 * longest_word, "the window is filled with what is around the spans"


def test_passages_of_a_doc_share_their_text(tokenizer) -> None:
    doc = make_doc(TEXTS[0])
    items = [[(i, i + 1), (j, j + 1)] for i in range(5) for j in range(5) if i != j]
    passages = find_passages(doc, doc_pieces(doc, tokenizer), items, SentenceWindows(126, "none"))
    assert len({id(passage.text) for passage in passages}) == 1


# Marker pieces


def test_markers_follow_the_last_piece_unless_the_files_name_them(folder, tokenizer) -> None:
    rows = tokenizer.rows
    assert marker_ids(tokenizer, rows + 2) == (rows, rows + 1)
    reference = luke_tokenizer(folder, task="entity_pair_classification")
    assert reference.convert_tokens_to_ids(["<ent>", "<ent2>"]) == [rows, rows + 1]
    added = b'{"<ent>": 7, "<ent2>": 5}'
    named = PieceTokenizer({**read_files(folder), "added_tokens.json": added})
    assert marker_ids(named, rows) == (7, 5)
    one = PieceTokenizer({**read_files(folder), "added_tokens.json": b'{"<ent2>": 5}'})
    assert marker_ids(one, one.rows + 2) == (one.rows, one.rows + 1), "one of them alone marks nothing"


def test_items_that_cannot_be_marked_are_counted(tokenizer) -> None:
    doc = make_doc("Ada \n\n met Bo in London.")
    blank = next(token.i for token in doc if token.is_space)
    items = [[doc[0:1]], [doc[blank : blank + 1]], [doc[blank : blank + 1]], [doc[len(doc) - 2 : len(doc) - 1]]]
    layout = MarkedLayout(marker_vocab(tokenizer), SentenceWindows(126, "none"))
    places = layout.place([doc, doc], [items, []])
    assert [(place.doc, place.items.tolist()) for place in places] == [(0, [0]), (0, [3])]
    assert layout.left_out == Counter({"white space only": 2})
    short = MarkedLayout(marker_vocab(tokenizer, max_pieces=3), SentenceWindows(126, "none"))
    assert short.rows([*places, *places]) == []
    assert short.left_out == Counter({"too long for a window": 4})
    pair = find_passages(doc, doc_pieces(doc, tokenizer), [[(0, 1), (3, 4)]], SentenceWindows(126, "none"))
    short.left_out.clear()
    assert short.rows([MarkedItem(0, np.array([0]), pair[0])]) == []
    assert short.left_out == Counter({"too far apart for a window": 1})


@pytest.mark.parametrize("added", [b"{}", b'{"<ent>": 7, "<ent2>": 1000000}'])
def test_a_piece_table_without_room_for_markers_is_an_error(folder, tokenizer, added: bytes) -> None:
    files = {**read_files(folder), "added_tokens.json": added}
    with pytest.raises(LukeError, match=r"L033.*<ent> and <ent2>"):
        marker_ids(PieceTokenizer(files), tokenizer.rows + 1)
