"""`luke_qa`: parity with transformers, windows over long contexts, and a defined result for every question and text."""

import math
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc
from transformers import LukeForQuestionAnswering, LukeTokenizer

import spacy_luke
from spacy_luke import Answer, has_annotation
from spacy_luke.errors import LukeError, LukeWarning
from spacy_luke.pipeline.base.calibration import Calibration
from spacy_luke.pipeline.base.gold import GoldReport
from spacy_luke.pipeline.qa.decoding import FoundAnswers, best, merged, to_answers, window_answers
from spacy_luke.pipeline.qa.inputs import Context, QuestionRow, WindowedQuestion
from tests.pipeline.qa.model import (
    QUESTIONS,
    TEXT,
    TITLES,
    link,
    reference_input,
    reference_logits,
    write_qa_checkpoint,
)
from tests.tokenization.ugly import plain, texts
from tests.util import luke_tokenizer

LONG = " ".join(f"{TEXT} In {year} Ada saw London." for year in range(1800, 1806))


@pytest.fixture(scope="module")
def qa_checkpoint(tmp_path_factory) -> Path:
    return write_qa_checkpoint(tmp_path_factory.mktemp("qa"))


@pytest.fixture(scope="module")
def reference(qa_checkpoint) -> LukeForQuestionAnswering:
    return LukeForQuestionAnswering.from_pretrained(qa_checkpoint).eval()


@pytest.fixture(scope="module")
def tokenizer(qa_checkpoint) -> LukeTokenizer:
    return luke_tokenizer(qa_checkpoint)


@pytest.fixture(scope="module")
def nlp(qa_checkpoint) -> spacy.language.Language:
    """Answers always: a random model has no opinion on whether there is one."""
    return spacy_luke.from_checkpoint(qa_checkpoint, config={"no_answer_threshold": None})


def asked(nlp, text: str = TEXT, questions=QUESTIONS) -> Doc:
    doc = nlp.make_doc(text)
    doc._.questions = questions
    return doc


def values(answers) -> list[tuple]:
    return [
        (a.question, a.text, a.start_char, round(a.score, 4), a.span and (a.span.start, a.span.end)) for a in answers
    ]


# Parity


def test_logits_equal_those_of_transformers(nlp, pipe, reference, tokenizer) -> None:
    doc = asked(nlp)
    [(windows, logits)] = pipe.logits([doc])
    assert [window.question for window in windows] == list(QUESTIONS)
    for question, rows in zip(QUESTIONS, logits, strict=True):
        np.testing.assert_allclose(rows, reference_logits(reference, tokenizer, doc, question), atol=1e-5)


def test_logits_with_entities_equal_those_of_transformers(nlp, pipe, reference, tokenizer) -> None:
    doc = link(asked(nlp), (0, 2, "Ada Lovelace"), (4, 5, "Babbage"), (6, 7, "London"), (8, 10, "Nobody knows this"))
    [(_, logits)] = pipe.logits([doc])
    [(_, without)] = pipe.logits([asked(nlp)])
    for question, rows, other in zip(QUESTIONS, logits, without, strict=True):
        np.testing.assert_allclose(rows, reference_logits(reference, tokenizer, doc, question), atol=1e-5)
        assert rows.shape != other.shape or np.abs(rows - other).max() > 1e-3, "entities matter"


