"""What the layers share: dropout rates, and rows taken by their places."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import LukeModel

from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.encoders.attention import Attention, SelfAttention
from spacy_luke.encoders.config import LukeConfig
from spacy_luke.encoders.layers import flat_indices, set_dropout, take_flat, take_rows
from spacy_luke.errors import LukeError
from tests.util import luke_config, write_luke


def test_every_rate_of_dropout_is_set(tmp_path) -> None:
    write_luke(tmp_path, LukeModel(luke_config()))
    encoder = open_checkpoint(tmp_path).load_encoder()
    set_dropout(encoder, 0.25)
    dropouts = [part.p for part in encoder.modules() if isinstance(part, nn.Dropout)]
    attentions = [part.attention_dropout for part in encoder.modules() if isinstance(part, Attention)]
    assert set(dropouts) == set(attentions) == {0.25}
    with pytest.raises(LukeError, match=r"L047.*dropout"):
        set_dropout(encoder, 1.5)


def test_rows_are_taken_by_index_and_by_place() -> None:
    states = torch.arange(24.0).view(2, 3, 4)
    taken = take_rows(states, torch.tensor([[2, 0], [1, 1]]))
    assert torch.equal(taken, torch.stack([states[0, [2, 0]], states[1, [1, 1]]]))
    mask = torch.tensor([[False, True, False], [True, False, True]])
    places = flat_indices(mask)
    assert places.tolist() == [1, 3, 5]
    assert torch.equal(take_flat(states, places), states[mask])


@pytest.mark.parametrize("pieces", [5, 3], ids=["pieces alone", "with entities"])
def test_attention_weights_are_dropped_in_training_alone(pieces) -> None:
    torch.manual_seed(0)
    attention = SelfAttention(LukeConfig.from_dict(luke_config().to_dict()))
    rows = torch.randn(2, 5, 32)
    set_dropout(attention, 0.0)
    attention.attention_dropout = 1.0
    with torch.no_grad():
        expected = attention.norm(attention.output.bias + rows)  # of nothing that is attended to
        assert torch.allclose(attention.train()(rows, pieces, None), expected, atol=1e-6)
        states, weights = attention.with_weights(rows, pieces, None)
        assert torch.allclose(states, expected, atol=1e-6)
        assert not weights.any()
        _, weights = attention.eval().with_weights(rows, pieces, None)
        assert torch.allclose(weights.sum(-1), torch.ones(2, 4, 5), atol=1e-6)
        assert not torch.allclose(attention(rows, pieces, None), expected, atol=1e-3)
