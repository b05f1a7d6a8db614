"""config.json is read with transformers' names and defaults; wrong values are named."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
from transformers import LongformerConfig as LongformerReference
from transformers import LukeConfig as LukeReference

from spacy_luke.encoders.config import LongformerConfig, LukeConfig
from spacy_luke.encoders.luke import LukeEncoder
from spacy_luke.errors import LukeError
from tests.util import luke_config


@pytest.mark.parametrize(
    ("reference", "config"), [(LukeReference, LukeConfig), (LongformerReference, LongformerConfig)]
)
def test_defaults_are_those_of_the_reference(reference, config):
    theirs, ours = reference(), config()
    for field in fields(ours):
        if field.name not in ("extra", "entity_attention"):  # which are ours
            assert getattr(ours, field.name) == getattr(theirs, field.name), field.name


def test_what_is_not_understood_is_written_back():
    data = {"hidden_size": 24, "num_attention_heads": 2, "id2label": {"0": "NIL"}, "made_by": "us"}
    written = LukeConfig.from_dict(data).to_dict()
    assert {key: written[key] for key in data} == data
    assert "extra" not in written


@pytest.mark.parametrize("window", [8, [8, 6]])
def test_a_window_is_one_number_or_one_for_each_layer(window):
    config = LongformerConfig.from_dict({"num_hidden_layers": 2, "attention_window": window})
    assert config.attention_windows == ((8, 8) if window == 8 else (8, 6))
    assert config == LongformerConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert hash(config)


@pytest.mark.parametrize("window", [7, 0, -2, [8], [8, 8, 8], [8, 5], []])
def test_an_impossible_window_raises_l006(window):
    with pytest.raises(LukeError, match=r"L006.*2 of them"):
        LongformerConfig.from_dict({"num_hidden_layers": 2, "attention_window": window})


def test_null_special_ids_mean_the_defaults():
    """Newer versions of transformers write null where a model names no such piece."""
    config = LukeConfig.from_dict({"bos_token_id": None, "eos_token_id": None})
    assert (config.bos_token_id, config.eos_token_id) == (0, 2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_size", "768"),
        ("hidden_size", 0),
        ("num_hidden_layers", -1),
        ("num_attention_heads", True),
        ("vocab_size", 1.5),
        ("layer_norm_eps", None),
        ("hidden_dropout_prob", 2),
        ("hidden_act", 3),
        ("use_entity_aware_attention", "yes"),
        ("classifier_dropout", "none"),
        ("pad_token_id", -1),
        ("max_position_embeddings", float("nan")),
        ("initializer_range", float("nan")),
    ],
)
def test_a_value_of_the_wrong_kind_raises_l004_with_its_name(name, value):
    with pytest.raises(LukeError, match="L004") as error:
        LukeConfig.from_dict({name: value})
    assert name in str(error.value)


def test_a_hidden_size_that_the_heads_do_not_divide_raises_l002():
    with pytest.raises(LukeError, match="L002"):
        LukeConfig.from_dict({"hidden_size": 30, "num_attention_heads": 4})


def test_an_unknown_activation_raises_l001():
    config = LukeConfig.from_dict({**luke_config().to_dict(), "hidden_act": "wavelet"})
    with pytest.raises(LukeError, match=r"L001.*wavelet"):
        LukeEncoder(config)
