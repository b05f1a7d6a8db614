"""A new head on an encoder: what it needs comes with it, and the encoder stays as it is."""

from __future__ import annotations

import pytest
import torch

from spacy_luke.checkpoints.heads import (
    PAIR_CLASSIFIER,
    QUESTION_ANSWERING,
    SEQUENCE_CLASSIFIER,
    SPAN_CLASSIFIER,
    with_new_head,
)
from spacy_luke.encoders.config import LukeConfig
from spacy_luke.encoders.luke import LukeEncoder
from spacy_luke.encoders.span_filter import SpanFilterSettings
from spacy_luke.errors import LukeError
from tests.util import luke_config, make_input


def encoder(*, pooling: bool = True) -> LukeEncoder:
    torch.manual_seed(0)
    made = LukeEncoder(LukeConfig.from_dict(luke_config(initializer_range=0.3).to_dict()), pooling=pooling)
    made.reset_parameters()
    return made.eval()


def test_a_head_that_reads_the_pooled_state_brings_a_pooler() -> None:
    without = encoder(pooling=False)
    module = with_new_head(without, SEQUENCE_CLASSIFIER, 3)
    assert module.encoder is without
    assert without.pooler.weight.shape == (32, 32)
    assert 0.2 < float(without.pooler.weight.detach().std()) < 0.4, "as the reference initialises it"
    assert not without.pooler.bias.any()
    assert module(make_input([9, 4], None)).shape == (2, 3)


def test_a_pooler_that_is_there_stays_and_others_need_none() -> None:
    pooled = encoder()
    before = pooled.pooler.weight.clone()
    assert torch.equal(with_new_head(pooled, SEQUENCE_CLASSIFIER, 3).encoder.pooler.weight, before)
    for architecture in (PAIR_CLASSIFIER, QUESTION_ANSWERING):
        assert with_new_head(encoder(pooling=False), architecture, 3).encoder.pooler is None


def test_a_span_filter_is_made_if_it_is_asked_for() -> None:
    settings = SpanFilterSettings(layer=1, threshold=0.1, floor=3, hard_negatives=5)
    assert with_new_head(encoder(), SPAN_CLASSIFIER, 3).span_filter is None
    span_filter = with_new_head(encoder(), SPAN_CLASSIFIER, 3, settings).span_filter
    assert span_filter.settings == settings
    assert 0 < torch.sigmoid(span_filter.score.bias).item() < 0.1, "few spans are probable"


def test_a_head_that_the_encoder_has_not_raises_l023() -> None:
    with pytest.raises(LukeError, match=r"L023.*LukeForTranslation"):
        with_new_head(encoder(), "LukeForTranslation", 3)
