"""Docs as contexts and questions as rows."""

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc
from transformers import LukeTokenizer

from spacy_luke.batching.strided import StridedWindows
from spacy_luke.pipeline.qa.inputs import QuestionReader
from spacy_luke.tokenization.entity_vocab import EntityVocab
from spacy_luke.tokenization.pieces import PieceTokenizer
from tests.pipeline.qa.model import TEXT, link, reference_input
from tests.tokenization.ugly import texts
from tests.util import ENTITIES, luke_tokenizer, read_files, write_byte_bpe, write_unigram, write_word_piece

NLP = spacy.blank("en")
WRITERS = {"bpe": write_byte_bpe, "unigram": write_unigram, "word_piece": write_word_piece}


@pytest.fixture(scope="module", params=WRITERS)
def any_tokenizer(request, tmp_path_factory) -> PieceTokenizer:
    folder = tmp_path_factory.mktemp(request.param)
    WRITERS[request.param](folder)
    return PieceTokenizer(read_files(folder), case_types=request.param == "word_piece")


@pytest.fixture(scope="module")
def bpe(tmp_path_factory) -> tuple[PieceTokenizer, LukeTokenizer]:
    folder = tmp_path_factory.mktemp("bpe")
    write_byte_bpe(folder)
    return PieceTokenizer(read_files(folder)), luke_tokenizer(folder)


WINDOWS = StridedWindows(508, 128)


def make_reader(tokenizer: PieceTokenizer, windows: StridedWindows = WINDOWS, **settings) -> QuestionReader:
    given = {"max_question_pieces": 64, "max_entities": 128, "separators": 2, **settings}
    return QuestionReader(tokenizer, EntityVocab(ENTITIES), windows, **given)


@given(text=texts)
def test_pieces_know_their_characters(any_tokenizer, text: str) -> None:
    context = make_reader(any_tokenizer).context(NLP.make_doc(text))
    encoded = any_tokenizer.encode_text(text, ())
    assert context.is_blank == (not text.strip())
    data = text.encode("utf8")
    for (a, b), (start, end), (first, last) in zip(
        encoded.byte_spans.tolist(), context.chars.tolist(), context.text_chars.tolist(), strict=True
    ):
        held = text[start:end].encode("utf8")
        assert data[a:b] in held, "rounded outwards"
        assert len(held) - (b - a) < 8, "by less than a character at each end"
        assert not text[start:first].strip()
        assert not text[last:end].strip()
        if first < last:
            assert text[first:last] == text[start:end].strip()
        else:
            assert not text[start:end].strip()


@given(data=st.data())
def test_any_two_pieces_make_a_trimmed_answer(any_tokenizer, data) -> None:
    text = data.draw(texts.filter(lambda t: t.strip()))
    context = make_reader(any_tokenizer).context(NLP.make_doc(text))
    first = data.draw(st.integers(0, len(context.ids) - 1))
    last = data.draw(st.integers(first, len(context.ids) - 1))
    answer = text[context.text_chars[first, 0] : context.text_chars[last, 1]]
    assert answer == text[context.chars[first, 0] : context.chars[last, 1]].strip()


def test_rows_have_the_positions_of_luke_tokenizer_even_for_long_entities(bpe) -> None:
    tokenizer, theirs = bpe
    doc = link(NLP.make_doc(TEXT), (0, 2, "Ada Lovelace"), (4, 25, "London"), (25, 26, ""))
    question = "Who met whom?"
    [row] = make_reader(tokenizer).rows(0, 0, make_reader(tokenizer).context(doc), question)
    made = row.make(tokenizer.special)
    expected = reference_input(theirs, doc, question)
    assert made.piece_ids.tolist() == expected["input_ids"][0].tolist()
    assert made.entity_ids.tolist() == expected["entity_ids"][0].tolist() == [5, 3]
    positions = [[p for p in entity if p >= 0] for entity in expected["entity_position_ids"][0].tolist()]
    assert [list(range(a, b)) for a, b in made.entity_spans.tolist()] == positions
    assert max(map(len, positions)) == 30
    assert (row.pieces, row.entities) == (made.pieces, made.entities)
    assert made.piece_ids[row.window_offset :].tolist()[:-1] == row.text.ids.tolist()


