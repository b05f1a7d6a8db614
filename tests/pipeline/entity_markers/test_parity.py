"""`luke_relations` and `luke_entity_typer`: logits equal transformers', from checkpoints and from saved folders."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc
from torch import nn
from transformers import LukeForEntityPairClassification

import spacy_luke
from spacy_luke.checkpoints.reader import open_checkpoint
from tests.pipeline.entity_markers.model import (
    ENTITY,
    KINDS,
    PAIR,
    RELATIONS,
    TEXT,
    one_sentence,
    open_reference,
    reference_logits,
    with_ents,
    write_checkpoint,
)
from tests.tokenization.ugly import plain
from tests.util import TEXTS, luke_config, randomise, write_luke

# Spans under "sc" may overlap, as entities may not.
OF_KEY = {
    PAIR: {"pairs": {"@misc": "spacy-luke.entity_pairs.v1", "spans_key": "sc", "across_sentences": True}},
    ENTITY: {"spans_key": "sc"},
}
FACTORY = {PAIR: "luke_relations", ENTITY: "luke_entity_typer"}
CASES = [(task, entity_aware) for task in KINDS for entity_aware in (True, False)]


class Setup:
    """A checkpoint, its pipeline, and transformers' model and tokenizer."""

    def __init__(self, folder: Path, task: str, entity_aware: bool):
        self.folder = write_checkpoint(folder, task, use_entity_aware_attention=entity_aware)
        self.nlp = spacy_luke.from_checkpoint(folder, sentences=None, config=OF_KEY[task])
        self.pipe = self.nlp.get_pipe(FACTORY[task])
        self.reference = open_reference(folder, task)

    def compare(self, doc: Doc, most: int = 1000, atol: float = 1e-4) -> list:
        """Compare the logits of a Doc; returns its items."""
        [(items, logits)] = self.pipe.logits([one_sentence(doc)])
        assert logits.dtype == np.float32
        assert logits.shape == (len(items), len(self.pipe.logit_labels))
        for item, row in list(zip(items, logits, strict=True))[:most]:
            spans = [Trimmed(span) for span in (item if isinstance(item, tuple) else (item,))]
            np.testing.assert_allclose(row, reference_logits(self.reference, doc.text, spans), atol=atol)
        return items


class Trimmed:
    """The characters of a span without white space at its edges."""

    def __init__(self, span):
        text = span.text_with_ws
        self.start_char = span.start_char + len(text) - len(text.lstrip())
        self.end_char = span.start_char + len(text.rstrip())


@pytest.fixture(scope="module", params=CASES, ids=[f"{FACTORY[t]}-{e}" for t, e in CASES])
def setup(request, tmp_path_factory) -> Setup:
    return Setup(tmp_path_factory.mktemp("marked"), *request.param)


@pytest.mark.parametrize("text", TEXTS)
def test_logits_equal_transformers(setup, text: str) -> None:
    doc = setup.nlp.make_doc(text)
    doc.spans["sc"] = [doc[t.i : t.i + 1] for t in doc if t.i % 2 == 0 and not t.is_space]
    assert len(setup.compare(doc, 12)) > 1


@settings(max_examples=40)
@given(text=plain, data=st.data())
def test_ugly_texts_equal_transformers(setup, text: str, data) -> None:
    doc = setup.nlp.make_doc(text)
    assume(len(doc) and len(text.encode("utf8")) < 110)
    edges = sorted(data.draw(st.sets(st.integers(0, len(doc)), max_size=8)))
    doc.spans["sc"] = spans = [doc[a:b] for a, b in itertools.pairwise(edges)]
    with_text = [span for span in spans if span.text.strip()]
    if len(with_text) < len(spans) and (len(spans) > 1 or "typer" in setup.pipe.name):
        with pytest.warns(spacy_luke.LukeWarning, match=r"W014.*white space only"):
            items = setup.compare(doc)
    else:
        items = setup.compare(doc)
    n = len(with_text)
    assert len(items) == (n * (n - 1) if "relations" in setup.pipe.name else n)


def test_long_mentions_equal_transformers(setup) -> None:
    doc = setup.nlp.make_doc(TEXTS[3])
    half = len(doc) // 2
    doc.spans["sc"] = [doc[:half], doc[half:]]
    items = setup.compare(doc)
    assert len(items) == 2


