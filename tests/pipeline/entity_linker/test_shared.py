"""`luke_entity_linker` on the encoder, and with it the entity table, of a `luke_encoder`."""

from __future__ import annotations

from pathlib import Path

import pytest
import spacy
import torch
from spacy.training import Example

from spacy_luke.errors import LukeError
from tests.pipeline.entity_linker.model import TITLES, make_doc, make_kb, ranked, write_linker
from tests.pipeline.short_training import adam

NAME = "luke_entity_linker"
SHARED = {"encoder": {"@architectures": "spacy-luke.SharedEncoder.v1"}}
GOLD = {0: "Ada Lovelace", 1: "Charles Babbage", 2: "London", 3: "Ada Lovelace"}
pytestmark = pytest.mark.filterwarnings("ignore:.*W02[03]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("linker")
    write_linker(folder)
    return folder


def shared(folder: Path, entity_vocab: str = "full", initialize=None, **config):
    nlp = spacy.blank("en")
    encoder = {"@architectures": "spacy-luke.LukeEncoder.v1", "entity_vocab": entity_vocab}
    nlp.add_pipe("luke_encoder", config={"set_vectors": False, "model": encoder})
    pipe = nlp.add_pipe(NAME, config={"model": SHARED, **config})
    pipe.set_kb(make_kb)
    nlp.config["initialize"]["components"] = {
        "luke_encoder": {"checkpoint": str(folder)},
        NAME: initialize or {},
    }
    nlp.initialize(lambda: examples(nlp))
    return nlp


def examples(nlp) -> list[Example]:
    return [Example(make_doc(nlp), make_doc(nlp, links=GOLD))]


def test_both_learn_on_one_encoder(folder) -> None:
    nlp = shared(folder, mask_rate=1.0)  # else a draw may have nothing to learn
    module = nlp.get_pipe(NAME)._module
    assert module.encoder is nlp.get_pipe("luke_encoder").encoder
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    optimizer = adam(0.01)
    for _ in range(3):
        losses = nlp.update(examples(nlp), sgd=optimizer, losses={})
    assert losses[NAME] > 0
    changed = {name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {"encoder.entity_embeddings.entity.weight", "entity_predictions.bias"} <= changed


def test_frozen_entities_freeze_the_head_alone(folder) -> None:
    module = shared(folder, freeze_entities=True).get_pipe(NAME)._module
    assert not module.entity_predictions.bias.requires_grad
    assert module.encoder.entity_embeddings.entity.weight.requires_grad


def test_a_saved_pipeline_links_the_same(folder, tmp_path) -> None:
    nlp = shared(folder, decoding="global")
    expected = ranked(nlp(make_doc(nlp)))
    nlp.to_disk(tmp_path / "saved")
    assert not (tmp_path / "saved" / NAME / "model.safetensors").exists()
    loaded = spacy.load(tmp_path / "saved")
    assert ranked(loaded(make_doc(loaded))) == expected
    again = spacy.util.load_model_from_config(nlp.config).from_bytes(nlp.to_bytes())
    assert ranked(again(make_doc(again))) == expected


def test_an_encoder_of_its_own_links_the_same(folder) -> None:
    nlp = shared(folder)
    expected = ranked(nlp(make_doc(nlp)))
    nlp.replace_listeners("luke_encoder", NAME, ["model.encoder"])
    assert ranked(nlp(make_doc(nlp))) == expected


def test_an_encoder_with_other_entities_raises_l068(folder, tmp_path) -> None:
    nlp = shared(folder)
    (tmp_path / "titles.txt").write_text("\n".join(TITLES[:3]))
    other = shared(folder, str(tmp_path / "titles.txt"))
    nlp.to_disk(tmp_path / "saved")
    with pytest.raises(LukeError, match=r"L068.*11 entities.*7 entities"):
        other.get_pipe(NAME).from_disk(tmp_path / "saved" / NAME)
    with pytest.raises(LukeError, match=r"L068.*11 entities.*7 entities"):
        nlp.get_pipe("luke_encoder").from_disk(_saved(other, tmp_path / "other") / "luke_encoder")


def _saved(nlp, path: Path) -> Path:
    nlp.to_disk(path)
    return path


def test_an_encoder_without_titles_raises_l085(folder) -> None:
    with pytest.raises(LukeError, match=r"L085.*luke_encoder"):
        shared(folder, "special")


def test_entities_cannot_be_added_to_the_encoder_of_another_component(folder, tmp_path) -> None:
    (tmp_path / "titles.txt").write_text("Qx")
    with pytest.raises(LukeError, match="L067"):
        shared(folder, initialize={"entities": str(tmp_path / "titles.txt")})


@pytest.mark.parametrize("decoding", ["local", "global"])
def test_links_read_pieces_that_another_component_encoded(folder, monkeypatch, decoding) -> None:
    """Under independent attention, with the windows of the provider: the same links as from pieces of its own."""
    nlp = spacy.blank("en")
    windows = {"@misc": "spacy-luke.strided_windows.v1", "max_pieces": 100, "stride": 60}
    encoder = {"@architectures": "spacy-luke.LukeEncoder.v1", "entity_vocab": "full", "entity_attention": "independent"}
    nlp.add_pipe("luke_encoder", config={"set_vectors": False, "model": encoder, "windows": windows})
    pipe = nlp.add_pipe(NAME, config={"model": SHARED, "decoding": decoding})
    pipe.set_kb(make_kb)
    vectors = nlp.add_pipe("luke_encoder", name="vectors", config={"model": SHARED["encoder"], "windows": windows})
    nlp.config["initialize"]["components"] = {"luke_encoder": {"checkpoint": str(folder)}, NAME: {}}
    nlp.initialize(lambda: examples(nlp))
    store = nlp.get_pipe("luke_encoder").piece_store
    assert nlp.get_pipe("luke_encoder").piece_readers(pipe.windows) == {NAME, "vectors"}
    doc = pipe(make_doc(nlp))
    assert store.nbytes > 0
    vectors(doc)
    assert store.nbytes == 0
    with nlp.select_pipes(enable=["luke_encoder", NAME]):
        assert [one[:2] for one in ranked(pipe(make_doc(nlp)))] == [one[:2] for one in ranked(doc)]
    found = nlp.get_pipe("luke_encoder").encoder
    losses = nlp.update(examples(nlp), sgd=False, drop=0.0)
    assert losses[NAME] > 0
    assert found.layers[0].attention.key.weight.grad.abs().sum() > 0
