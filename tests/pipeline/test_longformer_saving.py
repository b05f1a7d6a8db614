"""Components on a Longformer: which checkpoints they take, and what they save."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc
from transformers import LongformerForMaskedLM, LongformerForQuestionAnswering, LongformerModel

import spacy_luke
from spacy_luke.errors import LukeError
from tests.checkpoints.test_upcycle import write_source
from tests.pipeline.longformer_model import (
    ARCHITECTURES,
    CHOICES,
    LABELS,
    LONGFORMER,
    TEXT,
    cut,
    make,
    watch,
    with_ents,
    write_encoder,
)
from tests.util import longformer_config, randomise, write_longformer, write_luke

FACTORIES = list(LABELS)
LONG = " ".join([TEXT] * 4)
BLOCK = "spacy-luke.LongformerEncoder.v1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def pipelines(folder):
    return {factory: make(factory, folder) for factory in FACTORIES}


@pytest.fixture(scope="module")
def saved(pipelines, tmp_path_factory) -> dict[str, Path]:
    """Pipelines on disk."""
    folders = {factory: tmp_path_factory.mktemp(factory) for factory in FACTORIES}
    for factory, path in folders.items():
        pipelines[factory][0].to_disk(path)
    return folders


@pytest.fixture(scope="module")
def luke(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("luke")
    write_luke(folder)
    return folder


def docs_of(nlp) -> list[Doc]:
    docs = [with_ents(cut(nlp.make_doc(text), 8)) for text in (TEXT, LONG)]
    for doc in docs:
        doc._.questions = ["Who met Babbage?", "When?"]
        doc._.choices = CHOICES
    return [docs[0], cut(nlp.make_doc("Ada met Bo.")), docs[1], nlp.make_doc("")]


def logits_of(nlp) -> list[np.ndarray]:
    [(_, pipe)] = nlp.pipeline
    found = [rows for _, rows in pipe.logits(docs_of(nlp))]
    return [rows for doc_rows in found for rows in (doc_rows if isinstance(doc_rows, list) else [doc_rows])]


def check_same(nlp, other) -> None:
    expected, found = logits_of(nlp), logits_of(other)
    assert sum(map(len, expected)) > 1
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_array_equal(a, b)


def annotations(doc: Doc) -> tuple[list, list[float]]:
    """Annotations that any of the components writes, and their scores."""
    ents, relations, answers = doc.ents, doc._.relations or (), doc._.answers or ()
    written = [
        [(e.start, e.end, e.label_, e._.entity_types, list(e._.entity_type_scores)) for e in ents],
        [(r.head.start, r.tail.start, r.label) for r in relations],
        [(a.question, a.text, a.start_char) for a in answers],
        list(doc.cats),
        [(c.number, c.index) for c in doc._.chosen],
    ]
    types = [score for e in ents for score in e._.entity_type_scores.values()]
    return written, [
        *types,
        *(e._.score or 0.0 for e in ents),
        *(r.score for r in relations),
        *(a.score for a in answers),
        *doc.cats.values(),
        *(c.score for c in doc._.chosen),
    ]


# Saving


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_saved_pipeline_gives_exactly_the_same(pipelines, saved, factory: str) -> None:
    loaded = spacy.load(saved[factory])
    assert loaded.config["components"][factory]["model"]["encoder"]["@architectures"] == BLOCK
    check_same(pipelines[factory][0], loaded)


@pytest.mark.parametrize("factory", FACTORIES)
def test_bytes_give_exactly_the_same(pipelines, factory: str) -> None:
    other = spacy.blank("en")
    other.add_pipe(factory, config={"model": LONGFORMER})
    check_same(pipelines[factory][0], other.from_bytes(pipelines[factory][0].to_bytes()))


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_component_can_be_sourced(pipelines, saved, factory: str) -> None:
    other = spacy.blank("en")
    other.add_pipe(factory, source=spacy.load(saved[factory]))
    check_same(pipelines[factory][0], other)


@pytest.mark.parametrize("factory", FACTORIES)
def test_config_json_names_the_head_and_the_encoder(saved, factory: str) -> None:
    config = json.loads((saved[factory] / factory / "config.json").read_text())
    assert config["architectures"] == [ARCHITECTURES[factory]]
    assert config["model_type"] == "longformer"
    assert config["attention_window"] == [4, 8, 16]
    assert not (saved[factory] / factory / "entity_vocab.json").exists()


@pytest.mark.parametrize("factory", FACTORIES)
def test_transformers_reads_the_encoder_of_a_saved_component(pipelines, saved, folder, factory: str) -> None:
    theirs = LongformerModel.from_pretrained(saved[factory] / factory, add_pooling_layer=False).state_dict()
    original = LongformerModel.from_pretrained(folder, add_pooling_layer=False).state_dict()
    for name, tensor in original.items():
        torch.testing.assert_close(theirs[name], tensor, atol=0, rtol=0)


@pytest.mark.parametrize("factory", FACTORIES)
def test_saving_again_writes_the_same(saved, tmp_path, factory: str) -> None:
    spacy.load(saved[factory]).to_disk(tmp_path)
    for file in sorted((saved[factory] / factory).iterdir()):
        assert (tmp_path / factory / file.name).read_bytes() == file.read_bytes(), file.name


@pytest.mark.parametrize("factory", FACTORIES)
def test_pipe_gives_what_call_gives_in_one_process_and_in_two(pipelines, factory: str) -> None:
    nlp = pipelines[factory][0]
    expected = [annotations(nlp(doc)) for doc in docs_of(nlp)]
    assert len(set(map(str, expected))) > 1
    for processes in (1, 2):
        found = nlp.pipe(docs_of(nlp), n_process=processes, batch_size=2)
        for (one, scores), (many, their_scores) in zip(expected, map(annotations, found), strict=True):
            assert many == one
            np.testing.assert_allclose(their_scores, scores, atol=1e-5)


# Checkpoints


@pytest.mark.parametrize("factory", FACTORIES)
def test_from_checkpoint_takes_the_component_and_the_encoder_of_the_folder(pipelines, saved, factory: str) -> None:
    nlp = spacy_luke.from_checkpoint(saved[factory] / factory, sentences=None)
    assert nlp.pipe_names == [factory]
    assert nlp.config["components"][factory]["model"]["encoder"]["@architectures"] == BLOCK
    assert nlp.get_pipe(factory).logit_labels == pipelines[factory][1].logit_labels
    check_same(pipelines[factory][0], nlp)


def test_from_checkpoint_keeps_the_encoder_beside_other_settings(saved) -> None:
    config = {"overlap": True, "model": {"encoder": {"precision": "bfloat16"}}}
    nlp = spacy_luke.from_checkpoint(saved["luke_ner"] / "luke_ner", config=config)
    encoder = nlp.config["components"]["luke_ner"]["model"]["encoder"]
    assert (encoder["@architectures"], encoder["precision"]) == (BLOCK, "bfloat16")
    assert nlp.get_pipe("luke_ner")._module.encoder.precision == "bfloat16"


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_checkpoint_of_the_other_encoder_is_refused(saved, luke, factory: str) -> None:
    pipe = spacy.load(saved[factory]).get_pipe(factory)
    labels = pipe.logit_labels
    for take in (pipe.load_checkpoint, lambda path: pipe.initialize(lambda: [], checkpoint=str(path), labels=["X"])):
        with pytest.raises(LukeError, match=r"L051.*LongformerEncoder.*luke checkpoint.*LukeEncoder") as caught:
            take(luke)
        assert caught.value.code == "L051"
    assert pipe.logit_labels == labels
    other = spacy.blank("en").add_pipe(factory)
    with pytest.raises(LukeError, match=r"L051.*LukeEncoder.*longformer checkpoint.*LongformerEncoder"):
        other.load_checkpoint(saved[factory] / factory)
    assert not other.has_weights


def test_a_checkpoint_with_another_head_is_refused_by_both_names(saved) -> None:
    pipe = spacy.blank("en").add_pipe("luke_relations", config={"model": LONGFORMER})
    with pytest.raises(LukeError, match=r"L042.*LongformerForEntityPair.*LongformerForEntitySpan"):
        pipe.load_checkpoint(saved["luke_ner"] / "luke_ner")


def test_a_new_head_keeps_the_mention_states_of_another_task(saved, pipelines) -> None:
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe("luke_relations", config={"model": LONGFORMER})
    pipe.initialize(lambda: [], checkpoint=str(saved["luke_ner"] / "luke_ner"), labels=["met"])
    learned = pipelines["luke_ner"][1]._module.encoder.state_dict()
    for name, tensor in pipe._module.encoder.state_dict().items():
        torch.testing.assert_close(tensor, learned[name], atol=0, rtol=0)
    assert pipe.logit_labels == ("no_relation", "met")


@pytest.mark.parametrize("factory", FACTORIES)
@pytest.mark.parametrize("kind", [LongformerForMaskedLM, LongformerForQuestionAnswering])
def test_training_starts_from_the_encoder_of_transformers_classes(tmp_path, factory: str, kind) -> None:
    write_longformer(tmp_path, randomise(kind(longformer_config())))
    _, pipe = make(factory, tmp_path)
    theirs = LongformerModel.from_pretrained(tmp_path, add_pooling_layer=False)
    word = pipe._module.encoder.state_dict()["embeddings.word.weight"]
    torch.testing.assert_close(word, theirs.embeddings.word_embeddings.weight)


@pytest.mark.parametrize("factory", FACTORIES)
@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm-roberta"])
def test_plain_encoders_are_read_as_longformers(tmp_path, factory: str, kind: str, monkeypatch) -> None:
    (tmp_path / "plain").mkdir()
    write_source(tmp_path / "plain", kind)
    nlp, pipe = make(factory, tmp_path / "plain")
    assert pipe._module.encoder.config.model_type == "longformer"
    longest = pipe.max_pieces if factory == "luke_multiple_choice" else pipe.windows.max_pieces
    assert longest >= 4096 - 4
    batches = watch(pipe, monkeypatch)
    doc = docs_of(nlp)[2]
    pipe.logits([doc])
    assert max(batch.piece_ids.shape[1] for batch in batches) > 100, "more than the 64 positions of the source"
    rows = sum(len(asked.options) for asked in doc._.choices) if factory == "luke_multiple_choice" else 2
    assert all(batch.piece_ids.shape[0] <= rows for batch in batches)
    monkeypatch.undo()
    nlp.to_disk(tmp_path / "saved")
    config = json.loads((tmp_path / "saved" / factory / "config.json").read_text())
    assert (config["model_type"], config["architectures"]) == ("longformer", [ARCHITECTURES[factory]])
    assert config.get("spacy_luke", {}).get("piece_types") == ("case" if kind == "bert" else None)
    check_same(nlp, spacy.load(tmp_path / "saved"))


def test_windows_of_the_config_are_saved_and_those_of_another_task_are_not_taken(folder, tmp_path) -> None:
    windows = {"@misc": "spacy-luke.strided_windows.v1", "max_pieces": 70, "stride": 30}
    make("luke_ner", folder, windows=windows)[1].to_disk(tmp_path)
    again = spacy_luke.from_checkpoint(tmp_path).get_pipe("luke_ner")
    assert (again.windows.max_pieces, again.windows.stride) == (70, 30)
    assert make("luke_entity_typer", tmp_path)[1].windows.max_pieces == 126


def test_a_component_that_was_never_given_a_checkpoint_says_what_is_missing() -> None:
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe("luke_relations", config={"model": LONGFORMER})
    with pytest.raises(LukeError, match=r"L052.*Give.*checkpoint"):
        pipe.logits([nlp.make_doc(TEXT)])


@pytest.mark.parametrize("factory", FACTORIES)
def test_the_box_has_no_longformer_to_train_from(factory: str) -> None:
    pipe = spacy.blank("en").add_pipe(factory, config={"model": LONGFORMER})
    with pytest.raises(LukeError, match=r"L052.*LongformerEncoder.*Give.*checkpoint"):
        pipe.initialize(lambda: [], labels=["X"])
    assert not pipe.has_weights
