"""Labels: which a component says that it has, new ones, and those that an initialization drops."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_luke import default_model
from spacy_luke.annotations import get_relations, set_entity_types, set_relations
from spacy_luke.errors import LukeError, LukeWarning
from tests.pipeline.encoder.shared_model import adam, assert_same, examples, initialized, write_bare
from tests.pipeline.entity_markers.model import TEXT
from tests.util import write_longformer

SENTENCE = "Ada met Bo ."
KINDS = ("luke_ner", "luke_relations", "luke_entity_typer", "luke_token_classifier", "luke_textcat")
ENCODERS = ("spacy-luke.LukeEncoder.v1", "spacy-luke.LongformerEncoder.v1")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Bare models by the architecture that reads them."""
    longformer = tmp_path_factory.mktemp("longformer")
    write_longformer(longformer)
    return dict(zip(ENCODERS, (write_bare(tmp_path_factory.mktemp("luke")), longformer), strict=True))


def doc(nlp: Language) -> Doc:
    made = Doc(nlp.vocab, words=SENTENCE.split(), sent_starts=[True, False, False, False])
    made.set_ents([Span(made, 0, 1, "A"), Span(made, 2, 3, "A")])
    return made


def example(nlp: Language, label: str) -> Example:
    """One that has a label of every kind."""
    gold = doc(nlp)
    gold.set_ents([Span(gold, 0, 1, label), Span(gold, 2, 3, label)])
    first, second = gold.ents
    set_relations(gold, [(first, second, label)])
    for span in (first, second):
        set_entity_types(span, [label])
    gold.cats = {"A": float(label == "A"), "B": float(label == "B")}
    return Example(doc(nlp), gold)


def component(kind: str, encoder: str = ENCODERS[0], **config):
    nlp = spacy.blank("en")
    return nlp, nlp.add_pipe(kind, config={"model": {"encoder": {"@architectures": encoder}}, **config})


def start(kind: str, checkpoints, encoder: str = ENCODERS[0], **config):
    torch.manual_seed(0)
    nlp, pipe = component(kind, encoder, **config)
    labels = {"luke_textcat": ["A", "C"]}.get(kind, ["A"])
    gold = [example(nlp, "A")]
    if kind == "luke_textcat":
        gold[0].reference.cats = {"A": 1.0, "C": 0.0}
    pipe.initialize(lambda: gold, checkpoint=str(checkpoints[encoder]), labels=labels)
    return nlp, pipe, gold


def scores(nlp: Language, pipe) -> np.ndarray:
    [(_, found)] = pipe.logits([doc(nlp)])
    return found


# --- add_label


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_label_is_learned_and_the_others_stay(checkpoints, tmp_path: Path, kind: str, encoder: str) -> None:
    nlp, pipe, gold = start(kind, checkpoints, encoder)
    sgd = adam(0.003)
    for _ in range(3):
        nlp.update(gold, sgd=sgd)
    before, rows = scores(nlp, pipe), pipe.logit_labels
    assert pipe.add_label("B") == 1
    assert pipe.add_label("B") == 0
    assert "B" in pipe.labels
    assert pipe.logit_labels[: len(rows)] == rows
    after = scores(nlp, pipe)
    assert after.shape[1] == len(pipe.logit_labels)
    np.testing.assert_allclose(after[:, : len(rows)], before, atol=1e-5)
    pipe.to_disk(tmp_path / "grown")
    for _ in range(60):
        losses = nlp.update([example(nlp, "B")], sgd=sgd)
    assert losses[kind] < 0.1
    best = scores(nlp, pipe).argmax(axis=1)
    assert "B" in {pipe.logit_labels[i].partition("-")[2] or pipe.logit_labels[i] for i in best}
    _, loaded = component(kind, encoder)
    loaded.from_disk(tmp_path / "grown")
    assert loaded.logit_labels == pipe.logit_labels
    np.testing.assert_allclose(scores(nlp, loaded), after, atol=1e-5)


def test_what_the_optimiser_keeps_of_the_other_labels_stays(checkpoints) -> None:
    nlp, pipe, gold = start("luke_entity_typer", checkpoints)
    sgd = adam(0.001)
    nlp.update(gold, sgd=sgd)
    adamw = pipe.model.shims[0]._adamw
    before = {name: tensor.clone() for name, tensor in adamw.state().items()}
    pipe.add_label("B")
    after = adamw.state()
    assert after.keys() == before.keys()
    for name, tensor in before.items():
        rows = len(tensor) if tensor.ndim else None
        assert torch.equal(after[name][:rows] if rows else after[name], tensor), name
        assert not rows or not after[name][rows:].any(), name
    assert after["classifier.weight.exp_avg"].shape[0] == 2
    nlp.update(gold, sgd=sgd)
    assert pipe.model.shims[0]._adamw is adamw
    assert adamw.state()["classifier.weight.step"] == before["classifier.weight.step"] + 1


