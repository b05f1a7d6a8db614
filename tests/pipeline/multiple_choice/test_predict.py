"""`luke_multiple_choice`: transformers' logits, texts that do not fit, and a defined result for every question."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc

import spacy_luke
from spacy_luke import has_annotation
from spacy_luke.errors import LukeError, LukeWarning
from spacy_luke.pipeline.base.losses import softmax
from spacy_luke.pipeline.multiple_choice.inputs import cut_longest_first
from tests.pipeline.longformer_model import watch
from tests.pipeline.multiple_choice.model import (
    CHOICES,
    CLASSES,
    OPTIONS,
    QUESTION,
    TEXT,
    encode,
    reference_logits,
    tokenizer_of,
    write_chooser,
)
from tests.tokenization.ugly import plain, texts
from tests.util import luke_tokenizer, restored

ENCODERS = list(CLASSES)
LONG = " ".join(f"{TEXT} In {year} Ada saw London." for year in range(1800, 1806))


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    return {encoder: write_chooser(tmp_path_factory.mktemp(encoder), encoder) for encoder in ENCODERS}


@pytest.fixture
def nlp(pipelines, encoder):
    return pipelines[encoder]


@pytest.fixture
def pipe(nlp):
    """The component; settings that a test changes are restored."""
    with restored(nlp.get_pipe("luke_multiple_choice")) as pipe:
        yield pipe


def asked(nlp, text: str = TEXT, choices=CHOICES) -> Doc:
    doc = nlp.make_doc(text)
    doc._.choices = choices
    return doc


def values(doc: Doc) -> list[tuple]:
    return [(c.number, c.index, round(c.score, 5)) for c in doc._.chosen]


def expected_logits(folders, encoder: str, text: str, question: str, options, pieces: int = 128) -> np.ndarray:
    tokenizer = tokenizer_of(folders[encoder], encoder)
    return reference_logits(folders[encoder], encoder, encode(tokenizer, text, options, question, pieces))


# Scores


def test_logits_equal_those_of_transformers(nlp, pipe, folders, encoder) -> None:
    doc = asked(nlp)
    [(questions, logits)] = pipe.logits([doc])
    assert questions == list(doc._.choices)
    for (question, options), found in zip(CHOICES, logits, strict=True):
        assert found.dtype == np.float32
        expected = expected_logits(folders, encoder, TEXT, question, options)
        np.testing.assert_allclose(found, expected, atol=1e-4)
        assert np.ptp(expected) > 1e-2, "options differ"


@settings(max_examples=30)
@given(text=plain, question=plain, option=plain)
def test_ugly_texts_equal_transformers(pipelines, folders, text: str, question: str, option: str) -> None:
    for encoder, nlp in pipelines.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LukeWarning)
            [(_, [found])] = nlp.get_pipe("luke_multiple_choice").logits([asked(nlp, text, [(question, [option] * 2)])])
        expected = expected_logits(folders, encoder, text, question, [option] * 2)
        np.testing.assert_allclose(found, expected, atol=1e-4)


@given(first=st.integers(0, 40), second=st.integers(0, 40), room=st.integers(2, 40))
def test_the_longer_text_is_cut_first(first: int, second: int, room: int) -> None:
    expected = [first, second]
    while sum(expected) > room:
        expected[0 if expected[0] > expected[1] else 1] -= 1
    assert cut_longest_first(first, second, room) == tuple(expected)


@pytest.mark.parametrize(
    ("text", "options"), [(LONG, OPTIONS), (TEXT, (LONG, OPTIONS[0])), (LONG, (LONG, OPTIONS[0])), (TEXT, (TEXT * 2,))]
)
def test_what_does_not_fit_is_cut_as_by_transformers(pipelines, folders, text: str, options) -> None:
    tokenizer = luke_tokenizer(folders["luke"])
    pipe = pipelines["luke"].get_pipe("luke_multiple_choice")
    doc = asked(pipelines["luke"], text, [("", options)])
    with pytest.warns(LukeWarning, match="W02[12]"):
        [(_, [logits])] = pipe.logits([doc])
    expected = reference_logits(folders["luke"], "luke", encode(tokenizer, text, options))
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_what_is_cut_is_told(nlp) -> None:
    with pytest.warns(LukeWarning, match=r"W021.*'luke_multiple_choice': 2 Docs.*124 pieces"):
        list(nlp.pipe([asked(nlp, LONG), asked(nlp), asked(nlp, f"{LONG} {LONG}")]))
    with pytest.warns(LukeWarning, match=r"W022.*2 options.*First: .Who met Ada"):
        nlp(asked(nlp, "So.", [("Who met", [LONG, "Bo", LONG])]))
    with warnings.catch_warnings():
        warnings.simplefilter("error", LukeWarning)
        nlp(asked(nlp))


def test_fewer_pieces_may_be_read_which_is_saved(nlp, folders, encoder, tmp_path) -> None:
    short = spacy_luke.from_checkpoint(folders[encoder], config={"max_pieces": 40})
    short.get_pipe("luke_multiple_choice").to_disk(tmp_path)
    for made in (short, spacy_luke.from_checkpoint(tmp_path)):
        with pytest.warns(LukeWarning, match=r"W021.*40 pieces"):
            [(_, [logits])] = made.get_pipe("luke_multiple_choice").logits([asked(made, TEXT, [CHOICES[0]])])
        if encoder == "luke":
            expected = expected_logits(folders, encoder, TEXT, QUESTION, OPTIONS, pieces=44)
            np.testing.assert_allclose(logits, expected, atol=1e-4)
    again = spacy_luke.from_checkpoint(tmp_path, config={"max_pieces": 9999}).get_pipe("luke_multiple_choice")
    assert again.max_pieces == 124


def test_questions_with_different_numbers_of_options_share_batches(nlp, pipe, monkeypatch) -> None:
    batches = watch(pipe, monkeypatch)
    docs = [asked(nlp), nlp.make_doc("Nobody asks."), asked(nlp, "", CHOICES[1:]), asked(nlp, TEXT[:40])]
    alone = [pipe.logits([doc])[0][1] for doc in docs]
    for budget in (1, 200, 9999):
        batches.clear()
        pipe.max_batch_pieces = budget
        for (_, found), expected in zip(pipe.logits(docs), alone, strict=True):
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_allclose(a, b, atol=1e-5)
        assert all(b.piece_ids.numel() <= budget or len(b.piece_ids) == 1 for b in batches)
    assert len(batches) < 5


# Results


def test_the_best_options_are_written_with_their_probabilities(nlp, pipe) -> None:
    pipe.n_best = 2
    doc = nlp(asked(nlp))
    [(_, logits)] = pipe.logits([asked(nlp)])
    assert [c.number for c in doc._.chosen] == [0, 0, 1, 1]
    for number, ((question, options), scores) in enumerate(zip(CHOICES, logits, strict=True)):
        chosen = [c for c in doc._.chosen if c.number == number]
        assert [c.index for c in chosen] == np.argsort(-scores)[:2].tolist()
        assert all((c.question, c.text) == (question, options[c.index]) for c in chosen)
        assert [c.score for c in chosen] == pytest.approx(sorted(softmax(scores), reverse=True)[:2])
        assert [c.logit for c in chosen] == pytest.approx([float(scores[c.index]) for c in chosen])


def test_choose_leaves_the_doc_alone(nlp, pipe) -> None:
    doc = nlp.make_doc(TEXT)
    before = doc.to_bytes()
    found = pipe.choose(doc, OPTIONS, QUESTION, n_best=9)
    assert doc.to_bytes() == before
    assert sum(choice.score for choice in found) == pytest.approx(1.0)
    written = nlp(asked(nlp))._.chosen
    assert (found[0].text, found[0].index, found[0].number) == (written[0].text, written[0].index, 0)
    assert found[0].logit == pytest.approx(written[0].logit, abs=1e-5)
    [ending] = pipe.choose(doc, list(CHOICES[1][1]))
    assert (ending.question, ending.text) == ("", written[1].text)


def test_pipe_gives_what_call_gives_in_one_process_and_two(nlp) -> None:
    def docs() -> list[Doc]:
        return [asked(nlp), nlp.make_doc("Nobody asks."), asked(nlp, "", CHOICES[1:]), asked(nlp, TEXT[:40])]

    expected = [values(nlp(doc)) for doc in docs()]
    assert [values(doc) for doc in nlp.pipe(docs())] == expected
    assert [values(doc) for doc in nlp.pipe(docs(), n_process=2, batch_size=2)] == expected
    assert [len(chosen) for chosen in expected] == [2, 0, 1, 2]
    assert not has_annotation(nlp(docs()[1]), "chosen"), "a Doc without questions is left as it is"


@settings(max_examples=30)
@given(text=texts, question=texts, options=st.lists(texts, min_size=1, max_size=3))
def test_every_question_has_an_answer(pipelines, text: str, question: str, options: list[str]) -> None:
    for nlp in pipelines.values():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LukeWarning)
            [choice] = nlp(asked(nlp, text, [(question, options)]))._.chosen
        assert (choice.question, choice.text) == (question, options[choice.index])
        assert 1 / len(options) - 1e-6 <= choice.score <= 1


# Bad input


def test_an_option_with_half_a_character_is_an_error(nlp, pipe) -> None:
    for question, options in (("Who?", ["Ada", "\ud83d"]), ("\ud83d", ["Ada", "Bo"])):
        with pytest.raises(LukeError, match=r"L120.*U\+D83D"):
            pipe.choose(nlp.make_doc(TEXT), options, question)


@pytest.mark.parametrize(
    ("argument", "changes"),
    [
        ("doc", {"doc": TEXT}),
        ("options", {"options": "Ada"}),
        ("options", {"options": []}),
        ("options", {"options": ["Ada", 3]}),
        ("question", {"question": None}),
    ],
)
def test_misuse_of_choose_is_named(nlp, pipe, argument: str, changes: dict) -> None:
    with pytest.raises(LukeError, match=f"L080.*{argument}"):
        pipe.choose(**{"doc": nlp.make_doc(TEXT), "options": ["Ada", "Bo"], **changes})
    with pytest.raises(LukeError, match=r"L047.*n_best"):
        pipe.choose(nlp.make_doc(TEXT), ["Ada"], n_best=0)


@pytest.mark.parametrize("config", [{"max_pieces": 1}, {"n_best": 0}, {"max_batch_pieces": 0}])
def test_wrong_settings_are_named(config: dict) -> None:
    with pytest.raises(LukeError, match=f"L047.*{next(iter(config))}"):
        spacy.blank("en").add_pipe("luke_multiple_choice", config=config)


def test_a_component_without_weights_says_so() -> None:
    nlp = spacy.blank("en")
    with pytest.raises(LukeError, match="L040"):
        nlp.add_pipe("luke_multiple_choice").choose(nlp.make_doc(TEXT), ["Ada", "Bo"])


# Saving


def test_saved_pipelines_and_bytes_give_the_same(nlp, tmp_path) -> None:
    nlp.to_disk(tmp_path)
    blank = spacy.util.load_model_from_config(nlp.config, auto_fill=True)
    sourced = spacy.blank("en")
    sourced.add_pipe("luke_multiple_choice", source=nlp)
    for other in (spacy.load(tmp_path), blank.from_bytes(nlp.to_bytes()), sourced):
        assert other(asked(other))._.chosen == nlp(asked(nlp))._.chosen


def test_a_saved_component_is_a_checkpoint_that_transformers_and_we_open(nlp, pipe, folders, encoder, tmp_path) -> None:
    pipe.to_disk(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == [CLASSES[encoder].__name__]
    batch = encode(tokenizer_of(folders[encoder], encoder), TEXT, OPTIONS, QUESTION)
    ours, theirs = (reference_logits(folder, encoder, batch) for folder in (tmp_path, folders[encoder]))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    again = spacy_luke.from_checkpoint(tmp_path, sentences=None)
    assert again(asked(again))._.chosen == nlp(asked(nlp))._.chosen
