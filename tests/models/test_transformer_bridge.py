"""Our encoders under spacy-transformers: its component, its listeners and its span getters."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
import torch
from hypothesis import given
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy_transformers.span_getters import get_strided_spans
from thinc.api import Config, Model
from transformers import LongformerModel, LukeModel, RobertaModel

from spacy_luke.errors import LukeError
from spacy_luke.models.architectures import ENCODERS, build_luke_encoder, build_shared_encoder
from spacy_luke.models.transformer_bridge import build_transformer_model
from tests.checkpoints.test_upcycle import write_source
from tests.tokenization.ugly import words
from tests.util import write_longformer, write_luke

CONFIG = Path(__file__).parents[2] / "configs" / "transformer.cfg"
KINDS = ["luke", "longformer"]
EVERYTHING = {"output_hidden_states": True, "output_attentions": True}
STRIDED = {"@span_getters": "spacy-transformers.strided_spans.v1", "window": 8, "stride": 6}
LISTENER = {
    "@architectures": "spacy-transformers.TransformerListener.v1",
    "grad_factor": 1.0,
    "upstream": "*",
    "pooling": {"@layers": "reduce_mean.v1"},
}
TAGGER = {"@architectures": "spacy.Tagger.v2", "nO": None, "tok2vec": LISTENER}
TEXTS = [
    "Ada Lovelace met Charles Babbage in London; they don't know what the engine's for.",
    "Élodie O'Neil  moved to São Paulo.",
    "",
    "Babbage",
]


@pytest.fixture(autouse=True)
def seeded() -> None:
    """spaCy's own layers are random, and its ner chooses at random which of equal moves it learns."""
    spacy.util.fix_random_seed(0)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("checkpoints")
    write_luke(folder / "luke")
    write_longformer(folder / "longformer")
    return {kind: str(folder / kind) for kind in KINDS}


def blank(
    folder: str | None,
    kind: str = "luke",
    *,
    get_spans: Any = STRIDED,
    transformer_config: dict[str, bool] | None = None,
    **settings: Any,
) -> Language:
    """A pipeline with a transformer."""
    nlp = spacy.blank("en")
    encoder = {"@architectures": ENCODERS[kind], **settings}
    block = {"@architectures": "spacy-luke.TransformerModel.v1", "checkpoint": folder, "encoder": encoder}
    if transformer_config is not None:
        block["transformer_config"] = transformer_config
    nlp.add_pipe("transformer", config={"model": {**block, "get_spans": get_spans}})
    return nlp


@pytest.fixture(scope="module")
def ready(folders) -> Language:
    """A pipeline of a LUKE alone, which no test changes."""
    nlp = blank(folders["luke"])
    nlp.initialize()
    return nlp


def tagged(nlp: Language, text: str) -> Example:
    """A Doc whose tags say how long its words are."""
    doc = nlp.make_doc(text)
    return Example.from_dict(doc, {"tags": [str(min(len(token), 4)) for token in doc]})


def tagger(folder: str, kind: str = "luke", **settings: Any) -> tuple[Language, Any]:
    """An initialised pipeline of transformer and tagger, and its optimiser."""
    nlp = blank(folder, kind, **settings)
    nlp.add_pipe("tagger", config={"model": TAGGER})
    optimizer = nlp.initialize(lambda: [tagged(nlp, text) for text in TEXTS])
    optimizer.learn_rate = 0.003
    return nlp, optimizer


def encoder_of(nlp: Language) -> Any:
    return nlp.get_pipe("transformer").model.shims[0].encoder


def weights_of(nlp: Language) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in encoder_of(nlp).state_dict().items()}


def states_of(doc: Doc) -> np.ndarray:
    return doc._.trf_data.model_output.last_hidden_state


# States


