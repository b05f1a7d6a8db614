"""Labels of a classifier for relations: names, directions, "not related".

Labels may carry the direction of a relation, as SemEval-2010 Task 8's "Cause-Effect(e2,e1)".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from spacy.tokens import Span

from ...annotations import Relation
from ..base.negative_label import NO_RELATION

FORWARD, BACKWARD = "(e1,e2)", "(e2,e1)"
_DIRECTED = re.compile(r"(.+)(\(e1,e2\)|\(e2,e1\))")


def split_direction(label: str) -> tuple[str, bool]:
    """Name, and whether the second entity is the head: "Cause-Effect(e2,e1)" -> ("Cause-Effect", True)."""
    found = _DIRECTED.fullmatch(label)
    return (found[1], found[2] == BACKWARD) if found else (label, False)


def is_directed(label: str) -> bool:
    """Whether the label carries a direction."""
    return _DIRECTED.fullmatch(label) is not None


def both_directions(labels: Iterable[str], symmetric: Iterable[str]) -> tuple[str, ...]:
    """The labels of a head for pairs that are scored in one order only; symmetric labels need just one."""
    names = dict.fromkeys(split_direction(label)[0] for label in labels)
    return tuple(
        directed
        for name in names
        for directed in ([name] if name in symmetric else [f"{name}{FORWARD}", f"{name}{BACKWARD}"])
    )


Range = tuple[int, int]


@dataclass(frozen=True)
class RelationLabels:
    """Meaning of the labels of a head.

    labels: those of the head. negative: the one that means "not related"; None if there is none.
    negative_is_set: whether the settings name it; if not, other usual names of it are understood, too.
    directed: whether labels carry the direction, so that a pair is scored in one order only.
    symmetric: names of relations without direction.
    """

    labels: tuple[str, ...]
    negative: str | None
    negative_is_set: bool
    directed: bool
    symmetric: frozenset[str]

    def means_unrelated(self, label: str) -> bool:
        """Whether a gold label means "not related", for which the head may have another name."""
        usual = not self.negative_is_set and label in NO_RELATION and label not in self.labels
        return label == self.negative or usual

    def relation(self, head: Span, tail: Span, label: str, score: float) -> Relation:
        """The relation of a pair for a label of the head."""
        backward = False
        if self.directed:
            label, backward = split_direction(label)
        if label in self.symmetric:
            head, tail = in_text_order(head, tail)
        elif backward:
            head, tail = tail, head
        return Relation(head, tail, label, score)

    def readings(self, head: Range | None, tail: Range | None, label: str) -> list[tuple[tuple[Range, Range], str]]:
        """The pairs of token ranges, and their labels, that say the same as a gold relation; none for None."""
        if head is None or tail is None:
            return []
        name, backward = split_direction(label) if self.directed else (label, False)
        if backward:
            head, tail = tail, head
        symmetric = name in self.symmetric
        if not self.directed:
            return [((head, tail), name), *([((tail, head), name)] if symmetric else [])]
        reverse = (head[0], -head[1]) > (tail[0], -tail[1])
        pair = (tail, head) if reverse else (head, tail)
        # A head made elsewhere may have both directions of a symmetric label: either says the same.
        plain = symmetric and name in self.labels
        return [(pair, name if plain else f"{name}{BACKWARD if reverse else FORWARD}")]


def in_text_order(a: Span, b: Span) -> tuple[Span, Span]:
    """The span that starts first, or is longer, before the other."""
    return (b, a) if (a.start, -a.end) > (b.start, -b.end) else (a, b)
