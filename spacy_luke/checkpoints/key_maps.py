"""Hugging Face's names of weights beside ours: tables, and the only place that knows their names."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Module names inside the backbone: ours -> Hugging Face's. The names of both encoders stand in one table: what one of
# them has alone has a name of its own on both sides.
MODULES = {
    "embeddings.word": "embeddings.word_embeddings",
    "embeddings.position": "embeddings.position_embeddings",
    "embeddings.token_type": "embeddings.token_type_embeddings",
    "embeddings.norm": "embeddings.LayerNorm",
    "entity_embeddings.entity": "entity_embeddings.entity_embeddings",
    "entity_embeddings.projection": "entity_embeddings.entity_embedding_dense",
    "entity_embeddings.position": "entity_embeddings.position_embeddings",
    "entity_embeddings.token_type": "entity_embeddings.token_type_embeddings",
    "entity_embeddings.norm": "entity_embeddings.LayerNorm",
    "pooler": "pooler.dense",
}
LAYER_MODULES = {
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.piece_to_entity_query": "attention.self.w2e_query",
    "attention.entity_to_piece_query": "attention.self.e2w_query",
    "attention.entity_to_entity_query": "attention.self.e2e_query",
    "attention.global_query": "attention.self.query_global",
    "attention.global_key": "attention.self.key_global",
    "attention.global_value": "attention.self.value_global",
    "attention.output": "attention.output.dense",
    "attention.norm": "attention.output.LayerNorm",
    "feed_forward.inner": "intermediate.dense",
    "feed_forward.outer": "output.dense",
    "feed_forward.norm": "output.LayerNorm",
}

PIECE_TABLE = "embeddings.word_embeddings.weight"
ENTITY_TABLE = "entity_embeddings.entity_embeddings.weight"
# The decoders of masked language models multiply with these tables, unless they have a matrix of their own.
PIECE_DECODER = "lm_head.decoder.weight"
ENTITY_DECODER = "entity_predictions.decoder.weight"
# The weights with a row for each entity of the vocabulary.
ENTITY_ROWS = (ENTITY_TABLE, ENTITY_DECODER, "entity_predictions.bias")
PIECE_TO_ENTITY = ".w2e_query."
ENTITY_QUERIES = ("w2e_query", "e2w_query", "e2e_query")
GLOBAL_PROJECTIONS = {"query_global": "query", "key_global": "key", "value_global": "value"}
# Ours alone: what makes states of mentions for an encoder that has none stands beside the backbone.
MENTION_STATES = "mention_states."
SPAN_FILTER = "span_filter."

# The head that predicts pieces: BERT's names -> RoBERTa's and LUKE's.
PIECE_HEAD = {
    "cls.predictions.transform.dense": "lm_head.dense",
    "cls.predictions.transform.LayerNorm": "lm_head.layer_norm",
    "cls.predictions.decoder": "lm_head.decoder",
    "cls.predictions": "lm_head",
}
PIECE_BIAS = "lm_head.bias"
# The same bias as a parameter of the decoder: LUKE's only one in transformers 5. Where both are, this one is used.
DECODER_BIAS = "lm_head.decoder.bias"
# The weights with a row for each piece of the vocabulary.
PIECE_ROWS = (PIECE_TABLE, PIECE_BIAS, PIECE_DECODER, DECODER_BIAS)

# Weights of heads: they may stand in a checkpoint from which only the encoder is wanted.
HEAD_PREFIXES = (
    "lm_head.",
    "entity_predictions.",
    "classifier.",
    "qa_outputs.",
    "cls.",
    "score.",
    "entity_types.",
    MENTION_STATES,
    SPAN_FILTER,
)
# Buffers that older releases saved; they carry nothing.
LEGACY_SUFFIXES = (".position_ids", ".token_type_ids")
LEGACY_NAMES = {".gamma": ".weight", ".beta": ".bias"}
# Parameters of Keras layers. A kernel is the transpose of PyTorch's matrix.
KERAS_PARAMETERS = {"kernel": "weight", "embeddings": "weight", "gamma": "weight", "beta": "bias"}
KERAS_KERNEL = "kernel"
# In Keras names, "a___b" stands for "b", and "layer_._0" for "layer.0".
_KERAS_ALIAS = re.compile(r"/[^/]*___([^/]*)/")
_KERAS_LEVEL = "_._"

# Prefix of the backbone's weights by model type; a bare model has none.
BACKBONE_PREFIXES = {
    "luke": "luke.",
    "longformer": "longformer.",
    "roberta": "roberta.",
    "xlm-roberta": "roberta.",
    "bert": "bert.",
}


def to_hugging_face(name: str, *, encoder: str = "encoder.", backbone: str = "luke.") -> str:
    """Hugging Face's name of our parameter `name`; names outside the encoder (heads) are the same on both sides.

    encoder: our prefix of the encoder's parameters, "" for an encoder alone.
    backbone: Hugging Face's prefix of them, "" for a bare model.
    """
    if not name.startswith(encoder):
        return name
    inside = name[len(encoder) :]
    if inside.startswith(MENTION_STATES):
        return inside
    module, _, parameter = inside.rpartition(".")
    if module.startswith("layers."):
        _, index, rest = module.split(".", 2)
        return f"{backbone}encoder.layer.{index}.{LAYER_MODULES[rest]}.{parameter}"
    return f"{backbone}{MODULES[module]}.{parameter}"


def canonical(name: str) -> str:
    """`name` with the spellings of old TensorFlow conversions replaced by today's."""
    for old, new in LEGACY_NAMES.items():
        if name.endswith(old):
            return name[: -len(old)] + new
    return name


def piece_head(name: str) -> str:
    """The name in RoBERTa and LUKE of a weight of the head that predicts pieces; any other name as it is."""
    module, _, parameter = name.rpartition(".")
    return f"{PIECE_HEAD[module]}.{parameter}" if module in PIECE_HEAD else name


def from_keras(variable: str) -> tuple[str, bool]:
    """The PyTorch name of a variable of transformers' TensorFlow classes, and whether its matrix is transposed.

    As transformers does it (modeling_tf_pytorch_utils.py, `convert_tf_weight_name_to_pt_weight_name`):
    "tf_bert_model/bert/encoder/layer_._0/output/dense/kernel:0" -> "bert.encoder.layer.0.output.dense.weight", True.
    The first level is the name of the model.
    """
    path = _KERAS_ALIAS.sub(r"/\1/", variable.removesuffix(":0")).replace(_KERAS_LEVEL, "/")
    *modules, parameter = [level for level in path.split("/") if level]
    return ".".join([*modules[1:], KERAS_PARAMETERS.get(parameter, parameter)]), parameter == KERAS_KERNEL


def is_of_head(name: str) -> bool:
    """Whether a weight is one of a head."""
    return name.startswith(HEAD_PREFIXES)


def without_ignored(names: Iterable[str]) -> set[str]:
    """`names` without buffers that carry nothing and without heads that the caller did not ask for."""
    return {n for n in names if not n.endswith(LEGACY_SUFFIXES) and not is_of_head(n)}
