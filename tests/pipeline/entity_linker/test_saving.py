"""Saving, copying and loading `luke_entity_linker` with its knowledge base."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from safetensors.torch import load_file, save_file
from spacy.kb import InMemoryLookupKB
from transformers import LukeForMaskedLM

import spacy_luke
from spacy_luke.errors import LukeError
from tests.pipeline.entity_linker.model import TITLES, make_doc, make_kb, ranked, reference_logits, write_linker

NAME = "luke_entity_linker"
pytestmark = pytest.mark.filterwarnings("ignore:.*W023")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("linker")
    write_linker(folder)
    return folder


@pytest.fixture
def nlp(folder):
    nlp = spacy_luke.from_checkpoint(folder, config={"decoding": "global"})
    nlp.get_pipe(NAME).set_kb(make_kb, {"Qx": "London, Ontario"})
    return nlp


def results(nlp) -> list:
    return [ranked(doc) for doc in nlp.pipe([make_doc(nlp), make_doc(nlp, ents=[(0, 2, "PER"), (7, 8, "PER")])])]


def reloaded(nlp, path: Path):
    nlp.to_disk(path)
    return spacy.load(path)


def through_bytes(nlp, path: Path):
    return spacy.util.load_model_from_config(nlp.config).from_bytes(nlp.to_bytes())


def replaced(nlp, path: Path):
    """Loaded where another knowledge base was, and other weights."""
    other = copy.deepcopy(nlp)
    other.get_pipe(NAME).set_kb(lambda vocab: make_kb(vocab, {"Ada": {"London": 1.0}}))
    nlp.to_disk(path)
    return other.from_disk(path)


COPIES = {
    "disk": reloaded,
    "bytes": through_bytes,
    "pickle": lambda nlp, path: pickle.loads(pickle.dumps(nlp)),
    "deepcopy": lambda nlp, path: copy.deepcopy(nlp),
    "replaced": replaced,
}


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_links_the_same(nlp, tmp_path, way) -> None:
    expected = results(nlp)
    copied = COPIES[way](nlp, tmp_path / "saved")
    assert results(copied) == expected
    assert copied.get_pipe(NAME).kb is not nlp.get_pipe(NAME).kb
    assert copied.get_pipe(NAME).kb_titles == {"Qx": "London, Ontario"}


@pytest.mark.parametrize("way", COPIES)
def test_a_component_without_knowledge_base_has_none_in_a_copy(folder, tmp_path, way) -> None:
    nlp = spacy_luke.from_checkpoint(folder)
    copied = COPIES[way](nlp, tmp_path / "saved")
    assert copied.get_pipe(NAME).kb is None
    assert results(copied) == results(nlp)


def test_a_knowledge_base_that_was_taken_away_is_not_read_again(nlp, tmp_path) -> None:
    nlp.to_disk(tmp_path / "saved")
    nlp.get_pipe(NAME).set_kb(None)
    assert reloaded(nlp, tmp_path / "saved").get_pipe(NAME).kb is None


def test_a_component_without_weights_keeps_its_knowledge_base(tmp_path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe(NAME).set_kb(make_kb)
    loaded = reloaded(nlp, tmp_path / "saved").get_pipe(NAME)
    assert sorted(loaded.kb.get_entity_strings()) == sorted([*TITLES, "Qx"])


def test_a_failed_load_leaves_weights_and_knowledge_base_as_they_were(nlp, tmp_path) -> None:
    before = results(nlp)
    other = copy.deepcopy(nlp)
    other.get_pipe(NAME).set_kb(lambda vocab: make_kb(vocab, {"Ada": {"London": 1.0}}))
    other.to_disk(tmp_path / "saved")
    weights = load_file(tmp_path / "saved" / NAME / "model.safetensors")
    weights.pop("entity_predictions.bias")
    save_file(weights, tmp_path / "saved" / NAME / "model.safetensors")
    (tmp_path / "saved" / NAME / "checksums.json").unlink()
    with pytest.raises(LukeError, match=r"L024.*entity_predictions\.bias"):
        nlp.get_pipe(NAME).from_disk(tmp_path / "saved" / NAME)
    assert results(nlp) == before


def test_a_trimmed_vocabulary_is_saved_and_its_file_is_not_needed_any_more(folder, tmp_path) -> None:
    titles = tmp_path / "titles.txt"
    titles.write_text("London\nAda Lovelace\n")
    encoder = {"@architectures": "spacy-luke.LukeEncoder.v1", "entity_vocab": str(titles)}
    nlp = spacy_luke.from_checkpoint(folder, config={"model": {"encoder": encoder}})
    assert {kb_id for kb_id, _ in results(nlp)[0][0]} == {"London", "Ada Lovelace"}
    nlp.to_disk(tmp_path / "saved")
    titles.unlink()
    assert results(spacy.load(tmp_path / "saved")) == results(nlp)


def test_a_saved_component_is_a_checkpoint_that_transformers_opens(nlp, tmp_path) -> None:
    nlp.to_disk(tmp_path / "saved")
    model = LukeForMaskedLM.from_pretrained(tmp_path / "saved" / NAME).eval()
    pipe = nlp.get_pipe(NAME)
    pipe.set_kb(None)
    doc = make_doc(nlp)
    with torch.no_grad():
        np.testing.assert_allclose(pipe.logits([doc])[0][1], reference_logits(model, pipe, doc).numpy(), atol=1e-4)


def test_a_component_is_taken_from_another_pipeline(nlp) -> None:
    other = spacy.blank("en")
    other.add_pipe("sentencizer")
    other.add_pipe(NAME, source=nlp)
    assert results(other) == results(nlp)


def test_a_knowledge_base_of_another_class_is_saved(folder, tmp_path) -> None:
    """It is read into what `generate_empty_kb` makes."""

    @spacy.registry.misc("test.LoudKB.v1")
    def build():
        return LoudKB

    nlp = spacy_luke.from_checkpoint(folder, config={"generate_empty_kb": {"@misc": "test.LoudKB.v1"}})
    nlp.get_pipe(NAME).set_kb(lambda vocab: fill(LoudKB(vocab, 3)))
    loaded = reloaded(nlp, tmp_path / "saved").get_pipe(NAME)
    assert isinstance(loaded.kb, LoudKB)
    assert loaded.kb.entity_vector_length == 3
    assert [c.entity_ for c in loaded.kb.get_candidates(make_doc(nlp).ents[0])] == ["London"]


class LoudKB(InMemoryLookupKB):
    def get_candidates(self, mention):
        return self.get_alias_candidates(mention.text.upper())


def fill(kb: LoudKB) -> LoudKB:
    kb.add_entity("London", freq=1, entity_vector=[0.0] * 3)
    kb.add_alias("ADA LOVELACE", ["London"], [1.0])
    return kb


SPAWNED = """
import json, multiprocessing, sys
import spacy
from tests.pipeline.entity_linker.model import make_doc, ranked
if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    nlp = spacy.load(sys.argv[1])
    docs = nlp.pipe([make_doc(nlp) for _ in range(4)], n_process=2, batch_size=2)
    print(json.dumps([ranked(doc) for doc in docs]))
"""


def test_two_spawned_processes_give_the_same_results(nlp, tmp_path) -> None:
    nlp.to_disk(tmp_path / "saved")
    root = Path(__file__).parents[3]
    (tmp_path / "spawned.py").write_text(f"import sys; sys.path.insert(0, {str(root)!r})\n{SPAWNED}")
    command = [sys.executable, str(tmp_path / "spawned.py"), str(tmp_path / "saved")]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert json.loads(output.splitlines()[-1]) == json.loads(json.dumps([ranked(nlp(make_doc(nlp)))] * 4))
