"""The registered builders. They hold settings only: dimensions and weights come from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

from thinc.api import Model

from ..encoders.inputs import EncoderInput
from ..errors import LukeError
from .shared import SHARED, SharedEncoder
from .wrapper import wrap_encoder, wrap_task_module

Precision = Literal["float32", "bfloat16", "int8"]
EntityAttention = Literal["full", "independent"]
TaskArchitecture = Callable[..., Model[EncoderInput, Any]]

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


def _task(name: str, head: str, output: str) -> TaskArchitecture:
    """The architecture of a task: a function of its encoder and of `head_rate`; see `wrap_task_module`.

    name: "span_classifier" makes `build_span_classifier`, the Thinc model "luke_span_classifier", and is registered as
        "spacy-luke.SpanClassifier.v1".
    head: the class of transformers with the same head, after "LukeFor".
    output: of the model, for the docstring.
    """

    def build(encoder: Model[Any, Any], head_rate: float = 1.0) -> Model[EncoderInput, Any]:
        return wrap_task_module(f"luke_{name}", encoder, head_rate)

    build.__name__ = build.__qualname__ = f"build_{name}"
    build.__doc__ = f"""{output}, as `spacy-luke.{name.title().replace("_", "")}.v1`: LukeFor{head}.

    encoder: its settings. head_rate: learning rate of the head's weights, as a multiple of the encoder's.
    """
    return build


# The table of tasks, whose rows the entry points name.
build_span_classifier = _task("span_classifier", "EntitySpanClassification", "A label for every span")
build_pair_classifier = _task("pair_classifier", "EntityPairClassification", "Labels for every pair")
build_entity_classifier = _task("entity_classifier", "EntityClassification", "Labels for every entity")
build_token_classifier = _task("token_classifier", "TokenClassification", "A label for every piece")
build_sequence_classifier = _task("sequence_classifier", "SequenceClassification", "Labels for every text")
build_multiple_choice = _task("multiple_choice", "MultipleChoice", "A score for every option")
build_question_answering = _task("question_answering", "QuestionAnswering", "Start and end of an answer")
build_entity_prediction = _task("entity_prediction", "MaskedLM", "Which entity a masked one is")
