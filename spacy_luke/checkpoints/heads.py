"""Models with a head: how config.json calls them, and our modules for them."""

from __future__ import annotations

from collections.abc import Mapping

from ..encoders.heads import (
    EntityClassification,
    EntityPairClassification,
    EntitySpanClassification,
    MultipleChoice,
    QuestionAnswering,
    SequenceClassification,
    TaskModule,
    TokenClassification,
)
from ..encoders.longformer_heads import FirstPieceClassification
from ..encoders.masked_lm import MaskedLM, MaskedLMWithEntities
from ..encoders.mention_heads import MentionClassification, MentionPairClassification
from ..errors import LukeError

SPAN_CLASSIFIER = "LukeForEntitySpanClassification"
PAIR_CLASSIFIER = "LukeForEntityPairClassification"
ENTITY_CLASSIFIER = "LukeForEntityClassification"
TOKEN_CLASSIFIER = "LukeForTokenClassification"
QUESTION_ANSWERING = "LukeForQuestionAnswering"
SEQUENCE_CLASSIFIER = "LukeForSequenceClassification"
MULTIPLE_CHOICE = "LukeForMultipleChoice"
MASKED_LM = "LukeForMaskedLM"

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


def bare_model(model_type: str) -> str:
    """The architecture of an encoder without head."""
    return f"{model_type.capitalize()}Model"


def architecture_on(model_type: str, architecture: str) -> str:
    """The architecture with the same head on an encoder of `model_type`."""
    return f"{model_type.capitalize()}For{_head(architecture)}"


def find_head(model_type: str, architecture: str) -> type[TaskModule]:
    """The module for the head of `architecture`, on an encoder of `model_type`; L023 if there is none."""
    head = HEADS.get((model_type, _head(architecture)))
    if head is None:
        known = ", ".join(architecture_on(t, f"For{name}") for t, name in HEADS if t == model_type)
        raise LukeError("L023", architecture=architecture, model_type=model_type, known=known)
    return head


def knows_head(model_type: str, architecture: str) -> bool:
    """Whether `find_head` finds one."""
    return (model_type, _head(architecture)) in HEADS


def keeps_head(architecture: str, *, source: str, target: str) -> bool:
    """Whether the head of `architecture`, trained on an encoder of one type, is that of another type, too.

    source, target: model types. A head that reads entities is not kept: they are something else there.
    """
    before, after = HEADS.get((source, _head(architecture))), HEADS.get((target, _head(architecture)))
    return after is not None and not after.reads_entities and (before is None or issubclass(before, after))


def _head(architecture: str) -> str:
    return architecture.partition("For")[2]
