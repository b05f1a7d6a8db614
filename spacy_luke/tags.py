"""Tag schemes: a sentence's tags -> entity spans, whichever of IOB1, IOB2 and BILUO they are written in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

TAG = re.compile(r"O|[BILUESM]-\S.*")
# BILUO and its other spellings: IOBES (E = L, S = U) and BMES (M = I).
SPELLINGS = {"E": "L", "S": "U", "M": "I"}

# Half-open token range and type, e.g. (2, 4, "PER").
Entity = tuple[int, int, str]


def is_tag(value: str) -> bool:
    return TAG.fullmatch(value) is not None


def split_tag(tag: str) -> tuple[str, str]:
    """`"E-PER"` -> `("L", "PER")`, `"O"` -> `("O", "")`."""
    prefix, _, label = tag.partition("-")
    return SPELLINGS.get(prefix, prefix), label


def find_scheme(sentences: Iterable[Sequence[str]]) -> str:
    """Name the scheme that all these tags together follow: `"IOB1"`, `"IOB2"` or `"BILUO"`.

    IOB1 writes B- only where an entity directly follows another one of its type, IOB2 at every start:

        Ann  saw  Bob   Lee    Tim
        I-P  O    I-P   I-P    B-P    IOB1
        B-P  O    B-P   I-P    B-P    IOB2
        U-P  O    B-P   L-P    U-P    BILUO
    """
    starts_with_i = starts_with_b = False
    for tags in sentences:
        before = "O", ""
        for tag in tags:
            prefix, label = split_tag(tag)
            if prefix in ("L", "U"):
                return "BILUO"
            follows_own_type = before[0] != "O" and before[1] == label
            starts_with_i |= prefix == "I" and not follows_own_type
            starts_with_b |= prefix == "B" and not follows_own_type
            before = prefix, label
    return "IOB1" if starts_with_i and not starts_with_b else "IOB2"


def read_entities(tags: Sequence[str], scheme: str) -> tuple[list[Entity], list[int]]:
    """The entities of one sentence, and the indices of the tags that had to be read as something else.

    A continuation (I, L) that has nothing to continue starts an entity, whatever the scheme. In BILUO an entity that
    ends without L is taken to end at its last token.
    """
    entities: list[Entity] = []
    repaired: list[int] = []
    start, label = 0, ""  # the open entity; no label: none is open

    def close(end: int, *, properly: bool) -> None:
        nonlocal label
        if label:
            entities.append((start, end, label))
            if not properly:
                repaired.append(end - 1)
        label = ""

    ends_early = scheme == "BILUO"
    for index, tag in enumerate(tags):
        prefix, own = split_tag(tag)
        if prefix == "O":
            close(index, properly=not ends_early)
            continue
        if prefix in ("B", "U") or own != label:
            close(index, properly=not ends_early)
            if prefix == "L" or (prefix == "I" and scheme != "IOB1"):
                repaired.append(index)
            start, label = index, own
        if prefix in ("L", "U"):
            close(index + 1, properly=True)
    close(len(tags), properly=not ends_early)
    return entities, sorted(set(repaired))