@pytest.mark.parametrize("kind", KINDS)
def test_states_are_those_of_transformers_on_the_same_pieces(folders, kind) -> None:
    nlp = blank(folders[kind], kind)
    nlp.initialize()
    model = {"luke": LukeModel, "longformer": LongformerModel}[kind].from_pretrained(folders[kind]).eval()
    for doc in nlp.pipe(TEXTS[:2]):
        data = doc._.trf_data
        assert len(data.wordpieces) == len(get_strided_spans([doc], 8, 6)[0])
        with torch.no_grad():
            ids, mask = torch.tensor(data.wordpieces.input_ids), torch.tensor(data.wordpieces.attention_mask)
            theirs = model(ids, attention_mask=mask.long()).last_hidden_state.numpy()
        for row, length in enumerate(data.wordpieces.lengths):
            assert mask[row].tolist() == [1.0] * length + [0.0] * (ids.shape[1] - length)
            assert np.abs(theirs[row, :length] - states_of(doc)[row, :length]).max() < 1e-5
            assert not states_of(doc)[row, length:].any()


@pytest.mark.parametrize("kind", KINDS)
def test_states_of_every_layer_and_attention_weights_are_those_of_transformers(folders, kind) -> None:
    nlp = blank(folders[kind], kind, transformer_config=EVERYTHING)
    nlp.initialize()
    model = {"luke": LukeModel, "longformer": LongformerModel}[kind].from_pretrained(folders[kind]).eval()
    docs = list(nlp.pipe(TEXTS))
    assert not docs[2]._.trf_data.model_output
    for doc in (docs[0], docs[1], docs[3]):
        data = doc._.trf_data
        ids, mask = torch.tensor(data.wordpieces.input_ids), torch.tensor(data.wordpieces.attention_mask)
        with torch.no_grad():
            theirs = model(ids, attention_mask=mask.long(), output_hidden_states=True, output_attentions=True)
        for name in ("hidden_states", "attentions"):
            ours = data.model_output[name]
            assert len(ours) == len(theirs[name])
            for a, b in zip(ours, theirs[name], strict=True):
                assert a.shape == b.shape
                for row, length in enumerate(data.wordpieces.lengths):
                    assert np.abs(b.numpy()[row, ..., :length, :] - a[row, ..., :length, :]).max() < 1e-4
                    assert not a[row, ..., length:, :].any()


@pytest.mark.parametrize("name", sorted(EVERYTHING))
def test_what_is_not_asked_for_is_not_there(folders, name) -> None:
    asked = {output: output == name for output in EVERYTHING}
    some, plain = blank(folders["luke"], transformer_config=asked), blank(folders["luke"])
    some.initialize()
    plain.initialize()
    found, expected = some(TEXTS[0])._.trf_data.model_output, plain(TEXTS[0])._.trf_data.model_output
    assert list(found) == ["last_hidden_state", name.removeprefix("output_")]
    assert list(expected) == ["last_hidden_state"]
    np.testing.assert_allclose(found.last_hidden_state, expected.last_hidden_state, atol=1e-5)


def test_unknown_outputs_are_an_error() -> None:
    with pytest.raises(LukeError, match=r"L047.*output_everything.*output_hidden_states, output_attentions"):
        build_transformer_model(build_luke_encoder(), get_strided_spans, transformer_config={"output_everything": True})


@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_encoder_is_read_as_the_one_in_the_config(tmp_path, kind) -> None:
    """A RoBERTa, whose texts are shorter than the window of the Longformer."""
    model = write_source(tmp_path, "roberta")
    nlp = blank(str(tmp_path), kind)
    nlp.initialize()
    assert isinstance(model, RobertaModel)
    doc = nlp("Ada Lovelace met Charles")
    with torch.no_grad():
        theirs = model(torch.tensor(doc._.trf_data.wordpieces.input_ids)).last_hidden_state.numpy()
    assert np.abs(theirs - states_of(doc)).max() < 1e-4


