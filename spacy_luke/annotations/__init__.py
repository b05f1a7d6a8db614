"""Results of the components in a Doc: views over plain numbers and strings, so that every copy of a Doc has them.

Everything is kept in `doc.user_data` under the keys that spaCy itself uses for extension attributes. What belongs to a
span or token is kept by its characters, and its values hold distances only: so `Doc.from_docs` and `span.as_doc` move
relations, entity types, links and tags along. What belongs to a whole Doc (questions and answers, choices) goes where
spaCy's own Doc extensions go: into bytes, DocBins and copies, but not into parts or concatenations of Docs.

"Not annotated" and "annotated, with none found" are different things: `has_annotation` tells them apart, and assigning
None to an attribute removes an annotation.
"""

from __future__ import annotations

from .choices import Choice, Choices, get_choices, get_chosen, is_options, set_choices, set_chosen
from .entities import (
    NIL,
    annotated_entities,
    get_entity_labels,
    get_entity_type_scores,
    get_entity_types,
    get_entity_vector,
    get_link,
    get_linked_entities,
    get_score,
    get_tag,
    set_entity_labels,
    set_entity_type_scores,
    set_entity_types,
    set_entity_vectors,
    set_linked_entities,
    set_score,
    set_tag,
    typed_spans,
)
from .questions import Answer, get_answers, get_questions, set_answers, set_questions
from .relations import Relation, get_relations, set_relations
from .results import to_dict
from .store import (
    ANNOTATIONS,
    ANSWERS,
    CHOICES,
    CHOSEN,
    ENTITY_TYPES,
    LUKE_TAG,
    QUESTIONS,
    RELATIONS,
    SCORE,
    check_span,
    has_annotation,
)

__all__ = [
    "ANNOTATIONS",
    "ANSWERS",
    "CHOICES",
    "CHOSEN",
    "ENTITY_TYPES",
    "LUKE_TAG",
    "NIL",
    "QUESTIONS",
    "RELATIONS",
    "SCORE",
    "Answer",
    "Choice",
    "Choices",
    "Relation",
    "annotated_entities",
    "check_span",
    "get_answers",
    "get_choices",
    "get_chosen",
    "get_entity_labels",
    "get_entity_type_scores",
    "get_entity_types",
    "get_entity_vector",
    "get_link",
    "get_linked_entities",
    "get_questions",
    "get_relations",
    "get_score",
    "get_tag",
    "has_annotation",
    "is_options",
    "set_answers",
    "set_choices",
    "set_chosen",
    "set_entity_labels",
    "set_entity_type_scores",
    "set_entity_types",
    "set_entity_vectors",
    "set_linked_entities",
    "set_questions",
    "set_relations",
    "set_score",
    "set_tag",
    "to_dict",
    "typed_spans",
]
