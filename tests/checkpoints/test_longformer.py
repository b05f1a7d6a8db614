"""Longformer folders: what transformers wrote is read, what we write transformers opens with the same results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoTokenizer, LongformerModel, LongformerTokenizerFast

from spacy_luke.checkpoints.checkpoint import Description
from spacy_luke.checkpoints.heads import HEADS, SPAN_CLASSIFIER, architecture_on
from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.checkpoints.writer import save_checkpoint
from spacy_luke.encoders.config import LongformerConfig
from spacy_luke.encoders.heads import TaskModule
from spacy_luke.errors import LukeError
from tests.encoders.test_longformer_heads import KINDS, LABELLED, modules, question_batch, reference_logits
from tests.util import longformer_config, make_input, randomise, reference_input, write_longformer

HEADS_ON_ENTITIES = ["EntitySpanClassification", "EntityPairClassification", "EntityClassification"]


def edit(folder: Path, **changes: object) -> None:
    data = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**data, **changes}))


def edit_weights(folder: Path, *, remove: str | None = None, **add: torch.Tensor) -> None:
    weights = {**load_file(folder / "model.safetensors"), **add}
    if remove:
        del weights[remove]
    save_file(weights, folder / "model.safetensors")


def save(folder: Path, source: Path, architecture: str, module: TaskModule) -> None:
    checkpoint = open_checkpoint(source)
    description = Description(
        architecture, checkpoint.config, checkpoint.tokenizer, checkpoint.entity_vocab, checkpoint.labels
    )
    save_checkpoint(folder, description, module)


def test_a_bare_model_is_read_with_its_configuration(tmp_path):
    write_longformer(tmp_path)
    checkpoint = open_checkpoint(tmp_path)
    assert isinstance(checkpoint.config, LongformerConfig)
    assert checkpoint.config.attention_windows == (4, 8, 16)
    assert checkpoint.architecture == "LongformerModel"
    assert checkpoint.labels == ()
    assert len(checkpoint.entity_vocab) == 4


@pytest.mark.parametrize("safe", [True, False])
@pytest.mark.parametrize("shard", ["1GB", "20KB"])
def test_weights_are_read_from_one_file_or_shards_in_both_formats(tmp_path, safe, shard):
    model = write_longformer(tmp_path, safe_serialization=safe, max_shard_size=shard)
    batch = make_input([40, 30], None)
    with torch.no_grad():
        theirs = model(**reference_input(batch)).last_hidden_state
        ours = open_checkpoint(tmp_path).load_encoder().eval()(batch).pieces
    assert (theirs - ours).abs().max() < 1e-4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("safe", [True, False])
def test_labels_are_those_of_the_heads_that_have_some(tmp_path, kind, safe):
    labels = {0: "B", 1: "A"}
    model = getattr(transformers, kind)(longformer_config(id2label=labels))
    write_longformer(tmp_path, randomise(model), safe_serialization=safe)
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.labels == (("B", "A") if kind in LABELLED else ())
    checkpoint.load_task_module(kind, "special")


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_opens_what_we_wrote_with_the_same_logits(tmp_path, kind):
    _, module = modules(tmp_path / "in", kind)
    save(tmp_path / "out", tmp_path / "in", kind, module)
    model, info = getattr(transformers, kind).from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    batch = question_batch()
    batch.global_mask = torch.rand(batch.piece_ids.shape) < 0.1
    with torch.no_grad():
        assert (reference_logits(model.eval(), batch) - module(batch)).abs().max() < 1e-4
    assert set(load_file(tmp_path / "out" / "model.safetensors")) == set(load_file(tmp_path / "in/model.safetensors"))
    assert not (tmp_path / "out" / "entity_vocab.json").exists()


def test_an_untied_decoder_is_written_and_opened(tmp_path):
    _, module = modules(tmp_path / "in", "LongformerForMaskedLM", tie_word_embeddings=False)
    save(tmp_path / "out", tmp_path / "in", "LongformerForMaskedLM", module)
    model = transformers.LongformerForMaskedLM.from_pretrained(tmp_path / "out").eval()
    with torch.no_grad():
        assert (reference_logits(model, question_batch()) - module(question_batch())).abs().max() < 1e-4


def test_transformers_opens_a_bare_encoder_with_the_same_states(tmp_path):
    write_longformer(tmp_path / "in")
    checkpoint = open_checkpoint(tmp_path / "in")
    encoder = checkpoint.load_encoder().eval()
    save_checkpoint(tmp_path / "out", checkpoint.describe(checkpoint.config), encoder)
    model, info = LongformerModel.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    batch = make_input([40, 30], None)
    with torch.no_grad():
        assert (model.eval()(**reference_input(batch)).last_hidden_state - encoder(batch).pieces).abs().max() < 1e-4


@pytest.mark.parametrize("form", ["vocab.json", "tokenizer.json"])
def test_transformers_opens_the_tokenizer_we_wrote_with_the_same_ids(tmp_path, form):
    source = tmp_path / "in"
    write_longformer(source)
    fast = LongformerTokenizerFast(str(source / "vocab.json"), str(source / "merges.txt"))
    if form == "tokenizer.json":
        (source / "vocab.json").unlink()
        (source / "merges.txt").unlink()
    fast.save_pretrained(source) if form == "vocab.json" else fast.backend_tokenizer.save(str(source / form))
    checkpoint = open_checkpoint(source)
    save_checkpoint(tmp_path / "out", checkpoint.describe(checkpoint.config), checkpoint.load_encoder())
    theirs = AutoTokenizer.from_pretrained(tmp_path / "out")
    text = "Ada Lovelace met Babbage in São Paulo."
    ours = checkpoint.tokenizer.encode_text(text, [])
    special = checkpoint.tokenizer.special
    assert theirs(text)["input_ids"] == [special.bos, *ours.ids.tolist(), special.eos]


@pytest.mark.parametrize("head", HEADS_ON_ENTITIES)
def test_a_head_on_entities_is_read_as_it_was_written(tmp_path, head):
    """Under the name of LUKE's class or that of ours, with its states of mentions; transformers opens the encoder."""
    write_longformer(tmp_path / "in")
    luke, ours = architecture_on("luke", f"For{head}"), f"LongformerFor{head}"
    checkpoint = open_checkpoint(tmp_path / "in")
    assert checkpoint.architecture_of(luke) == ours
    module, vocab = checkpoint.load_task_module(luke, "special", labels=3)
    randomise(module)
    description = Description(ours, checkpoint.config, checkpoint.tokenizer, vocab, ("A", "B", "C"))
    save_checkpoint(tmp_path / "out", description, module)
    for name in (ours, luke):
        edit(tmp_path / "out", architectures=[name])
        again = open_checkpoint(tmp_path / "out")
        assert again.architecture == ours
        assert again.labels == ("A", "B", "C")
        reread, _ = again.load_task_module(name, "special")
        assert reread.state_dict().keys() == module.state_dict().keys()
        assert all(torch.equal(t, reread.state_dict()[key]) for key, t in module.state_dict().items())
    _, info = LongformerModel.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"]


