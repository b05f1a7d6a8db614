"""A `luke_encoder` behind the components that find entities, with the encoder of the one before them."""

from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.language import Language

from spacy_luke.errors import LukeError
from tests.util import randomise

from .shared_model import SHARED, adam, changed, encoder_of, examples, initialized, logits, state, write_bare

TEXT = "Ada met Babbage in London."
MODEL = SHARED["encoder"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bare(tmp_path_factory.mktemp("bare"))


def with_vectors(checkpoint: Path, **settings) -> Language:
    nlp = initialized(checkpoint, ("luke_ner",))
    nlp.add_pipe("luke_encoder", name="vectors", config={"model": MODEL, **settings})
    return nlp


def vectors(nlp: Language) -> tuple[np.ndarray, list[np.ndarray]]:
    doc = nlp(TEXT)
    assert doc.ents
    return doc.tensor, [ent._.entity_vector for ent in doc.ents]


def assert_same(ours, theirs) -> None:
    np.testing.assert_allclose(ours[0], theirs[0], atol=1e-6)
    for a, b in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_entities_found_before_it_get_vectors(checkpoint: Path) -> None:
    nlp = with_vectors(checkpoint)
    assert nlp.get_pipe("luke_encoder").encoder is nlp.get_pipe("vectors")._module
    own = spacy.blank("en").add_pipe("luke_encoder").load_checkpoint(checkpoint)
    doc = nlp(TEXT)
    found = doc.tensor, [ent._.entity_vector for ent in doc.ents]
    own(doc)
    assert_same(found, (doc.tensor, [ent._.entity_vector for ent in doc.ents]))
    assert all(vector.any() for vector in found[1])


def test_it_is_saved_without_weights(checkpoint: Path, tmp_path: Path) -> None:
    nlp = with_vectors(checkpoint)
    nlp.to_disk(tmp_path)
    assert {path.name for path in (tmp_path / "vectors").iterdir()} == {"cfg", "checksums.json"}
    assert_same(vectors(spacy.load(tmp_path)), vectors(nlp))
    other = with_vectors(checkpoint)
    randomise(other.get_pipe("luke_encoder").encoder, seed=5)
    assert not np.allclose(vectors(other)[0], vectors(nlp)[0], atol=1e-3)
    other.from_bytes(nlp.to_bytes())
    assert_same(vectors(other), vectors(nlp))
    [doc] = nlp.pipe([TEXT], n_process=2)
    np.testing.assert_allclose(doc.tensor, vectors(nlp)[0], atol=1e-6)


@pytest.mark.parametrize("annotating", [[], ["vectors"]], ids=["plain", "annotating"])
def test_training_is_that_of_the_others(checkpoint: Path, annotating: list[str]) -> None:
    nlp, plain = with_vectors(checkpoint), initialized(checkpoint, ("luke_ner",))
    before = state(encoder_of(nlp, "luke_encoder"))
    for one, settings in ((nlp, {"annotates": annotating}), (plain, {})):
        sgd = adam(0.001)
        for _ in range(3):
            one.update(examples(one), sgd=sgd, drop=0.0, **settings)
        logits(one, ("luke_ner",))
    assert changed(encoder_of(nlp, "luke_encoder"), before)
    assert not changed(encoder_of(nlp, "luke_encoder"), state(encoder_of(plain, "luke_encoder")))


def test_it_is_initialised_with_its_owner(checkpoint: Path) -> None:
    nlp = with_vectors(checkpoint)
    nlp.initialize(lambda: examples(nlp))
    assert nlp.get_pipe("luke_encoder").encoder is nlp.get_pipe("vectors")._module


def test_what_it_cannot_do_is_told(checkpoint: Path, tmp_path: Path) -> None:
    nlp = with_vectors(checkpoint)
    pipe = nlp.get_pipe("vectors")
    with pytest.raises(LukeError, match="L067"):
        pipe.load_checkpoint(checkpoint)
    with pytest.raises(LukeError, match=r"L047.*replace_listeners"):
        nlp.replace_listeners("luke_encoder", "vectors", ["model"])
    with pytest.raises(LukeError, match=r"L047.*entity_vocab"):
        with_vectors(checkpoint, entities="kb_id")
    with pytest.raises(LukeError, match=r"L047.*component_grad_clip"):
        with_vectors(checkpoint, component_grad_clip=1.0)
    nlp.to_disk(tmp_path)
    with pytest.raises(LukeError, match=r"L069.*encoder of another component"):
        nlp.get_pipe("luke_encoder").from_disk(tmp_path / "vectors")
    with pytest.raises(LukeError, match=r"L069.*encoder of its own"):
        pipe.from_disk(tmp_path / "luke_encoder")


def test_without_its_owner_it_says_so(checkpoint: Path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("luke_encoder", name="vectors", config={"model": MODEL})
    with pytest.raises(LukeError, match="L066"):
        nlp(TEXT)
    nlp.add_pipe("luke_encoder", config={"set_vectors": False}, first=True)
    with pytest.raises(LukeError, match=r"L040.*'luke_encoder'"):
        nlp(TEXT)
