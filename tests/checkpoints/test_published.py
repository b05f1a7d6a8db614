"""The layouts of the published checkpoints, in small: what their folders have unlike those that are saved today."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
import torch
import transformers
from torch import nn

import spacy_luke
from spacy_luke.checkpoints.pretraining import load_for_pretraining
from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.errors import LukeError
from spacy_luke.fill_mask.fill_mask import FillMask
from tests.checkpoints.test_upcycle import write_source
from tests.interchange.models import assert_same, batch_for, load, our_numbers, their_numbers
from tests.mluke_model import write_mluke
from tests.util import ENTITIES, longformer_config, luke_config, make_input, randomise, write_longformer, write_luke

# As the lite models number theirs.
LITE = {"[MASK]": 0, "[UNK]": 1, "[PAD]": 2, "[MASK2]": 3}
TACRED = {"id2label": {0: "no_relation", 1: "org:founded", 2: "per:title"}}
LONGFORMER = {"@architectures": "spacy-luke.LongformerEncoder.v1"}


def make(kind: str, **changes: Any) -> nn.Module:
    config = luke_config if kind.startswith("Luke") else longformer_config
    return randomise(getattr(transformers, kind)(config(**changes)))


def publish(
    folder: Path,
    model: nn.Module,
    *,
    lacks: tuple[str, ...] = (),
    more: Mapping[str, torch.Tensor] = {},
    titles: Mapping[str, int] | None = None,
) -> nn.Module:
    """A folder with pytorch_model.bin, which holds tied weights twice, and buffers as older versions saved them.

    lacks: entries that config.json lacks. more: further weights. titles: of entity_vocab.json.
    """
    write = write_longformer if type(model).__name__.startswith("Longformer") else write_luke
    write(folder, model, safe_serialization=False)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({n: v for n, v in config.items() if n not in lacks}))
    if titles is not None:
        (folder / "entity_vocab.json").write_text(json.dumps(titles))
    prefix = f"{model.base_model_prefix}." if hasattr(model, model.base_model_prefix) else ""
    buffers = {f"{prefix}embeddings.position_ids": torch.arange(130)[None]}
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    torch.save({**weights, **buffers, **more}, folder / "pytorch_model.bin")
    return model


# allenai/longformer-base-4096: no architectures, a masked language model, and a pooler that this lacks.


@pytest.fixture
def longformer(tmp_path: Path) -> tuple[Path, nn.Module]:
    pooler = {"longformer.pooler.dense.weight": torch.randn(32, 32), "longformer.pooler.dense.bias": torch.randn(32)}
    model = make("LongformerForMaskedLM", max_position_embeddings=66)
    return tmp_path / "base", publish(tmp_path / "base", model, lacks=("architectures",), more=pooler)


def test_longformer_base_fills_masks(longformer) -> None:
    folder, model = longformer
    [(_, logits)] = FillMask.from_checkpoint(folder).logits(["Ada met <mask> in London."])
    tokenizer = transformers.LongformerTokenizer.from_pretrained(folder)
    batch = tokenizer("Ada met <mask> in London.", return_tensors="pt")
    with torch.no_grad():
        expected = model(**batch).logits[0][batch["input_ids"][0] == tokenizer.mask_token_id]
    np.testing.assert_allclose(logits, expected.numpy(), atol=1e-4)
    assert load(open_checkpoint(folder))[0].lm_head.decoder is None


def test_longformer_base_is_an_encoder_for_a_pipeline(longformer, tmp_path) -> None:
    folder, model = longformer
    nlp = spacy_luke.from_checkpoint(folder)
    assert nlp.pipe_names == ["sentencizer", "luke_encoder"]
    batch = batch_for("LongformerModel", 0)
    expected = their_numbers(model.longformer, batch)
    assert_same(expected, our_numbers(nlp.get_pipe("luke_encoder").encoder.eval(), "LongformerModel", batch))
    nlp.to_disk(tmp_path / "saved")
    assert np.array_equal(spacy.load(tmp_path / "saved")("Ada met Babbage.").vector, nlp("Ada met Babbage.").vector)


def test_longformer_base_is_trained_for_a_task(longformer) -> None:
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe("luke_qa", config={"model": {"encoder": LONGFORMER}})
    pipe.initialize(lambda: iter(()), nlp=nlp, checkpoint=str(longformer[0]))
    assert pipe.has_weights


def test_a_named_masked_language_model_of_longformer_is_no_component(tmp_path) -> None:
    publish(tmp_path / "in", make("LongformerForMaskedLM"))
    with pytest.raises(LukeError, match=r"L049.*FillMask"):
        spacy_luke.from_checkpoint(tmp_path / "in")


# config.json without architectures


@pytest.mark.parametrize(
    ("kind", "factory"),
    [
        ("LukeModel", "luke_encoder"),
        ("LukeForMaskedLM", "luke_entity_linker"),
        ("LukeForEntityPairClassification", "luke_relations"),
        ("LukeForEntitySpanClassification", "luke_ner"),
        ("LukeForQuestionAnswering", "luke_qa"),
        ("LukeForTokenClassification", "luke_token_classifier"),
        ("LongformerModel", "luke_encoder"),
        ("LongformerForQuestionAnswering", "luke_qa"),
        ("LongformerForSequenceClassification", "luke_textcat"),
        ("LongformerForTokenClassification", "luke_token_classifier"),
        ("LongformerForMultipleChoice", "luke_multiple_choice"),
    ],
)
def test_without_architectures_the_weights_choose_the_component(tmp_path, kind, factory) -> None:
    labels = {"id2label": {0: "NIL", 1: "PER", 2: "LOC"}} if "Classification" in kind else {}
    publish(tmp_path / "in", make(kind, **labels), lacks=("architectures",))
    nlp = spacy_luke.from_checkpoint(tmp_path / "in", sentences=None)
    assert nlp.pipe_names == [factory]
    assert nlp.get_pipe(factory).logit_labels == tuple(labels.get("id2label", {}).values())


@pytest.mark.parametrize(
    "kind", ["LukeForEntityClassification", "LukeForSequenceClassification", "LukeForMultipleChoice"]
)
def test_weights_that_fit_several_heads_raise_l117(tmp_path, kind) -> None:
    publish(tmp_path / "in", make(kind), lacks=("architectures",))
    message = (
        r"L117.*classifier\.bias, classifier\.weight.*LukeForEntityClassification, .*LukeForSequenceClassification"
    )
    with pytest.raises(LukeError, match=message):
        spacy_luke.from_checkpoint(tmp_path / "in")
    # As it says: the encoder is there for whoever wants no more.
    assert spacy.blank("en").add_pipe("luke_encoder").load_checkpoint(tmp_path / "in").has_weights


def test_a_head_that_is_none_of_transformers_raises_l117(tmp_path) -> None:
    head = {"classifier.weight": torch.zeros(3, 5 * 32), "classifier.bias": torch.zeros(3)}
    publish(tmp_path / "in", make("LukeForMaskedLM"), lacks=("architectures",), more=head)
    with pytest.raises(LukeError, match=r"L117.*classifier\.bias.*lm_head\.dense\.weight.*none that is known"):
        spacy_luke.from_checkpoint(tmp_path / "in")


@pytest.mark.parametrize("value", [None, []])
def test_empty_architectures_are_none(tmp_path, value) -> None:
    publish(tmp_path / "in", make("LukeModel"))
    config = json.loads((tmp_path / "in" / "config.json").read_text())
    (tmp_path / "in" / "config.json").write_text(json.dumps({**config, "architectures": value}))
    assert spacy_luke.from_checkpoint(tmp_path / "in").pipe_names == ["sentencizer", "luke_encoder"]


def test_architectures_that_are_no_list_raise_l004(tmp_path) -> None:
    publish(tmp_path / "in", make("LukeModel"))
    config = json.loads((tmp_path / "in" / "config.json").read_text())
    (tmp_path / "in" / "config.json").write_text(json.dumps({**config, "architectures": "LukeModel"}))
    with pytest.raises(LukeError, match=r"L004.*architectures = 'LukeModel'"):
        spacy_luke.from_checkpoint(tmp_path / "in")


# studio-ousia/luke-base, luke-large-finetuned-*, mluke-base, *-lite


def test_luke_base_is_a_linker_and_fills_masks(tmp_path) -> None:
    model = publish(tmp_path / "in", make("LukeForMaskedLM"))
    assert {"lm_head.decoder.weight", "lm_head.decoder.bias", "entity_predictions.decoder.weight"} <= set(
        torch.load(tmp_path / "in" / "pytorch_model.bin", weights_only=True)
    )
    assert spacy_luke.from_checkpoint(tmp_path / "in", sentences=None).pipe_names == ["luke_entity_linker"]
    batch = batch_for("LukeForMaskedLM", len(ENTITIES))
    module, _ = load(open_checkpoint(tmp_path / "in"))
    assert_same(their_numbers(model, batch), our_numbers(module, "LukeForMaskedLM", batch))
    assert module.lm_head.decoder is None
    assert module.entity_predictions.decoder is None
    assert len(FillMask.from_checkpoint(tmp_path / "in")("Ada met <mask>.")[0].fillings) == 5


def test_a_finetuned_luke_has_the_special_entities_alone(tmp_path) -> None:
    """The vocabulary of luke-large-finetuned-tacred: its published numbers of the special entities, and no titles."""
    titles = {"[PAD]": 0, "[MASK]": 1, "[MASK2]": 2, "[UNK]": 3}
    model = make("LukeForEntityPairClassification", entity_vocab_size=4, **TACRED)
    publish(tmp_path / "in", model, titles=titles)
    nlp = spacy_luke.from_checkpoint(tmp_path / "in", sentences=None)
    assert nlp.pipe_names == ["luke_relations"]
    assert nlp.get_pipe("luke_relations").logit_labels == tuple(TACRED["id2label"].values())
    batch, kind = batch_for("LukeForEntityPairClassification", 4), "LukeForEntityPairClassification"
    assert_same(their_numbers(model, batch), our_numbers(load(open_checkpoint(tmp_path / "in"))[0], kind, batch))


@pytest.fixture(params=["luke", "mluke"])
def lite(request, tmp_path) -> Path:
    if request.param == "luke":
        publish(tmp_path / "lite", make("LukeForMaskedLM", entity_vocab_size=4), titles=LITE)
    else:
        write_mluke(tmp_path / "lite", transformers.LukeForMaskedLM)
        (tmp_path / "lite" / "entity_vocab.json").write_text(json.dumps({**LITE, "[MASK2]": 5}))
    return tmp_path / "lite"


def test_a_lite_model_has_nothing_to_link_to_and_l085_says_what_can_be_done(lite, tmp_path) -> None:
    with pytest.raises(LukeError, match="L085") as error:
        spacy_luke.from_checkpoint(lite)
    message = str(error.value)
    assert "entity_vocab = 'full'" not in message
    assert "luke-base, not luke-base-lite" in message
    assert "[initialize.components.luke_entity_linker] entities" in message
    # What it advises can be done.
    (tmp_path / "titles.txt").write_text("Ada Lovelace\nLondon")
    nlp = spacy.blank("en")
    encoder = {"@architectures": "spacy-luke.LukeEncoder.v1", "entity_vocab": "full"}
    linker = nlp.add_pipe("luke_entity_linker", config={"model": {"encoder": encoder}})
    linker.initialize(lambda: iter(()), nlp=nlp, checkpoint=str(lite), entities=str(tmp_path / "titles.txt"))
    assert {"Ada Lovelace", "London"} <= set(linker._require_weights().entity_vocab.title_of.values())
    assert FillMask.from_checkpoint(lite)("Ada met <mask>.")
    assert spacy.blank("en").add_pipe("luke_encoder").load_checkpoint(lite).has_weights


# Sources of other encoders


@pytest.mark.parametrize("kind", ["bert", "roberta"])
@pytest.mark.parametrize("own", [True, False])
def test_the_decoder_of_a_plain_encoder_is_taken_with_its_bias(tmp_path, kind, own) -> None:
    """pytorch_model.bin of roberta-base and bert-base-uncased has both, tied."""
    theirs = write_source(tmp_path, kind, head=True)
    (tmp_path / "model.safetensors").unlink()
    if own:
        decoder = theirs.get_output_embeddings()
        decoder.weight = nn.Parameter(torch.randn_like(decoder.weight))
    torch.save(theirs.state_dict(), tmp_path / "pytorch_model.bin")
    module, _ = load_for_pretraining(
        open_checkpoint(tmp_path), "full", entity_aware_attention=False, entity_emb_size=None
    )
    config = module.encoder.config
    batch = make_input([20, 9], None, vocab_size=config.vocab_size - 2, pad_id=config.pad_token_id)
    with torch.no_grad():
        logits = module.eval()(batch)
        expected = theirs(batch.piece_ids, attention_mask=batch.piece_mask.long()).logits
    assert (logits[..., :-2] - expected)[batch.piece_mask].abs().max() < 1e-4
    assert (module.lm_head.decoder is not None) == own