@settings(max_examples=80)
@given(text=plain, question=plain, data=st.data())
def test_ugly_texts_equal_transformers(nlp, reference, tokenizer, text: str, question: str, data) -> None:
    pipe = nlp.get_pipe("luke_qa")
    doc = asked(nlp, text, [question])
    if len(doc):
        edges = sorted(data.draw(st.sets(st.integers(0, len(doc)), max_size=6)))
        spans = zip(edges[::2], edges[1::2], strict=False)
        link(doc, *((a, b, data.draw(st.sampled_from([*TITLES, "", "unknown"]))) for a, b in spans))
    if not text.strip() or not question.strip():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LukeWarning)
            assert pipe.logits([doc]) == [([], [])]
        return
    pieces = reference_input(tokenizer, doc, question)["input_ids"].shape[1]
    if pieces > 128 or len(tokenizer(question)["input_ids"]) > 64:
        return
    expected = reference_logits(reference, tokenizer, doc, question)
    [(_, [logits])] = pipe.logits([doc])
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_long_contexts_are_read_in_windows(nlp, pipe, reference, tokenizer) -> None:
    pipe._windows_setting = spacy.registry.misc.get("spacy-luke.strided_windows.v1")(max_pieces=60, stride=20)
    doc = asked(nlp, LONG, QUESTIONS[:1])
    [(windows, logits)] = pipe.logits([doc])
    [question] = [len(tokenizer(q)["input_ids"]) - 2 for q in QUESTIONS[:1]]
    context = tokenizer(doc.text)["input_ids"][1:-1]
    room = 60 - question
    starts = [0]
    while starts[-1] + room < len(context):
        starts.append(starts[-1] + 20)
    assert len(windows) == len(starts) > 5
    seen = np.zeros(len(doc.text), dtype=bool)
    for start, window, scores in zip(starts, windows, logits, strict=True):
        ids = [*tokenizer(QUESTIONS[0])["input_ids"], tokenizer.eos_token_id, *context[start : start + room]]
        ids.append(tokenizer.eos_token_id)
        output = reference(input_ids=reference.dummy_inputs["input_ids"].new_tensor([ids]))
        np.testing.assert_allclose(scores[:, 0], output.start_logits[0].detach().numpy(), atol=1e-5)
        assert (window.chars[: question + 3] == -1).all()
        assert (window.chars[-1] == -1).all()
        for a, b in window.chars[question + 3 : -1].tolist():
            seen[a:b] = True
    assert seen.all(), "every character is in a window"


def test_entities_are_those_that_lie_in_the_window_up_to_a_maximum(nlp, pipe) -> None:
    pipe._windows_setting = spacy.registry.misc.get("spacy-luke.strided_windows.v1")(max_pieces=40, stride=10)
    doc = nlp.make_doc(LONG)
    link(doc, *((t.i, t.i + 1, "London") for t in doc if t.text == "London"))
    reader = pipe._reader()
    rows = list(reader.rows(0, 0, reader.context(doc), QUESTIONS[0]))
    for row in rows:
        inside = [row.start <= a and b <= row.end for a, b in row.text.entity_spans.tolist()]
        assert row.shown.tolist() == np.flatnonzero(inside).tolist()
        spans = row.make(reader.tokenizer.special).entity_spans
        assert ((spans >= row.window_offset) & (spans < row.pieces)).all()
    assert max(row.entities for row in rows) > 1
    pipe.max_entities = 1
    reader = pipe._reader()
    assert max(row.entities for row in reader.rows(0, 0, reader.context(doc), QUESTIONS[0])) == 1
    pipe.max_entities = 0
    assert not len(pipe._reader().context(doc).entity_ids)


# Decoding


def fake_row(pipe, doc: Doc, question: str = QUESTIONS[0], window: int = 0) -> QuestionRow:
    reader = pipe._reader()
    return list(reader.rows(0, 0, reader.context(doc), question))[window]


def brute_force(row: QuestionRow, text: str, logits: np.ndarray, longest: int) -> tuple[float, int, int]:
    """The best answer as the reference finds it, one pair of positions at a time."""
    start, end = row.start, row.end
    ranked = [np.argsort(-logits[row.window_offset : row.window_offset + end - start, edge])[:20] for edge in (0, 1)]
    found = []
    for a in ranked[0]:
        for b in ranked[1]:
            chars = row.text.chars[start + a, 0], row.text.chars[start + b, 1]
            if a <= b < a + longest and text[chars[0] : chars[1]].strip():
                found.append((float(logits[row.window_offset + a, 0] + logits[row.window_offset + b, 1]), *chars))
    return max(found)