def test_every_piece_of_a_row_has_a_type(any_tokenizer) -> None:
    reader = make_reader(any_tokenizer)
    [row] = reader.rows(0, 0, reader.context(NLP.make_doc(TEXT)), "Who met Babbage?")
    made = row.make(any_tokenizer.special)
    assert made.piece_ids.shape == made.piece_types.shape
    asked = any_tokenizer.encode_text("Who met Babbage?", ())
    np.testing.assert_array_equal(made.piece_types[1 : row.window_offset - 2], asked.types)
    assert made.piece_types.any() == any_tokenizer.case_types


def test_a_reader_counts_what_it_cuts(bpe) -> None:
    tokenizer, _ = bpe
    reader = make_reader(tokenizer, max_question_pieces=3)
    context = reader.context(NLP.make_doc(TEXT))
    for question in ("Who met whom, and where?", "", " \n", "In which year did they meet?"):
        list(reader.rows(0, 0, context, question))
    assert (reader.too_long, reader.first_too_long, reader.empty) == (2, "Who met whom, and where?", 2)
    asked = tokenizer.encode_text("Who met whom, and where?", ())
    exact = make_reader(tokenizer, max_question_pieces=len(asked.ids))
    [row] = exact.rows(0, 0, context, "Who met whom, and where?")
    assert (row.plan.ids.tolist(), exact.too_long) == (asked.ids.tolist(), 0), "as long as it may be"
    assert not list(reader.rows(0, 0, reader.context(NLP.make_doc("  ")), "Who?"))


@pytest.mark.parametrize("separators", [1, 2])
def test_the_question_is_global_before_one_or_two_separators(bpe, separators: int) -> None:
    reader = make_reader(bpe[0], separators=separators)
    context = reader.context(NLP.make_doc("Ada met Bo."))
    [row] = reader.rows(0, 0, context, "Who met?")
    made, special = row.make(bpe[0].special), bpe[0].special
    question = len(row.plan.ids)
    assert row.pieces == len(made.piece_ids) == len(made.piece_types) == question + len(context.ids) + separators + 2
    assert made.piece_ids[question + 1 : row.window_offset].tolist() == [special.eos] * separators
    assert made.piece_ids[row.window_offset :].tolist() == [*context.ids.tolist(), special.eos]
    assert np.flatnonzero(made.global_mask).tolist() == list(range(question + 1)), "as transformers by default"


def test_an_entity_is_shown_in_the_windows_that_have_all_of_it(bpe) -> None:
    tokenizer, _ = bpe
    doc = link(NLP.make_doc(TEXT), (0, 2, "Ada Lovelace"), (4, 7, "London"))
    context = make_reader(tokenizer).context(doc)
    (_, end), (start, _) = context.entity_spans.tolist()
    asked = len(tokenizer.encode_text("Who?", ()).ids)
    for stride in (end - 1, start, start + 1):
        reader = make_reader(tokenizer, StridedWindows(asked + stride + 3, stride))
        for row in reader.rows(0, 0, context, "Who?"):
            inside = [row.start <= a and b <= row.end for a, b in context.entity_spans.tolist()]
            assert row.shown.tolist() == np.flatnonzero(inside).tolist()


def test_an_entity_without_pieces_is_not_shown(tmp_path) -> None:
    write_word_piece(tmp_path)
    words = ["Ada", "\n", "met"]
    doc = link(Doc(NLP.vocab, words=words), (1, 2, "London"), (2, 3, "Babbage"))
    context = make_reader(PieceTokenizer(read_files(tmp_path))).context(doc)
    assert context.entity_ids.tolist() == [ENTITIES["Babbage"]]
    assert (context.entity_spans[:, 0] < context.entity_spans[:, 1]).all()
