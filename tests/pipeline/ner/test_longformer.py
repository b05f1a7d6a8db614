"""`luke_ner` on a Longformer: every candidate of a window in one row, scored by its pieces; long Docs in windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import spacy
from hypothesis import assume, given, settings
from spacy.tokens import Doc, Span
from spacy.training import Example
from thinc.api import Adam

from spacy_luke.batching.pieces import DocBatch, doc_pieces
from spacy_luke.errors import LukeError
from tests.pipeline.longformer_model import (
    TEXT,
    cut,
    make,
    piece_ranges,
    reference_span_logits,
    reference_states,
    watch,
    write_encoder,
)
from tests.tokenization.ugly import texts
from tests.util import restored

LONG = " ".join(f"{TEXT} In {year} Ada saw London." for year in range(1800, 1806))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def made(folder):
    return make("luke_ner", folder)


@pytest.fixture
def nlp(made):
    return made[0]


@pytest.fixture
def pipe(made):
    """The component; settings that a test changes are restored."""
    with restored(made[1]) as pipe:
        yield pipe


def strided(max_pieces: int, stride: int):
    return spacy.registry.misc.get("spacy-luke.strided_windows.v1")(max_pieces=max_pieces, stride=stride)


def suggester(max_pieces: int):
    return spacy.registry.misc.get("spacy-luke.span_suggester.v1")(max_pieces)


def scores(pipe, docs: list[Doc]) -> list[dict[tuple[int, int], np.ndarray]]:
    return [
        {(span.start, span.end): row for span, row in zip(spans, logits, strict=True)}
        for spans, logits in pipe.logits(docs)
    ]


def check_close(found: dict, expected: dict, atol: float = 1e-5) -> None:
    assert found.keys() == expected.keys()
    for span, row in found.items():
        np.testing.assert_allclose(row, expected[span], atol=atol, err_msg=str(span))


# Scores


def test_logits_are_those_of_transformers_states_of_first_last_and_mean_piece(nlp, pipe, folder) -> None:
    doc = cut(nlp.make_doc(TEXT), 8)
    [(spans, logits)] = pipe.logits([doc])
    assert logits.dtype == np.float32
    assert len(spans) > 100
    ranges = piece_ranges(pipe, doc, [(span.start, span.end) for span in spans])
    expected = reference_span_logits(pipe._module, reference_states(folder, pipe, doc), ranges)
    np.testing.assert_allclose(logits, expected, atol=1e-4)


@settings(max_examples=40)
@given(text=texts)
def test_logits_of_ugly_texts_are_those_of_transformers(made, folder, text: str) -> None:
    nlp, pipe = made
    doc = cut(nlp.make_doc(text))
    assume(len(text.encode("utf8")) < 120)
    [(spans, logits)] = pipe.logits([doc])
    assert len(logits) == len(spans)
    if spans:
        ranges = piece_ranges(pipe, doc, [(span.start, span.end) for span in spans])
        expected = reference_span_logits(pipe._module, reference_states(folder, pipe, doc), ranges)
        np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_a_doc_that_fits_is_one_row_with_all_candidates_and_no_global_piece(nlp, pipe, monkeypatch) -> None:
    batches = watch(pipe, monkeypatch)
    pipe.chunk_size = 4
    [(spans, _)] = pipe.logits([cut(nlp.make_doc(TEXT), 8)])
    [batch] = batches
    assert batch.piece_ids.shape[0] == 1
    assert batch.entity_spans.shape == (1, len(spans), 2)
    assert batch.global_mask is None


@pytest.mark.parametrize(
    "setting",
    [{"max_batch_pieces": 1}, {"max_batch_pieces": 300}, {"chunk_size": 1}, {"suggester": suggester(2)}],
    ids=lambda setting: next(iter(setting)),
)
def test_the_scores_of_a_span_do_not_depend_on_batches_chunks_or_other_candidates(nlp, pipe, setting) -> None:
    docs = [cut(nlp.make_doc(text), 8) for text in (TEXT, LONG, "Ada met Bo.", TEXT[:40])]
    expected = scores(pipe, docs)
    vars(pipe).update(setting)
    for found, before in zip(scores(pipe, docs), expected, strict=True):
        check_close(found, {span: before[span] for span in found})


def test_the_scores_of_a_span_do_not_depend_on_other_docs(nlp, pipe) -> None:
    docs = [cut(nlp.make_doc(text), 8) for text in (TEXT, LONG, "Ada met Bo.", "", TEXT[:40])]
    for found, doc in zip(scores(pipe, docs), docs, strict=True):
        check_close(found, scores(pipe, [doc])[0])


def test_sentences_of_a_window_see_each_other(nlp, pipe) -> None:
    first = scores(pipe, [cut(nlp.make_doc("Ada met Bo. He ran."), 4)])[0]
    second = scores(pipe, [cut(nlp.make_doc("Ada met Bo. She ran."), 4)])[0]
    assert first.keys() == second.keys()
    assert np.abs(first[0, 1] - second[0, 1]).max() > 1e-3


# Windows


@pytest.mark.parametrize("windows", [None, (60, 7), (60, 1000)])
def test_every_candidate_of_a_long_doc_is_scored_once(nlp, pipe, windows, monkeypatch) -> None:
    batches = watch(pipe, monkeypatch)
    pipe._windows_setting = windows and strided(*windows)
    doc = nlp.make_doc(LONG)
    starts = [token.i + 1 for token in doc if token.text == "."]
    [(spans, logits)] = pipe.logits([cut(doc, *starts)])
    batch = DocBatch.from_pieces([doc_pieces(doc, pipe._require_weights().tokenizer)])
    suggested = pipe.suggester.suggest_batch(batch)
    assert [(span.start, span.end) for span in spans] == list(map(tuple, suggested.tolist()))
    assert logits.any(axis=1).all()
    rows = sum(batch.piece_ids.shape[0] for batch in batches)
    assert rows >= 5
    assert max(batch.piece_ids.shape[1] for batch in batches) <= (62 if windows else 128)
    assert sum(int(batch.entity_mask.sum()) for batch in batches) == len(spans)


def test_a_long_doc_is_scored_in_the_window_that_shows_most(nlp, pipe, folder) -> None:
    doc = cut(nlp.make_doc(LONG))
    pieces = piece_ranges(pipe, doc, [(0, len(doc))])[0, 1]
    assert pieces > 400
    pipe._windows_setting = strided(126, 94)
    pipe.suggester = suggester(2)
    found = scores(pipe, [doc])[0]
    starts = range(0, int(pieces) - 126 + 94, 94)
    windows = [(start, min(start + 126, int(pieces))) for start in starts]
    states: dict = {}
    for span, row in list(found.items())[::29]:
        [(first, end)] = piece_ranges(pipe, doc, [span]).tolist()
        room = [min(first - a, b - end) for a, b in windows]
        a, b = windows[int(np.argmax(room))]
        if (a, b) not in states:
            states[a, b] = reference_states(folder, pipe, doc, window=(a, b))
        expected = reference_span_logits(pipe._module, states[a, b], np.array([[first - a, end - a]]))
        np.testing.assert_allclose(row, expected[0], atol=1e-4, err_msg=str(span))


def test_windows_of_sentences_work_as_well(nlp, pipe) -> None:
    pipe._windows_setting = spacy.registry.misc.get("spacy-luke.sentence_windows.v1")(context="none")
    doc = cut(nlp.make_doc("Ada met Bo. He ran."), 4)
    alone = cut(nlp.make_doc("Ada met Bo."))
    found = scores(pipe, [doc])[0]
    check_close({span: row for span, row in found.items() if span[1] <= 4}, scores(pipe, [alone])[0])


def test_windows_too_short_for_a_mention_are_refused(nlp, pipe) -> None:
    pipe._windows_setting = strided(59, 20)
    with pytest.raises(LukeError, match=r"L046.*60"):
        pipe.logits([cut(nlp.make_doc(TEXT))])


# Decoding


def test_nested_spans_are_written_with_overlap_and_the_best_without(nlp, pipe) -> None:
    pipe.overlap = True
    both = pipe(cut(nlp.make_doc(TEXT), 8))
    spans = both.spans["luke_ner"]
    assert not both.ents
    assert len(spans.attrs["scores"]) == len(spans)
    assert any(a.start < b.end and b.start < a.end for a in spans for b in spans if a is not b)
    pipe.overlap = False
    doc = pipe(cut(nlp.make_doc(TEXT), 8))
    assert doc.ents
    assert {(e.start, e.end, e.label_) for e in doc.ents} <= {(s.start, s.end, s.label_) for s in spans}


# Training


def nested(nlp, text: str = "The Royal Society of London met Ada Lovelace ; nobody of Paris came .") -> Example:
    def make_doc() -> Doc:
        return cut(Doc(nlp.vocab, words=text.split()))

    reference = make_doc()
    gold = [(0, 5, "ORG"), (4, 5, "LOC"), (6, 8, "PER"), (11, 12, "LOC")]
    reference.spans["luke_ner"] = [Span(reference, *span) for span in gold]
    return Example(make_doc(), reference)


def learn(nlp, examples: list[Example], steps: int = 40) -> None:
    sgd = Adam(0.005, use_averages=False)
    for _ in range(steps):
        if nlp.update(examples, sgd=sgd, losses={})["luke_ner"] < 0.002:
            break


def test_nested_gold_spans_are_learned_with_overlap(folder) -> None:
    nlp, _ = make("luke_ner", folder, overlap=True)
    example = nested(nlp)
    learn(nlp, [example])
    doc = nlp(example.predicted.copy())
    gold = {(s.start, s.end, s.label_) for s in example.reference.spans["luke_ner"]}
    assert {(s.start, s.end, s.label_) for s in doc.spans["luke_ner"]} == gold
    assert not doc.ents


def test_entities_of_a_long_doc_are_learned_in_every_window(folder) -> None:
    nlp, pipe = make("luke_ner", folder, max_negatives=30)
    texts = " ".join(f"In {year} Ada saw London ." for year in range(1700, 1730)).split()
    reference, predicted = (cut(Doc(nlp.vocab, words=texts), *range(6, len(texts), 6)) for _ in range(2))
    gold = [Span(reference, i, i + 1, {2: "PER", 4: "LOC"}[i % 6]) for i in range(len(texts)) if i % 6 in (2, 4)]
    reference.set_ents(gold)
    learn(nlp, [Example(predicted, reference)])
    doc = nlp(predicted.copy())
    assert piece_ranges(pipe, doc, [(0, len(doc))])[0, 1] > 250
    assert [(e.start, e.label_) for e in doc.ents] == [(e.start, e.label_) for e in gold]
