"""An encoder with independent attention as the start of one with the paper's."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from spacy.training import Example
from transformers import LukeForEntitySpanClassification, LukeModel

from spacy_luke import default_model
from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.checkpoints.writer import save_checkpoint
from spacy_luke.encoders.luke import LukeEncoder
from tests.util import luke_config, make_input, randomise, write_luke


@pytest.fixture(params=[True, False])
def independent(tmp_path: Path, request) -> Path:
    """A saved encoder with independent attention, entity-aware and not."""
    model = randomise(LukeModel(luke_config(use_entity_aware_attention=request.param)))
    write_luke(tmp_path / "plain", model)
    opened = open_checkpoint(tmp_path / "plain").with_independent_attention()
    encoder = opened.load_encoder()
    save_checkpoint(tmp_path / "independent", opened.describe(encoder.config), encoder)
    return tmp_path / "independent"


def test_pieces_ask_for_entities_as_they_ask_for_pieces(independent: Path) -> None:
    encoder = open_checkpoint(independent).with_full_attention().load_encoder()
    assert type(encoder) is LukeEncoder
    aware = encoder.config.use_entity_aware_attention
    for name, tensor in encoder.state_dict().items():
        if "piece_to_entity_query" in name:
            assert torch.equal(tensor, encoder.state_dict()[name.replace("piece_to_entity_query", "query")])
    assert any("piece_to_entity_query" in name for name in encoder.state_dict()) == aware
    original = open_checkpoint(independent.parent / "plain").load_encoder()
    if aware:
        for layer, as_it_was in zip(encoder.layers, original.layers, strict=True):
            as_it_was.attention.piece_to_entity_query.load_state_dict(layer.attention.query.state_dict())
    batch = make_input([9], [[(1, 4), (5, 6)]])
    with torch.no_grad():
        ours, theirs = encoder.eval()(batch), original.eval()(batch)
    np.testing.assert_allclose(ours.entities.numpy(), theirs.entities.numpy(), atol=1e-5)


def test_training_from_the_box_with_full_attention_gives_what_transformers_opens(tmp_path: Path, caplog) -> None:
    nlp = spacy.blank("en")
    encoder = {"@architectures": "spacy-luke.LukeEncoder.v1", "entity_attention": "full"}
    pipe = nlp.add_pipe("luke_ner", config={"model": {"encoder": encoder}})
    gold = Example.from_dict(nlp.make_doc("Ada runs."), {"entities": [(0, 3, "PER")]})
    with caplog.at_level(logging.INFO, logger="spacy"):
        nlp.initialize(lambda: [gold])
    [line] = [record.getMessage() for record in caplog.records if "starts from" in record.getMessage()]
    assert line == ("luke_ner starts from the encoder of en_luke_mini: luke with full attention of entities")
    assert nlp.update([gold], sgd=nlp.resume_training())["luke_ner"] > 0
    nlp.to_disk(tmp_path)
    LukeForEntitySpanClassification.from_pretrained(tmp_path / "luke_ner")
    assert spacy.load(tmp_path).get_pipe("luke_ner").labels == pipe.labels


@pytest.mark.filterwarnings("ignore:.*W00[12]")
def test_the_head_in_the_box_goes_on_with_full_attention() -> None:
    nlp = spacy.blank("en")
    encoder = {"@architectures": "spacy-luke.LukeEncoder.v1", "entity_attention": "full"}
    pipe = nlp.add_pipe("luke_ner", config={"model": {"encoder": encoder}})
    nlp.initialize()
    assert pipe.labels == ("LOC", "MISC", "ORG", "PER")
    assert pipe.span_filter is None
    assert type(pipe._module.encoder) is LukeEncoder


@pytest.mark.filterwarnings("ignore:.*W00[12]")
def test_an_update_takes_the_head_in_the_box_with_full_attention() -> None:
    nlp = spacy.blank("en")
    encoder = {"@architectures": "spacy-luke.LukeEncoder.v1", "entity_attention": "full"}
    pipe = nlp.add_pipe("luke_ner", config={"model": {"encoder": encoder}})
    pipe.update([Example.from_dict(nlp.make_doc("Ada runs."), {"entities": [(0, 3, "PER")]})])
    assert pipe.labels == ("LOC", "MISC", "ORG", "PER")
    assert type(pipe._module.encoder) is LukeEncoder


def test_independent_attention_that_nobody_asked_for_is_told(independent: Path, caplog) -> None:
    pipe = spacy.blank("en").add_pipe("luke_ner")
    pipe.initialize(lambda: [], checkpoint=str(independent), labels=["A"])
    [told] = [record for record in caplog.records if "starts from" in record.getMessage()]
    assert told.levelno == logging.WARNING, "which spaCy shows without --verbose, too"
    assert told.getMessage().startswith(
        f"luke_ner starts from {independent}: luke with independent attention of entities (not the paper's"
    )
    assert 'entity_attention = "full"' in told.getMessage()


def test_the_encoder_in_the_box_has_independent_attention() -> None:
    """Which the documentation of the configs says."""
    assert open_checkpoint(default_model.bundled_encoder()).config.entity_attention == "independent"
