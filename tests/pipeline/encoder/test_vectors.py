"""`luke_encoder`: vectors of pieces, tokens and entities."""

from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from hypothesis import given, settings
from spacy.tokens import Doc, DocBin, Span
from transformers import LukeModel

import spacy_luke
from spacy_luke.errors import LukeError, LukeWarning
from tests.pipeline.entity_markers.model import TEXT, with_ents
from tests.tokenization.ugly import texts
from tests.util import ENTITIES, luke_config, luke_tokenizer, randomise, write_longformer, write_luke

LONGFORMER = {"@architectures": "spacy-luke.LongformerEncoder.v1"}
FULL = {"@architectures": "spacy-luke.LukeEncoder.v1", "entity_vocab": "full"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bare")
    write_luke(folder, randomise(LukeModel(luke_config())))
    return folder


def load(checkpoint: Path, **config):
    nlp = spacy.blank("en")
    nlp.add_pipe("luke_encoder", config=config).load_checkpoint(checkpoint)
    return nlp


def annotated(nlp, text: str = TEXT, kb_id: str = "") -> Doc:
    doc = with_ents(nlp.make_doc(text))
    doc.set_ents([Span(doc, ent.start, ent.end, ent.label_, kb_id=kb_id) for ent in doc.ents])
    return nlp.get_pipe("luke_encoder")(doc)


def reference(checkpoint: Path, doc: Doc, entities: list[str] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """transformers' states of the pieces and entities of a Doc."""
    tokenizer, model = luke_tokenizer(checkpoint), LukeModel.from_pretrained(checkpoint).eval()
    spans = [(ent.start_char, ent.end_char) for ent in doc.ents]
    entities = entities or ["[MASK]"] * len(spans)
    with torch.no_grad():
        out = model(**tokenizer(doc.text, entity_spans=spans, entities=entities, return_tensors="pt"))
    return out.last_hidden_state[0].numpy(), out.entity_last_hidden_state[0].numpy()


# A text whose words and entity edges are cut alike by both tokenizers: every token is an entity or a sentence mark.
PLAIN = "Ada met Babbage"


def plain(nlp) -> Doc:
    doc = nlp.make_doc(PLAIN)
    doc.set_ents([Span(doc, i, i + 1, "X") for i in range(3)])
    return doc


def test_vectors_are_the_states_of_transformers(checkpoint: Path) -> None:
    nlp = load(checkpoint)
    doc = nlp.get_pipe("luke_encoder")(plain(nlp))
    pieces, entities = reference(checkpoint, doc)
    [vectors] = nlp.get_pipe("luke_encoder").vectors([doc])
    np.testing.assert_allclose(vectors.pieces, pieces[1:-1], atol=1e-5)
    for ent, expected in zip(doc.ents, entities, strict=True):
        np.testing.assert_allclose(ent._.entity_vector, expected, atol=1e-5)
    for token in doc:
        start, end = vectors.word_pieces.starts[token.i], vectors.word_pieces.ends[token.i]
        np.testing.assert_allclose(doc.tensor[token.i], pieces[start + 1 : end + 1].mean(axis=0), atol=1e-5)


@pytest.mark.parametrize("entities", ["title", "kb_id"])
def test_entities_of_the_vocabulary_are_inputs(checkpoint: Path, entities: str) -> None:
    assert "London" in ENTITIES
    nlp = load(checkpoint, entities=entities, model=FULL)
    doc = nlp.make_doc("London calling" if entities == "title" else "Capital calling")
    doc.set_ents([Span(doc, 0, 1, "X", kb_id="London" if entities == "kb_id" else "")])
    doc = nlp.get_pipe("luke_encoder")(doc)
    _, expected = reference(checkpoint, doc, ["London"])
    np.testing.assert_allclose(doc.ents[0]._.entity_vector, expected[0], atol=1e-5)
    _, masked = reference(checkpoint, doc)
    assert not np.allclose(doc.ents[0]._.entity_vector, masked[0], atol=1e-3)


def test_an_entity_that_the_vocabulary_lacks_is_a_mask(checkpoint: Path) -> None:
    masked, known = load(checkpoint), load(checkpoint, entities="kb_id", model=FULL)
    for kb_id in ("", "Nowhere Land"):
        a, b = annotated(masked), annotated(known, kb_id=kb_id)
        np.testing.assert_allclose(a.tensor, b.tensor, atol=1e-6)


def test_titles_need_a_vocabulary(checkpoint: Path) -> None:
    with pytest.raises(LukeError, match=r"L047.*entity_vocab"):
        load(checkpoint, entities="title")
    with pytest.raises(LukeError, match=r"L047.*entities"):
        load(checkpoint, entities="wikidata")


def test_titles_need_entity_inputs(tmp_path: Path) -> None:
    write_longformer(tmp_path)
    with pytest.raises(LukeError, match=r"L047.*no entity inputs"):
        load(tmp_path, entities="kb_id", model=LONGFORMER)


def test_without_entity_inputs_an_entity_is_the_mean_of_its_tokens(checkpoint: Path, tmp_path: Path) -> None:
    write_longformer(tmp_path)
    for nlp in (load(checkpoint, entities="none"), load(tmp_path, model=LONGFORMER)):
        doc = annotated(nlp)
        for ent in doc.ents:
            words = [token.i for token in ent if not token.is_space]
            np.testing.assert_allclose(ent._.entity_vector, doc.tensor[words].mean(axis=0), atol=1e-5)


def test_vectors_survive_every_copy_of_a_doc(checkpoint: Path) -> None:
    nlp = load(checkpoint)
    doc = annotated(nlp)
    [stored] = DocBin(docs=[doc], store_user_data=True).get_docs(nlp.vocab)
    for copied in (stored, Doc(nlp.vocab).from_bytes(doc.to_bytes()), Doc.from_docs([nlp("Well."), doc])):
        assert len(copied.ents) == len(doc.ents)
        for ent, other in zip(doc.ents, copied.ents, strict=True):
            np.testing.assert_array_equal(ent._.entity_vector, other._.entity_vector)


def test_other_spans_than_entities(checkpoint: Path) -> None:
    nlp = load(checkpoint, spans_key="mentions")
    doc = nlp.make_doc(TEXT)
    doc.spans["mentions"] = [doc[0:2], doc[0:5]]
    doc = nlp.get_pipe("luke_encoder")(doc)
    assert doc[0:2]._.entity_vector is not None
    assert doc[0:5]._.entity_vector is not None
    assert doc[3:5]._.entity_vector is None


def test_long_docs_are_read_in_windows(checkpoint: Path) -> None:
    nlp = load(checkpoint)
    doc = nlp.make_doc(" ".join([TEXT] * 20))
    doc.set_ents([Span(doc, 0, 2, "PER"), Span(doc, 100, 200, "LONG")])
    doc = nlp.get_pipe("luke_encoder")(doc)
    assert doc.tensor.shape == (len(doc), 32)
    assert all(np.abs(doc.tensor[token.i]).sum() > 0 for token in doc if not token.is_space)
    words = [token.i for token in doc.ents[1] if not token.is_space]
    np.testing.assert_allclose(doc.ents[1]._.entity_vector, doc.tensor[words].mean(axis=0), atol=1e-5)


@pytest.fixture(scope="module")
def loaded(checkpoint: Path) -> spacy.language.Language:
    return load(checkpoint)


@settings(max_examples=30, deadline=None)
@given(text=texts)
def test_ugly_texts_have_a_vector_for_each_visible_token(loaded, text: str) -> None:
    nlp = loaded
    doc = nlp.make_doc(text)
    if len(doc):
        doc.set_ents([Span(doc, 0, len(doc), "X")])
    doc = nlp.get_pipe("luke_encoder")(doc)
    assert doc.tensor.shape == (len(doc), 32)
    assert np.isfinite(doc.tensor).all()
    [vectors] = nlp.get_pipe("luke_encoder").vectors([doc])
    for token in doc:
        has_pieces = vectors.word_pieces.ends[token.i] > vectors.word_pieces.starts[token.i]
        assert (np.abs(doc.tensor[token.i]).sum() > 0) == (has_pieces and not token.is_space)


def test_pipe_gives_what_calls_give(checkpoint: Path) -> None:
    nlp = load(checkpoint)
    texts_ = [TEXT, "", " ", "Ada."]
    for one, many in zip((nlp(t) for t in texts_), nlp.pipe(texts_), strict=True):
        np.testing.assert_allclose(one.tensor, many.tensor, atol=1e-5)


def test_an_encoder_that_is_only_shared_costs_nothing(checkpoint: Path) -> None:
    nlp = load(checkpoint, set_vectors=False)
    nlp.get_pipe("luke_encoder").model.shims.clear()
    assert nlp(TEXT).tensor.size == 0


def test_saving_gives_a_bare_model_that_transformers_opens(checkpoint: Path, tmp_path: Path) -> None:
    nlp = load(checkpoint)
    nlp.to_disk(tmp_path)
    before = annotated(nlp)
    np.testing.assert_array_equal(annotated(spacy.load(tmp_path)).tensor, before.tensor)
    opened = LukeModel.from_pretrained(tmp_path / "luke_encoder")
    theirs = LukeModel.from_pretrained(checkpoint)
    for (name, ours), (_, expected) in zip(opened.named_parameters(), theirs.named_parameters(), strict=True):
        if "entity_embeddings.entity_embeddings" not in name:
            assert torch.equal(ours, expected), name


def test_from_checkpoint_of_a_bare_model(checkpoint: Path) -> None:
    nlp = spacy_luke.from_checkpoint(checkpoint)
    assert nlp.pipe_names == ["sentencizer", "luke_encoder"]
    assert nlp(TEXT).tensor.shape[1] == 32


def test_a_bare_component_uses_the_encoder_in_the_box() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("luke_encoder")
    with pytest.warns(LukeWarning, match="W026"):
        doc = nlp("Ada Lovelace met Babbage.")
    assert doc.tensor.shape == (len(doc), 384)