def test_a_gradient_that_waits_for_its_step_is_kept(checkpoints) -> None:
    nlp, pipe, gold = start("luke_entity_typer", checkpoints)
    nlp.update(gold, sgd=False)
    before = pipe._module.classifier.weight.grad.clone()
    pipe.add_label("B")
    gradient = pipe._module.classifier.weight.grad
    assert torch.equal(gradient[:1], before)
    assert not gradient[1:].any()
    pipe.finish_update(adam())


def test_labels_that_are_added_first_are_those_of_the_new_head(checkpoints) -> None:
    nlp, pipe = component("luke_ner")
    assert [pipe.add_label(label) for label in ("B", "C", "B")] == [1, 1, 0]
    pipe.initialize(lambda: [example(nlp, "A")], checkpoint=str(checkpoints[ENCODERS[0]]))
    assert pipe.logit_labels == ("NIL", "A", "B", "C")
    nlp, pipe = component("luke_textcat")
    for label in ("yes", "no"):
        pipe.add_label(label)
    pipe.initialize(lambda: [], checkpoint=str(checkpoints[ENCODERS[0]]))
    assert pipe.labels == ("yes", "no")


@pytest.mark.parametrize(
    ("labels", "rows"),
    [
        (["O", "B-A", "I-A"], ("B-B", "I-B")),
        (["O", "B-A", "I-A", "L-A", "U-A"], ("B-B", "I-B", "L-B", "U-B")),
        (["O", "A"], ("B",)),
    ],
)
def test_a_type_of_entities_has_the_tags_of_the_others(checkpoints, labels: list[str], rows: tuple[str, ...]) -> None:
    _, pipe = component("luke_token_classifier", attribute="ents")
    pipe.initialize(lambda: [], checkpoint=str(checkpoints[ENCODERS[0]]), labels=["A"])
    pipe._description = replace(pipe._description, labels=tuple(labels))
    assert pipe._rows_of("B") == rows


def test_a_directed_relation_has_both_directions(checkpoints) -> None:
    nlp, pipe, _ = start("luke_relations", checkpoints, directed_labels=True, symmetric=["near"])
    pipe.add_label("B")
    pipe.add_label("near")
    assert pipe.logit_labels == ("no_relation", "A(e1,e2)", "A(e2,e1)", "B(e1,e2)", "B(e2,e1)", "near")
    assert pipe.labels == ("A", "B", "near")
    assert {relation.label for relation in get_relations(nlp(doc(nlp)))} <= set(pipe.labels)


@pytest.mark.parametrize("label", ["", 3, None])
def test_what_is_no_label_raises_l131(checkpoints, label) -> None:
    _, pipe, _ = start("luke_ner", checkpoints)
    with pytest.raises(LukeError, match=r"L131.*not empty"):
        pipe.add_label(label)


@pytest.mark.parametrize("kind", ["luke_qa", "luke_multiple_choice", "luke_entity_linker"])
def test_a_component_without_labels_raises_l131(kind: str) -> None:
    pipe = spacy.blank("en").add_pipe(kind)
    with pytest.raises(LukeError, match=r"L131.*has no labels"):
        pipe.add_label("A")
    assert pipe.label_data is None


def test_a_directed_label_among_others_raises_l131(checkpoints) -> None:
    _, pipe, _ = start("luke_relations", checkpoints)
    with pytest.raises(LukeError, match=r"L131.*directed_labels"):
        pipe.add_label("B(e1,e2)")
    _, tagger = component("luke_token_classifier", attribute="pos")
    tagger.initialize(lambda: [], checkpoint=str(checkpoints[ENCODERS[0]]), labels=["NOUN"])
    with pytest.raises(LukeError, match="L059"):
        tagger.add_label("B")


def test_the_negative_label_is_there_already(checkpoints) -> None:
    _, pipe, _ = start("luke_ner", checkpoints)
    assert pipe.add_label("NIL") == 0


def test_a_head_on_a_shared_encoder_gets_a_label_too(checkpoints, tmp_path: Path) -> None:
    nlp = initialized(checkpoints[ENCODERS[0]], ("luke_ner",))
    pipe = nlp.get_pipe("luke_ner")
    pipe.add_label("B")
    nlp.update(examples(nlp), sgd=adam(0.001))
    nlp.to_disk(tmp_path)
    one = doc(nlp)
    expected = {"luke_ner": [pipe.logits([one])[0][1]]}
    loaded = spacy.load(tmp_path)
    assert loaded.get_pipe("luke_ner").labels[-1] == "B"
    assert_same({"luke_ner": [loaded.get_pipe("luke_ner").logits([one])[0][1]]}, expected)
    alone = spacy.load(tmp_path, exclude=["luke_encoder"])
    with pytest.raises(LukeError, match="L066"):
        alone.get_pipe("luke_ner").add_label("C")


