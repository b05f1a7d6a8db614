"""Tags of entities as labels of a classifier: which of them mean what, and which an entity gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ...tags import Entity, is_tag, read_entities, split_tag

OUTSIDE = "O"
# Scheme -> its prefixes for the first, an inner and the last token of an entity, and for the token of an entity of one.
SCHEMES: Mapping[str, str] = {"BILUO": "BILU", "BIOES": "BIES", "BIO": "BIIB", "IO": "IIII"}
# Where labels lack the tag of a role, as BIO lacks that of the last token: those to take instead, the best first.
_ROLES: Mapping[str, str] = {"B": "BI", "I": "I", "L": "LI", "U": "UBI"}


@dataclass(frozen=True)
class TagScheme:
    """Tag scheme: the meaning of labels as tags.

    tags: the labels, in a scheme that has prefixes. *Shape:* (labels,)
    """

    tags: tuple[str, ...]

    @classmethod
    def find(cls, labels: Sequence[str], *, bare: bool = False) -> TagScheme | None:
        """The scheme of `labels`: O, and tags with the prefixes of BILUO, BIOES, BMES, BIO or IO; None if it is none.

        bare: labels without prefix are types of entities, as if they began with I-.
        """
        if OUTSIDE not in labels or len(labels) < 2:
            return None
        if all(is_tag(label) for label in labels):
            return cls(tuple(labels))
        if bare and not any(is_tag(label) for label in labels if label != OUTSIDE):
            return cls(tuple(label if label == OUTSIDE else f"I-{label}" for label in labels))
        return None

    @property
    def types(self) -> tuple[str, ...]:
        """The types of entities, in the order of the labels."""
        return tuple(dict.fromkeys(split_tag(tag)[1] for tag in self.tags if tag != OUTSIDE))

    @cached_property
    def _index(self) -> dict[tuple[str, str], int]:
        return {split_tag(tag): i for i, tag in enumerate(self.tags)}

    def encode(self, label: str, length: int) -> list[int] | None:
        """Indices of the labels for an entity of so many tokens; None if the scheme lacks a tag that it takes.

        Where the last token has no tag of its own, or the entity of one token, they get those for inside and begin.
        """
        roles = "U" if length == 1 else "B" + "I" * (length - 2) + "L"
        found = [
            next((self._index[p, label] for p in _ROLES[role] if (p, label) in self._index), None) for role in roles
        ]
        known = [i for i in found if i is not None]
        return known if len(known) == length else None

    def separates(self, label: str) -> bool:
        """Whether an entity of this type can be told from one of the same type right before it."""
        return ("B", label) in self._index or ("U", label) in self._index

    def decode(self, indices: Sequence[int]) -> list[Entity]:
        """The entities in the labels of the tokens of a sentence, given as indices.

        What does not fit together is read as `conlleval` does for I-: a tag for inside or last after O, or after
        another type, begins an entity; an entity without last token ends before the next O, begin or type.
        """
        return read_entities([self.tags[i] for i in indices], "BILUO")[0]


def scheme_labels(types: Sequence[str], scheme: str) -> tuple[str, ...]:
    """The labels of a classifier of entities of these types: O, then the tags of each type."""
    prefixes = dict.fromkeys(SCHEMES[scheme])
    return (OUTSIDE, *(f"{prefix}-{label}" for label in types for prefix in prefixes))
