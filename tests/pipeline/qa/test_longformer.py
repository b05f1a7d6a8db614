"""`luke_qa` on a Longformer: parity with transformers, one or two separators, and windows over long contexts."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from hypothesis import given, settings
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Adam
from transformers import LongformerForQuestionAnswering, LongformerTokenizer

import spacy_luke
from spacy_luke import Answer
from spacy_luke.errors import LukeError, LukeWarning
from spacy_luke.pipeline.base.gold import GoldReport
from spacy_luke.pipeline.qa.gold import gold_rows, target
from tests.pipeline.longformer_model import TEXT, watch
from tests.pipeline.short_training import gradients
from tests.tokenization.ugly import plain, texts
from tests.util import longformer_config, randomise, write_longformer

QUESTIONS = ("Who met Babbage?", "When was the battle?")
LONG = " ".join(f"{TEXT} In {year} Ada saw London." for year in range(1800, 1806))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A LongformerForQuestionAnswering, written by transformers, whose rows are up to 128 pieces."""
    folder = tmp_path_factory.mktemp("qa")
    write_longformer(folder, randomise(LongformerForQuestionAnswering(longformer_config(max_position_embeddings=130))))
    return folder


@pytest.fixture(scope="module")
def reference(folder) -> LongformerForQuestionAnswering:
    return LongformerForQuestionAnswering.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def tokenizer(folder) -> LongformerTokenizer:
    return LongformerTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))


@pytest.fixture(scope="module")
def nlp(folder) -> spacy.language.Language:
    """Answers always: a random model has no opinion on whether there is one."""
    return spacy_luke.from_checkpoint(folder, config={"no_answer_threshold": None})


def asked(nlp, text: str = TEXT, questions=QUESTIONS) -> Doc:
    doc = nlp.make_doc(text)
    doc._.questions = questions
    return doc


def strided(max_pieces: int, stride: int):
    return spacy.registry.misc.get("spacy-luke.strided_windows.v1")(max_pieces=max_pieces, stride=stride)


def logits_of(model, ids: list[int], **inputs) -> np.ndarray:
    """Start and end logits of one row of pieces. *Shape:* (pieces, 2)"""
    row = torch.tensor([ids])
    with torch.no_grad():
        output = model(input_ids=row, attention_mask=torch.ones_like(row), **inputs)
    return torch.stack([output.start_logits[0], output.end_logits[0]], dim=-1).numpy()


# Parity


def test_logits_equal_those_of_transformers(pipe, reference, tokenizer, nlp) -> None:
    [(windows, logits)] = pipe.logits([asked(nlp)])
    assert [window.question for window in windows] == list(QUESTIONS)
    for question, rows in zip(QUESTIONS, logits, strict=True):
        expected = logits_of(reference, tokenizer(question, TEXT)["input_ids"])
        np.testing.assert_allclose(rows, expected, atol=1e-4)


@settings(max_examples=60)
@given(text=plain, question=plain)
def test_ugly_texts_equal_transformers(nlp, reference, tokenizer, text: str, question: str) -> None:
    pipe = nlp.get_pipe("luke_qa")
    doc = asked(nlp, text, [question])
    if not text.strip() or not question.strip():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LukeWarning)
            assert pipe.logits([doc]) == [([], [])]
        return
    ids = tokenizer(question, text)["input_ids"]
    if len(ids) > 128 or ids.index(tokenizer.sep_token_id) > 63:
        return
    [(_, [logits])] = pipe.logits([doc])
    np.testing.assert_allclose(logits, logits_of(reference, ids), atol=1e-4)


@pytest.mark.parametrize("question", QUESTIONS)
def test_one_separator_equals_transformers_with_an_explicit_global_mask(folder, reference, tokenizer, question) -> None:
    nlp = spacy_luke.from_checkpoint(folder, config={"separators": 1})
    asking, text = (tokenizer(part)["input_ids"][1:-1] for part in (question, TEXT))
    ids = [tokenizer.bos_token_id, *asking, tokenizer.eos_token_id, *text, tokenizer.eos_token_id]
    is_global = (torch.arange(len(ids)) <= len(asking)).long()[None]
    expected = logits_of(reference, ids, global_attention_mask=is_global)
    [([window], [logits])] = nlp.get_pipe("luke_qa").logits([asked(nlp, questions=[question])])
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    assert (window.chars[: len(asking) + 2] == -1).all()
    assert window.chars[len(asking) + 2, 0] == 0, "the Doc starts after one separator"
    assert np.abs(logits - logits_of(reference, ids, global_attention_mask=0 * is_global)).max() > 1e-2


