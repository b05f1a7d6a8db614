"""`luke_ner` with independent attention and a span filter: the fast mode."""

from __future__ import annotations

import json
import pickle
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.training import Example
from transformers import AutoModel, LukeForEntitySpanClassification
from typer.testing import CliRunner

import spacy_luke
from spacy_luke.batching.mentions import SpanCandidates
from spacy_luke.batching.windows import Window
from spacy_luke.cli import luke_cli
from spacy_luke.errors import LukeError
from spacy_luke.models.architectures import build_luke_encoder
from spacy_luke.pipeline.base.stored_head import StoredHead
from spacy_luke.pipeline.ner.filter import SPAN_FILTER, filter_probabilities, without_filter
from spacy_luke.pipeline.ner.tune_filter import THRESHOLDS, FilterPoint, choose_threshold, measure_filter
from tests.pipeline.conftest import TEXT
from tests.pipeline.short_training import adam

from .test_training import DATA, examples

WINDOWS = {"@misc": "spacy-luke.sentence_windows.v1", "context": "none"}
ENCODER = {"@architectures": "spacy-luke.LukeEncoder.v1", "entity_attention": "independent"}
FILTER = {"@misc": "spacy-luke.span_filter.v1", "layer": 1, "threshold": 0.1, "floor": 2, "hard_negatives": 2}


def blank(*, span_filter: dict | None = FILTER, **config) -> Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.add_pipe(
        "luke_ner",
        config={"windows": WINDOWS, "model": {"encoder": ENCODER}, "span_filter": span_filter, **config},
    )
    return nlp


def trained(checkpoint: Path, *, steps: int = 30, **config) -> Language:
    nlp = blank(**config)
    gold = examples(nlp)
    spacy.util.fix_random_seed(0)  # of the new head and of the negatives that are drawn
    nlp.get_pipe("luke_ner").initialize(lambda: gold, checkpoint=str(checkpoint))
    sgd = adam()
    for _ in range(steps):
        nlp.update(gold, sgd=sgd)
    return nlp


@pytest.fixture(scope="module")
def fast(checkpoint: Path) -> Language:
    return trained(checkpoint, max_negatives=6)


