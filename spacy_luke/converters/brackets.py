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
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote

from .report import ConversionReport
from .texts import Mention
from .wikitext import article_title

PIECE = re.compile(r"[()]|[^()]+")
NUMBER = re.compile(r"[a-z]{0,3}\d+(\[.*)?")
# A part of an entity with gaps: "e1[1/2]"
PART = re.compile(r"\[\d+/\d+\]")
# Names of the fields: of the type, of the id that all mentions of an entity have, and of the article about it
TYPE, IDS, IDENTITY = "etype", ("eid", "grp"), "identity"


class Bracket(NamedTuple):
    """An edge of an entity, or both. text: its fields; where it only closes, its id."""

    text: str
    opens: bool
    closes: bool


@dataclass(frozen=True)
class Fields:
    """Fields of a bracket, counted from 0; None for one that there is not. count: how many there are at most."""

    label: int
    number: int | None = None
    identity: int | None = None
    count: int | None = None


def split_brackets(value: str) -> list[Bracket] | None:
    """`"(e1-person(e2-place)e3)"` -> one that opens, one that opens and closes, one that closes; None if it is no such
    value."""
    found: list[Bracket] = []
    pieces = PIECE.findall(value)
    index = 0
    while index < len(pieces):
        opens = pieces[index] == "("
        text = "".join(pieces[index + opens : index + opens + 1])
        closes = pieces[index + opens + 1 : index + opens + 2] == [")"]
        if text in ("", "(", ")") or not (opens or closes):
            return None
        found.append(Bracket(text, opens, closes))
        index += opens + 1 + closes
    return found or None


def has_brackets(values: Collection[str]) -> bool:
    """Whether most of the values are brackets."""
    return 2 * sum(split_brackets(value) is not None for value in values) > len(values)


def split_edges(value: str) -> tuple[str, str, list[str]]:
    """Split a value into what closes, what opens, and what does both, as of an empty node; tags are within."""
    brackets = split_brackets(value)
    if brackets is None:
        return "", "", [value] if value not in ("", "O") else []
    closing = "".join(f"{bracket.text})" for bracket in brackets if not bracket.opens)
    opening = "".join(f"({bracket.text}" for bracket in brackets if not bracket.closes)
    return closing, opening, [bracket.text for bracket in brackets if bracket.opens and bracket.closes]


def find_fields(values: Collection[str], names: Sequence[str]) -> Fields:
    """Find the meaning of each field. names: of a `# global.Entity` line."""
    names = [name.lower() for name in names]
    if TYPE in names:
        number = next((names.index(name) for name in IDS if name in names), None)
        identity = names.index(IDENTITY) if IDENTITY in names else None
        return Fields(names.index(TYPE), number, identity, len(names))
    found = (bracket.text for value in values for bracket in split_brackets(value) or () if bracket.opens)
    first = next(found, "").partition("-")[0]
    return Fields(label=1, number=0) if NUMBER.fullmatch(first) else Fields(label=0)


def read_brackets(
    values: Sequence[Sequence[str]], places: Sequence[str], fields: Fields, report: ConversionReport
) -> list[Mention]:
    """The entities of a sentence.

    values: for each token, what its words say.
    """
    entities: list[Mention] = []
    opened: list[tuple[int, str]] = []  # first token and fields
    closed: set[int] = set()  # of these, by their index
    by_id: dict[str, list[int]] = {}
    for index, words in enumerate(values):
        for value in filter(None, words):
            brackets = split_brackets(value)
            if brackets is None:
                report.broken_entities.add(f"{places[index]} {value!r}")
            for text, opens, closes in brackets or ():
                start = index
                if not closes:
                    for name in opening_ids(text):
                        by_id.setdefault(name, []).append(len(opened))
                    opened.append((index, text))
                    continue
                if not opens:
                    known = by_id.get(text, [])
                    while known and known[-1] in closed:
                        known.pop()
                    if not known:
                        report.broken_entities.add(f"{places[index]} {text!r}")
                        continue
                    closed.add(known[-1])
                    start, text = opened[known.pop()]
                if mention := read_mention(text, start, index + 1, fields):
                    entities.append(mention)
                else:
                    report.broken_entities.add(f"{places[start]} {text!r}")
    for number, (start, text) in enumerate(opened):
        if number not in closed:
            report.broken_entities.add(f"{places[start]} {text!r}")
    return sorted(entities)


def opening_ids(text: str) -> set[str]:
    """Ids that may close `e1-person-1`: `e1`, `e1-person`, or all of it."""
    first, _, rest = text.partition("-")
    return {first, f"{first}-{rest.partition('-')[0]}" if rest else first, text}


def read_mention(text: str, start: int, end: int, fields: Fields) -> Mention | None:
    """The entity that `e1-person-1` is; None if there is no type, or if this is a part of an entity with gaps."""
    found = text.split("-", maxsplit=fields.count - 1 if fields.count else -1)

    def field(index: int | None) -> str:
        return "" if index is None or index >= len(found) or found[index] == "_" else found[index]

    label = field(fields.label)
    if not label or PART.search(found[0]):
        return None
    return Mention(start, end, label, article_title(unquote(field(fields.identity))), field(fields.number))