def test_a_label_that_is_added_in_a_memory_zone_outlives_it(checkpoints) -> None:
    nlp, pipe, _ = start("luke_ner", checkpoints)
    with nlp.memory_zone():
        pipe.add_label("GADGET")
    assert "GADGET" in nlp.vocab.strings
    assert pipe.labels == ("A", "GADGET")


# --- labels


def test_the_negative_label_is_no_label(checkpoints, tmp_path: Path) -> None:
    nlp, pipe, _ = start("luke_ner", checkpoints)
    assert pipe.labels == pipe.label_data == ("A",)
    assert pipe.logit_labels == ("NIL", "A")
    assert nlp.pipe_labels["luke_ner"] == ["A"]
    nlp.to_disk(tmp_path)
    assert json.loads((tmp_path / "meta.json").read_text())["labels"]["luke_ner"] == ["A"]
    _, relations, _ = start("luke_relations", checkpoints)
    assert (relations.labels, relations.logit_labels) == (("A",), ("no_relation", "A"))
    _, tagger, _ = start("luke_token_classifier", checkpoints)
    assert tagger.labels == ("A",)
    assert tagger.logit_labels[0] == "O"


def test_the_model_in_the_box_has_labels_that_it_predicts() -> None:
    nlp = spacy.load(default_model.bundled_pipeline())
    assert nlp.pipe_labels["luke_ner"] == ["LOC", "MISC", "ORG", "PER"]
    assert not [label for label in nlp.pipe_labels["luke_relations"] if "e1" in label or label == "no_relation"]
    meta = json.loads((default_model.bundled_pipeline() / "meta.json").read_text())
    assert meta["labels"] == dict(nlp.pipe_labels)
    assert not any(nlp.analyze_pipes()["problems"].values())
    card = (default_model.bundled_pipeline() / "README.md").read_text()
    for name, labels in nlp.pipe_labels.items():
        assert f"| `{name}` | {', '.join(f'`{label}`' for label in labels)} |" in card


def test_a_new_head_says_which_labels_are_gone(checkpoints) -> None:
    nlp, pipe, _ = start("luke_ner", checkpoints)
    pipe.add_label("C")
    with pytest.warns(LukeWarning, match=r"W039.*\(B\).*predict A, C no more"):
        pipe.initialize(lambda: [example(nlp, "B")], checkpoint=str(checkpoints[ENCODERS[0]]))
    with warnings.catch_warnings():
        warnings.simplefilter("error", LukeWarning)
        pipe.initialize(lambda: [example(nlp, "B")], checkpoint=str(checkpoints[ENCODERS[0]]))


# --- the bundled model


@pytest.mark.filterwarnings("ignore:.*W002")
def test_an_update_before_the_first_prediction_takes_the_weights_in_the_box() -> None:
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe("luke_ner")
    gold = Example.from_dict(nlp.make_doc("She lives in Berlin."), {"entities": [(13, 19, "LOC")]})
    with pytest.warns(LukeWarning, match="W001"):
        losses = nlp.update([gold], sgd=adam(1e-5))
    assert losses["luke_ner"] < 0.5, "it is trained already"
    assert pipe.labels == ("LOC", "MISC", "ORG", "PER")


@pytest.mark.filterwarnings("ignore:.*W00(1|2)")
def test_a_label_that_is_added_to_a_bare_component_joins_those_in_the_box() -> None:
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe("luke_ner")
    pipe.add_label("GADGET")
    gold = Example.from_dict(nlp.make_doc("A Frobnik fell."), {"entities": [(2, 9, "GADGET")]})
    sgd = adam(1e-3)
    for _ in range(12):
        nlp.update([gold], sgd=sgd)
    assert pipe.labels == ("LOC", "MISC", "ORG", "PER", "GADGET")
    assert [(ent.text, ent.label_) for ent in nlp("A Frobnik fell.").ents] == [("Frobnik", "GADGET")]


@pytest.mark.filterwarnings("ignore:.*W0(01|02|26)")
def test_a_shared_encoder_takes_its_weights_in_an_update_too() -> None:
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe("luke_encoder")
    nlp.update([Example.from_dict(nlp.make_doc(TEXT), {})], sgd=adam(1e-5))
    assert pipe.has_weights