@given(seed=st.integers(0, 10_000))
def test_the_best_answer_is_the_best_sum_in_reach(nlp, seed: int) -> None:
    pipe, doc = nlp.get_pipe("luke_qa"), nlp.make_doc(TEXT)
    row = fake_row(pipe, doc)
    logits = np.random.default_rng(seed).normal(size=(row.pieces, 2)).astype(np.float32)
    found = window_answers(row, logits, 5, 20)
    score, start, end = brute_force(row, doc.text, logits, 5)
    assert found.logits[0] == pytest.approx(score)
    assert doc.text[slice(*found.chars[0])] == doc.text[start:end].strip()
    assert found.no_answer == pytest.approx(float(logits[0].sum()))
    assert len(found.logits) <= 20
    assert (np.diff(found.logits) <= 0).all()
    assert len({tuple(c) for c in found.chars.tolist()}) == len(found.logits)


def test_some_answer_is_found_where_the_best_starts_and_ends_do_not_fit(nlp, pipe) -> None:
    row = fake_row(pipe, nlp.make_doc(TEXT))
    logits = np.zeros((row.pieces, 2), dtype=np.float32)
    logits[:, 0] = np.arange(row.pieces)  # starts at the end, ends at the start
    logits[:, 1] = -np.arange(row.pieces)
    found = window_answers(row, logits, 30, 20)
    assert len(found.logits)
    assert (found.chars[:, 0] < found.chars[:, 1]).all()


def test_an_answer_starts_in_the_window_of_most_context(nlp, pipe) -> None:
    pipe._windows_setting = spacy.registry.misc.get("spacy-luke.strided_windows.v1")(max_pieces=60, stride=20)
    row = fake_row(pipe, nlp.make_doc(LONG), window=2)
    logits = np.zeros((row.pieces, 2), dtype=np.float32)
    logits[row.window_offset, :] = 100.0  # the first piece has more context in the window before
    found = window_answers(row, logits, 30, 20)
    assert row.text.text_chars[row.start, 0] not in found.chars[:, 0]
    assert found.logits.max() < 100.0


def test_answers_are_no_longer_than_allowed(nlp, pipe, tokenizer) -> None:
    pipe.max_answer_pieces = 2
    doc = nlp.make_doc(TEXT)
    context = pipe._reader().context(doc)
    for answer in pipe.answer(doc, QUESTIONS[0], n_best=20):
        inside = (context.chars[:, 1] > answer.start_char) & (
            context.chars[:, 0] < answer.start_char + len(answer.text)
        )
        assert inside.sum() <= 2


@pytest.mark.parametrize(
    ("text", "answer"), [("(1066)", "1066"), ("1066", "1066"), ("  O'Neil ", "O'Neil"), ("1", "1")]
)
def test_the_text_of_an_answer_is_exact_to_the_character(nlp, text: str, answer: str) -> None:
    doc = nlp.make_doc(TEXT.replace("(1066)", "(10665)"))  # pieces end inside of tokens
    start = doc.text.index(answer)
    found = FoundAnswers(np.array([[start, start + len(answer)]]), np.array([1.0]))
    [result] = to_answers(doc, "?", found, 1, None)
    assert result.text == answer
    assert doc.text[result.start_char : result.start_char + len(answer)] == answer
    assert answer in result.span.text


def row_of(text_chars: list[tuple[int, int]]) -> QuestionRow:
    """The row of an empty question about a text whose pieces have these characters."""
    chars, none = np.array(text_chars), np.zeros(0, dtype=np.int64)
    zeros = np.zeros(len(chars), dtype=np.int64)
    context = Context(zeros, zeros, chars, chars, none, none.reshape(0, 2))
    return QuestionRow(0, context, 0, len(chars), 0, WindowedQuestion(none, none, 2, [(0, len(chars))]), 0, none)


def test_of_equal_starts_and_ends_the_first_in_the_text_are_combined() -> None:
    row = row_of([(i, i + 1) for i in range(200)])
    logits = np.zeros((row.pieces, 2), dtype=np.float32)
    logits[row.window_offset :: 2] = 1.0
    found = window_answers(row, logits, 300, 20)
    assert found.chars.tolist() == [[0, i + 1] for i in range(0, 40, 2)]
    logits[:, 1] = 0.0
    logits[row.window_offset + 199, 1] = 5.0
    assert window_answers(row, logits, 300, 20).chars.tolist() == [[i, 200] for i in range(0, 40, 2)]


