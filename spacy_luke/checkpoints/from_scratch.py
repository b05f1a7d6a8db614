"""A LUKE with random weights, to be pretrained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..encoders.config import LukeConfig
from ..encoders.luke import LukeEncoder, LukeLayer
from ..errors import LukeError
from ..tokenization.entity_vocab import MASK, MASK2, EntityVocab
from ..tokenization.loading import read_tokenizer_files
from ..tokenization.pieces import PieceTokenizer
from .checkpoint import Checkpoint
from .heads import bare_model
from .upcycle import upcycled_config, upcycled_tokenizer
from .upcycled_weights import MARKERS
from .weights import ModuleWeights

# What may be chosen of a `LukeConfig`; the rest follows from the tokenizer.
SIZES = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "initializer_range",
    "layer_norm_eps",
)


def new_checkpoint(
    tokenizer: Path, sizes: Mapping[str, Any], *, max_pieces: int = 512, case_types: bool | None = None
) -> Checkpoint:
    """A LUKE without entities but the special ones, whose weights are random as the reference initialises them. As in a
    LUKE made of a RoBERTa, the queries for entities are copies of those for pieces, and [MASK2] one of [MASK].

    tokenizer: folder with the files of a tokenizer: BERT's, RoBERTa's or XLM-R's. L028 if there is none.
    sizes: some of `SIZES`, by their names in config.json. L080 for another name, L004 for a value that is not possible.
    max_pieces: longest input, the two special pieces included.
    case_types: whether pieces carry the case of their word; default: if the tokenizer lower-cases.
    """
    for name in sizes:
        if name not in SIZES:
            raise LukeError("L080", argument="sizes", value=name, wanted=f"one of {', '.join(SIZES)}")
    plain = PieceTokenizer(read_tokenizer_files(tokenizer))
    case = plain.lowercase if case_types is None else case_types
    # As for a BERT, which counts positions from 0 and has no marker pieces.
    known = {"model_type": "bert", "vocab_size": plain.rows, "type_vocab_size": 1}
    data = {**sizes, **known, "max_position_embeddings": max_pieces}
    config = upcycled_config(data, plain, to="luke", case_types=case)
    assert isinstance(config, LukeConfig)
    encoder = LukeEncoder(config)
    encoder.reset_parameters()
    for layer in encoder.layers:
        assert isinstance(layer, LukeLayer)
        attention = layer.attention
        for query in (
            attention.piece_to_entity_query,
            attention.entity_to_piece_query,
            attention.entity_to_entity_query,
        ):
            query.load_state_dict(attention.query.state_dict())
    vocab = EntityVocab.special_only()
    with torch.no_grad():
        table = encoder.entity_embeddings.entity.weight
        table[vocab[MASK2]] = table[vocab[MASK]]
    return Checkpoint(
        bare_model(config.model_type),
        config,
        upcycled_tokenizer(plain, config, tuple(MARKERS), case_types=case),
        vocab,
        settings={"piece_types": "case"} if case else {},
        path=tokenizer,
        model_type=config.model_type,
        weights=ModuleWeights(encoder),
    )