@pytest.fixture(scope="module")
def saved(fast: Language, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "model"
    fast.to_disk(path)
    return path


def found(doc) -> list:
    return [(ent.start, ent.end, ent.label_, round(ent._.score, 4)) for ent in doc.ents]


@pytest.mark.parametrize("span_filter", [None, FILTER])
@pytest.mark.parametrize("max_negatives", [None, 6])
def test_training_learns_the_examples(checkpoint, span_filter, max_negatives):
    nlp = trained(checkpoint, span_filter=span_filter, max_negatives=max_negatives)
    assert nlp.evaluate(examples(nlp))["ents_f"] == 1.0


def test_the_filter_drops_candidates_and_keeps_the_entities(fast):
    pipe = fast.get_pipe("luke_ner")
    docs = [example.predicted for example in examples(fast)]
    suggested = sum(len(p.spans) for p in pipe.filter_probabilities(docs))
    kept = sum(len(spans) for spans, _ in pipe.logits(docs))
    assert 0 < kept < suggested / 2
    lowest = measure_filter(pipe, examples(fast))[-1]
    assert lowest.recall == 1.0


@given(
    texts=st.lists(st.sampled_from([*TEXT, "", " \n", "Ada", "ﬁ \u0301 👩‍👧"]), max_size=6), budget=st.integers(1, 300)
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_batches_and_budget_change_nothing(fast, texts, budget):
    pipe = fast.get_pipe("luke_ner")
    alone = [found(fast(text)) for text in texts]
    pipe.max_batch_pieces, before = budget, pipe.max_batch_pieces
    try:
        together = [found(doc) for doc in fast.pipe(texts, batch_size=3)]
    finally:
        pipe.max_batch_pieces = before
    for a, b in zip(alone, together, strict=True):
        assert [e[:3] for e in a] == [e[:3] for e in b]
        assert np.allclose([e[3] for e in a], [e[3] for e in b], atol=2e-4)


def test_logits_depend_on_no_other_candidate(checkpoint):
    nlp = trained(checkpoint, steps=1, span_filter=None)
    pipe = nlp.get_pipe("luke_ner")
    [doc] = [example.predicted for example in examples(nlp)[:1]]
    [(spans, logits)] = pipe.logits([doc])
    every = {(span.start, span.end): row for span, row in zip(spans, logits, strict=True)}
    pipe.suggester = lambda docs, *, ops=None: ops.xp and _one_span(ops)
    [(_, [alone])] = pipe.logits([doc])
    assert np.abs(alone - every[0, 2]).max() < 1e-5


def _one_span(ops):
    from thinc.types import Ragged

    return Ragged(ops.asarray2i([[0, 2]]), ops.asarray1i([1]))


def test_saved_and_loaded_it_gives_the_same(fast, saved):
    loaded = spacy.load(saved)
    copied = blank()
    copied.get_pipe("luke_ner").from_bytes(fast.get_pipe("luke_ner").to_bytes())
    pickled = pickle.loads(pickle.dumps(fast))
    for text in TEXT:
        expected = found(fast(text))
        assert found(loaded(text)) == found(copied(text)) == found(pickled(text)) == expected


def test_a_checkpoint_says_what_it_needs(saved):
    """Settings that are null are those of the checkpoint."""
    nlp = spacy_luke.from_checkpoint(saved / "luke_ner")
    pipe = nlp.get_pipe("luke_ner")
    assert pipe.span_filter.settings.floor == FILTER["floor"]
    assert [found(nlp(text)) for text in TEXT] == [found(spacy.load(saved)(text)) for text in TEXT]


def test_transformers_does_not_open_it_as_a_luke(saved):
    with pytest.raises(ValueError, match="independent_luke"):
        AutoModel.from_pretrained(saved / "luke_ner")
    with pytest.raises(OSError, match=r"model\.safetensors"):
        LukeForEntitySpanClassification.from_pretrained(saved / "luke_ner")


def test_weights_that_nothing_asks_with_are_not_saved(saved):
    data = json.loads((saved / "luke_ner" / "config.json").read_text())
    assert data["model_type"] == "independent_luke"
    assert not (saved / "luke_ner" / "model.safetensors").exists()
    assert "entity_attention" not in data


def test_an_old_checkpoint_of_full_attention_leaves_no_weights_behind(tmp_path, checkpoint, fast):
    spacy_luke.from_checkpoint(checkpoint).get_pipe("luke_ner").to_disk(tmp_path)
    assert (tmp_path / "model.safetensors").exists()
    fast.get_pipe("luke_ner").to_disk(tmp_path)
    assert not (tmp_path / "model.safetensors").exists()
    assert spacy_luke.from_checkpoint(tmp_path).get_pipe("luke_ner").span_filter is not None


def test_another_threshold_is_a_setting(saved):
    changed = {"components": {"luke_ner": {"span_filter": {"threshold": 0.0}}}}
    pipe = spacy.load(saved, config=changed).get_pipe("luke_ner")
    docs = [example.predicted for example in examples(spacy.blank("en"))]
    kept = sum(len(spans) for spans, _ in pipe.logits(docs))
    assert kept == sum(len(p.spans) for p in pipe.filter_probabilities(docs))


def test_full_attention_where_independent_is_configured_raises_l054(checkpoint):
    with pytest.raises(LukeError, match=r"L054.*'independent'.*'full'"):
        blank().get_pipe("luke_ner").load_checkpoint(checkpoint)


def test_independent_attention_where_full_is_configured_raises_l054(saved):
    nlp = spacy.blank("en")
    nlp.add_pipe("luke_ner", config={"model": {"encoder": {**ENCODER, "entity_attention": "full"}}})
    with pytest.raises(LukeError, match=r"L054.*'full'.*'independent'"):
        nlp.get_pipe("luke_ner").load_checkpoint(saved / "luke_ner")


def test_what_goes_on_with_full_attention_is_saved_without_its_filter(tmp_path, saved):
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe("luke_ner", config={"model": {"encoder": {**ENCODER, "entity_attention": "full"}}})
    pipe.initialize(lambda: examples(nlp), checkpoint=str(saved / "luke_ner"))
    assert pipe.span_filter is None
    pipe.to_disk(tmp_path)
    assert "span_filter" not in json.loads((tmp_path / "config.json").read_text())["spacy_luke"]
    back = blank(span_filter=None).get_pipe("luke_ner")
    back.initialize(lambda: examples(nlp), checkpoint=str(tmp_path))
    assert back.span_filter is None


def test_a_filter_without_independent_attention_raises_l055(checkpoint):
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe("luke_ner", config={"span_filter": FILTER})
    with pytest.raises(LukeError, match="L055"):
        pipe.load_checkpoint(checkpoint)
    assert not pipe.has_weights


def test_another_layer_than_the_trained_one_raises_l047(saved):
    with pytest.raises(LukeError, match=r"L047.*layer = 2.*trained on layer 1"):
        spacy.load(saved, config={"components": {"luke_ner": {"span_filter": {"layer": 2}}}})


def test_without_a_filter_there_are_no_probabilities_of_one(nlp):
    with pytest.raises(LukeError, match="L056"):
        nlp.get_pipe("luke_ner").filter_probabilities([])


def test_nothing_to_measure_raises_l057(fast):
    with pytest.raises(LukeError, match="L057"):
        measure_filter(fast.get_pipe("luke_ner"), [])


def test_an_unknown_attention_raises_l007():
    with pytest.raises(LukeError, match=r"L007.*'sparse'"):
        build_luke_encoder(entity_attention="sparse")  # type: ignore[arg-type]


POINTS = [FilterPoint(0.5, 0.6, 0.01, 0.5), FilterPoint(0.1, 0.9, 0.05, 0.64), FilterPoint(0.01, 0.99, 0.2, 0.65)]


@pytest.mark.parametrize(("recall", "threshold"), [(0.5, 0.5), (0.9, 0.1), (0.91, 0.01), (1.0, 0.01)])
def test_the_highest_threshold_with_the_recall_is_chosen(recall, threshold):
    assert choose_threshold(POINTS, recall).threshold == threshold


@pytest.mark.parametrize(("loss", "threshold"), [(0.2, 0.5), (0.01, 0.1), (0.0, 0.01)])
def test_the_highest_threshold_that_loses_little_f1_is_chosen(loss, threshold):
    assert choose_threshold(POINTS, 1.0, loss).threshold == threshold


def test_usual_thresholds_are_probabilities_highest_first():
    assert all(0 < threshold < 1 for threshold in THRESHOLDS)
    assert list(THRESHOLDS) == sorted(set(THRESHOLDS), reverse=True)


def test_the_f1_at_a_threshold_is_that_of_the_component_with_it(fast):
    pipe = fast.get_pipe("luke_ner")
    settings = pipe.span_filter.settings
    for point in measure_filter(pipe, examples(fast)):
        pipe.span_filter.settings = replace(settings, threshold=point.threshold)
        try:
            found = fast.evaluate(examples(fast))["ents_f"]
        finally:
            pipe.span_filter.settings = settings
        assert point.f == found
    assert pipe.span_filter.settings == settings


def test_recall_and_share_at_a_threshold_count_candidates_from_it_on(fast):
    pipe, gold = fast.get_pipe("luke_ner"), examples(fast)
    floor = pipe.span_filter.settings.floor
    found = pipe.filter_probabilities([example.predicted for example in gold])
    every = [
        (float(p) if rank >= floor else 1.0, tuple(span) in {(ent.start, ent.end) for ent in example.reference.ents})
        for example, doc in zip(gold, found, strict=True)
        for span, p, rank in zip(doc.spans.tolist(), doc.probabilities, doc.ranks.tolist(), strict=True)
    ]
    assert sum(is_gold for _, is_gold in every) == sum(len(example.reference.ents) for example in gold)
    best_left_out = max(p for p, _ in every if p < 1)
    points = measure_filter(pipe, gold, (0.001, best_left_out, 1.0))
    assert [point.threshold for point in points] == [1.0, best_left_out, 0.001]
    for point in points:
        kept = [is_gold for p, is_gold in every if p >= point.threshold]
        assert point.kept == pytest.approx(len(kept) / len(every))
        assert point.recall == pytest.approx(sum(kept) / sum(is_gold for _, is_gold in every))
    assert points[0].kept < points[1].kept


def test_the_f1_of_a_component_with_overlap_is_over_spans(fast, monkeypatch):
    pipe, gold = fast.get_pipe("luke_ner"), examples(fast)
    for example in gold:
        example.reference.spans[pipe.spans_key] = example.reference.ents
        example.reference.set_ents([])
    monkeypatch.setattr(pipe, "overlap", True)
    assert measure_filter(pipe, gold)[-1].f == 1.0


def test_docs_without_annotation_change_nothing(fast):
    pipe = fast.get_pipe("luke_ner")
    before = {name: p.clone() for name, p in pipe._module.named_parameters()}
    doc = fast.make_doc(TEXT[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        losses = pipe.update([Example(doc, fast.make_doc(TEXT[0]))], sgd=adam())
    assert losses == {"luke_ner": 0.0}
    assert all(torch.equal(before[name], p) for name, p in pipe._module.named_parameters())


def test_the_command_shows_the_recall_and_saves_the_threshold(tmp_path, saved):
    nlp = spacy.blank("en")
    docs = [Example.from_dict(nlp.make_doc(text), {"entities": ents}).reference for text, ents in DATA]
    DocBin(docs=docs).to_disk(tmp_path / "dev.spacy")
    arguments = ["tune-filter", str(saved), str(tmp_path / "dev.spacy"), "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(luke_cli, arguments)
    assert result.exit_code == 0, result.output
    assert "100.00%" in result.output
    chosen = next(line for line in result.output.splitlines() if "chosen" in line)
    tuned = spacy.load(tmp_path / "out").get_pipe("luke_ner")
    assert f"{tuned.span_filter.settings.threshold:g}" == chosen.split()[0]
    wrong = CliRunner().invoke(luke_cli, [*arguments, "--component", "sentencizer"])
    assert wrong.exit_code == 1
    assert "L080" in wrong.output


def test_ranks_count_from_the_most_probable_mention_of_each_window():
    spans, windows = np.array([[0, 1], [0, 2], [1, 2], [3, 4], [4, 5]]), [Window(0, 3, (0, 3)), Window(3, 5, (3, 5))]
    # The first two candidates share a mention.
    candidates = SpanCandidates(spans, np.array([0, 0, 1, 2, 3]), spans[1:], np.array([1, 0, 0, 1]), windows, Counter())
    found = filter_probabilities(candidates, np.array([2.0, -1.0, 0.0, 3.0], dtype=np.float32))
    assert found.spans is spans
    assert found.ranks.tolist() == [1, 1, 1, 0, 0]
    assert found.ranks.dtype == np.int64
    expected = torch.tensor([2.0, 2.0, -1.0, 0.0, 3.0]).sigmoid()
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)


def test_a_head_without_its_filter_is_otherwise_the_same() -> None:
    settings = {SPAN_FILTER: {"layer": 1}, "calibrated": True}
    weights = {"classifier.bias": torch.zeros(2), "span_filter.weight": torch.ones(3)}
    head = StoredHead("luke", 32, ("A", "B"), settings, {"architectures": ["X"]}, weights, "fingerprint")
    bare = without_filter(head)
    assert bare.settings == {"calibrated": True}
    assert list(bare.weights) == ["classifier.bias"]
    assert (bare.labels, bare.extra, bare.encoder) == (head.labels, head.extra, head.encoder)