def test_an_answer_has_characters() -> None:
    row = row_of([(0, 0), (0, 3)])  # the first is the space that SentencePiece puts before a text
    logits = np.zeros((row.pieces, 2), dtype=np.float32)
    logits[row.window_offset] = 9.0
    assert window_answers(row, logits, 30, 20).chars.tolist() == [[0, 3]]


def test_a_window_of_white_space_still_says_that_there_is_no_answer() -> None:
    row = row_of([(3, 0), (3, 0)])
    logits = np.zeros((row.pieces, 2), dtype=np.float32)
    logits[0] = [1.0, 2.5]
    found = window_answers(row, logits, 30, 20)
    assert (len(found.chars), found.no_answer) == (0, 3.5)


def test_of_equal_answers_the_first_in_the_text_is_best() -> None:
    chars = np.array([[3, 5], [0, 9], [0, 2], [3, 5]])
    found = best(chars, np.array([1.0, 1.0, 1.0, 2.0]), 0.5, 9)
    assert found.chars.tolist() == [[3, 5], [0, 2], [0, 9]]
    assert found.logits.tolist() == [2.0, 1.0, 1.0]
    both = merged(found, FoundAnswers(np.array([[7, 8]]), np.array([1.5]), 0.25), 2)
    assert both.chars.tolist() == [[3, 5], [7, 8]]
    assert both.no_answer == 0.25


def test_an_answer_is_where_it_was_found_if_its_token_has_it_twice(nlp) -> None:
    doc = Doc(nlp.vocab, words=["x", "aba"])
    [answer] = to_answers(doc, "?", FoundAnswers(np.array([[4, 5]]), np.array([1.0])), 1, None)
    assert (answer.text, answer.start_char) == ("a", 4)


def test_no_answer_is_ranked_by_the_threshold(nlp) -> None:
    doc = nlp.make_doc(TEXT)
    found = FoundAnswers(np.array([[0, 3], [4, 12]]), np.array([2.0, 1.0]), 1.5)
    texts = {t: [a.text for a in to_answers(doc, "?", found, 3, t)] for t in (-1.0, 0.0, 1.0, None)}
    assert texts == {
        -1.0: ["", "Ada", "Lovelace"],
        0.0: ["Ada", "", "Lovelace"],
        1.0: ["Ada", "Lovelace", ""],
        None: ["Ada", "Lovelace"],
    }
    by_text = {a.text: a for a in to_answers(doc, "?", found, 3, 0.0)}
    assert sum(a.score for a in by_text.values()) == pytest.approx(1.0)
    assert by_text["Ada"].score == pytest.approx(math.exp(2) / (math.exp(2) + math.exp(1) + math.exp(1.5)))
    assert by_text[""].span is None
    assert by_text[""].logit == 1.5
    assert [a.span for a in to_answers(doc, "?", found, 1, -1.0)] == [None]


def test_an_answer_that_is_less_by_exactly_the_threshold_comes_before_no_answer(nlp) -> None:
    """The reference evaluation predicts no answer only if the difference is greater than the threshold."""
    doc = nlp.make_doc(TEXT)
    found = FoundAnswers(np.array([[0, 3], [4, 12]]), np.array([2.0, 1.0]), 1.5)
    texts = {t: [a.text for a in to_answers(doc, "?", found, 3, t)] for t in (-0.5, 0.5)}
    assert texts == {-0.5: ["Ada", "", "Lovelace"], 0.5: ["Ada", "Lovelace", ""]}
    assert [a.start_char for a in to_answers(doc, "?", found, 3, 0.5)] == [0, 4, -1]


def test_answers_that_cannot_be_learned_are_counted_and_the_first_five_are_shown() -> None:
    report = GoldReport()
    for i in range(7):
        report.miss("somewhere else", f"'a{i}' (Who?)")
    assert report.missed == {"somewhere else": 7}
    assert report.first == [f"'a{i}' (Who?)" for i in range(5)]


def test_the_logit_of_no_answer_is_the_smallest_over_the_windows(nlp, pipe) -> None:
    pipe._windows_setting = spacy.registry.misc.get("spacy-luke.strided_windows.v1")(max_pieces=60, stride=20)
    doc = asked(nlp, LONG, QUESTIONS[:1])
    [(_, logits)] = pipe.logits([doc])
    [[found]] = pipe.predict([doc])
    assert found.no_answer == pytest.approx(min(float(rows[0].sum()) for rows in logits))


