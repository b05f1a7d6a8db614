"""The registered builders. They hold settings only: dimensions and weights come from a checkpoint."""

from __future__ import annotations

from typing import Any, Literal, get_args

from thinc.api import Model
from thinc.types import Floats2d, Floats3d

from ..encoders.inputs import EncoderInput
from ..errors import LukeError
from .shared import SHARED, SharedEncoder
from .wrapper import wrap_encoder, wrap_task_module

Precision = Literal["float32", "bfloat16", "int8"]
EntityAttention = Literal["full", "independent"]

# The registered name of each encoder, by what config.json of its checkpoints has as `model_type`.
ENCODERS = {"luke": "spacy-luke.LukeEncoder.v1", "longformer": "spacy-luke.LongformerEncoder.v1"}


def build_luke_encoder(
    entity_vocab: str = "special",
    precision: Precision = "float32",
    gradient_checkpointing: bool = False,
    entity_attention: EntityAttention | None = None,
) -> Model[Any, Any]:
    """The settings of a LUKE encoder, as `spacy-luke.LukeEncoder.v1`.

    entity_vocab: rows of the entity table to keep when a checkpoint is loaded: "special" ([MASK] and its like: all
        that luke_ner needs), "full", or the path of a JSON list or text file of entity titles.
    precision: "bfloat16" computes the encoder under bf16 autocast, "int8" its linear layers in int8 when it predicts
        on a CPU (L008 on other devices). Weights and logits stay float32, and "int8" trains as "float32" does.
    gradient_checkpointing: compute the inside of each layer twice in training, which takes a fraction of the memory.
    entity_attention: "full": pieces and entities attend to each other, as in the paper; "independent": an entity
        attends to the pieces and itself, and the model must be trained so; null: as the checkpoint has it.
    """
    return _encoder("luke", entity_vocab, precision, gradient_checkpointing, entity_attention)


def build_longformer_encoder(precision: Precision = "float32", gradient_checkpointing: bool = False) -> Model[Any, Any]:
    """The settings of a Longformer encoder, as `spacy-luke.LongformerEncoder.v1`; they are those of LUKE.

    Longformer has no entity table: states of entities are made from their pieces.
    """
    return _encoder("longformer", "special", precision, gradient_checkpointing)


def _encoder(
    model_type: str,
    entity_vocab: str,
    precision: str,
    gradient_checkpointing: bool,
    entity_attention: str | None = None,
) -> Model[Any, Any]:
    if precision not in get_args(Precision):
        raise LukeError("L005", precision=precision)
    if entity_attention not in (None, *get_args(EntityAttention)):
        raise LukeError("L007", entity_attention=entity_attention)
    settings = {
        "model_type": model_type,
        "entity_vocab": entity_vocab,
        "precision": precision,
        "gradient_checkpointing": gradient_checkpointing,
        "entity_attention": entity_attention,
    }
    return wrap_encoder(f"{model_type}_encoder", settings)


def build_shared_encoder(upstream: str = "*") -> Model[Any, Any]:
    """The encoder of another component, as `spacy-luke.SharedEncoder.v1`.

    upstream: name of that component, a `luke_encoder` earlier in the pipeline; "*" = the nearest one.
    """
    return wrap_encoder("shared_encoder", {SHARED: SharedEncoder(upstream)})


def build_span_classifier(encoder: Model[Any, Any], head_rate: float = 1.0) -> Model[EncoderInput, Floats3d]:
    """A label for every span, as `spacy-luke.SpanClassifier.v1`: LukeForEntitySpanClassification."""
    return wrap_task_module("luke_span_classifier", encoder, head_rate)


def build_pair_classifier(encoder: Model[Any, Any], head_rate: float = 1.0) -> Model[EncoderInput, Floats2d]:
    """Labels for every pair, as `spacy-luke.PairClassifier.v1`: LukeForEntityPairClassification."""
    return wrap_task_module("luke_pair_classifier", encoder, head_rate)


def build_entity_classifier(encoder: Model[Any, Any], head_rate: float = 1.0) -> Model[EncoderInput, Floats2d]:
    """Labels for every entity, as `spacy-luke.EntityClassifier.v1`: LukeForEntityClassification."""
    return wrap_task_module("luke_entity_classifier", encoder, head_rate)


def build_token_classifier(encoder: Model[Any, Any], head_rate: float = 1.0) -> Model[EncoderInput, Floats3d]:
    """A label for every piece, as `spacy-luke.TokenClassifier.v1`: LukeForTokenClassification."""
    return wrap_task_module("luke_token_classifier", encoder, head_rate)


def build_sequence_classifier(encoder: Model[Any, Any], head_rate: float = 1.0) -> Model[EncoderInput, Floats2d]:
    """Labels for every text, as `spacy-luke.SequenceClassifier.v1`: LukeForSequenceClassification."""
    return wrap_task_module("luke_sequence_classifier", encoder, head_rate)


def build_multiple_choice(encoder: Model[Any, Any], head_rate: float = 1.0) -> Model[EncoderInput, Floats2d]:
    """A score for every option, as `spacy-luke.MultipleChoice.v1`: LukeForMultipleChoice."""
    return wrap_task_module("luke_multiple_choice", encoder, head_rate)


def build_question_answering(encoder: Model[Any, Any], head_rate: float = 1.0) -> Model[EncoderInput, Floats3d]:
    """Start and end of an answer, as `spacy-luke.QuestionAnswering.v1`: LukeForQuestionAnswering."""
    return wrap_task_module("luke_question_answering", encoder, head_rate)
