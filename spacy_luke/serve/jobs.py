"""Requests as jobs of the model: their texts, checked, and what comes of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from spacy.language import Language
from spacy.tokens import Doc

from ..annotations.store import Characters, labelled
from ..errors import LukeError
from ..scale.rows import Row
from .batcher import Batcher, Job
from .settings import Settings


class HungUp(Exception):
    """The client did not wait for its answer."""


@dataclass(frozen=True)
class Text(Row):
    """A text with entities that are known: characters, half-open, and label; None = none are."""

    entities: Sequence[tuple[int, int, str]] | None = None

    def make_doc(self, nlp: Language) -> Doc:
        """A Doc to annotate. Of entities that overlap, the first is taken."""
        doc = super().make_doc(nlp)
        if self.entities is not None:
            characters, taken = Characters(doc), [False] * len(doc)
            spans = []
            for start, end, label in self.entities:
                span = characters.span(start, end)
                if span is not None and not any(taken[span.start : span.end]):
                    taken[span.start : span.end] = [True] * len(span)
                    spans.append(labelled(span, label))
            doc.set_ents(spans)
        return doc


class Jobs:
    """What all routes ask of the model."""

    def __init__(self, batcher: Batcher, settings: Settings):
        self.batcher = batcher
        self.settings = settings

    async def annotate(
        self,
        request: Request,
        rows: Sequence[Row],
        make: Callable[[Sequence[Doc]], Any],
        components: Iterable[str] | None = None,
    ) -> Any:
        """What `make`, which runs in the thread of the model, makes of the annotated texts.

        L047 for components that the pipeline does not have, L197 for too long texts, `HungUp` if the client does not
        wait, and what `Batcher.results` raises.
        """
        job = Job(rows, make, self._known(components))
        self._check(job)
        result = asyncio.ensure_future(self.batcher.results(job))
        hung_up = asyncio.ensure_future(_hung_up(request))
        try:
            await asyncio.wait((result, hung_up), return_when=asyncio.FIRST_COMPLETED)
            if not result.done():
                job.future.cancel()  # at once: a task that is cancelled hears of it later
                raise HungUp
            return result.result()
        finally:
            for task in (result, hung_up):
                task.cancel()

    def _known(self, components: Iterable[str] | None) -> frozenset[str]:
        known = self.batcher.components
        if components is None:
            return frozenset(known)
        wanted = frozenset(components)
        if unknown := sorted(wanted - set(known)):
            raise LukeError("L047", setting="components", value=unknown, reason=f"there are {', '.join(known)}")
        return wanted

    def _check(self, job: Job) -> None:
        most, texts = self.settings.max_characters, self.settings.max_texts
        if job.characters > most:
            raise LukeError("L197", what="The text", most=f"{most:,} characters", option="--max-characters")
        for what, count in (
            ("The list of texts", len(job.rows)),
            ("The list of questions", max((len(row.questions or ()) for row in job.rows), default=0)),
        ):
            if count > texts:
                raise LukeError("L197", what=what, most=f"{texts:,}", option="--max-texts")


async def _hung_up(request: Request) -> None:
    """Return when the client has. The body was read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def to_json(value: Any) -> bytes:
    """JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf8")
