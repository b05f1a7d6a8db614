"""Rows in several padded batches have the states that each has alone, in the order of the rows."""

from __future__ import annotations

import pytest
import torch
from transformers import LongformerModel, LukeModel

from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.encoders.batches import Batch, BatchedEncoder
from spacy_luke.encoders.encoder import Encoder
from spacy_luke.encoders.inputs import EncoderInput, Recording
from tests.util import longformer_config, luke_config, make_input, randomise, write_longformer, write_luke

LENGTHS = {2: 5, 0: 9, 3: 30, 1: 12}  # row -> pieces, as they come
RECORDING = Recording(frozenset({0, 2}), frozenset({1}))


@pytest.fixture(params=["luke", "longformer"])
def encoder(request, tmp_path) -> Encoder:
    if request.param == "luke":
        write_luke(tmp_path, randomise(LukeModel(luke_config())))
    else:
        write_longformer(tmp_path, randomise(LongformerModel(longformer_config())))
    return open_checkpoint(tmp_path).load_encoder().eval()


def batches() -> list[Batch]:
    return [
        Batch([2, 0], make_input([LENGTHS[2], LENGTHS[0]], None, seed=1)),
        Batch([3, 1], make_input([LENGTHS[3], LENGTHS[1]], None, seed=2)),
    ]


@pytest.mark.parametrize("recording", [None, RECORDING])
def test_states_are_those_of_each_row_alone(encoder, recording) -> None:
    with torch.no_grad():
        together = BatchedEncoder(encoder)(batches(), recording=recording)
        assert together.pieces.shape[:2] == (4, 30)
        assert together.entities is together.pooled is None
        for batch in batches():
            for place, row in enumerate(batch.indices):
                count = LENGTHS[row]
                own = EncoderInput(batch.rows.piece_ids[[place], :count], batch.rows.piece_mask[[place], :count])
                alone = encoder(own, recording=recording)
                pairs = [(together.pieces[row], alone.pieces[0])]
                if recording is None:
                    assert together.hidden_states is together.attentions is None
                else:
                    assert (len(together.hidden_states), len(together.attentions)) == (2, 1)
                    pairs += [(a[row], b[0]) for a, b in zip(together.hidden_states, alone.hidden_states, strict=True)]
                    [weights], [expected] = together.attentions, alone.attentions
                    columns = expected.shape[-1]
                    heads = zip(weights[row], expected[0], strict=True)
                    pairs += [(ours[:, :columns], theirs) for ours, theirs in heads]
                    assert not weights[row][..., columns:].any()
                for ours, theirs in pairs:
                    assert torch.allclose(ours[:count], theirs, atol=1e-4)
                    assert not ours[count:].any(), "0 where the row has no piece"


def test_what_is_recorded_has_no_gradient(encoder) -> None:
    output = BatchedEncoder(encoder)(batches(), recording=RECORDING)
    assert output.pieces.requires_grad
    assert not any(part.requires_grad for part in (*output.hidden_states, *output.attentions))


def test_a_batch_goes_to_another_device_with_its_indices() -> None:
    [batch, _] = batches()
    moved = batch.to("meta")
    assert moved.indices == batch.indices
    assert moved.rows.piece_ids.device.type == moved.rows.piece_mask.device.type == "meta"
