"""Training `luke_textcat` inside spaCy: labels, targets, loss over windows, and what cannot be learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import DocBin
from spacy.training import Example
from thinc.api import Adam, Config

from spacy_luke.errors import LukeError, LukeWarning
from tests.pipeline.longformer_model import LONGFORMER, watch
from tests.pipeline.short_training import CONFIGS, gradients, short, trained
from tests.pipeline.textcat.model import CLASSES, LABELS, TEXT, tokenizer_of, write_classifier

CONFIG = CONFIGS / "textcat.cfg"
NLP = spacy.blank("en")
ENCODERS = list(CLASSES)
LONG = f"{TEXT} {TEXT} {TEXT}"
STRIDED = {"windows": {"@misc": "spacy-luke.strided_windows.v1", "max_pieces": 60, "stride": 40}}
DATA = [(TEXT, "good"), ("Nobody knows why London was poor.", "poor"), (LONG, "neutral")]


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory) -> dict[str, str]:
    return {encoder: str(write_classifier(tmp_path_factory.mktemp(encoder), encoder)) for encoder in ENCODERS}


def add(encoder: str = "luke", **config):
    nlp = spacy.blank("en")
    model = {"model": LONGFORMER} if encoder == "longformer" else {}
    return nlp, nlp.add_pipe("luke_textcat", config={**model, **config})


def make_example(text: str, *labels: str, **cats: float) -> Example:
    """One label of `LABELS`, or any values."""
    made = Example(NLP.make_doc(text), NLP.make_doc(text))
    made.reference.cats = cats or ({label: float(label in labels) for label in LABELS} if labels else {})
    return made


def examples() -> list[Example]:
    return [make_example(text, label) for text, label in DATA]


def learn(nlp, gold: list[Example], steps: int = 100) -> None:
    sgd = Adam(0.003, use_averages=False)
    for _ in range(steps):
        if nlp.update(gold, sgd=sgd, losses={})["luke_textcat"] < 0.02:
            break


# Labels and heads


def test_one_label_of_each_doc_is_learned(encoders, encoder) -> None:
    nlp, pipe = add(encoder, **STRIDED)
    pipe.initialize(examples, nlp=nlp, checkpoint=encoders[encoder])
    assert pipe.labels == pipe.label_data == LABELS
    assert not pipe.multi_label
    learn(nlp, examples())
    scores = nlp.evaluate(examples())
    assert scores["cats_macro_f"] == scores["cats_score"] == 1.0
    assert scores["cats_score_desc"] == "macro F"
    for text, label in DATA:
        assert max(nlp(text).cats.items(), key=lambda found: found[1])[0] == label


def test_several_labels_are_learned_and_what_is_missing_is_not(encoders, encoder) -> None:
    nlp, pipe = add(encoder, multi_label=True)
    gold = [
        make_example(TEXT, people=1, places=1, dates=0),
        make_example("Nobody knows why.", people=0, places=0),
        make_example("In 1066", dates=1),
    ]
    pipe.initialize(lambda: gold, nlp=nlp, checkpoint=encoders[encoder])
    assert pipe.labels == ("dates", "people", "places")
    learn(nlp, gold)
    for example in gold:
        found = nlp(example.reference.text).cats
        assert all((found[label] > 0.5) == bool(value) for label, value in example.reference.cats.items())
    scores = nlp.evaluate(gold)
    assert (scores["cats_macro_auc"], scores["cats_score_desc"], scores["cats_micro_f"]) == (1.0, "macro AUC", 1.0)
    pipe.threshold = 1.0
    assert nlp.evaluate(gold)["cats_micro_r"] == 0.0


def test_a_single_label_has_a_probability_of_its_own(encoders) -> None:
    gold = [make_example("Buy now!", spam=1), make_example("See you.", spam=0)]
    nlp, pipe = add()
    pipe.initialize(lambda: gold, nlp=nlp, checkpoint=encoders["luke"])
    assert pipe.multi_label
    learn(nlp, gold)
    assert nlp("Buy now!").cats["spam"] > 0.5 > nlp("See you.").cats["spam"]
    with pytest.raises(LukeError, match=r"L082.*'spam'"):
        add(multi_label=False)[1].initialize(lambda: gold, checkpoint=encoders["luke"])


def test_a_head_that_has_the_labels_is_kept_and_one_that_has_not_is_new(classifiers, encoder) -> None:
    _, pipe = add(encoder)
    pipe.initialize(lambda: [make_example(TEXT, good=1)], checkpoint=classifiers[encoder])
    theirs = CLASSES[encoder].from_pretrained(classifiers[encoder])
    for name, parameter in theirs.classifier.named_parameters():
        assert torch.equal(pipe._module.classifier.get_parameter(name), parameter)
    with pytest.warns(LukeWarning, match=r"W006.*great"):
        pipe.initialize(lambda: [make_example(TEXT, great=1, bad=0)], checkpoint=classifiers[encoder])
    assert pipe.labels == ("bad", "great")


def test_without_a_checkpoint_the_encoder_of_the_box_is_trained() -> None:
    nlp, _ = add()
    nlp.initialize(examples)
    assert nlp.update(examples(), losses={})["luke_textcat"] > 0
    assert set(nlp(TEXT).cats) == set(LABELS)


def test_without_labels_the_message_says_where_they_are_looked_for(encoders) -> None:
    with pytest.raises(LukeError, match=r"L043.*doc\.cats, or"):
        add()[1].initialize(lambda: [make_example(TEXT)], checkpoint=encoders["luke"])


# Gold categories


@pytest.mark.parametrize(
    ("multi_label", "cats", "match"),
    [
        (None, {"great": 1}, r"L041.*great.*good, neutral, poor"),
        (None, {"great": 0, "good": 1}, "L041.*great"),
        (None, {"good": 0.5}, r"L081.*'good': 0\.5.*Ada Lovelace.*0 or 1"),
        (True, {"good": 2}, r"L081.*0 or 1"),
        (None, {"good": 1, "poor": 1}, r"L081.*multi_label = true"),
    ],
)
def test_gold_categories_that_cannot_be_are_errors(classifiers, multi_label, cats, match: str) -> None:
    nlp, pipe = add(multi_label=multi_label)
    pipe.load_checkpoint(classifiers["luke"])
    with pytest.raises(LukeError, match=match):
        nlp.update([make_example(TEXT, **cats)])
    assert not gradients(pipe)


def test_gold_categories_that_cannot_be_learned_are_reported_and_left_out(classifiers) -> None:
    nlp, pipe = add()
    lost = [make_example("  ", "good"), make_example("Ada ran.", good=0, poor=0), make_example("Not annotated.")]
    with pytest.warns(LukeWarning, match=r"W020.*2 of 3 gold texts.*1 without text, 1 without a label that is 1.*Ada"):
        pipe.initialize(lambda: [make_example(TEXT, "good"), *lost], checkpoint=classifiers["luke"])
    assert nlp.update(lost, losses={})["luke_textcat"] == 0.0
    assert not gradients(pipe)
    assert dict(pipe.missed_gold) == {"without text": 1, "without a label that is 1": 1}
    alone = nlp.update([make_example(TEXT, "good")], sgd=False, losses={})
    expected = gradients(pipe)
    assert nlp.update([make_example(TEXT, "good"), *lost], sgd=False, losses={}) == pytest.approx(alone)
    for name, gradient in gradients(pipe).items():
        torch.testing.assert_close(gradient, expected[name])


def test_a_label_that_is_not_named_has_the_value_0_where_one_is_right(classifiers) -> None:
    nlp, pipe = add()
    pipe.load_checkpoint(classifiers["luke"])
    expected = nlp.update([make_example(TEXT, "good")], sgd=False, losses={})
    assert nlp.update([make_example(TEXT, good=1)], sgd=False, losses={}) == expected


# Updates


@pytest.mark.parametrize("multi_label", [False, True])
def test_loss_and_gradient_are_those_of_transformers(classifiers, encoder, multi_label: bool) -> None:
    nlp, pipe = add(encoder, multi_label=multi_label)
    pipe.load_checkpoint(classifiers[encoder])
    gold = examples()[:2]
    theirs = (
        CLASSES[encoder]
        .from_pretrained(classifiers[encoder], problem_type="multi_label_classification" if multi_label else None)
        .eval()
    )
    tokenizer = tokenizer_of(Path(classifiers[encoder]), encoder)
    batch = tokenizer([text for text, _ in DATA[:2]], padding=True, return_tensors="pt")
    wanted = torch.tensor([LABELS.index(label) for _, label in DATA[:2]])
    if multi_label:
        wanted = torch.nn.functional.one_hot(wanted, 3).float()
    output = theirs(**batch, labels=wanted)
    output.loss.backward()
    assert nlp.update(gold, sgd=False, losses={})["luke_textcat"] == pytest.approx(output.loss.item(), abs=1e-5)
    found = gradients(pipe)
    for name, parameter in theirs.classifier.named_parameters():
        torch.testing.assert_close(found[f"classifier.{name}"], parameter.grad, atol=1e-5, rtol=1e-3)
    query = getattr(theirs, encoder).encoder.layer[0].attention.self.query.weight.grad
    torch.testing.assert_close(found["encoder.layers.0.attention.query.weight"], query, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("drop", [0.0, 0.3])
def test_a_text_of_several_batches_has_the_gradient_of_its_mean(classifiers, encoder, drop, monkeypatch) -> None:
    """With the dropout of the pass from which the loss was taken."""
    nlp, pipe = add(encoder, **STRIDED, max_batch_pieces=130)
    pipe.load_checkpoint(classifiers[encoder])
    batches = watch(pipe, monkeypatch)
    torch.manual_seed(3)
    loss = nlp.update([make_example(LONG, "poor")], drop=drop, sgd=False, losses={})["luke_textcat"]
    found = gradients(pipe)
    assert len(batches) % 2 == 0
    seen = batches[: len(batches) // 2]
    assert len(seen) > 1
    assert max(batch.piece_ids.numel() for batch in batches) <= 130
    assert all(a.piece_ids.equal(b.piece_ids) for a, b in zip(seen, batches[len(seen) :], strict=True))
    [rows] = pipe._rows([NLP.make_doc(LONG)])
    torch.manual_seed(3)
    pipe._module.train()
    by_ids = {}
    for batch in seen:
        for ids, mask, logits in zip(batch.piece_ids, batch.piece_mask, pipe._module(batch), strict=True):
            by_ids[tuple(ids[mask].tolist())] = logits
    special = pipe._description.tokenizer.special
    logits = torch.stack([by_ids[tuple(row.make(special).piece_ids.tolist())] for row in rows])
    mean = torch.tensor([row.share for row in rows], dtype=torch.float32) @ logits
    expected = torch.nn.functional.cross_entropy(mean[None], torch.tensor([LABELS.index("poor")]))
    expected.backward()
    assert loss == pytest.approx(expected.item(), abs=1e-5)
    for name, gradient in gradients(pipe).items():
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_budget_does_not_change_the_gradient(classifiers, encoder, multi_label) -> None:
    nlp, pipe = add(encoder, **STRIDED, multi_label=multi_label)
    pipe.load_checkpoint(classifiers[encoder])
    found = []
    for budget in (10_000, 150, 1):
        pipe.max_batch_pieces = budget
        losses = nlp.update(examples(), sgd=False, losses={})
        found.append((losses["luke_textcat"], gradients(pipe)))
    for loss, gradient in found[1:]:
        assert loss == pytest.approx(found[0][0], abs=1e-5)
        for name, expected in found[0][1].items():
            torch.testing.assert_close(gradient[name], expected, atol=1e-5, rtol=1e-3)


# The config


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_config_trains(encoders, tmp_path, multi_label: bool) -> None:
    DocBin(docs=[example.reference for example in examples()]).to_disk(tmp_path / "corpus.spacy")
    overrides = {
        **short(tmp_path / "corpus.spacy", encoders["luke"]),
        "components.luke_textcat.multi_label": multi_label,
    }
    best = trained(Config().from_disk(CONFIG, overrides=overrides), tmp_path / "out")
    pipe = best.get_pipe("luke_textcat")
    assert (pipe.labels, pipe.multi_label) == (LABELS, multi_label)
    assert best.meta["performance"]["cats_score"] is not None
    assert np.isfinite(list(best(TEXT).cats.values())).all()
    assert str(tmp_path) not in (tmp_path / "out" / "model-best" / "luke_textcat" / "config.json").read_text()
