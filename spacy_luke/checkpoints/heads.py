"""Models with a head: how config.json calls them, and our modules for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from ..encoders.config import EncoderConfig
from ..encoders.embeddings import init_weights
from ..encoders.encoder import Encoder
from ..encoders.heads import (
    EntityClassification,
    EntityPairClassification,
    EntitySpanClassification,
    FirstPieceClassification,
    MentionClassification,
    MentionPairClassification,
    MultipleChoice,
    QuestionAnswering,
    SequenceClassification,
    TaskModule,
    TokenClassification,
    UnmarkedClassification,
    UnmarkedEntityClassification,
    UnmarkedPairClassification,
)
from ..encoders.masked_lm import MaskedLM, MaskedLMWithEntities
from ..encoders.span_filter import SpanFilter, SpanFilterSettings
from ..errors import LukeError
from .key_maps import DECODER_BIAS, ENTITY_DECODER, PIECE_BIAS, PIECE_DECODER, is_of_head
from .weights import meta_device

SPAN_CLASSIFIER = "LukeForEntitySpanClassification"
PAIR_CLASSIFIER = "LukeForEntityPairClassification"
ENTITY_CLASSIFIER = "LukeForEntityClassification"
TOKEN_CLASSIFIER = "LukeForTokenClassification"
QUESTION_ANSWERING = "LukeForQuestionAnswering"
SEQUENCE_CLASSIFIER = "LukeForSequenceClassification"
MULTIPLE_CHOICE = "LukeForMultipleChoice"
MASKED_LM = "LukeForMaskedLM"

# The weights with a row for each label.
_LABEL_ROWS = ("classifier.weight", "classifier.out_proj.weight", "qa_outputs.weight")

# Model type and head -> module. The name of an architecture is made of the two, "LongformerForTokenClassification". All
# are classes of transformers but those of Longformer with a head on entities, which is not in transformers.
HEADS: Mapping[tuple[str, str], type[TaskModule]] = {
    ("luke", "EntitySpanClassification"): EntitySpanClassification,
    ("luke", "EntityPairClassification"): EntityPairClassification,
    ("luke", "EntityClassification"): EntityClassification,
    ("luke", "TokenClassification"): TokenClassification,
    ("luke", "QuestionAnswering"): QuestionAnswering,
    ("luke", "SequenceClassification"): SequenceClassification,
    ("luke", "MultipleChoice"): MultipleChoice,
    ("luke", "MaskedLM"): MaskedLMWithEntities,
    ("longformer", "EntitySpanClassification"): EntitySpanClassification,
    ("longformer", "EntityPairClassification"): MentionPairClassification,
    ("longformer", "EntityClassification"): MentionClassification,
    ("longformer", "QuestionAnswering"): QuestionAnswering,
    ("longformer", "SequenceClassification"): FirstPieceClassification,
    ("longformer", "TokenClassification"): TokenClassification,
    ("longformer", "MultipleChoice"): MultipleChoice,
    ("longformer", "MaskedLM"): MaskedLM,
}

# A head on marked entities -> the same without markers, on an encoder with independent attention.
_UNMARKED: Mapping[type[TaskModule], type[UnmarkedClassification]] = {
    EntityClassification: UnmarkedEntityClassification,
    EntityPairClassification: UnmarkedPairClassification,
}


@dataclass(frozen=True)
class UnmarkedSettings:
    """What there is to know of a head on entities that the text does not mark.

    types: what the text may call an entity, in the order in which the head numbers it, from 1; none = it is not read.
    """

    types: tuple[str, ...] = ()


def build_unmarked(types: Sequence[str] = ()) -> UnmarkedSettings:
    """`UnmarkedSettings` of what config.json has."""
    return UnmarkedSettings(tuple(types))


def bare_model(model_type: str) -> str:
    """The architecture of an encoder without head."""
    return f"{model_type.capitalize()}Model"


def architecture_on(model_type: str, architecture: str) -> str:
    """The architecture with the same head on an encoder of `model_type`."""
    return f"{model_type.capitalize()}For{_head(architecture)}"


def find_head(model_type: str, architecture: str, *, unmarked: bool = False) -> type[TaskModule]:
    """The module for the head of `architecture`, on an encoder of `model_type`; L023 if there is none.

    unmarked: without markers in the text.
    """
    head = HEADS.get((model_type, _head(architecture)))
    if head is None:
        known = ", ".join(architecture_on(t, f"For{name}") for t, name in HEADS if t == model_type)
        raise LukeError("L023", architecture=architecture, model_type=model_type, known=known)
    return _UNMARKED[head] if unmarked else head


def knows_head(model_type: str, architecture: str) -> bool:
    """Whether `find_head` finds one."""
    return (model_type, _head(architecture)) in HEADS


def fitting_architectures(config: EncoderConfig, shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    """The classes of transformers whose heads have just the weights that a checkpoint has beside its backbone.

    shapes: of all its weights, by name. Those that differ in their pooler alone are told apart by it.

    Some heads have the same weights: LUKE's classifiers of entities, texts and choices.
    """
    stored = head_shapes(shapes)
    rows = next((shape[0] for name, shape in stored.items() if name.endswith(_LABEL_ROWS)), 1)
    pooler = any(".pooler." in f".{name}" for name in shapes)
    found: dict[str, bool] = {}
    for (model_type, name), head in HEADS.items():
        if model_type == config.model_type and (config.entity_inputs or not head.reads_entities):
            with meta_device():
                module = head(Encoder(config, pooling=False), rows)
            parts = {n: tuple(t.shape) for n, t in module.state_dict().items()}
            if stored and head_shapes(parts) == stored:
                found[architecture_on(model_type, f"For{name}")] = (head.pooling or head.reads_pooled) == pooler
    return tuple(name for name, same in found.items() if same or not any(found.values()))


def head_shapes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """The shapes of the weights of heads, without decoders, which are there if they are tied and if they are not."""
    named = {PIECE_BIAS if name == DECODER_BIAS else name: shape for name, shape in shapes.items() if is_of_head(name)}
    return {name: shape for name, shape in named.items() if name not in (PIECE_DECODER, ENTITY_DECODER)}


def keeps_head(architecture: str, *, source: str, target: str) -> bool:
    """Whether the head of `architecture`, trained on an encoder of one type, is that of another type, too.

    source, target: model types. A head that reads entities is not kept: they are something else there.
    """
    before, after = HEADS.get((source, _head(architecture))), HEADS.get((target, _head(architecture)))
    return after is not None and not after.reads_entities and (before is None or issubclass(before, after))


def _head(architecture: str) -> str:
    return architecture.partition("For")[2]


def with_new_head(
    encoder: Encoder,
    architecture: str,
    labels: int,
    span_filter: SpanFilterSettings | None = None,
    unmarked: UnmarkedSettings | None = None,
) -> TaskModule:
    """An encoder with a new head, and with a pooler if the head reads one.

    architecture: that of the head, on whichever encoder; L023 if this encoder has no such head.
    span_filter: also one of these, for `EntitySpanClassification`.
    unmarked: of a head on entities or pairs that the text does not mark; None = it marks them.
    """
    config = encoder.config
    head = find_head(config.model_type, architecture, unmarked=unmarked is not None)
    if head.reads_pooled and encoder.pooler is None:
        encoder.pooler = nn.Linear(config.hidden_size, config.hidden_size)
        init_weights(encoder.pooler, config.initializer_range)
    module = new_module(head, encoder, labels, unmarked)
    module.reset_head()
    if isinstance(module, EntitySpanClassification) and span_filter is not None:
        module.span_filter = new_span_filter(config, span_filter)
    return module


def new_module(head: type[TaskModule], encoder: Encoder, labels: int, unmarked: UnmarkedSettings | None) -> TaskModule:
    """A head on an encoder, with all of its parts that have weights but a span filter."""
    module = head(encoder, labels)
    if isinstance(module, UnmarkedClassification) and unmarked is not None and unmarked.types:
        module.read_types(len(unmarked.types))
    return module


def new_span_filter(config: EncoderConfig, settings: SpanFilterSettings) -> SpanFilter:
    """A filter that keeps next to nothing yet."""
    span_filter = SpanFilter(config, settings)
    init_weights(span_filter, config.initializer_range)
    span_filter.init_prior()
    return span_filter
