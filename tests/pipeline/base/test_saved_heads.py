"""A head knows the encoder that it was saved with, so that a mixture of two saved pipelines is noticed."""

import json
import shutil
import warnings
from pathlib import Path

import pytest
import spacy
import torch
from transformers import LukeModel

from spacy_luke.checkpoints.fingerprint import fingerprint
from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.checkpoints.writer import save_checkpoint
from spacy_luke.errors import LukeError, LukeWarning
from tests.pipeline.encoder.shared_model import (
    SHARED,
    adam,
    assert_same,
    build,
    encoder_of,
    examples,
    initialized,
    logits,
    write_bare,
)
from tests.pipeline.entity_linker import model as linker_model
from tests.util import luke_config, randomise, write_luke

TASKS = ("luke_ner", "luke_relations", "luke_textcat", "luke_qa")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bare(tmp_path_factory.mktemp("bare"))


@pytest.fixture
def nlp(checkpoint: Path):
    return initialized(checkpoint, TASKS)


def cfg_of(folder: Path, name: str) -> dict:
    return json.loads((folder / name / "cfg").read_text())


# --- the fingerprint


def test_the_fingerprint_is_that_of_the_weights_however_they_are_stored(checkpoint: Path, tmp_path: Path) -> None:
    opened = open_checkpoint(checkpoint)
    encoder = opened.load_encoder()
    expected = fingerprint(encoder)
    for dtype in (torch.float32, torch.float16):
        save_checkpoint(tmp_path, opened.describe(encoder.config), encoder, dtype=dtype)
        stored = open_checkpoint(tmp_path)
        for entity_vocab in ("full", "special"):
            assert fingerprint(stored.load_encoder(entity_vocab)) == expected
        assert fingerprint(stored.load_encoder(pooling=False)) == expected, "some heads add a pooler"
    assert fingerprint(encoder.half()) == expected


def test_one_step_of_training_changes_the_fingerprint(nlp) -> None:
    before = fingerprint(encoder_of(nlp, "luke_ner"))
    nlp.update(examples(nlp), sgd=adam(1e-5))
    nlp.get_pipe("luke_encoder").flush_step()
    assert fingerprint(encoder_of(nlp, "luke_ner")) != before


# --- mixtures


@pytest.mark.parametrize("places", range(1, len(TASKS) + 1))
def test_a_save_over_an_older_pipeline_that_was_killed_is_noticed(nlp, tmp_path: Path, places: int) -> None:
    """Killed after so many components: the folder has these as they are now, and the others as they were."""
    nlp.to_disk(tmp_path / "pipeline")
    nlp.update(examples(nlp), sgd=adam())
    nlp.to_disk(tmp_path / "new")
    for name in ("luke_encoder", *TASKS)[:places]:
        shutil.rmtree(tmp_path / "pipeline" / name)
        shutil.copytree(tmp_path / "new" / name, tmp_path / "pipeline" / name)
    with pytest.raises(LukeError, match=r"L130.*luke_encoder"):
        spacy.load(tmp_path / "pipeline")


def test_a_pipeline_from_bytes_is_no_mixture_either(nlp) -> None:
    pipe = nlp.get_pipe("luke_ner")
    head = pipe.to_bytes()
    nlp.update(examples(nlp), sgd=adam())
    before = logits(nlp, ("luke_ner",))
    with pytest.raises(LukeError, match=r"L130.*luke_ner"):
        pipe.from_bytes(head)
    assert_same(logits(nlp, ("luke_ner",)), before)
    pipe.from_bytes(pipe.to_bytes())
    assert_same(logits(nlp, ("luke_ner",)), before)


def test_a_step_that_waits_is_taken_before_a_head_is_saved(nlp) -> None:
    nlp.update(examples(nlp), sgd=adam())
    head = nlp.get_pipe("luke_ner").to_bytes()
    nlp.get_pipe("luke_encoder").flush_step()
    nlp.get_pipe("luke_ner").from_bytes(head)


