"""Training components on a Longformer: what is learned, and what does not change the gradient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Adam

from spacy_luke import Answer
from spacy_luke.errors import LukeWarning
from tests.pipeline.longformer_model import CHOICES, LONGFORMER, cut, make, watch, with_ents, write_encoder
from tests.pipeline.longformer_model import LABELS as FACTORIES
from tests.pipeline.short_training import gradients

TEXT = "Ada met Bo in London . She lives there with Cy , says Di ."
ENTS = [(0, 1, "PER"), (2, 3, "PER"), (4, 5, "LOC"), (10, 11, "PER"), (13, 14, "PER")]
PAIRS = {"pairs": {"@misc": "spacy-luke.entity_pairs.v1", "across_sentences": True}}
FIND_ENTITIES = ("luke_ner", "luke_token_classifier")
QUESTIONS = {"Who met Bo?": (0, 1), "Where does Ada live?": (4, 5), "Why?": None}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder"))


def make_doc(nlp, text: str = TEXT, ents=ENTS) -> Doc:
    words = text.split()
    return with_ents(cut(Doc(nlp.vocab, words=words), *(i + 1 for i, word in enumerate(words) if word == ".")), ents)


def example(nlp, factory: str, text: str = TEXT) -> Example:
    """A Doc with gold annotation for each component."""
    predicted, reference = make_doc(nlp, text), make_doc(nlp, text)
    ents = reference.ents
    if factory in FIND_ENTITIES:
        predicted.set_ents([])
    if factory == "luke_relations":
        reference._.relations = [(ents[0], ents[2], "lives_in"), (ents[3], ents[0], "met"), (ents[1], ents[0], "met")]
    for ent, types in zip(ents, (["person", "writer"], ["person"], ["city"], [], ["person"]), strict=True):
        if factory == "luke_entity_typer":
            ent._.entity_types = types
    if factory == "luke_textcat":
        reference.cats = {"good": 1.0, "poor": 0.0}
    if factory == "luke_multiple_choice":
        reference._.choices = predicted._.choices = CHOICES
        reference._.chosen = [0, 2]
    if factory == "luke_qa":
        answers = {question: tokens and reference[slice(*tokens)] for question, tokens in QUESTIONS.items()}
        reference._.answers = [Answer(question, span) for question, span in answers.items()]
        reference._.questions = predicted._.questions = list(QUESTIONS)
    return Example(predicted, reference)


def learn(nlp, examples: list[Example], steps: int = 80, enough: float = 0.01) -> None:
    [(name, _)] = nlp.pipeline
    sgd = Adam(0.003, use_averages=False)
    for _ in range(steps):
        loss = nlp.update(examples, sgd=sgd, losses={})[name]
        if loss < enough:
            break
    assert loss < 5 * enough


def found_relations(doc: Doc) -> set[tuple[int, str, int]]:
    return {(r.head.start, r.label, r.tail.start) for r in doc._.relations}


# What is learned


@pytest.mark.parametrize("factory", FACTORIES)
def test_training_learns_the_example(folder, factory: str) -> None:
    nlp, _ = make(factory, folder, **(PAIRS if factory == "luke_relations" else {}))
    learn(nlp, [example(nlp, factory)])
    scores = nlp.evaluate([example(nlp, factory)])
    score = {
        "luke_relations": "rel_micro_f",
        "luke_entity_typer": "types_micro_f",
        "luke_textcat": "cats_micro_f",
        "luke_multiple_choice": "choice_acc",
        "luke_qa": "qa_em",
    }
    assert scores[score.get(factory, "ents_f")] == 1.0


@pytest.mark.parametrize("direction", [(0, 2), (2, 0)])
def test_directed_relations_are_learned_across_sentences_and_once_a_pair(folder, direction) -> None:
    nlp, pipe = make("luke_relations", folder, ["cause"], directed_labels=True, **PAIRS)
    assert pipe.logit_labels == ("no_relation", "cause(e1,e2)", "cause(e2,e1)")
    gold = Example(make_doc(nlp), make_doc(nlp))
    ents = gold.reference.ents
    head, tail = direction
    gold.reference._.relations = [(ents[head], ents[tail], "cause"), (ents[4], ents[1], "cause")]
    learn(nlp, [gold])
    doc = nlp(make_doc(nlp))
    starts = [ent.start for ent in doc.ents]
    assert found_relations(doc) == {
        (starts[head], "cause", starts[tail]),
        (starts[4], "cause", starts[1]),
    }
    assert len(pipe.logits([doc])[0][0]) == 10


def test_symmetric_relations_are_learned_in_both_directions_and_written_in_text_order(folder) -> None:
    nlp, pipe = make("luke_relations", folder, symmetric=["met"], **PAIRS)
    gold = Example(make_doc(nlp), make_doc(nlp))
    ents = gold.reference.ents
    gold.reference._.relations = [(ents[1], ents[0], "met"), (ents[0], ents[4], "met"), (ents[0], ents[2], "lives_in")]
    learn(nlp, [gold])
    doc = nlp(make_doc(nlp))
    assert found_relations(doc) == {(0, "met", 2), (0, "met", 13), (0, "lives_in", 4)}
    [(pairs, logits)] = pipe.logits([doc])
    best = {
        (head.start, tail.start): pipe.logit_labels[i] for (head, tail), i in zip(pairs, logits.argmax(1), strict=True)
    }
    assert best[0, 2] == best[2, 0] == best[0, 13] == best[13, 0] == "met"
    assert (best[0, 4], best[4, 0]) == ("lives_in", "no_relation")


def test_several_labels_of_a_pair_are_learned(folder) -> None:
    nlp, _ = make("luke_relations", folder, multi_label=True, **PAIRS)
    gold = Example(make_doc(nlp), make_doc(nlp))
    ents = gold.reference.ents
    gold.reference._.relations = [(ents[0], ents[1], "met"), (ents[0], ents[1], "works_for")]
    learn(nlp, [gold])
    assert found_relations(nlp(make_doc(nlp))) == {(0, "met", 2), (0, "works_for", 2)}


def test_pairs_that_no_window_shows_take_no_part_in_the_loss(folder) -> None:
    nlp, pipe = make("luke_relations", folder, **PAIRS)
    text = f"{TEXT} " + "They walked and talked . " * 40 + TEXT
    ents = [*ENTS, *((start + 215, end + 215, label) for start, end, label in ENTS)]
    gold = Example(make_doc(nlp, text, ents), make_doc(nlp, text, ents))
    assert [ent.text for ent in gold.predicted.ents[5:]] == ["Ada", "Bo", "London", "Cy", "Di"]
    last = gold.reference.ents
    near = [(last[0], last[1], "met"), (last[6], last[5], "met")]
    found = []
    for relations in ([*near, (last[0], last[9], "met")], near):
        gold.reference._.relations = relations
        with pytest.warns(LukeWarning, match=r"W014.*50 pairs.*too far apart"):
            loss = pipe.update([gold], losses={})["luke_relations"]
        found.append((loss, gradients(pipe)))
    assert found[0][0] == pytest.approx(found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1])


# What does not change the gradient


def two(nlp, factory: str) -> list[Example]:
    return [example(nlp, factory), example(nlp, factory, f"{TEXT} And what came of it , none can say !")]


def check_gradients(found: dict[str, Any], expected: dict[str, Any], atol: float = 1e-5) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=atol, rtol=1e-3, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("factory", FACTORIES)
def test_gradient_checkpointing_changes_neither_logits_nor_gradients(folder, factory: str) -> None:
    found = []
    for checkpointing in (False, True):
        encoder = {**LONGFORMER["encoder"], "gradient_checkpointing": checkpointing}
        nlp, pipe = make(factory, folder, model={"encoder": encoder})
        assert pipe._module.encoder.gradient_checkpointing is checkpointing
        loss = pipe.update(two(nlp, factory), losses={})[factory]
        found.append((gradients(pipe), pipe.logits([e.predicted for e in two(nlp, factory)]), loss))
    (plain, logits, loss), (again, logits_again, loss_again) = found
    check_gradients(again, plain)
    assert loss_again == pytest.approx(loss, abs=1e-6)
    for (_, a), (_, b) in zip(logits, logits_again, strict=True):
        for rows, others in zip(a, b, strict=True):
            np.testing.assert_allclose(rows, others, atol=1e-6)


@pytest.mark.parametrize("factory", FACTORIES)
def test_the_budget_does_not_change_the_gradient(folder, factory: str) -> None:
    nlp, pipe = make(factory, folder)
    found = []
    for budget in (10_000, 1):
        pipe.max_batch_pieces = budget
        loss = pipe.update(two(nlp, factory), losses={})[factory]
        found.append((loss, gradients(pipe)))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-5)
    check_gradients(found[1][1], found[0][1])


@pytest.mark.parametrize("factory", FACTORIES)
def test_every_parameter_that_the_head_reads_gets_a_gradient(folder, factory: str) -> None:
    nlp, pipe = make(factory, folder)
    pipe.update([example(nlp, factory)])
    missing = {name for name, p in pipe._module.named_parameters() if p.grad is None}
    if factory in FIND_ENTITIES:  # nothing is global
        assert all("global_" in name or "pooler" in name for name in missing)
    elif factory == "luke_textcat":  # which has one global piece: no softmax depends on that bias
        assert all("global_key.bias" in name or "pooler" in name for name in missing)
    else:
        assert all("pooler" in name for name in missing)


@pytest.mark.parametrize("factory", FACTORIES)
def test_bfloat16_is_close_and_trains(folder, factory: str) -> None:
    nlp, exact = make(factory, folder)
    encoder = {**LONGFORMER["encoder"], "precision": "bfloat16"}
    _, pipe = make(factory, folder, model={"encoder": encoder})
    docs = [example(nlp, factory).predicted]
    [(_, a)], [(_, b)] = exact.logits(docs), pipe.logits(docs)
    for rows, others in zip(a, b, strict=True):
        assert others.dtype == np.float32
        np.testing.assert_allclose(rows, others, atol=0.15 * np.abs(rows).max())
    loss = pipe.update([example(nlp, factory)], losses={})[factory]
    assert loss == pytest.approx(exact.update([example(nlp, factory)], losses={})[factory], rel=0.1)
    assert all(g.dtype == torch.float32 and g.isfinite().all() for g in gradients(pipe).values())


def test_a_frozen_encoder_keeps_its_weights_and_the_head_learns(folder) -> None:
    nlp, pipe = make("luke_relations", folder, **PAIRS)
    pipe.freeze_encoder()
    before = {name: p.clone() for name, p in pipe._module.encoder.state_dict().items()}
    learn(nlp, [example(nlp, "luke_relations")], steps=150, enough=0.1)
    for name, tensor in pipe._module.encoder.state_dict().items():
        torch.testing.assert_close(tensor, before[name], atol=0, rtol=0)


def test_only_the_sample_of_negatives_is_scored(folder, monkeypatch) -> None:
    nlp, pipe = make("luke_ner", folder, max_negatives=7)
    batches = watch(pipe, monkeypatch)
    pipe.update([Example(make_doc(nlp), make_doc(nlp))])
    [batch] = batches
    assert batch.entity_spans.shape[1] == len(ENTS) + 7