def test_a_listener_sees_the_mean_of_the_pieces_of_each_token(folders) -> None:
    nlp, _ = tagger(folders["luke"])
    docs = list(nlp.pipe(TEXTS))
    listener = nlp.get_pipe("tagger").model.get_ref("tok2vec")
    for doc, vectors in zip(docs, listener.predict(docs), strict=True):
        assert vectors.shape[0] == len(doc)
        if not len(doc):
            continue
        flat = states_of(doc).reshape(-1, 32)
        strings = [string for row in doc._.trf_data.wordpieces.strings for string in row]
        pieces = np.split(doc._.trf_data.align.dataXd, doc._.trf_data.align.lengths.cumsum()[:-1])
        for token, places, vector in zip(doc, pieces, vectors, strict=True):
            expected = flat[places].mean(0) if len(places) else np.zeros(32)
            np.testing.assert_allclose(vector, expected, atol=1e-5)
            if token.is_ascii and len(places) < 2 * len(token.text) and not token.is_space:
                assert "".join(strings[i].strip("Ġ") for i in places) in (token.text, token.text * 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_doc_has_the_same_data_whatever_its_batch(folders, kind) -> None:
    nlp = blank(folders[kind], kind, transformer_config=EVERYTHING)
    nlp.initialize()
    for text, piped in zip(TEXTS, nlp.pipe(TEXTS), strict=True):
        alone = nlp(text)._.trf_data
        data = piped._.trf_data
        assert data.wordpieces.strings == alone.wordpieces.strings
        assert data.wordpieces.input_ids.tolist() == alone.wordpieces.input_ids.tolist()
        assert data.align.data.tolist() == alone.align.data.tolist()
        assert data.align.lengths.tolist() == alone.align.lengths.tolist()
        if text:
            np.testing.assert_allclose(states_of(piped), alone.model_output.last_hidden_state, atol=1e-5)
            for name in ("hidden_states", "attentions"):
                for one, other in zip(data.model_output[name], alone.model_output[name], strict=True):
                    np.testing.assert_allclose(one, other, atol=1e-5)


@given(items=words.map(lambda items: [item for item in items if item[0]]))
def test_any_text_gets_a_vector_for_each_token(ready, items) -> None:
    doc = ready(Doc(ready.vocab, words=[w for w, _ in items], spaces=[s for _, s in items]))
    if len(doc):
        data = doc._.trf_data
        assert len(data.align.lengths) == len(doc)
        assert data.align.lengths.sum() == len(data.align.data)
        assert np.isfinite(states_of(doc)).all()
        assert all(
            length or token.is_space or not token.text for token, length in zip(doc, data.align.lengths, strict=True)
        )


def test_a_span_longer_than_the_encoder_is_cut_and_all_of_it_is_seen(folders) -> None:
    nlp = blank(folders["luke"], get_spans={"@span_getters": "spacy-transformers.doc_spans.v1"})
    nlp.initialize()
    doc = nlp("x" * 300 + " London" * 100)
    assert doc._.trf_data.wordpieces.input_ids.shape[1] == encoder_of(nlp).config.max_pieces == 128
    assert (doc._.trf_data.align.lengths > 0).all()
    assert doc._.trf_data.align.lengths[0] > 150


def test_docs_without_tokens_or_pieces(folders) -> None:
    nlp, _ = tagger(folders["luke"])
    for texts in ([""], ["", ""], [" \n"], ["", " ", "Ada"]):
        assert [len(doc) for doc in nlp.pipe(texts)] == [len(nlp.make_doc(text)) for text in texts]


def test_a_batch_budget_changes_nothing(folders) -> None:
    nlp = blank(folders["luke"])
    nlp.initialize()
    small = build_transformer_model(
        build_luke_encoder(), nlp.get_pipe("transformer").model.attrs["get_spans"], max_batch_pieces=1
    )
    small.from_bytes(nlp.get_pipe("transformer").model.to_bytes())
    docs = [nlp.make_doc(text) for text in TEXTS]
    whole, parts = nlp.get_pipe("transformer").predict(docs), small.predict(docs)
    torch.testing.assert_close(parts.model_output.last_hidden_state, whole.model_output.last_hidden_state)
    with pytest.raises(LukeError, match=r"L047.*max_batch_pieces"):
        build_transformer_model(build_luke_encoder(), small.attrs["get_spans"], max_batch_pieces=0)


# Training


@pytest.mark.parametrize("transformer_config", [None, EVERYTHING])
def test_the_gradient_of_every_doc_reaches_the_encoder(folders, transformer_config) -> None:
    """That of the sum over Docs of states x given numbers, as PyTorch finds it."""
    nlp = blank(folders["luke"], transformer_config=transformer_config)
    nlp.initialize()
    model, encoder = nlp.get_pipe("transformer").model, encoder_of(nlp)
    docs = [nlp.make_doc(text) for text in TEXTS]
    batch, backprop = model.begin_update(docs)
    rng = np.random.default_rng(0)
    given = [rng.normal(size=doc_data.tensors[0].shape).astype("f") for doc_data in batch.doc_data if doc_data.tensors]
    backprop(batch.unsplit_by_doc([[numbers] for numbers in given]))
    found = {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}
    encoder.zero_grad()
    loss = torch.zeros(())
    for doc_data, numbers in zip((d for d in batch.doc_data if d.tensors), given, strict=True):
        pieces = doc_data.wordpieces
        reference = LukeModel.from_pretrained(folders["luke"], add_pooling_layer=False).eval()
        mask = torch.tensor(pieces.attention_mask)
        states = reference(torch.tensor(pieces.input_ids), attention_mask=mask.long()).last_hidden_state
        loss = (states * torch.tensor(numbers) * mask[..., None]).sum()
        loss.backward()
        for name, theirs in (("word", "word_embeddings"), ("position", "position_embeddings")):
            parameter = reference.embeddings.get_submodule(theirs).weight
            found[f"embeddings.{name}.weight"] -= parameter.grad
    assert found["embeddings.word.weight"].abs().max() < 1e-3
    assert found["embeddings.position.weight"].abs().max() < 1e-3


@pytest.mark.parametrize(
    ("kind", "transformer_config"), [("luke", None), ("luke", EVERYTHING), ("longformer", EVERYTHING)]
)
def test_components_learn_together_through_listeners(folders, kind, transformer_config) -> None:
    nlp, _ = tagger(folders[kind], kind, transformer_config=transformer_config)
    state = {"state_type": "ner", "extra_state_tokens": False, "hidden_width": 16, "maxout_pieces": 2, "nO": None}
    parser = {"@architectures": "spacy.TransitionBasedParser.v2", **state, "use_upper": False, "tok2vec": LISTENER}
    textcat = {"@architectures": "spacy.TextCatReduce.v1", "tok2vec": LISTENER, "exclusive_classes": True}
    pooling = {"use_reduce_first": False, "use_reduce_last": False, "use_reduce_max": False, "use_reduce_mean": True}
    nlp.add_pipe("textcat", config={"model": {**textcat, **pooling, "nO": None}})
    nlp.add_pipe("ner", config={"model": parser})
    nlp.add_pipe("parser", config={"model": {**parser, "state_type": "parser"}, "min_action_freq": 1})
    examples = []
    for text in TEXTS:
        doc, tags = nlp.make_doc(text), [token.tag_ for token in tagged(nlp, text).reference]
        size = len(doc)
        trees = {"heads": [0] * size, "deps": ["ROOT", *["dep"] * size][:size], "tags": tags}
        entities = {"entities": [(0, 7, "PER")] if text.startswith("Babbage") else []}
        cats = {"cats": {"LONG": float(size > 1), "SHORT": float(size < 2)}}
        examples.append(Example.from_dict(doc, {**trees, **entities, **cats}))
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.001
    history: list[dict[str, float]] = []
    for _ in range(25):
        history.append({})
        nlp.update(examples, sgd=optimizer, losses=history[-1])
    for name in ("tagger", "textcat", "ner", "parser"):
        assert min(losses[name] for losses in history[-5:]) < 0.97 * history[0][name], name


@pytest.mark.parametrize("kind", KINDS)
def test_the_encoder_learns_with_its_listener(folders, kind) -> None:
    nlp, optimizer = tagger(folders[kind], kind)
    examples = [tagged(nlp, text) for text in TEXTS]
    before = weights_of(nlp)
    losses = [nlp.update(examples, sgd=optimizer)["tagger"] for _ in range(25)]
    assert losses[-1] < losses[0] / 2
    changed = {name for name, tensor in weights_of(nlp).items() if not tensor.equal(before[name])}
    assert {"embeddings.word.weight", "layers.1.attention.query.weight", "layers.1.feed_forward.norm.bias"} <= changed
    assert nlp.evaluate(examples)["tag_acc"] > 0.9


def test_an_update_steps_with_its_own_gradient(folders) -> None:
    """As spaCy's training loop does, in which all components step when all have been updated."""
    after = []
    for at_once in (True, False):
        nlp, optimizer = tagger(folders["luke"])
        before = weights_of(nlp)
        softmax = next(node for node in nlp.get_pipe("tagger").model.walk() if node.name == "softmax")
        softmax.set_param("W", np.linspace(-1, 1, softmax.get_param("W").size, dtype="f").reshape(-1, 32))
        for _ in range(2):
            nlp.update([tagged(nlp, text) for text in TEXTS], sgd=optimizer if at_once else False)
            for _, pipe in [] if at_once else nlp.pipeline:
                pipe.finish_update(optimizer)
        after.append(weights_of(nlp))
    assert not before["embeddings.word.weight"].equal(after[0]["embeddings.word.weight"])
    for name, tensor in after[0].items():
        torch.testing.assert_close(tensor, after[1][name])


def test_the_dropout_rate_of_training_is_that_of_the_encoder(folders) -> None:
    nlp, optimizer = tagger(folders["luke"])
    nlp.update([tagged(nlp, TEXTS[0])], sgd=optimizer, drop=0.25)
    assert {part.p for part in encoder_of(nlp).modules() if isinstance(part, torch.nn.Dropout)} == {0.25}
    assert states_of(nlp(TEXTS[0])).tolist() == states_of(nlp(TEXTS[0])).tolist()


def test_a_frozen_transformer_keeps_its_weights(folders) -> None:
    nlp, optimizer = tagger(folders["luke"])
    before = weights_of(nlp)
    examples = [tagged(nlp, text) for text in TEXTS]
    losses = [
        nlp.update(examples, sgd=optimizer, exclude=["transformer"], annotates=["transformer"])["tagger"]
        for _ in range(10)
    ]
    assert losses[-1] < losses[0]
    assert all(tensor.equal(before[name]) for name, tensor in weights_of(nlp).items())


# Saving


def test_a_saved_pipeline_needs_neither_checkpoint_nor_network(folders, tmp_path, monkeypatch) -> None:
    """Nor the file of entity titles that the encoder's table was cut down with."""
    shutil.copytree(folders["luke"], tmp_path / "in")
    (tmp_path / "titles.txt").write_text("London\n")
    nlp, optimizer = tagger(str(tmp_path / "in"), entity_vocab=str(tmp_path / "titles.txt"))
    nlp.update([tagged(nlp, text) for text in TEXTS], sgd=optimizer)
    nlp.to_disk(tmp_path / "out")
    shutil.rmtree(tmp_path / "in")
    (tmp_path / "titles.txt").unlink()

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    loaded = spacy.load(tmp_path / "out")
    again = loaded.from_bytes(nlp.to_bytes())
    for copy in (loaded, again):
        assert weights_of(copy).keys() == weights_of(nlp).keys()
        assert all(tensor.equal(weights_of(nlp)[name]) for name, tensor in weights_of(copy).items())
        assert copy.get_pipe("transformer").model.get_dim("nO") == 32
        for text in TEXTS[:2]:
            assert states_of(copy(text)).tolist() == states_of(nlp(text)).tolist()
            assert [token.tag_ for token in copy(text)] == [token.tag_ for token in nlp(text)]
    assert encoder_of(loaded).config.entity_vocab_size == 5
    assert nlp.get_pipe("transformer").model.shims[0].description.entity_vocab["London"] == 4
    loaded.update([tagged(loaded, text) for text in TEXTS], sgd=loaded.resume_training())
    assert any(not tensor.equal(weights_of(nlp)[name]) for name, tensor in weights_of(loaded).items())


def test_initialising_again_keeps_the_weights(folders, tmp_path) -> None:
    nlp, optimizer = tagger(folders["luke"])
    nlp.update([tagged(nlp, text) for text in TEXTS], sgd=optimizer)
    before = weights_of(nlp)
    nlp.initialize(lambda: [tagged(nlp, text) for text in TEXTS])
    assert all(tensor.equal(before[name]) for name, tensor in weights_of(nlp).items())


def test_settings_of_a_saved_pipeline_can_be_changed(folders, tmp_path) -> None:
    nlp = blank(folders["luke"])
    nlp.initialize()
    nlp.to_disk(tmp_path / "out")
    model = {"encoder": {"precision": "bfloat16"}, "max_batch_pieces": 7}
    loaded = spacy.load(tmp_path / "out", config={"components": {"transformer": {"model": model}}})
    assert encoder_of(loaded).precision == "bfloat16"
    assert loaded.config["components"]["transformer"]["model"]["max_batch_pieces"] == 7
    difference = np.abs(states_of(loaded(TEXTS[0])) - states_of(nlp(TEXTS[0]))).max()
    assert 0 < difference < 0.2


def test_data_of_a_doc_go_through_bytes_and_processes(folders) -> None:
    nlp = blank(folders["luke"], transformer_config=EVERYTHING)
    nlp.initialize()
    docs = list(nlp.pipe(TEXTS[:2], n_process=2))
    for doc, text in zip(docs, TEXTS, strict=False):
        expected = nlp(text)._.trf_data.model_output
        np.testing.assert_allclose(states_of(doc), expected.last_hidden_state, atol=1e-5)
        for name in ("hidden_states", "attentions"):
            for one, other in zip(doc._.trf_data.model_output[name], expected[name], strict=True):
                np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_replaced_listener_has_an_encoder_of_its_own(folders, tmp_path, kind) -> None:
    nlp, optimizer = tagger(folders[kind], kind, transformer_config=EVERYTHING)
    examples = [tagged(nlp, text) for text in TEXTS]
    nlp.update(examples, sgd=optimizer)
    before = [nlp.get_pipe("tagger").model.predict([nlp(text)])[0] for text in TEXTS[:2]]
    nlp.replace_listeners("transformer", "tagger", ["model.tok2vec"])
    nlp.remove_pipe("transformer")
    replaced = next(node for node in nlp.get_pipe("tagger").model.walk() if node.name == "luke_transformer")
    assert replaced.predict([nlp.make_doc(TEXTS[0])]).model_output.keys() == {"last_hidden_state"}
    nlp.to_disk(tmp_path / "out")
    loaded = spacy.load(tmp_path / "out")
    assert (
        loaded.config["components"]["tagger"]["model"]["tok2vec"]["@architectures"]
        == "spacy-luke.Tok2VecTransformer.v1"
    )
    for copy in (nlp, loaded):
        after = [copy.get_pipe("tagger").model.predict([copy.make_doc(text)])[0] for text in TEXTS[:2]]
        for one, other in zip(before, after, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)
        losses = [copy.update(examples, sgd=optimizer)["tagger"] for _ in range(8)]
        assert losses[-1] < losses[0]


def test_a_component_can_have_an_encoder_from_the_start(folders) -> None:
    nlp = spacy.blank("en")
    block = {
        "@architectures": "spacy-luke.Tok2VecTransformer.v1",
        "checkpoint": folders["luke"],
        "encoder": {"@architectures": ENCODERS["luke"]},
        "get_spans": STRIDED,
        "pooling": {"@layers": "reduce_mean.v1"},
    }
    nlp.add_pipe("tagger", config={"model": {**TAGGER, "tok2vec": block}})
    optimizer = nlp.initialize(lambda: [tagged(nlp, text) for text in TEXTS])
    optimizer.learn_rate = 0.003
    losses = [nlp.update([tagged(nlp, text) for text in TEXTS], sgd=optimizer)["tagger"] for _ in range(10)]
    assert losses[-1] < losses[0]


# The checkpoint


def test_without_checkpoint_the_encoder_is_that_of_the_model_in_the_box() -> None:
    nlp = blank(None)
    nlp.initialize()
    assert encoder_of(nlp).config.hidden_size == 384
    assert states_of(nlp("Ada Lovelace")).shape[-1] == 384
    longformer = blank(None, "longformer")
    with pytest.raises(LukeError, match=r"L052.*Give \[components.transformer.model\] checkpoint"):
        longformer.initialize()


def test_a_checkpoint_of_the_other_encoder_is_an_error(folders) -> None:
    with pytest.raises(LukeError, match=r"L051.*LongformerEncoder"):
        blank(folders["longformer"], "luke").initialize()


def test_it_cannot_share_the_encoder_of_another_component() -> None:
    with pytest.raises(LukeError, match=r"L047.*SharedEncoder.v1"):
        build_transformer_model(build_shared_encoder(), get_strided_spans)


def test_a_transformer_without_weights_says_how_to_get_them(folders, tmp_path) -> None:
    nlp = blank(folders["luke"])
    with pytest.raises(LukeError, match=r"L094.*nlp.initialize.*\[components.transformer.model\] checkpoint"):
        nlp("Ada")
    nlp.to_disk(tmp_path / "out")
    loaded = spacy.load(tmp_path / "out")
    loaded.initialize()
    assert weights_of(loaded)


def test_without_spacy_transformers_the_error_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "spacy_transformers", None)
    model: Model = build_transformer_model(build_luke_encoder(), lambda docs: [[doc[:]] for doc in docs])
    with pytest.raises(LukeError, match=r"L093.*pip install"):
        model.predict([spacy.blank("en").make_doc("Ada")])