@pytest.mark.filterwarnings("ignore:.*W0(20|23)")
def test_the_links_of_a_linker_are_no_mixture(tmp_path: Path) -> None:
    linker_model.write_linker(tmp_path / "checkpoint")
    nlp = spacy.blank("en")
    encoder = {"@architectures": "spacy-luke.LukeEncoder.v1", "entity_vocab": "full"}
    nlp.add_pipe("luke_encoder", config={"set_vectors": False, "model": encoder})
    nlp.add_pipe("luke_entity_linker", config={"model": SHARED}).set_kb(linker_model.make_kb)
    nlp.config["initialize"]["components"] = {"luke_encoder": {"checkpoint": str(tmp_path / "checkpoint")}}
    nlp.initialize()
    nlp.to_disk(tmp_path / "pipeline")
    encoder = encoder_of(nlp, "luke_encoder")
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.mul_(1.01)
    nlp.get_pipe("luke_encoder").to_disk(tmp_path / "pipeline" / "luke_encoder")
    with pytest.raises(LukeError, match=r"L130.*luke_entity_linker"):
        spacy.load(tmp_path / "pipeline")


def test_a_head_that_was_loaded_without_its_encoder_takes_no_other(nlp, tmp_path: Path) -> None:
    write_luke(tmp_path / "other", randomise(LukeModel(luke_config()), seed=5))
    nlp.to_disk(tmp_path / "saved")
    part = spacy.load(tmp_path / "saved", exclude=["luke_encoder"])
    encoder = part.add_pipe("luke_encoder", before="luke_ner", config={"set_vectors": False})
    with pytest.raises(LukeError, match="L130"):
        encoder.load_checkpoint(tmp_path / "other")
    assert not encoder.has_weights, "nothing has changed"
    encoder.from_disk(tmp_path / "saved" / "luke_encoder")
    assert_same(logits(part, TASKS), logits(nlp, TASKS))


def test_a_pipeline_without_fingerprints_loads(nlp, tmp_path: Path) -> None:
    nlp.to_disk(tmp_path)
    for name in TASKS:
        cfg = cfg_of(tmp_path, name)
        del cfg["head"]["encoder"]
        (tmp_path / name / "cfg").write_text(json.dumps(cfg))
        (tmp_path / name / "checksums.json").unlink()
    assert_same(logits(spacy.load(tmp_path), TASKS), logits(nlp, TASKS))


def test_a_head_knows_what_kind_of_labels_it_was_trained_for(checkpoint: Path, tmp_path: Path) -> None:
    nlp = build(())
    nlp.config["initialize"]["components"] = {"luke_encoder": {"checkpoint": str(checkpoint)}}
    for name, several in (("several", True), ("one", False)):
        nlp.add_pipe("luke_textcat", name=name, config={"model": SHARED, "multi_label": several})
    nlp.initialize(lambda: examples(nlp))
    nlp.to_disk(tmp_path)
    as_trained = {name: {"multi_label": None} for name in ("several", "one")}
    loaded = spacy.load(tmp_path, config={"components": as_trained})
    assert loaded.get_pipe("several").multi_label
    assert not loaded.get_pipe("one").multi_label


# --- what may change an encoder under a head


def test_a_loaded_pipeline_may_be_given_another_encoder(nlp, checkpoint: Path, tmp_path: Path) -> None:
    write_luke(tmp_path / "other", randomise(LukeModel(luke_config()), seed=5))
    nlp.to_disk(tmp_path / "saved")
    loaded = spacy.load(tmp_path / "saved")
    loaded.get_pipe("luke_encoder").load_checkpoint(tmp_path / "other")
    changed = logits(loaded, TASKS)
    loaded.to_disk(tmp_path / "changed")
    assert_same(logits(spacy.load(tmp_path / "changed"), TASKS), changed)
    loaded.get_pipe("luke_encoder").from_disk(tmp_path / "saved" / "luke_encoder")
    assert_same(logits(loaded, TASKS), logits(nlp, TASKS))


def test_a_frozen_head_is_saved_with_the_encoder_that_others_trained(nlp, tmp_path: Path) -> None:
    nlp.to_disk(tmp_path / "saved")
    loaded = spacy.load(tmp_path / "saved")
    loaded.update(examples(loaded), sgd=adam(), exclude=["luke_ner"])
    found = logits(loaded, TASKS)
    loaded.to_disk(tmp_path / "saved")
    assert_same(logits(spacy.load(tmp_path / "saved"), TASKS), found)


