"""States of mentions made of their pieces."""

from __future__ import annotations

import pytest
import torch

from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.encoders.config import LongformerConfig
from spacy_luke.encoders.inputs import EncoderInput
from spacy_luke.encoders.longformer import LongformerEncoder
from spacy_luke.encoders.mention_states import MentionStates
from tests.util import longformer_config, make_input, write_longformer

SPANS = [[(0, 1), (3, 7), (0, 50), (49, 50)], [(4, 9), (2, 2), (5, 3), (50, 50)]]


def states() -> MentionStates:
    config = LongformerConfig.from_dict(longformer_config().to_dict())
    torch.manual_seed(0)
    return MentionStates(config)


def test_features_are_the_first_the_last_and_the_mean_piece():
    module, pieces = states(), torch.randn(2, 50, 32)
    found = module(pieces, torch.tensor(SPANS))
    for row, spans in enumerate(SPANS):
        for i, (start, end) in enumerate(spans):
            mention = pieces[row, start:end]
            empty = torch.zeros(96)
            features = torch.cat([mention[0], mention[-1], mention.mean(0)]) if len(mention) else empty
            assert torch.allclose(found[row, i], module.projection(features), atol=1e-5)


def test_they_start_as_the_average_of_the_three():
    module, pieces = states(), torch.randn(1, 9, 32)
    module.reset_parameters()
    found = module(pieces, torch.tensor([[(2, 6), (3, 3)]]))
    average = (pieces[0, 2] + pieces[0, 5] + pieces[0, 2:6].mean(0)) / 3
    assert torch.allclose(found[0, 0], average, atol=1e-6)
    assert not found[0, 1].any()


def test_the_mean_stays_exact_in_a_long_text_with_large_states():
    module, pieces = states(), torch.randn(1, 4096, 32)
    module.reset_parameters()
    pieces[..., ::5] += 30
    found = module(pieces, torch.tensor([[(4090, 4091)]]))
    assert torch.allclose(found[0, 0], pieces[0, 4090], atol=1e-5)


def encoder(mentions: bool) -> LongformerEncoder:
    config = LongformerConfig.from_dict(longformer_config().to_dict())
    made = LongformerEncoder(config, mentions=mentions)
    made.reset_parameters()
    return made.eval()


def test_the_encoder_gives_what_is_asked_for():
    batch = make_input([50, 30], SPANS, entities=4)
    model = encoder(mentions=True)
    with torch.no_grad():
        both, pieces, entities = (model(batch, states=wanted) for wanted in ("all", "pieces", "entities"))
    assert pieces.entities is None
    assert entities.pieces is None
    assert torch.equal(pieces.pieces, both.pieces)
    assert torch.equal(entities.entities, both.entities)
    assert both.entities.shape == (2, 4, 32)


@pytest.mark.parametrize("mentions", [True, False])
def test_there_are_no_entities_without_mentions(mentions):
    with_spans = make_input([50, 30], SPANS, entities=4)
    batch = EncoderInput(with_spans.piece_ids, with_spans.piece_mask) if mentions else with_spans
    assert encoder(mentions)(batch).entities is None


def test_a_checkpoint_without_them_gets_new_ones(tmp_path):
    write_longformer(tmp_path)
    opened = open_checkpoint(tmp_path).load_encoder(mentions=True)
    fresh = encoder(mentions=True)
    assert torch.equal(opened.mention_states.projection.weight, fresh.mention_states.projection.weight)
    assert open_checkpoint(tmp_path).load_encoder().mention_states is None