def test_the_best_answers_are_sorted_and_differ(nlp, pipe) -> None:
    pipe.n_best = 7
    doc = pipe(asked(nlp, LONG))
    for question in QUESTIONS:
        answers = [a for a in doc._.answers if a.question == question]
        assert len(answers) == 7
        assert [a.score for a in answers] == sorted((a.score for a in answers), reverse=True)
        assert len({(a.start_char, a.text) for a in answers}) == 7
        assert all(a.text == a.text.strip() and a.text for a in answers)


def test_more_than_twenty_answers_can_be_had(nlp, pipe) -> None:
    answers = pipe.answer(nlp.make_doc(TEXT), QUESTIONS[0], n_best=40)
    assert len(answers) == 40
    assert sum(a.score for a in answers) == pytest.approx(1.0)


# Use


def test_questions_of_many_docs_are_answered_in_place(nlp) -> None:
    docs = [
        asked(nlp),
        nlp.make_doc("Nobody asks."),
        asked(nlp, LONG, QUESTIONS[::-1]),
        asked(nlp, "Ada.", ["Who?"] * 2),
    ]
    single = [nlp(doc.copy()) for doc in docs]
    for one, many in zip(single, nlp.pipe([doc.copy() for doc in docs], batch_size=3), strict=True):
        assert values(one._.answers) == values(many._.answers)
        assert [a.question for a in many._.answers] == list(many._.questions)
    assert not has_annotation(single[1], "answers"), "a Doc without questions is left as it is"


def test_a_row_does_not_depend_on_those_beside_it(nlp, pipe) -> None:
    docs = [asked(nlp), asked(nlp, "Ada met Babbage."), asked(nlp, LONG)]
    together = pipe.logits(docs)
    pipe.max_batch_pieces = 1
    for (_, many), (_, one) in zip(together, (pipe.logits([doc])[0] for doc in docs), strict=True):
        for a, b in zip(many, one, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)


def test_batches_stay_within_the_budget(nlp, pipe) -> None:
    docs = [link(asked(nlp, LONG), (0, 1, "London")), asked(nlp)]
    pipe.max_batch_pieces = 300
    reader = pipe._reader()
    rows = [
        row
        for doc in docs
        for number, question in enumerate(QUESTIONS)
        for row in reader.rows(0, number, reader.context(doc), question)
    ]
    batches = list(pipe._batches(rows))
    assert sum(len(group) for group, _ in batches) == len(rows)
    for _, batch in batches:
        entities = batch.entity_ids.shape[1] if batch.entity_ids is not None else 0
        assert batch.piece_ids.shape[0] * (batch.piece_ids.shape[1] + entities) <= 300


def test_a_doc_is_tokenised_once_whatever_the_number_of_questions(nlp, pipe, monkeypatch) -> None:
    tokenizer = pipe._require_weights().tokenizer
    read: list[str] = []
    encode = tokenizer.encode_text
    monkeypatch.setattr(tokenizer, "encode_text", lambda text, edges: read.append(text) or encode(text, edges))
    pipe(asked(nlp, questions=QUESTIONS * 3))
    assert read.count(TEXT) == 1


def test_answer_leaves_the_doc_alone(nlp, pipe) -> None:
    doc = asked(nlp)
    before = doc.to_bytes()
    [answer] = pipe.answer(doc, QUESTIONS[0])
    assert doc.to_bytes() == before
    assert values([answer]) == values(pipe(doc)._.answers[:1])
    assert math.isfinite(answer.logit)
    assert 0 < answer.score <= 1


def test_two_processes_give_the_same_answers(nlp) -> None:
    docs = [asked(nlp), asked(nlp, "Ada met Babbage.")] * 2
    expected = [values(nlp(doc.copy())._.answers) for doc in docs]
    found = nlp.pipe([doc.copy() for doc in docs], n_process=2, batch_size=2)
    assert [values(doc._.answers) for doc in found] == expected


