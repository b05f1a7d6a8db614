"""Training `luke_entity_typer`: targets, loss and gradient beside transformers, and every start of training."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from thinc.api import Config
from transformers import LukeModel

from spacy_luke.errors import LukeError, LukeWarning
from spacy_luke.pipeline.entity_markers.component import ScoredItems
from tests.pipeline.entity_markers.model import (
    ENTITY,
    TYPES,
    open_reference,
    with_ents,
    write_checkpoint,
)
from tests.pipeline.short_training import CONFIGS, adam, assert_complete, gradients, short, trained
from tests.util import luke_config, randomise, write_luke

CONFIG = CONFIGS / "entity_typer.cfg"
NAME = "luke_entity_typer"
ENTS = [(0, 1, "X"), (2, 3, "X"), (4, 5, "X")]
DATA = [
    ("Ada met Bo in London .", {0: ["person", "writer"], 2: ["person"], 4: ["city"]}),
    ("Cy left Di for Paris .", {0: ["person", "artist"], 2: [], 4: ["city"]}),
]


def make_doc(nlp, text: str) -> Doc:
    doc = Doc(nlp.vocab, words=text.split())
    for token in doc:
        token.is_sent_start = token.i == 0
    return with_ents(doc, ENTS)


def examples(nlp, data=DATA) -> list[Example]:
    """data: texts, and types by token; a token that is missing is not annotated."""
    made = []
    for text, types in data:
        reference = make_doc(nlp, text)
        for i, labels in types.items():
            reference[i : i + 1]._.entity_types = labels
        made.append(Example(make_doc(nlp, text), reference))
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("entities"), ENTITY)


def component(folder: Path | None = None, *, data=DATA, labels=None, **config):
    """A pipeline and its component, initialised with data."""
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe(NAME, config=config)
    gold = examples(nlp, data)
    pipe.initialize(lambda: gold, checkpoint=str(folder) if folder else None, labels=labels)
    return nlp, pipe


def targets(pipe, gold: Example) -> dict[int, set[str]]:
    """Gold labels of each span, by its first token."""
    items = pipe._items(gold.predicted, pipe._layout())
    found = pipe._targets(gold, items)
    return {
        span.start: {pipe.labels[i] for i in np.flatnonzero(row)}
        for (span,), row, known in zip(items, found.labels, found.known, strict=True)
        if known
    }


@pytest.mark.filterwarnings("ignore:.*W009")
@pytest.mark.parametrize("multi", [True, False])
def test_loss_and_gradient_are_those_of_transformers(folder, multi: bool) -> None:
    nlp, pipe = component(folder, multi_label=multi)
    gold = examples(nlp)
    loss = pipe.update(gold, losses={})[NAME]
    ours = gradients(pipe)
    model, tokenizer = open_reference(folder, ENTITY)
    rows, wanted = [], []
    for one in gold:
        for start, labels in targets(pipe, one).items():
            span = one.predicted[start : start + 1]
            rows.append(tokenizer(one.predicted.text, entity_spans=[(span.start_char, span.end_char)]))
            wanted.append([float(label in labels) for label in pipe.labels])
    assert len(rows) == (6 if multi else 5)
    batch = tokenizer.pad(rows, return_tensors="pt")
    labels = torch.tensor(wanted)
    expected = model(**batch, labels=labels if multi else labels.argmax(1)).loss
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-4)
    luke = model.luke
    for ours_name, theirs in (
        ("classifier.weight", model.classifier.weight),
        ("classifier.bias", model.classifier.bias),
        ("encoder.layers.0.attention.key.weight", luke.encoder.layer[0].attention.self.key.weight),
        (
            "encoder.layers.1.attention.entity_to_piece_query.weight",
            luke.encoder.layer[1].attention.self.e2w_query.weight,
        ),
        ("encoder.entity_embeddings.position.weight", luke.entity_embeddings.position_embeddings.weight),
    ):
        torch.testing.assert_close(ours[ours_name], theirs.grad, atol=1e-4, rtol=1e-3)


@pytest.mark.filterwarnings("ignore:.*W009")
@pytest.mark.parametrize("multi", [True, False])
def test_training_learns_the_examples(folder, multi: bool) -> None:
    nlp, _ = component(folder, multi_label=multi)
    sgd = adam()
    for _ in range(60):
        loss = nlp.update(examples(nlp), sgd=sgd, losses={})[NAME]
        if loss < 0.02:
            break
    assert loss < 0.05
    scores = nlp.evaluate(examples(nlp))
    assert scores["types_micro_p"] == (1.0 if multi else pytest.approx(5 / 6))
    assert scores["types_micro_r"] == (1.0 if multi else pytest.approx(5 / 7))


def test_annotated_with_none_is_learned_and_not_annotated_is_not(folder) -> None:
    nlp, pipe = component(folder)
    gold = examples(nlp, [(DATA[0][0], {0: ["person", "writer"], 2: []})])[0]
    assert targets(pipe, gold) == {0: {"person", "writer"}, 2: set()}
    alone = pipe.update([gold], losses={})[NAME]
    gradients(pipe)
    unknown = examples(nlp, [(DATA[0][0], {})])
    assert pipe.update([gold, *unknown], losses={})[NAME] == pytest.approx(alone)
    gradients(pipe)
    assert pipe.update(unknown, losses={})[NAME] == 0.0
    assert not gradients(pipe)
    scores = nlp.evaluate(unknown)
    assert scores["types_micro_f"] is None
    assert nlp.evaluate([gold])["types_micro_f"] is not None


def test_where_one_type_is_learned_it_is_the_first_and_the_rest_is_reported(folder) -> None:
    with pytest.warns(LukeWarning, match=r"W009.*luke_entity_typer.*2 gold spans"):
        nlp, pipe = component(folder, multi_label=False)
    assert targets(pipe, examples(nlp)[0]) == {0: {"person"}, 2: {"person"}, 4: {"city"}}
    assert targets(pipe, examples(nlp)[1]) == {0: {"person"}, 4: {"city"}}, "of no type nothing can be learned"


def test_spans_under_a_key_are_learned(folder) -> None:
    nlp, pipe = component(folder, spans_key="sc", data=[], labels=list(TYPES))
    gold = examples(nlp)[0]
    assert targets(pipe, gold) == {}
    gold.predicted.spans["sc"] = [gold.predicted[0:1], gold.predicted[3:5]]
    gold.reference[3:5]._.entity_types = ["city"]
    assert targets(pipe, gold) == {0: {"person", "writer"}, 3: {"city"}}


def test_gold_spans_that_the_predicted_doc_lacks_are_reported(folder) -> None:
    nlp = spacy.blank("en")
    gold = examples(nlp)
    gold[0].predicted.set_ents(gold[0].predicted.ents[:1])
    pipe = nlp.add_pipe(NAME)
    with pytest.warns(LukeWarning, match=r"W019.*2 of 6 gold spans.*no spans of the predicted Doc.*'Bo'; 'London'"):
        pipe.initialize(lambda: gold, checkpoint=str(folder))
    assert targets(pipe, gold[0]) == {0: {"person", "writer"}}


def test_labels_that_the_component_does_not_have_are_errors(folder) -> None:
    nlp, _ = component(folder)
    with pytest.raises(LukeError, match=r"L041.*hero, saint.*luke_entity_typer.*artist") as caught:
        nlp.update(examples(nlp, [(DATA[0][0], {0: ["saint", "person"], 2: ["hero"]})]))
    assert caught.value.code == "L041"


# Predictions


def decoded(pipe, rows: list[list[float]]) -> list[tuple[str, ...]]:
    """Types of the entities of a Doc for the raw scores of each."""
    doc = make_doc(spacy.blank("en"), DATA[0][0])
    pipe.set_annotations([doc], [ScoredItems([(ent,) for ent in doc.ents], np.array(rows, dtype=np.float32))])
    return [tuple(ent._.entity_types) for ent in doc.ents]


def test_a_probability_equal_to_the_threshold_is_enough_and_of_equal_types_the_first_is_first(folder) -> None:
    _, pipe = component(folder)
    unsure, sure = [0.0] * len(TYPES), [-1.0] * (len(TYPES) - 1) + [1.0]
    assert pipe.threshold == 0.5
    assert decoded(pipe, [unsure, sure, [-1e-3] * len(TYPES)]) == [TYPES, TYPES[-1:], ()]


def test_spans_after_one_whose_output_is_not_finite_have_types(folder) -> None:
    _, pipe = component(folder)
    sure = [-1.0] * (len(TYPES) - 1) + [1.0]
    assert decoded(pipe, [[float("nan")] * len(TYPES), sure, sure]) == [(), TYPES[-1:], TYPES[-1:]]


# Where training starts from


def test_a_checkpoint_with_all_labels_keeps_its_head(folder) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", LukeWarning)
        _, pipe = component(folder)
    assert torch.equal(pipe._module.classifier.weight, open_reference(folder, ENTITY)[0].classifier.weight)
    assert pipe.labels == pipe.label_data == TYPES


def test_other_labels_get_a_new_head(folder, tmp_path) -> None:
    data = [(DATA[0][0], {0: ["hero"], 4: ["city"]})]
    with pytest.warns(LukeWarning, match=r"W006.*hero"):
        nlp, pipe = component(folder, data=data, multi_label=False)
    assert pipe.labels == pipe.label_data == ("city", "hero")
    pipe.to_disk(tmp_path)
    assert open_reference(tmp_path, ENTITY)[0].config.problem_type == "single_label_classification"
    nlp.update(examples(nlp, data), sgd=adam())


@pytest.mark.parametrize("bundled", [True, False], ids=["bundled", "LUKE"])
def test_other_encoders_get_a_new_head(tmp_path, bundled: bool) -> None:
    if not bundled:
        write_luke(tmp_path, randomise(LukeModel(luke_config())))
    nlp, pipe = component(None if bundled else tmp_path)
    assert pipe.labels == TYPES
    assert pipe.multi_label
    sgd = adam(1e-4)
    losses = [nlp.update(examples(nlp), sgd=sgd, losses={})[NAME] for _ in range(3)]
    assert losses[-1] < losses[0]


def test_no_labels_at_all_is_an_error(tmp_path) -> None:
    write_luke(tmp_path, randomise(LukeModel(luke_config())))
    with pytest.raises(LukeError, match=r"L043.*luke_entity_typer"):
        component(tmp_path, data=[(DATA[0][0], {0: []})])


def test_training_resumes_from_a_saved_pipeline(folder, tmp_path) -> None:
    nlp, _ = component(folder)
    nlp.update(examples(nlp), sgd=adam())
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    sgd = loaded.resume_training()
    first = loaded.update(examples(loaded), sgd=sgd, losses={})[NAME]
    assert first == pytest.approx(nlp.update(examples(nlp), losses={})[NAME], abs=1e-5)


def test_the_config_trains_and_is_complete(folder, tmp_path) -> None:
    nlp = spacy.blank("en")
    docs = [one.reference for one in examples(nlp) * 3]
    DocBin(docs=docs, store_user_data=True).to_disk(tmp_path / "corpus.spacy")
    overrides = short(tmp_path / "corpus.spacy", folder)
    config = Config().from_disk(CONFIG, overrides=overrides)
    assert_complete(config)
    best = trained(config, tmp_path / "out")
    assert best.get_pipe(NAME).labels == TYPES
    assert 0 <= best.meta["performance"]["types_micro_f"] <= 1
