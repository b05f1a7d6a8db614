"""Label Studio's ML backend: suggestions for its tasks, with scores.

Protocol: https://labelstud.io/guide/ml_create and label_studio/ml/api_connector.py of Label Studio. A labelling
interface says what its controls are called, where the text is, and which labels there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from fastapi import FastAPI, Request, Response
from spacy.tokens import Doc

from ..converters.annotated_text import AnnotatedText, read_annotations
from ..converters.label_studio import CHOICES_NAME, LABEL_NAME, TEXT, TEXT_NAME, make_prediction
from ..converters.offsets import Offsets
from ..converters.report import ConversionReport
from ..errors import LukeError
from ..scale.rows import Row
from .jobs import Jobs, to_json
from .schema import LabelStudioRequest

PATH = "/label-studio"
HOLDS = frozenset({"cats", "scores"})


@dataclass(frozen=True)
class Interface:
    """What a labelling interface says. labels, relations, choices: that it knows; None = any."""

    label_name: str = LABEL_NAME
    text_name: str = TEXT_NAME
    choices_name: str = CHOICES_NAME
    text_key: str = TEXT
    labels: frozenset[str] | None = None
    relations: frozenset[str] | None = None
    choices: frozenset[str] | None = None

    @classmethod
    def read(cls, config: str | None) -> Interface:
        """Read the XML of an interface; without any, the names of our exports. L047 for one without a text."""
        if not config:
            return cls()
        if "<!DOCTYPE" in config:
            raise _wrong(config, "it has a document type (<!DOCTYPE), and an interface has none")
        try:
            root = ElementTree.fromstring(config)
        except ElementTree.ParseError as error:
            raise _wrong(config, f"it is no XML ({error})") from None
        texts = {
            text.get("name", ""): text.get("value", "") for tag in ("Text", "HyperText") for text in root.iter(tag)
        }
        if not texts:
            raise _wrong(config, "it has no Text")
        labels = next((one for one in root.iter("Labels") if one.get("toName") in texts), None)
        name = next(iter(texts)) if labels is None else labels.get("toName", "")
        choices = next((one for one in root.iter("Choices") if one.get("toName") == name), None)
        relations = root.find(".//Relations")
        return cls(
            label_name=LABEL_NAME if labels is None else labels.get("name", LABEL_NAME),
            text_name=name,
            choices_name=CHOICES_NAME if choices is None else choices.get("name", CHOICES_NAME),
            text_key=texts[name].removeprefix("$") or TEXT,
            labels=_values(labels, "Label"),
            relations=None if relations is None else _values(relations, "Relation"),
            choices=_values(choices, "Choice"),
        )

    def limit(self, content: AnnotatedText) -> AnnotatedText:
        """Leave out what the interface has no label for, and relations that lose an end."""
        mentions = [one for one in content.mentions if self.labels is None or one.label in self.labels]
        ids = {mention.id for mention in mentions}
        relations = [
            one
            for one in content.relations or ()
            if (self.relations is None or one.label in self.relations) and {one.head, one.tail} <= ids
        ]
        cats = {
            label: value
            for label, value in (content.cats or {}).items()
            if self.choices is None or label in self.choices
        }
        return AnnotatedText(content.text, mentions, relations, cats)


def _values(control: ElementTree.Element | None, tag: str) -> frozenset[str]:
    """The values below a control, as they are in results; none without a control."""
    found = [] if control is None else control.iter(tag)
    return frozenset(one.get("alias") or one.get("value") or "" for one in found)


def _wrong(config: str, reason: str) -> LukeError:
    shown = config if len(config) <= 80 else f"{config[:80]}…"
    return LukeError("L047", setting="label_config", value=shown, reason=reason)


def add_label_studio(app: FastAPI, jobs: Jobs, model: str) -> None:
    """Add the routes of an ML backend, below /label-studio."""

    @app.get(PATH, tags=["Label Studio"])
    @app.get(f"{PATH}/", include_in_schema=False)
    @app.get(f"{PATH}/health", tags=["Label Studio"])
    async def health() -> dict[str, str]:
        """Tell Label Studio that the model is there."""
        return {"status": "UP", "model_class": model}

    @app.post(f"{PATH}/setup", tags=["Label Studio"])
    async def setup() -> dict[str, str]:
        """Tell which model this is, whatever the project."""
        return {"model_version": model}

    @app.post(f"{PATH}/predict", tags=["Label Studio"])
    async def predict(request: Request, body: LabelStudioRequest) -> Response:
        """Predict regions, relations and choices for tasks: one prediction for each, in their order."""
        interface = Interface.read(body.label_config)
        rows = []
        for number, task in enumerate(body.tasks, start=1):
            text = task.data.get(interface.text_key)
            if not isinstance(text, str):
                reason = f"the data of a task has no string {interface.text_key!r}, which the labelling interface names"
                raise LukeError("L047", setting=f"tasks[{number - 1}]", value=sorted(task.data), reason=reason)
            rows.append(Row(number, text))

        def make(docs: Sequence[Doc]) -> bytes:
            results = [_prediction(doc, interface, model) for doc in docs]
            return to_json({"results": results, "model_version": model})

        return Response(await jobs.annotate(request, rows, make), media_type="application/json")


def _prediction(doc: Doc, interface: Interface, model: str) -> dict[str, Any]:
    content = read_annotations(doc, ConversionReport(), "the text", spans_key=None, holds=HOLDS)
    names = (interface.label_name, interface.text_name, interface.choices_name)
    return make_prediction(interface.limit(content), Offsets(doc.text, "characters"), names, model)