@settings(max_examples=60)
@given(text=texts, question=texts)
def test_every_text_and_question_has_a_defined_answer(nlp, text: str, question: str) -> None:
    doc = asked(nlp, text, [question])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LukeWarning)
        [answer] = nlp(doc)._.answers
    assert (answer.span is None) == (not text.strip() or not question.strip())
    if answer.span is not None:
        assert answer.text == doc.text[answer.start_char :][: len(answer.text)]
        assert answer.text.strip() == answer.text != ""
        assert answer.span.start_char <= answer.start_char
        assert answer.start_char + len(answer.text) <= answer.span.end_char


# Whole words


def cut_answers(doc: Doc) -> FoundAnswers:
    """Answers within "Satya Nadella", the best first: "ya Nad", "Satya Nadella", "tya"."""
    chars = np.array([[3, 9], [0, 13], [2, 5]], dtype=np.int64)
    return FoundAnswers(chars, np.array([3.0, 2.0, 1.0]), no_answer=0.0)


def test_answers_are_widened_to_words_and_keep_their_scores(nlp) -> None:
    doc = nlp.make_doc("Satya Nadella leads.")
    cut = to_answers(doc, "?", cut_answers(doc), 4, 0.0)
    whole = to_answers(doc, "?", cut_answers(doc), 4, 0.0, whole_words=True)
    assert [(a.text, a.start_char) for a in cut] == [("ya Nad", 3), ("Satya Nadella", 0), ("tya", 2), ("", -1)]
    assert [(a.text, a.start_char) for a in whole] == [("Satya Nadella", 0), ("Satya", 0), ("", -1)]
    assert [(a.score, a.logit) for a in whole] == [(cut[i].score, cut[i].logit) for i in (0, 2, 3)]
    assert [a.text for a in to_answers(doc, "?", cut_answers(doc), 2, 0.0, whole_words=True)] == [
        "Satya Nadella",
        "Satya",
    ]


@settings(max_examples=40)
@given(text=texts)
def test_every_answer_has_whole_words_where_they_are_asked_for(qa_checkpoint, text: str) -> None:
    made = whole_words(qa_checkpoint)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LukeWarning)
        for answer in made(asked(made, text, ["Who?"]))._.answers:
            if answer.span is not None:
                assert answer.text == answer.span.text
                assert answer.start_char == answer.span.start_char


@cache
def whole_words(folder: Path) -> spacy.language.Language:
    return spacy_luke.from_checkpoint(folder, config={"no_answer_threshold": None, "n_best": 3, "whole_words": True})


# Within a sentence


@settings(max_examples=40)
@given(text=texts)
def test_no_answer_goes_over_the_end_of_a_sentence_where_it_must_not(qa_checkpoint, text: str) -> None:
    made = within_sentences(qa_checkpoint)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LukeWarning)
        doc = made(asked(made, text, ["Who?"]))
        for answer in doc._.answers:
            if answer.span is not None:
                assert answer.span[0].sent == answer.span[-1].sent


def test_the_best_answer_within_a_sentence_is_the_best_sum_there(nlp, pipe) -> None:
    doc = nlp.make_doc(TEXT)
    row = fake_row(pipe, doc)
    logits = np.random.default_rng(0).normal(size=(row.pieces, 2)).astype(np.float32)
    everything = window_answers(row, logits, 300, 100_000)
    cut = np.array([10, 25], dtype=np.int64)
    inside = [i for i, (a, b) in enumerate(everything.chars.tolist()) if not any(a < end < b for end in cut)]
    found = window_answers(row, logits, 300, 100_000, cut)
    assert found.chars.tolist() == everything.chars[inside].tolist()
    assert found.logits.tolist() == everything.logits[inside].tolist()
    assert len(found.chars) < len(everything.chars)


def test_of_many_answers_none_goes_over_the_end_of_a_sentence(qa_checkpoint, nlp) -> None:
    made = within_sentences(qa_checkpoint)
    doc = made.get_pipe("sentencizer")(made.make_doc(LONG))
    inside, anywhere = (
        [a.span[0].sent == a.span[-1].sent for a in one.get_pipe("luke_qa").answer(doc, QUESTIONS[0], 200)]
        for one in (made, nlp)
    )
    assert len(inside) == 200
    assert all(inside)
    assert not all(anywhere)