def test_a_head_on_a_copy_of_the_encoder_is_saved_as_a_checkpoint(nlp, tmp_path: Path) -> None:
    nlp.to_disk(tmp_path / "saved")
    loaded = spacy.load(tmp_path / "saved")
    loaded.replace_listeners("luke_encoder", "luke_ner", ["model.encoder"])
    loaded.update(examples(loaded), sgd=adam(), exclude=["luke_ner"])
    found = logits(loaded, TASKS)
    loaded.to_disk(tmp_path / "apart")
    assert "head" not in cfg_of(tmp_path / "apart", "luke_ner")
    assert_same(logits(spacy.load(tmp_path / "apart"), TASKS), found)


def test_a_sourced_head_may_stand_on_another_encoder(nlp, checkpoint: Path, tmp_path: Path) -> None:
    nlp.to_disk(tmp_path / "saved")
    other = initialized(checkpoint, ("luke_qa",))
    with torch.no_grad():
        for parameter in encoder_of(other, "luke_qa").parameters():
            parameter.mul_(1.01)
    other.add_pipe("luke_ner", source=spacy.load(tmp_path / "saved"))
    found = logits(other, ("luke_ner", "luke_qa"))
    other.to_disk(tmp_path / "other")
    assert_same(logits(spacy.load(tmp_path / "other"), ("luke_ner", "luke_qa")), found)


# --- exclude


def test_of_a_head_the_model_and_the_cfg_are_excluded(nlp, tmp_path: Path) -> None:
    pipe, before = nlp.get_pipe("luke_ner"), logits(nlp, ("luke_ner",))
    pipe.to_disk(tmp_path / "luke_ner", exclude=["model"])
    assert {p.name for p in (tmp_path / "luke_ner").iterdir()} == {"cfg", "checksums.json"}
    for data, exclude in ((pipe.to_bytes(exclude=["model"]), []), (pipe.to_bytes(), ["model"])):
        pipe.from_bytes(data, exclude=exclude)
        assert_same(logits(nlp, ("luke_ner",)), before)
    pipe.to_disk(tmp_path / "luke_ner", exclude=["cfg"])
    assert {p.name for p in (tmp_path / "luke_ner").iterdir()} == {"head.safetensors", "checksums.json"}
    with pytest.raises(LukeError, match=r"L048.*head\.safetensors"):
        pipe.from_disk(tmp_path / "luke_ner", exclude=["cfg"])
    pipe.from_disk(tmp_path / "luke_ner", exclude=["cfg", "model"])
    assert_same(logits(nlp, ("luke_ner",)), before)


def test_a_head_whose_model_is_excluded_lacks_no_encoder(nlp, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", LukeWarning)
        nlp.get_pipe("luke_ner").to_disk(tmp_path / "luke_ner", exclude=["model"])


@pytest.mark.filterwarnings("ignore:.*W0(20|23|24)")
def test_the_knowledge_base_is_excluded(tmp_path: Path) -> None:
    linker_model.write_linker(tmp_path / "checkpoint")
    pipe = spacy.blank("en").add_pipe("luke_entity_linker")
    pipe.initialize(lambda: [], checkpoint=str(tmp_path / "checkpoint"))
    pipe.set_kb(linker_model.make_kb, titles={"Q1": "London"})
    pipe.to_disk(tmp_path / "linker", exclude=["kb"])
    assert not (tmp_path / "linker" / "kb").exists()
    kb = pipe.kb
    pipe.from_disk(tmp_path / "linker", exclude=["kb"])
    assert pipe.kb is kb
    assert pipe.kb_titles == {"Q1": "London"}
    assert pipe.from_disk(tmp_path / "linker").kb is None
    pipe.set_kb(linker_model.make_kb)
    pipe.to_disk(tmp_path / "linker", exclude=["model"])
    other = spacy.blank("en").add_pipe("luke_entity_linker").from_disk(tmp_path / "linker")
    assert other.kb is not None
    assert not other.has_weights
    pipe.to_disk(tmp_path / "linker")
    other = spacy.blank("en").add_pipe("luke_entity_linker").from_disk(tmp_path / "linker", exclude=["cfg"])
    assert other.kb is not None