def test_loss_and_gradient_are_those_of_transformers(folder, reference, tokenizer) -> None:
    """With two questions of different lengths in one batch: padding takes no part."""
    nlp = spacy_luke.from_checkpoint(folder)
    pipe = nlp.get_pipe("luke_qa")
    gold = asked(nlp)
    start = TEXT.index("1066")
    gold._.answers = [
        Answer(QUESTIONS[0], gold[0:2]),
        Answer(QUESTIONS[1], gold.char_span(start, start + 4), "1066", start_char=start),
    ]
    example = Example(asked(nlp), gold)
    reference.zero_grad()
    total = torch.zeros(())
    for [row], answers in gold_rows(example, pipe._reader(), GoldReport()):
        first, last = target(row, answers)
        assert first > 0
        positions = {"start_positions": torch.tensor([first]), "end_positions": torch.tensor([last])}
        row_ids = torch.tensor([tokenizer(QUESTIONS[row.question], TEXT)["input_ids"]])
        total = total + reference(input_ids=row_ids, **positions).loss / 2
    total.backward()
    assert pipe.update([example], losses={})["luke_qa"] == pytest.approx(total.item(), abs=1e-5)
    found = gradients(pipe)
    torch.testing.assert_close(found["qa_outputs.weight"], reference.qa_outputs.weight.grad, atol=1e-4, rtol=1e-3)
    ours, theirs = found["encoder.layers.0.attention.global_query.weight"], reference.longformer.encoder.layer[0]
    torch.testing.assert_close(ours, theirs.attention.self.query_global.weight.grad, atol=1e-4, rtol=1e-3)
    assert ours.abs().max() > 0


# Windows


def test_a_context_that_fits_is_one_window_and_a_longer_one_several(nlp, pipe, tokenizer, monkeypatch) -> None:
    batches = watch(pipe, monkeypatch)
    room = 124 - len(tokenizer(QUESTIONS[0])["input_ids"][1:-1])
    pieces, text = 0, ""
    while (more := len(tokenizer(f"{text} Ada")["input_ids"]) - 2) <= room:
        pieces, text = more, f"{text} Ada"
    [(windows, _)] = pipe.logits([asked(nlp, text, QUESTIONS[:1])])
    assert len(windows) == 1
    assert batches.pop().piece_ids.shape[1] == 128 - room + pieces
    [(windows, _)] = pipe.logits([asked(nlp, text + " Ada" * 3, QUESTIONS[:1])])
    assert len(windows) == 2
    shared = np.isin(windows[1].chars[:, 0], windows[0].chars[:, 0]) & (windows[1].chars[:, 0] >= 0)
    assert shared.sum() >= 20, "windows overlap by a quarter and more"


def test_each_window_has_the_question_with_global_attention(nlp, pipe, tokenizer, monkeypatch) -> None:
    batches = watch(pipe, monkeypatch)
    pipe._windows_setting = strided(60, 20)
    pipe.logits([asked(nlp, LONG)])
    questions = {tuple(tokenizer(question)["input_ids"][:-1]) for question in QUESTIONS}
    rows = 0
    for batch in batches:
        for ids, is_global in zip(batch.piece_ids.tolist(), batch.global_mask.tolist(), strict=True):
            first = ids.index(tokenizer.sep_token_id)
            assert tuple(ids[:first]) in questions
            assert is_global == [i < first for i in range(len(ids))]
            rows += 1
    assert rows > 10


