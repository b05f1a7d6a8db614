"""Entities that CoNLL-U's MISC column has as brackets: where they open and where they close.

Format: https://universaldependencies.org/misc.html#entity, and https://ufal.mff.cuni.cz/corefud (CorefUD 1.0):

    1  Ann   Entity=(e1-person-1-new(e2-person-1)      e1 opens; e2 is this one token
    2  's    Entity=_
    3  boss  Entity=e1)                                e1 closes

The fields between hyphens are named by a line `# global.Entity = eid-etype-head-other`. Without it, the type is the
second field if the first is a number or an id such as e1, and else the first: `(person-1`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from ..training.tags import Entity
from .report import ConversionReport

# "(fields" with ")" if it closes on the same token, or "id)"
BRACKET = re.compile(r"\(([^()]+)(\)?)|([^()]+)\)")
VALUE = re.compile(r"(?:\([^()]+\)?|[^()]+\))+")
NUMBER = re.compile(r"[a-z]{0,3}\d+(\[.*)?")
# A part of an entity with gaps: "e1[1/2]"
PART = re.compile(r"\[\d+/\d+\]")
TYPE = "etype"


def has_brackets(values: Collection[str]) -> bool:
    """Whether most of the values are brackets."""
    return 2 * sum(VALUE.fullmatch(value) is not None for value in values) > len(values)


def find_label_field(values: Collection[str], fields: Sequence[str]) -> int:
    """Number of the field that is the type."""
    if TYPE in fields:
        return fields.index(TYPE)
    first = next((found[1] for value in values for found in BRACKET.finditer(value) if found[1]), "")
    return int(NUMBER.fullmatch(first.partition("-")[0]) is not None)


def read_brackets(
    values: Sequence[Sequence[str]], places: Sequence[str], field: int, report: ConversionReport
) -> list[Entity]:
    """The entities of a sentence.

    values: for each token, what its words say.
    """
    entities: list[Entity] = []
    opened: list[tuple[int, str]] = []  # first token and fields
    for index, words in enumerate(values):
        for found in (found for value in words for found in BRACKET.finditer(value)):
            text, closes, closed = found[1], found[2], found[3]
            if text and not closes:
                opened.append((index, text))
                continue
            start = index
            if closed:
                number = next((n for n in reversed(range(len(opened))) if is_same(opened[n][1], closed)), None)
                if number is None:
                    report.broken_entities.add(f"{places[index]} {closed!r}")
                    continue
                start, text = opened.pop(number)
            label = read_label(text, field)
            if label:
                entities.append((start, index + 1, label))
            else:
                report.broken_entities.add(f"{places[start]} {text!r}")
    for start, text in opened:
        report.broken_entities.add(f"{places[start]} {text!r}")
    return sorted(entities)


def is_same(opened: str, closed: str) -> bool:
    """Whether `e1` or `person-1` closes `e1-person-1` or `person-1`."""
    return opened == closed or opened.startswith(f"{closed}-")


def read_label(text: str, field: int) -> str:
    """The type of `e1-person-1`; "" if there is none, or if this is a part of an entity with gaps."""
    fields = text.split("-")
    if len(fields) <= field or PART.search(fields[0]):
        return ""
    return "" if fields[field] == "_" else fields[field]
