"""Bare components with a bundled model whose components share an encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from spacy_luke import default_model
from spacy_luke.annotations import get_relations, set_relations
from spacy_luke.errors import LukeWarning
from tests.pipeline.entity_linker.model import make_doc, make_kb, write_linker

SHARED = {"encoder": {"@architectures": "spacy-luke.SharedEncoder.v1"}}
LUKE = {"@architectures": "spacy-luke.LukeEncoder.v1", "entity_vocab": "full"}
TASKS = ("luke_ner", "luke_relations", "luke_qa", "luke_entity_linker")
TEXT = "Ada Lovelace met Charles Babbage in London."
pytestmark = pytest.mark.filterwarnings("ignore:.*W0(02|20|23|26)")


def annotated(nlp: Language) -> Doc:
    doc = nlp.make_doc(TEXT)
    doc.set_ents([doc.char_span(0, 12, label="PER"), doc.char_span(36, 42, label="LOC")])
    for token in doc:
        token.is_sent_start = token.i == 0
    set_relations(doc, [(doc.ents[0], doc.ents[1], "was in")])
    return doc


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved pipeline with one encoder and four heads."""
    folder = tmp_path_factory.mktemp("checkpoint")
    write_linker(folder)
    nlp = spacy.blank("en")
    nlp.add_pipe("luke_encoder", config={"set_vectors": False, "model": LUKE})
    for task in TASKS:
        nlp.add_pipe(task, config={"model": SHARED})
    nlp.get_pipe("luke_entity_linker").set_kb(make_kb)
    nlp.config["initialize"]["components"] = {"luke_encoder": {"checkpoint": str(folder)}}
    nlp.initialize(lambda: [Example(annotated(nlp), annotated(nlp))])
    nlp.to_disk(folder / "bundled")
    return folder / "bundled"


@pytest.fixture
def bundled(pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> Language:
    monkeypatch.setattr(default_model, "bundled_pipeline", lambda: pipeline)
    return spacy.load(pipeline)


def bare(task: str, **config):
    nlp = spacy.blank("en")
    return nlp, nlp.add_pipe(task, config=config)


@pytest.mark.parametrize("task", TASKS)
def test_a_bare_component_has_its_head_on_the_encoder_of_the_bundled_model(bundled: Language, task: str) -> None:
    _, pipe = bare(task)
    with pytest.warns(LukeWarning, match=f"W001.*{task} was added"):
        pipe._require_weights_or_bundled([])
    wanted, found = (one._module.state_dict() for one in (bundled.get_pipe(task), pipe))
    assert found.keys() == wanted.keys()
    for name, tensor in found.items():
        if "entity_embeddings.entity." not in name:  # trimmed to the special entities
            np.testing.assert_array_equal(tensor.numpy(), wanted[name].numpy(), err_msg=name)
    assert pipe._module.encoder is not bundled.get_pipe("luke_encoder").encoder


@pytest.mark.filterwarnings("ignore:.*W001")
def test_bare_components_predict_what_the_pipeline_predicts(bundled: Language) -> None:
    nlp = spacy.blank("en")
    for task in ("luke_ner", "luke_relations"):
        nlp.add_pipe(task)
    docs = [bundled(TEXT), nlp(TEXT)]
    ents, relations = ([(e.start, e.end, e.label_) for e in doc.ents] for doc in docs), map(get_relations, docs)
    assert len({tuple(found) for found in ents}) == 1
    assert len({tuple((str(r.head), str(r.tail), r.label) for r in found) for found in relations}) == 1


@pytest.mark.filterwarnings("ignore:.*W001")
def test_a_bare_linker_has_the_knowledge_base_unless_it_was_given_one(bundled: Language) -> None:
    nlp, pipe = bare("luke_entity_linker")
    wanted = [ent.kb_id_ for ent in bundled.get_pipe("luke_entity_linker")(make_doc(bundled)).ents]
    assert [ent.kb_id_ for ent in pipe(make_doc(nlp)).ents] == wanted
    assert pipe.kb is not None
    nlp, pipe = bare("luke_entity_linker")
    pipe.set_kb(make_kb)
    given = pipe.kb
    pipe(make_doc(nlp))
    assert pipe.kb is given


@pytest.mark.filterwarnings("ignore:.*W001")
def test_a_bare_component_from_the_box_is_saved_whole(bundled: Language, tmp_path: Path) -> None:
    nlp, pipe = bare("luke_ner")
    wanted = pipe(nlp(TEXT)).ents
    nlp.to_disk(tmp_path)
    assert (tmp_path / "luke_ner" / "config.json").is_file()
    loaded = spacy.load(tmp_path)
    assert [str(e) for e in loaded(TEXT).ents] == [str(e) for e in wanted]


def test_without_labels_initialising_takes_the_head_of_the_bundled_model(bundled: Language) -> None:
    for task in TASKS:
        nlp, pipe = bare(task)
        nlp.initialize()
        assert pipe.labels == bundled.get_pipe(task).labels


def test_new_labels_get_a_new_head_on_the_encoder_of_the_bundled_model(bundled: Language) -> None:
    _, pipe = bare("luke_ner")
    pipe.initialize(lambda: [], labels=["HERO"])
    assert pipe.label_data == ("HERO",)
    weights = bundled.get_pipe("luke_encoder").encoder.state_dict()
    assert np.array_equal(
        pipe._module.encoder.state_dict()["embeddings.word.weight"], weights["embeddings.word.weight"]
    )


def test_a_linker_with_further_entities_starts_from_the_bundled_encoder(bundled: Language, tmp_path: Path) -> None:
    (tmp_path / "titles.txt").write_text("London\nMars\n", encoding="utf8")
    _, pipe = bare("luke_entity_linker")
    pipe.initialize(lambda: [], entities=str(tmp_path / "titles.txt"))
    bundled_rows = len(bundled.get_pipe("luke_entity_linker")._module.entity_predictions.bias)
    assert len(pipe._module.entity_predictions.bias) == bundled_rows + 1
    assert pipe.entity_id("Mars") == bundled_rows


def test_a_component_that_the_bundled_model_lacks_takes_nothing(bundled: Language) -> None:
    with pytest.raises(Exception, match="L040"):
        bare("luke_textcat")[1](Doc(spacy.blank("en").vocab, words=["Ada"]))


def test_a_shared_encoder_without_weights_is_that_of_the_bundled_model(bundled: Language) -> None:
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe("luke_encoder")
    with pytest.warns(LukeWarning, match="W026"):
        nlp("Ada")
    weights = bundled.get_pipe("luke_encoder").encoder.state_dict()["embeddings.word.weight"]
    assert np.array_equal(pipe.encoder.state_dict()["embeddings.word.weight"], weights)