def test_a_saved_folder_gives_the_same_logits_in_transformers(setup, tmp_path) -> None:
    setup.pipe.to_disk(tmp_path / "saved")
    task = PAIR if setup.pipe.name == "luke_relations" else ENTITY
    reference, again = setup.reference, open_reference(tmp_path / "saved", task)
    doc = setup.nlp.make_doc(TEXT)
    for spans in ([doc[0:2], doc[6:7]], [doc[6:7], doc[13:15]]):
        spans = spans[: 2 if task == PAIR else 1]
        expected = reference_logits(reference, TEXT, spans)
        np.testing.assert_allclose(reference_logits(again, TEXT, spans), expected, atol=1e-5)
    assert again[0].config.id2label == reference[0].config.id2label
    assert again[0].config.problem_type == reference[0].config.problem_type


def test_the_architecture_picks_the_component(setup, tmp_path) -> None:
    nlp = spacy_luke.from_checkpoint(setup.folder)
    assert nlp.pipe_names == ["sentencizer", setup.pipe.name]
    assert nlp.get_pipe(setup.pipe.name).logit_labels == tuple(KINDS[PAIR if "rel" in setup.pipe.name else ENTITY][1])
    setup.nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    doc, same = (with_ents(one_sentence(n.make_doc(TEXT))) for n in (setup.nlp, loaded))
    for d in (doc, same):
        d.spans["sc"] = list(d.ents)
    np.testing.assert_array_equal(loaded.get_pipe(setup.pipe.name).logits([same])[0][1], setup.pipe.logits([doc])[0][1])


# Settings that come with a checkpoint


@pytest.mark.parametrize("problem", ["multi_label_classification", "single_label_classification", None])
@pytest.mark.parametrize("task", KINDS)
def test_the_kind_of_labels_is_that_of_the_checkpoint(tmp_path, task, problem) -> None:
    write_checkpoint(tmp_path, task, problem_type=problem)
    pipe = spacy_luke.from_checkpoint(tmp_path).get_pipe(FACTORY[task])
    assert pipe.multi_label == {None: task == ENTITY}.get(problem, str(problem).startswith("multi"))
    assert pipe.threshold == (0.5 if pipe.multi_label else 0.0)
    pipe.to_disk(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "config.json").read_text()).get("problem_type") == problem


@pytest.mark.parametrize("multi", [True, False])
@pytest.mark.parametrize("task", KINDS)
def test_a_setting_wins_over_the_checkpoint_and_is_saved_with_it(tmp_path, task, multi: bool) -> None:
    names = {True: "multi_label_classification", False: "single_label_classification"}
    write_checkpoint(tmp_path, task, problem_type=names[not multi])
    nlp = spacy_luke.from_checkpoint(tmp_path, config={"multi_label": multi})
    pipe = nlp.get_pipe(FACTORY[task])
    assert pipe.multi_label == multi
    pipe.to_disk(tmp_path / "saved")
    assert open_reference(tmp_path / "saved", task)[0].config.problem_type == names[multi]
    assert spacy_luke.from_checkpoint(tmp_path / "saved").get_pipe(FACTORY[task]).multi_label == multi


def test_a_bias_that_only_the_papers_code_has_is_used_and_kept(tmp_path) -> None:
    model = randomise(LukeForEntityPairClassification(luke_config(num_labels=4, classifier_bias=True)))
    model.classifier = randomise(nn.Linear(64, 4))
    write_luke(tmp_path / "with", model)
    nlp = spacy_luke.from_checkpoint(tmp_path / "with", sentences=None)
    [(_, logits)] = nlp.get_pipe("luke_relations").logits([with_ents(one_sentence(nlp.make_doc(TEXT)))])
    with torch.no_grad():
        model.classifier.bias.zero_()
    without = open_checkpoint(tmp_path / "with").load_task_module("LukeForEntityPairClassification", "special")[0]
    bias = without.classifier.bias.detach().numpy()
    assert np.abs(bias).max() > 0.05
    plain_reference = open_reference(tmp_path / "with", PAIR)  # transformers ignores the bias
    doc = nlp.make_doc(TEXT)
    expected = reference_logits(plain_reference, TEXT, [doc[0:2], doc[3:5]]) + bias
    np.testing.assert_allclose(logits[0], expected, atol=1e-4)
    nlp.to_disk(tmp_path / "saved")
    loaded = spacy.load(tmp_path / "saved")
    [(_, again)] = loaded.get_pipe("luke_relations").logits([with_ents(one_sentence(loaded.make_doc(TEXT)))])
    np.testing.assert_array_equal(again, logits)


def test_labels_without_names_have_the_negative_one_first(tmp_path) -> None:
    write_checkpoint(tmp_path, PAIR, [f"LABEL_{i}" for i in range(3)])
    pipe = spacy_luke.from_checkpoint(tmp_path).get_pipe("luke_relations")
    assert pipe.negative_label == "LABEL_0"
    assert pipe.label_data == ("LABEL_1", "LABEL_2")
    assert RELATIONS[0] not in pipe.logit_labels
