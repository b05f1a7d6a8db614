"""Training `luke_multiple_choice` inside spaCy: the softmax of a question is over all its options, however batched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import spacy
import torch
from spacy.tokens import DocBin
from spacy.training import Example
from thinc.api import Adam, Config

from spacy_luke.errors import LukeWarning
from tests.pipeline.longformer_model import LONGFORMER, watch
from tests.pipeline.multiple_choice.model import CHOICES, CLASSES, TEXT, encode, tokenizer_of, write_chooser
from tests.pipeline.short_training import CONFIGS, gradients, short, trained

CONFIG = CONFIGS / "multiple_choice.cfg"
NLP = spacy.blank("en")
ENCODERS = list(CLASSES)


@pytest.fixture(scope="module")
def choosers(tmp_path_factory) -> dict[str, str]:
    return {encoder: str(write_chooser(tmp_path_factory.mktemp(encoder), encoder)) for encoder in ENCODERS}


def add(encoder: str = "luke", **config):
    nlp = spacy.blank("en")
    model = {"model": LONGFORMER} if encoder == "longformer" else {}
    return nlp, nlp.add_pipe("luke_multiple_choice", config={**model, **config})


def example(right: Sequence[int | None] | None = (2, 0), text: str = TEXT) -> Example:
    made = Example(NLP.make_doc(text), NLP.make_doc(text))
    made.reference._.choices = made.predicted._.choices = CHOICES
    made.reference._.chosen = right
    return made


def test_the_right_options_are_learned(choosers, encoder) -> None:
    nlp, pipe = add(encoder)
    gold = [example(), example((1, 1), "Bo ran.")]
    pipe.initialize(lambda: gold, nlp=nlp, checkpoint=choosers[encoder])
    sgd = Adam(0.003, use_averages=False)
    for _ in range(100):
        if nlp.update(gold, sgd=sgd, losses={})["luke_multiple_choice"] < 0.02:
            break
    assert nlp.evaluate(gold)["choice_acc"] == 1.0
    assert [choice.index for choice in nlp(example(None).predicted)._.chosen] == [2, 0]


def test_the_head_of_a_checkpoint_is_kept_and_a_new_one_small(choosers, encoders, encoder) -> None:
    for checkpoint in (choosers[encoder], encoders[encoder]):
        _, pipe = add(encoder)
        pipe.initialize(lambda: [example()], checkpoint=checkpoint)
        weight = pipe._module.classifier.weight
        assert weight.shape == (1, 32)
        if checkpoint == choosers[encoder]:
            theirs = CLASSES[encoder].from_pretrained(checkpoint)
            assert torch.equal(weight, theirs.classifier.weight)
        else:
            assert float(weight.detach().std()) < 0.05


def test_loss_and_gradient_are_those_of_transformers(choosers, encoder) -> None:
    """With two questions that have 3 and 2 options, which transformers takes one by one."""
    nlp, pipe = add(encoder)
    pipe.load_checkpoint(choosers[encoder])
    theirs = CLASSES[encoder].from_pretrained(choosers[encoder]).eval()
    tokenizer = tokenizer_of(Path(choosers[encoder]), encoder)
    total = torch.zeros(())
    for (question, options), right in zip(CHOICES, (2, 0), strict=True):
        output = theirs(**encode(tokenizer, TEXT, options, question), labels=torch.tensor([right]))
        total = total + output.loss / 2
    total.backward()
    loss = nlp.update([example()], sgd=False, losses={})["luke_multiple_choice"]
    assert loss == pytest.approx(total.item(), abs=1e-5)
    found = gradients(pipe)
    torch.testing.assert_close(found["classifier.weight"], theirs.classifier.weight.grad, atol=1e-5, rtol=1e-3)
    layer = getattr(theirs, encoder).encoder.layer[0].attention.self
    torch.testing.assert_close(
        found["encoder.layers.0.attention.query.weight"], layer.query.weight.grad, atol=1e-5, rtol=1e-3
    )
    if encoder == "longformer":
        ours = found["encoder.layers.0.attention.global_query.weight"]
        torch.testing.assert_close(ours, layer.query_global.weight.grad, atol=1e-5, rtol=1e-3)


def test_the_budget_does_not_change_the_gradient(choosers, encoder, monkeypatch) -> None:
    """Even if the options of a question are in different batches."""
    nlp, pipe = add(encoder)
    pipe.load_checkpoint(choosers[encoder])
    batches = watch(pipe, monkeypatch)
    found, counts = [], []
    for budget in (10_000, 150, 1):
        pipe.max_batch_pieces = budget
        batches.clear()
        losses = nlp.update([example(), example((1, None), "Bo ran.")], sgd=False, losses={})
        found.append((losses["luke_multiple_choice"], gradients(pipe)))
        counts.append(len(batches))
        assert all(batch.piece_ids.numel() <= budget or len(batch.piece_ids) == 1 for batch in batches)
    assert counts[0] == 1
    assert counts[0] < counts[1] < counts[2] == 16, "each of 8 options twice"
    for loss, gradient in found[1:]:
        assert loss == pytest.approx(found[0][0], abs=1e-5)
        for name, expected in found[0][1].items():
            torch.testing.assert_close(gradient[name], expected, atol=1e-5, rtol=1e-3)


def test_questions_without_a_gold_choice_take_no_part(choosers) -> None:
    nlp, pipe = add()
    pipe.load_checkpoint(choosers["luke"])
    alone = nlp.update([example((2, None))], sgd=False, losses={})
    expected = gradients(pipe)
    unknown = Example(NLP.make_doc("Bo ran."), NLP.make_doc("Bo ran."))
    assert nlp.update([example((2, None)), example(None), unknown], sgd=False, losses={}) == pytest.approx(alone)
    for name, gradient in gradients(pipe).items():
        torch.testing.assert_close(gradient, expected[name])
    assert nlp.update([unknown], sgd=False, losses={})["luke_multiple_choice"] == 0.0
    assert not gradients(pipe)


def test_data_without_gold_choices_and_texts_that_do_not_fit_are_reported(encoders) -> None:
    with pytest.warns(LukeWarning, match=r"W018.*none of 2 Docs.*doc\._\.chosen.*store_user_data"):
        add()[1].initialize(lambda: [example(None), example(())], checkpoint=encoders["luke"])
    with pytest.warns(LukeWarning, match=r"W021.* 2 Docs"):
        add()[1].initialize(lambda: [example(text=TEXT * 5)] * 2, checkpoint=encoders["luke"])


def test_the_config_trains(encoders, tmp_path) -> None:
    DocBin(docs=[example().reference] * 4, store_user_data=True).to_disk(tmp_path / "corpus.spacy")
    overrides = short(tmp_path / "corpus.spacy", encoders["luke"])
    best = trained(Config().from_disk(CONFIG, overrides=overrides), tmp_path / "out")
    assert best.meta["performance"]["choice_acc"] is not None
    assert len(best(example(None).predicted)._.chosen) == 2
    assert str(tmp_path) not in (tmp_path / "out" / "model-best" / "luke_multiple_choice" / "config.json").read_text()