def test_an_encoder_is_read_from_a_model_with_states_of_mentions(tmp_path):
    write_longformer(tmp_path / "in")
    module, _ = open_checkpoint(tmp_path / "in").load_task_module(SPAN_CLASSIFIER, "special", labels=2)
    save(tmp_path / "out", tmp_path / "in", "LongformerForEntitySpanClassification", module)
    encoder = open_checkpoint(tmp_path / "out").load_encoder()
    assert all(torch.equal(p, module.encoder.get_parameter(name)) for name, p in encoder.named_parameters())


# --- what is wrong with a folder


@pytest.mark.parametrize(
    "key", ["encoder.layer.1.attention.self.query_global.bias", "encoder.layer.2.attention.self.value_global.weight"]
)
def test_missing_keys_are_named(tmp_path, key):
    write_longformer(tmp_path)
    edit_weights(tmp_path, remove=key)
    with pytest.raises(LukeError, match=rf"L024.*Missing keys: {key}\. "):
        open_checkpoint(tmp_path).load_encoder()


def test_half_of_the_states_of_mentions_is_a_missing_key(tmp_path):
    write_longformer(tmp_path)
    edit_weights(tmp_path, **{"mention_states.projection.bias": torch.zeros(32)})
    with pytest.raises(LukeError, match=r"L024.*Missing keys: mention_states\.projection\.weight\. "):
        open_checkpoint(tmp_path).load_encoder(mentions=True)


def test_unknown_keys_are_named(tmp_path):
    write_longformer(tmp_path)
    edit_weights(tmp_path, **{"encoder.layer.0.attention.self.w2e_query.weight": torch.zeros(32, 32)})
    with pytest.raises(LukeError, match=r"L024.*Unknown keys: encoder\.layer\.0\.attention\.self\.w2e_query\.weight\."):
        open_checkpoint(tmp_path).load_encoder()


def test_weights_of_the_wrong_size_are_named_with_both_sizes(tmp_path):
    write_longformer(tmp_path)
    edit(tmp_path, max_position_embeddings=90)
    with pytest.raises(LukeError, match=r"L025.*position_embeddings.weight is \(202, 32\).*\(90, 32\)"):
        open_checkpoint(tmp_path).load_encoder()


@pytest.mark.parametrize("window", [5, 0, -4, [4, 8], [4, 8, 16, 32], [4, 7, 16], []])
def test_an_impossible_window_raises_l006(tmp_path, window):
    write_longformer(tmp_path)
    edit(tmp_path, attention_window=window)
    with pytest.raises(LukeError, match=r"L006.*3 of them"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("window", ["512", None, 4.0, True, [4, "8", 16], {"0": 4}])
def test_a_window_that_is_no_number_raises_l004(tmp_path, window):
    write_longformer(tmp_path)
    edit(tmp_path, attention_window=window)
    with pytest.raises(LukeError, match=r"L004.*attention_window"):
        open_checkpoint(tmp_path)


def test_a_missing_tokenizer_raises_l028(tmp_path):
    write_longformer(tmp_path)
    (tmp_path / "vocab.json").unlink()
    with pytest.raises(LukeError, match="L028"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("architecture", ["LongformerForEntityLinking", "LongformerModel", ""])
def test_a_head_that_longformer_does_not_have_raises_l023(tmp_path, architecture):
    write_longformer(tmp_path)
    with pytest.raises(LukeError, match=r"L023.*LongformerForTokenClassification"):
        open_checkpoint(tmp_path).load_task_module(architecture, "special", labels=2)


def test_every_architecture_of_longformer_that_transformers_has_is_known():
    theirs = {name for name in dir(transformers) if name.startswith("LongformerFor")}
    ours = {architecture_on(model_type, f"For{head}") for model_type, head in HEADS if model_type == "longformer"}
    assert theirs <= ours


def test_parameters_share_no_memory_and_can_be_trained(tmp_path):
    _, module = modules(tmp_path, "LongformerForMaskedLM")
    parameters: list[nn.Parameter] = list(module.parameters())
    assert len({p.untyped_storage().data_ptr() for p in parameters}) == len(parameters)
    assert all(p.requires_grad for p in parameters)