def test_looking_for_names_does_not_import_transformers() -> None:
    code = (
        "import sys\n"
        "from importlib.metadata import entry_points\n"
        "for group in ('spacy_architectures', 'spacy_factories', 'spacy_misc'):\n"
        "    for entry in entry_points(group=group):\n"
        "        if entry.value.startswith('spacy_luke'):\n"
        "            entry.load()\n"
        "assert 'spacy_luke.models.transformer_bridge' in sys.modules\n"
        "assert not {'transformers', 'spacy_transformers'} & set(sys.modules), 'imported'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# The config


def test_the_config_trains(folders, tmp_path) -> None:
    from spacy.training.initialize import init_nlp
    from spacy.training.loop import train

    nlp = spacy.blank("en")
    entities = [(0, 12, "PER"), (36, 42, "LOC")]
    docs = [Example.from_dict(nlp.make_doc(TEXTS[0]), {"entities": entities}).reference for _ in range(4)]
    DocBin(docs=docs).to_disk(tmp_path / "corpus.spacy")
    overrides = {
        "paths.train": str(tmp_path / "corpus.spacy"),
        "paths.dev": str(tmp_path / "corpus.spacy"),
        "paths.checkpoint": folders["luke"],
        "training.max_steps": 4,
        "training.eval_frequency": 2,
    }
    config = Config().from_disk(CONFIG, overrides=overrides)
    filled = spacy.util.load_model_from_config(config, auto_fill=True).config
    for name in ("transformer", "ner"):
        assert set(config["components"][name]) == set(filled["components"][name])
        assert set(config["components"][name]["model"]) == set(filled["components"][name]["model"])
    (tmp_path / "out").mkdir()
    train(init_nlp(config), tmp_path / "out")
    best = spacy.load(tmp_path / "out" / "model-best")
    assert best.meta["performance"]["ents_f"] is not None


def test_a_span_getter_that_raises_a_key_error_is_named(folders):
    nlp = blank(folders["luke"])
    nlp.initialize()

    def get_spans(docs: Any) -> Any:
        return [doc.spans["mine"] for doc in docs]

    nlp.get_pipe("transformer").model.attrs["get_spans"] = get_spans
    with pytest.raises(
        LukeError, match=r"L111.*'transformer': its model\.get_spans, .*get_spans, .*KeyError\('mine'\)"
    ):
        nlp("Ada met Babbage.")


def test_states_that_are_no_numbers_are_told_of_once(folders):
    nlp = blank(folders["luke"])
    nlp.initialize()
    shim = nlp.get_pipe("transformer").model.shims[0]
    for _ in range(2):
        with torch.no_grad():
            shim.encoder.layers[1].feed_forward.norm.bias.fill_(float("nan"))
        with warnings.catch_warnings(record=True) as given:
            warnings.simplefilter("always")
            list(nlp.pipe(TEXTS))
            list(nlp.pipe(TEXTS))
        assert len([one for one in given if "[W031] Component 'transformer'" in str(one.message)]) == 1
        shim.load(folders["luke"], None)
