"""`luke_textcat`: transformers' logits, a mean over windows, and a defined result for every text."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import spacy
from hypothesis import assume, given, settings
from spacy.tokens import Doc
from spacy.training import Example
from transformers import pipeline as transformers_pipeline

import spacy_luke
from spacy_luke.errors import LukeError
from tests.pipeline.longformer_model import watch
from tests.pipeline.textcat.model import CLASSES, LABELS, TEXT, reference_logits, tokenizer_of, write_classifier
from tests.tokenization.ugly import plain, texts
from tests.util import restored

ENCODERS = list(CLASSES)
LONG = " ".join(f"{TEXT} In {year} Ada saw London." for year in range(1800, 1806))
# In windows of 60 pieces, of which the next starts 20 later.
STRIDED = {"windows": {"@misc": "spacy-luke.strided_windows.v1", "max_pieces": 60, "stride": 20}}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    return {encoder: write_classifier(tmp_path_factory.mktemp(encoder), encoder) for encoder in ENCODERS}


@pytest.fixture
def nlp(pipelines, encoder):
    return pipelines[encoder]


@pytest.fixture
def pipe(nlp):
    """The component; settings that a test changes are restored."""
    with restored(nlp.get_pipe("luke_textcat")) as pipe:
        yield pipe


def cats(doc: Doc) -> dict[str, float]:
    return {label: round(score, 5) for label, score in doc.cats.items()}


def shares(pieces: int, max_pieces: int, stride: int) -> list[tuple[int, int, float]]:
    """Windows, and how many of the pieces see most in each, one piece at a time."""
    windows = [(0, min(max_pieces, pieces))]
    while windows[-1][1] < pieces:
        windows.append((windows[-1][0] + stride, min(windows[-1][0] + stride + max_pieces, pieces)))
    best = [
        max(
            (i for i, (a, b) in enumerate(windows) if a <= piece < b),
            key=lambda i: (min(piece - windows[i][0], windows[i][1] - 1 - piece), windows[i][1] - windows[i][0], -i),
        )
        for piece in range(pieces)
    ]
    return [(a, b, best.count(i) / pieces) for i, (a, b) in enumerate(windows)]


# Scores


def test_logits_equal_those_of_transformers(nlp, pipe, folders, encoder) -> None:
    doc = nlp.make_doc(TEXT)
    [([item], logits)] = pipe.logits([doc])
    assert item is doc
    assert (logits.dtype, logits.shape) == (np.float32, (1, 3))
    ids = tokenizer_of(folders[encoder], encoder)(TEXT)["input_ids"][1:-1]
    np.testing.assert_allclose(logits[0], reference_logits(folders[encoder], encoder, ids), atol=1e-4)


@settings(max_examples=30)
@given(text=plain)
def test_ugly_texts_equal_transformers(pipelines, folders, text: str) -> None:
    assume(text.strip() and len(text.encode("utf8")) < 100)
    for encoder, nlp in pipelines.items():
        [(_, logits)] = nlp.get_pipe("luke_textcat").logits([nlp.make_doc(text)])
        ids = tokenizer_of(folders[encoder], encoder)(text)["input_ids"][1:-1]
        np.testing.assert_allclose(logits[0], reference_logits(folders[encoder], encoder, ids), atol=1e-4)


@settings(max_examples=30)
@given(text=texts)
def test_every_text_has_probabilities_that_add_up(pipelines, text: str) -> None:
    for nlp in pipelines.values():
        doc = nlp(text)
        assert doc.text == text
        assert list(doc.cats) == list(LABELS)
        assert sum(doc.cats.values()) == pytest.approx(1.0 if text.strip() else 0.0)


@pytest.mark.parametrize(("max_pieces", "stride"), [(60, 20), (60, 60), (500, 94)])
def test_a_long_text_has_the_mean_of_its_windows_in_which_each_piece_counts_once(
    nlp, pipe, folders, encoder, max_pieces: int, stride: int
) -> None:
    pipe._windows_setting = spacy.registry.misc.get("spacy-luke.strided_windows.v1")(max_pieces, stride)
    ids = tokenizer_of(folders[encoder], encoder)(LONG)["input_ids"][1:-1]
    windows = shares(len(ids), min(max_pieces, 126), stride)
    assert len(windows) > 2
    assert sum(share for *_, share in windows) == pytest.approx(1.0)
    expected = sum(share * reference_logits(folders[encoder], encoder, ids[a:b]) for a, b, share in windows)
    [(_, logits)] = pipe.logits([nlp.make_doc(LONG)])
    np.testing.assert_allclose(logits[0], expected, atol=1e-4)


def test_a_longformer_reads_as_much_as_it_has_positions_at_once(tmp_path) -> None:
    folder = write_classifier(tmp_path, "longformer", num_hidden_layers=1, attention_window=[8])
    config = json.loads((folder / "config.json").read_text())
    nlp = spacy_luke.from_checkpoint(folder)
    assert config["max_position_embeddings"] == 130
    windows = nlp.get_pipe("luke_textcat").windows
    assert len(windows.cover(126, 0)) == 1
    assert len(windows.cover(127, 0)) == 2


def test_scores_do_not_depend_on_batches_or_other_docs(nlp, pipe) -> None:
    docs = [nlp.make_doc(text) for text in (TEXT, LONG, "Ada met Bo.", "", TEXT[:40])]
    alone = [pipe.logits([doc])[0][1] for doc in docs]
    for budget in (1, 300):
        pipe.max_batch_pieces = budget
        for (_, found), expected in zip(pipe.logits(docs), alone, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_pipe_gives_what_call_gives_in_one_process_and_two(nlp) -> None:
    found = (TEXT, "", "  \n", LONG, "Ada met Bo in London.")
    expected = [cats(nlp(text)) for text in found]
    assert [cats(doc) for doc in nlp.pipe(found)] == expected
    assert [cats(doc) for doc in nlp.pipe(found, n_process=2, batch_size=2)] == expected
    assert len({tuple(cats.values()) for cats in expected}) == 4


@pytest.mark.parametrize("text", ["", "  ", "\n\n\t"])
def test_a_doc_without_text_reaches_no_encoder_and_has_no_label(nlp, pipe, monkeypatch, text: str) -> None:
    batches = watch(pipe, monkeypatch)
    assert nlp(text).cats == dict.fromkeys(LABELS, 0.0)
    [(items, logits)] = pipe.logits([nlp.make_doc(text)])
    assert (items, logits.shape, logits.dtype, batches) == ([], (0, 3), np.float32, [])
    assert pipe.logits([]) == []


def test_other_categories_stay(nlp) -> None:
    doc = nlp.make_doc(TEXT)
    doc.cats = {"mine": 0.5, "good": 7.0}
    assert list(nlp(doc).cats) == ["mine", *("good", "neutral", "poor")]
    assert doc.cats["mine"] == 0.5
    assert doc.cats["good"] < 1


# One label or several


@pytest.mark.parametrize("problem", [None, "single_label_classification", "multi_label_classification"])
@pytest.mark.parametrize("labels", [LABELS, LABELS[:1]])
def test_probabilities_are_those_of_transformers_pipelines(tmp_path, encoder, problem, labels) -> None:
    folder = write_classifier(tmp_path, encoder, labels, problem_type=problem)
    nlp = spacy_luke.from_checkpoint(folder)
    model, tokenizer = CLASSES[encoder].from_pretrained(folder), tokenizer_of(folder, encoder)
    theirs = transformers_pipeline("text-classification", model, tokenizer=tokenizer, top_k=None)
    expected = {found["label"]: found["score"] for found in theirs([TEXT])[0]}
    assert nlp(TEXT).cats == pytest.approx(expected, abs=1e-5)
    several = problem == "multi_label_classification" or len(labels) == 1
    assert nlp.get_pipe("luke_textcat").multi_label == several


@pytest.mark.parametrize("multi_label", [True, False])
def test_the_setting_wins_over_the_checkpoint_and_is_saved_for_transformers(folders, encoder, multi_label) -> None:
    nlp = spacy_luke.from_checkpoint(folders[encoder], config={"multi_label": multi_label})
    assert (abs(sum(nlp(TEXT).cats.values()) - 1) < 1e-6) != multi_label
    files = nlp.get_pipe("luke_textcat").to_bytes()
    name = b"multi_label_classification" if multi_label else b"single_label_classification"
    assert name in files


def test_heads_that_cannot_say_which_label_are_errors(tmp_path) -> None:
    one = write_classifier(tmp_path / "one", "luke", ["spam"])
    with pytest.raises(LukeError, match=r"L082.*'spam'.*multi_label = true"):
        spacy_luke.from_checkpoint(one, config={"multi_label": False})
    new = spacy.blank("en").add_pipe("luke_textcat", config={"multi_label": False})
    with pytest.raises(LukeError, match=r"L082.*'ham'.*multi_label = true"):
        new.initialize(lambda: [], checkpoint=str(one), labels=["ham"])
    numbers = write_classifier(tmp_path / "numbers", "luke", problem_type="regression")
    with pytest.raises(LukeError, match=r"L082.*regression"):
        spacy_luke.from_checkpoint(numbers)


@pytest.mark.parametrize(
    "config",
    [{"threshold": 1.5}, {"max_batch_pieces": 0}, {"windows": {"@misc": "spacy-luke.sentence_windows.v1"}}],
)
def test_wrong_settings_are_named(config: dict) -> None:
    with pytest.raises(LukeError, match=f"L047.*{next(iter(config))}"):
        spacy.blank("en").add_pipe("luke_textcat", config=config)
    assert spacy.blank("en").add_pipe("luke_textcat", config={"threshold": 0.7}).threshold == 0.7


def test_updating_a_component_that_the_model_in_the_box_has_not_raises_l040() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("luke_textcat")
    with pytest.raises(LukeError, match=r"L040.*luke_textcat"):
        nlp.update([Example.from_dict(nlp.make_doc("Ada"), {"cats": {"A": 1.0}})])


def test_a_component_without_weights_says_so() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("luke_textcat")
    with pytest.raises(LukeError, match=r"L040.*luke_textcat"):
        nlp("Ada met Bo")


# Saving


def test_saved_pipelines_and_bytes_give_the_same(folders, encoder, tmp_path) -> None:
    nlp = spacy_luke.from_checkpoint(folders[encoder], config=STRIDED)
    nlp.to_disk(tmp_path)
    blank = spacy.util.load_model_from_config(nlp.config, auto_fill=True)
    sourced = spacy.blank("en")
    sourced.add_pipe("luke_textcat", source=nlp)
    for other in (spacy.load(tmp_path), blank.from_bytes(nlp.to_bytes()), sourced):
        assert other(LONG).cats == nlp(LONG).cats
        assert other.get_pipe("luke_textcat").windows == nlp.get_pipe("luke_textcat").windows


def test_a_saved_component_is_a_checkpoint_that_transformers_and_we_open(folders, encoder, tmp_path) -> None:
    nlp = spacy_luke.from_checkpoint(folders[encoder], config=STRIDED)
    nlp.get_pipe("luke_textcat").to_disk(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == [CLASSES[encoder].__name__]
    assert config["id2label"] == {str(i): label for i, label in enumerate(LABELS)}
    ids = tokenizer_of(folders[encoder], encoder)(TEXT)["input_ids"][1:-1]
    ours, theirs = (reference_logits(folder, encoder, ids) for folder in (tmp_path, folders[encoder]))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert spacy_luke.from_checkpoint(tmp_path)(LONG).cats == nlp(LONG).cats