def test_a_doc_without_sentences_has_its_answers_anywhere(qa_checkpoint) -> None:
    made = within_sentences(qa_checkpoint)
    bare, plain = made.get_pipe("luke_qa"), spacy_luke.from_checkpoint(qa_checkpoint).get_pipe("luke_qa")
    doc = made.make_doc(TEXT)
    assert [a.text for a in bare.answer(doc, "Who?", 20)] == [a.text for a in plain.answer(doc, "Who?", 20)]


@cache
def within_sentences(folder: Path) -> spacy.language.Language:
    config = {"no_answer_threshold": None, "n_best": 3, "one_sentence": True}
    nlp = spacy_luke.from_checkpoint(folder, config=config)
    if not nlp.has_pipe("sentencizer"):
        nlp.add_pipe("sentencizer", first=True)
    return nlp


def test_what_is_calibrated_starts_from_the_bias_that_is_there(qa_checkpoint) -> None:
    made = spacy_luke.from_checkpoint(qa_checkpoint, config={"no_answer_bias": 1.0})
    pipe = made.get_pipe("luke_qa")
    [[before, *_]] = pipe.predict([asked(made)])
    pipe.apply_calibration(Calibration(temperature=2.0, bias=3.0))
    [[after, *_]] = pipe.predict([asked(made)])
    assert pipe.no_answer_bias == 2.0
    assert after.no_answer == pytest.approx((before.no_answer + 3.0) / 2.0, abs=1e-5)
    np.testing.assert_allclose(after.logits, before.logits / 2.0, atol=1e-5)


# Bad input


@pytest.mark.parametrize("text", ["", "   ", "\n\n"])
def test_a_doc_without_text_has_no_answer(nlp, pipe, text: str) -> None:
    for threshold in (None, 0.0):
        pipe.no_answer_threshold = threshold
        [answer] = nlp(asked(nlp, text, ["Who?"]))._.answers
        assert (answer.span, answer.text, answer.score) == (None, "", 1.0)
        assert math.isnan(answer.logit)


def test_an_empty_question_is_named_and_has_no_answer(nlp, pipe) -> None:
    doc = asked(nlp, questions=["", QUESTIONS[0], "  "])
    with pytest.warns(LukeWarning, match=r"W016.*luke_qa.*2 questions"):
        answers = nlp(doc)._.answers
    assert [a.span is None for a in answers] == [True, False, True]
    assert answers[0].score == 1.0


def test_a_long_question_is_cut_with_a_warning(nlp, pipe, reference, tokenizer) -> None:
    long = " ".join(["Who in the Royal Society met Babbage"] * 20)
    doc = asked(nlp, questions=[long])
    for limit, pieces in ((10, 10), (64, 62)):  # 62: half of the 124 pieces that fit
        pipe.max_question_pieces = limit
        with pytest.warns(LukeWarning, match=rf"W015.*1 questions are longer than {pieces} pieces.*Royal"):
            [(windows, logits)] = pipe.logits([doc])
        assert windows[0].question == long
        assert (windows[0].chars[: pieces + 3] == -1).all()
        assert windows[0].chars[pieces + 3, 0] == 0
        assert len(logits[0]) <= 128


def test_windows_of_two_pieces_still_answer(nlp, pipe) -> None:
    pipe._windows_setting = spacy.registry.misc.get("spacy-luke.strided_windows.v1")(max_pieces=2, stride=1)
    with pytest.warns(LukeWarning, match="W015"):
        [answer] = pipe.answer(nlp.make_doc("Ada met Bo."), QUESTIONS[0])
    assert answer.text


@pytest.mark.parametrize("question", [None, 3, b"Who?", ["Who?"]])
def test_a_question_that_is_no_string_is_an_error(nlp, pipe, question) -> None:
    with pytest.raises(LukeError, match=r"L080.*question.*string"):
        pipe.answer(nlp.make_doc(TEXT), question)


