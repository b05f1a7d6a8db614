"""The config of en_luke_mini: several components learn on one encoder, each from its own corpora."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, DocBin, SpanGroup
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from thinc.api import Config

from spacy_luke.annotations import (
    has_annotation,
    set_answers,
    set_entity_labels,
    set_entity_types,
    set_questions,
    set_relations,
)
from tests.pipeline.entity_linker.model import make_doc, make_kb, write_linker

CONFIGS = Path(__file__).parents[2] / "projects" / "en_luke_mini" / "configs"
TEXT = "Ada Lovelace met Charles Babbage in London on June 5 , 1833 ."
NLP = spacy.blank("en")
NAMES = ("luke_ner", "luke_entity_typer", "luke_relations", "luke_entity_linker", "luke_qa")


def plain() -> Doc:
    doc = Doc(NLP.vocab, words=TEXT.split(), sent_starts=[True] + [False] * 12)
    doc.set_ents([doc.char_span(0, 12, label="PER"), doc.char_span(17, 32, label="PER"), doc.char_span(36, 42, "LOC")])
    return doc


def given() -> Doc:
    doc = plain()
    doc.spans["mentions"] = SpanGroup(doc, name="mentions", spans=list(doc.ents))
    set_relations(doc, [(doc.ents[0], doc.ents[1], "met")])
    for ent in doc.ents:
        set_entity_types(ent, ["person"] if ent.label_ == "PER" else ["place"])
    doc.set_ents([], default="missing")
    set_entity_labels(doc, ())
    return doc


def asked() -> Doc:
    doc = plain()
    set_questions(doc, ["Who met Babbage?"])
    set_answers(doc, [("Who met Babbage?", doc.ents[0])])
    doc.set_ents([], default="missing")
    set_entity_labels(doc, ())
    return doc


def linked() -> Doc:
    doc = make_doc(NLP, links={0: "Ada Lovelace", 2: "London"})
    for token in doc:
        token.is_sent_start = token.i == 0
    set_entity_labels(doc, ())
    return doc


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Corpora, a pretrained encoder and a knowledge base."""
    folder = tmp_path_factory.mktemp("joint")
    docs = {"entities": plain, "relations": given, "types": given, "questions": asked, "links": linked}
    for part in ("train", "dev"):
        for name, make in docs.items():
            path = folder / "corpus" / part / ("entities/all" if (part, name) == ("dev", "entities") else name)
            path.parent.mkdir(parents=True, exist_ok=True)
            DocBin(docs=[make() for _ in range(4)], store_user_data=True).to_disk(path.with_suffix(".spacy"))
    (folder / "encoder").mkdir()
    write_linker(folder / "encoder")
    make_kb(NLP.vocab).to_disk(folder / "kb")
    return folder


def joint_config(folder: Path) -> Config:
    overrides = {
        "paths.corpus": str(folder / "corpus"),
        "paths.checkpoint": str(folder / "encoder"),
        "paths.kb": str(folder / "kb"),
        "components.luke_ner.span_filter.layer": 1,
        "components.luke_relations.single_tail": None,  # labels that this corpus does not have
        "training.max_steps": 20,
        "training.eval_frequency": 20,
        "training.optimizer.learn_rate.warmup_steps": 1,
        "training.optimizer.learn_rate.initial_rate": 0.003,
    }
    return Config().from_disk(CONFIGS / "en_luke_mini.cfg", overrides=overrides)


def losses(folder: Path) -> dict[str, float]:
    performance = json.loads((folder / "meta.json").read_text())["performance"]
    return {name: performance[f"{name}_loss"] for name in NAMES}


@pytest.mark.filterwarnings("ignore:.*W0(03|09|20|23)")
def test_the_config_is_complete_and_every_component_learns(folder: Path, tmp_path: Path) -> None:
    config = joint_config(folder)
    made = spacy.util.load_model_from_config(config, auto_fill=False, validate=True)
    filled = spacy.util.load_model_from_config(config, auto_fill=True).config
    assert made.config["components"] == filled["components"]
    nlp = init_nlp(config)
    train(nlp, tmp_path)
    loaded = spacy.load(tmp_path / "model-last")
    doc = loaded(plain().text)
    assert ("June 5 , 1833", "DATE") in [(ent.text, ent.label_) for ent in doc.ents]
    assert loaded.get_pipe("luke_ner").label_data == ("LOC", "PER")
    assert loaded.get_pipe("luke_entity_typer").labels == ("person", "place")
    assert loaded.get_pipe("luke_relations").label_data == ("met",)
    assert has_annotation(doc, "relations")
    assert all(loss > 0 for loss in losses(tmp_path / "model-last").values())


@pytest.mark.filterwarnings("ignore:.*W0(03|09|20|23)")
def test_training_goes_on_from_components_of_a_saved_pipeline(folder: Path, tmp_path: Path) -> None:
    config = joint_config(folder)
    (tmp_path / "0").mkdir()
    train(init_nlp(config), tmp_path / "0")
    before = spacy.load(tmp_path / "0" / "model-last")
    config["components"] = {name: {"source": str(tmp_path / "0" / "model-last")} for name in before.pipe_names}
    config["initialize"]["components"] = {}
    nlp = init_nlp(config)
    encoder = nlp.get_pipe("luke_encoder").encoder
    for name in NAMES:
        assert nlp.get_pipe(name).labels == before.get_pipe(name).labels
        assert nlp.get_pipe(name)._module.encoder is encoder, name
    (tmp_path / "1").mkdir()
    train(nlp, tmp_path / "1")
    after, first = losses(tmp_path / "1" / "model-last"), losses(tmp_path / "0" / "model-last")
    assert sum(after.values()) < sum(first.values())
