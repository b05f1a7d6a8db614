"""Requests and results, checked and described in the OpenAPI schema. Results are those of `spacy_luke.to_dict`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ..checks import has_surrogate


def _encodable(text: str) -> str:
    if has_surrogate(text):
        raise ValueError("it has half a character (a lone surrogate)")
    return text


Text = Annotated[str, AfterValidator(_encodable)]


class AnnotateRequest(BaseModel):
    """A text, or a list of texts."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {"text": "Grace Hopper was born in New York City.", "questions": ["Where was Hopper born?"]},
                {"text": ["One text.", "Another text."], "components": ["sentencizer", "luke_encoder", "luke_ner"]},
            ]
        },
    )

    text: Text | list[Text] = Field(description="A text, for one result, or a list of texts, for a list of results.")
    questions: list[Text] = Field(default=[], description="Asked about each text, for luke_qa.")
    components: list[str] | None = Field(
        default=None,
        description="Those of the pipeline that run, by their names; without it, all. GET /health lists them.",
    )


class Place(BaseModel):
    """A stretch of the text: characters (code points), half-open."""

    start: int
    end: int
    text: str


class Labelled(Place):
    """An entity, or another span with a label."""

    label: str | None
    kb_id: str | None
    score: float | None


class Tagged(Place):
    """A token with a tag."""

    tag: str


class Typed(Place):
    """An entity with types. scores: every type -> probability."""

    types: list[str]
    scores: dict[str, float | None]


class Candidate(BaseModel):
    """What an entity may be linked to."""

    id: str
    score: float | None


class Linked(Place):
    """An entity with what it may be linked to, best first."""

    candidates: list[Candidate]


class End(Place):
    """The head or the tail of a relation."""

    label: str | None


class RelationResult(BaseModel):
    """A relation, from head to tail."""

    head: End
    tail: End
    label: str
    score: float | None


class AnswerResult(BaseModel):
    """An answer; without one, start and end are null and text is empty."""

    question: str
    start: int | None
    end: int | None
    text: str
    score: float | None
    logit: float | None


class ChoicesResult(BaseModel):
    """A question with options."""

    question: str
    options: list[str]


class ChosenResult(BaseModel):
    """The option that was chosen."""

    question: str
    number: int
    index: int
    text: str
    score: float | None
    logit: float | None


class Annotation(BaseModel):
    """What was found in a text. A key is there if the text was annotated with it, and empty if nothing was found."""

    model_config = ConfigDict(extra="forbid")

    text: str
    entities: list[Labelled] = []
    spans: dict[str, list[Labelled]] = {}
    tags: list[Tagged] = []
    types: list[Typed] = []
    links: list[Linked] = []
    relations: list[RelationResult] = []
    questions: list[str] = []
    answers: list[AnswerResult] = []
    choices: list[ChoicesResult] = []
    chosen: list[ChosenResult] = []
    cats: dict[str, float | None] = {}


class Health(BaseModel):
    """Whether the server annotates, and with what. waiting: texts that wait for the model."""

    status: str
    model: str
    components: list[str]
    labels: dict[str, list[str]]
    waiting: int


class Problem(BaseModel):
    """Why there is no result."""

    detail: str


class LabelStudioTask(BaseModel):
    """A task of Label Studio."""

    model_config = ConfigDict(strict=True)

    data: dict[str, Any]


class LabelStudioRequest(BaseModel):
    """What Label Studio sends for predictions. label_config: the labelling interface, XML."""

    model_config = ConfigDict(strict=True)

    tasks: list[LabelStudioTask]
    label_config: str | None = None


class InceptionMetadata(BaseModel):
    """The layer and the feature to predict, by their full names."""

    model_config = ConfigDict(strict=True)

    layer: str
    feature: str


class InceptionDocument(BaseModel):
    """A document as UIMA CAS XMI."""

    model_config = ConfigDict(strict=True)

    xmi: str


class InceptionRequest(BaseModel):
    """What INCEpTION sends to an external recommender."""

    model_config = ConfigDict(strict=True)

    metadata: InceptionMetadata
    document: InceptionDocument
    typeSystem: str