def test_a_question_with_half_a_character_is_an_error(nlp, pipe) -> None:
    doc = nlp.make_doc(TEXT)
    with pytest.raises(LukeError, match=r"L120.*Who.*U\+D83D"):
        pipe.answer(doc, "Who? \ud83d")
    doc._.questions = ["Who?", "\ud83d"]
    with pytest.raises(LukeError, match="L120"):
        pipe(doc)


def test_a_text_that_is_no_doc_is_an_error(pipe) -> None:
    with pytest.raises(LukeError, match=r"L080.*doc = 'Ada.*nlp\(text\)"):
        pipe.answer("Ada met Bo.", "Who?")


@pytest.mark.parametrize("n_best", [0, -1, 1.5, True])
def test_a_number_of_answers_that_is_none_is_an_error(nlp, pipe, n_best) -> None:
    with pytest.raises(LukeError, match=r"L047.*n_best"):
        pipe.answer(nlp.make_doc(TEXT), "Who?", n_best=n_best)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("max_question_pieces", 0),
        ("max_answer_pieces", 0),
        ("n_best", 0),
        ("max_entities", -1),
        ("max_batch_pieces", 0),
        ("windows", {"@misc": "spacy-luke.sentence_windows.v1"}),
    ],
)
def test_settings_out_of_range_are_errors(setting: str, value) -> None:
    with pytest.raises(LukeError, match=rf"L047.*{setting}"):
        spacy.blank("en").add_pipe("luke_qa", config={setting: value})


def test_a_checkpoint_with_another_head_is_refused(checkpoint) -> None:
    with pytest.raises(LukeError, match=r"L042.*LukeForQuestionAnswering.*LukeForEntitySpanClassification"):
        spacy.blank("en").add_pipe("luke_qa").load_checkpoint(checkpoint)


# Saving


def check_same(nlp, other) -> None:
    docs = [asked(nlp), asked(nlp, LONG)]
    for (_, a), (_, b) in zip(
        nlp.get_pipe("luke_qa").logits(docs), other.get_pipe("luke_qa").logits(docs), strict=True
    ):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)


def test_a_saved_pipeline_gives_the_same_answers(nlp, tmp_path) -> None:
    nlp.to_disk(tmp_path / "saved")
    check_same(nlp, spacy.load(tmp_path / "saved"))


def test_a_pipeline_goes_through_bytes(nlp) -> None:
    other = spacy.blank("en")
    other.add_pipe("sentencizer")
    other.add_pipe("luke_qa")
    check_same(nlp, other.from_bytes(nlp.to_bytes()))


def test_a_saved_component_is_a_checkpoint_that_transformers_opens(nlp, tmp_path) -> None:
    nlp.to_disk(tmp_path / "saved")
    folder = tmp_path / "saved" / "luke_qa"
    model = LukeForQuestionAnswering.from_pretrained(folder).eval()
    assert model.config.architectures == ["LukeForQuestionAnswering"]
    doc = link(asked(nlp), (0, 2, "Ada Lovelace"))
    [(_, logits)] = nlp.get_pipe("luke_qa").logits([doc])
    names = ("vocab.json", "merges.txt", "entity_vocab.json")
    theirs = LukeTokenizer(*(str(folder / name) for name in names))
    for question, rows in zip(QUESTIONS, logits, strict=True):
        np.testing.assert_allclose(rows, reference_logits(model, theirs, doc, question), atol=1e-5)


def test_windows_of_the_config_are_saved_with_the_checkpoint(qa_checkpoint, tmp_path) -> None:
    windows = {"@misc": "spacy-luke.strided_windows.v1", "max_pieces": 90, "stride": 30}
    nlp = spacy_luke.from_checkpoint(qa_checkpoint, config={"windows": windows})
    nlp.to_disk(tmp_path / "saved")
    again = spacy_luke.from_checkpoint(tmp_path / "saved" / "luke_qa").get_pipe("luke_qa")
    assert (again.windows.max_pieces, again.windows.stride) == (90, 30)


def test_answers_survive_bytes(nlp) -> None:
    doc = nlp(asked(nlp))
    again = Doc(nlp.vocab).from_bytes(doc.to_bytes())
    assert values(again._.answers) == values(doc._.answers)
    assert all(isinstance(a, Answer) for a in again._.answers)