def test_windows_equal_transformers_and_show_every_character(nlp, pipe, reference, tokenizer) -> None:
    pipe._windows_setting = strided(60, 20)
    [(windows, logits)] = pipe.logits([asked(nlp, LONG, QUESTIONS[:1])])
    question = tokenizer(QUESTIONS[0])["input_ids"]
    room = 60 - len(question) + 2
    context = tokenizer(LONG)["input_ids"][1:-1]
    assert len(windows) == 1 + -(-(len(context) - room) // 20)
    seen = np.zeros(len(LONG), dtype=bool)
    for number, (window, scores) in enumerate(zip(windows, logits, strict=True)):
        ids = [*question, tokenizer.sep_token_id, *context[20 * number : 20 * number + room], tokenizer.eos_token_id]
        np.testing.assert_allclose(scores, logits_of(reference, ids), atol=1e-4)
        for start, end in window.chars.tolist():
            seen[max(start, 0) : max(end, 0)] = True
    assert seen.all()


@pytest.mark.parametrize("budget", [1, 150, 4096])
def test_logits_do_not_depend_on_the_rows_beside_them(nlp, pipe, budget: int) -> None:
    docs = [asked(nlp), asked(nlp, "Ada met Babbage."), asked(nlp, LONG)]
    alone = [pipe.logits([doc])[0] for doc in docs]
    pipe.max_batch_pieces = budget
    for (_, many), (_, one) in zip(pipe.logits(docs), alone, strict=True):
        for a, b in zip(many, one, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)


# Answers


@settings(max_examples=40)
@given(text=texts, question=texts)
def test_answers_are_exact_to_the_character(nlp, text: str, question: str) -> None:
    doc = asked(nlp, text, [question])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LukeWarning)
        [answer] = nlp(doc)._.answers
    assert (answer.span is None) == (not text.strip() or not question.strip())
    if answer.span is not None:
        assert answer.text == text[answer.start_char :][: len(answer.text)]
        assert answer.text.strip() == answer.text != ""
        assert answer.span.start_char <= answer.start_char
        assert answer.start_char + len(answer.text) <= answer.span.end_char


def test_links_to_entities_change_nothing(nlp, pipe) -> None:
    doc, linked = asked(nlp), asked(nlp)
    linked.set_ents([spacy.tokens.Span(linked, 0, 2, label="X", kb_id="[MASK]")])
    for (_, a), (_, b) in zip(pipe.logits([doc]), pipe.logits([linked]), strict=True):
        for plain_rows, rows in zip(a, b, strict=True):
            np.testing.assert_allclose(rows, plain_rows, atol=1e-4)


def test_training_learns_an_answer_in_a_later_window_and_that_there_is_none(folder) -> None:
    nlp = spacy_luke.from_checkpoint(folder)
    assert LONG.index("1805") > 600
    reference, doc = (asked(nlp, LONG, ["When?", "Who?"]) for _ in range(2))
    start = LONG.index("1805")
    reference._.answers = [
        Answer("When?", reference.char_span(start, start + 4), "1805", start_char=start),
        Answer("Who?", None),
    ]
    sgd = Adam(0.003, use_averages=False)
    for _ in range(60):
        loss = nlp.update([Example(doc, reference)], sgd=sgd, losses={})["luke_qa"]
        if loss < 0.02:
            break
    answers = nlp(asked(nlp, LONG, ["When?", "Who?"]))._.answers
    assert [(a.text, a.start_char if a.span else None) for a in answers] == [("1805", start), ("", None)]


# Bad input


@pytest.mark.parametrize("text", ["", "   ", "\n\n"])
def test_a_doc_without_text_has_no_answer(nlp, text: str) -> None:
    [answer] = nlp(asked(nlp, text, ["Who?"]))._.answers
    assert (answer.span, answer.text, answer.score) == (None, "", 1.0)


def test_a_doc_of_one_token_answers_with_it(nlp) -> None:
    [answer] = nlp(asked(nlp, "Ada", ["Who?"]))._.answers
    assert answer.text in {"Ada"[a:b] for a in range(3) for b in range(a + 1, 4)}


def test_separators_are_one_or_two(folder) -> None:
    for value in (0, 3):
        with pytest.raises(LukeError, match=r"L047.*separators"):
            spacy_luke.from_checkpoint(folder, config={"separators": value})
