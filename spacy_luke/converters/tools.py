"""What readers and writers for several annotation tools share."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ..errors import LukeError
from .annotated_text import AnnotatedText
from .records import Record
from .report import CHOSEN_FROM, ConversionReport

# What people said, or what a model did.
Results: TypeAlias = Literal["annotations", "predictions"]
RESULTS = ("annotations", "predictions")
# Kinds of what is not carried over.
ANNOTATED = "texts annotated with having no relations"
NOT_ANNOTATED = "texts not annotated with relations"
NOT_IN_NAMES = re.compile(r"[^\w.-]+")
MAX_NAME = 100


@dataclass
class Kept:
    """What all texts of a file have, for a format that has the chosen categories and the relations of each only."""

    report: ConversionReport
    related: bool = False  # whether any text has relations
    unrelated: int = 0  # texts that are annotated with having none
    unannotated: int = 0  # texts that are not annotated with relations
    cats: set[str] = field(default_factory=set)
    chosen: set[str] = field(default_factory=set)
    exclusive: bool = True

    def add(self, content: AnnotatedText, *, scores: bool) -> None:
        """scores: whether the chosen categories of a text have a score together, the least of theirs."""
        self.related |= bool(content.relations)
        self.unrelated += content.relations == []
        self.unannotated += content.relations is None
        cats = content.cats or {}
        chosen = {label: value for label, value in cats.items() if value >= CHOSEN_FROM}
        self.cats |= cats.keys()
        self.chosen |= chosen.keys()
        self.exclusive &= len(chosen) < 2
        held = min(chosen.values(), default=1.0) if scores else 1.0
        if lost := sum(value != held for value in chosen.values()):
            self.report.not_carried["scores of categories"] += lost
        if lost := sum(0 < value < CHOSEN_FROM for value in cats.values()):
            self.report.not_carried["scores of categories that are not chosen"] += lost

    def check_cats(self) -> None:
        if lost := self.cats - self.chosen:
            self.report.not_carried["categories that no text has"] += len(lost)

    def check_relations(self) -> None:
        """Tell whose lack of relations will be read otherwise, where a file of which some text has relations is read as
        annotated with them throughout, and any other as not annotated.
        """
        if self.related and self.unannotated:
            self.report.not_carried[NOT_ANNOTATED] += self.unannotated
        elif not self.related and self.unrelated:
            self.report.not_carried[ANNOTATED] += self.unrelated


def read_score(item: Record, report: ConversionReport) -> float | None:
    """The `score` of an annotation; None if it has none that is a probability."""
    score = item.values.get("score")
    if score is None:
        return None
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        report.not_carried["scores that are no probabilities"] += 1
        return None
    return float(score)


def number_or_name(name: str) -> int | str:
    """The id of a text as the number that it is for tools that count texts."""
    return int(name) if name.isascii() and name.isdecimal() and len(name) < 18 else name


def dump_json(value: Any, place: str) -> str:
    """One line of JSON; L179 for what JSON has no form for."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise LukeError("L179", place=place, reason=f"doc.user_data['meta'] cannot be JSON: {error}") from error


class FileNames:
    """Names of files for Docs: their ids as far as these can be names, each once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def add(self, name: str, number: int) -> str:
        """number: of the Doc, from 1."""
        plain = NOT_IN_NAMES.sub("_", name).lstrip(".")[:MAX_NAME] or f"doc{number:05}"
        free = plain if plain.casefold() not in self._taken else f"{plain}-{number}"
        while free.casefold() in self._taken:
            free += "-"
        self._taken.add(free.casefold())
        return free
