"""Gold links of an Example as targets of the entities of the predicted Doc, and a draw of which of them to mask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from spacy.tokens import Span
from spacy.training import Example

from ...knowledge_base import NIL
from ..base.gold import GoldSpans, aligned_tokens
from .decoding import Mentions

NOT_THERE = "no entities of the predicted Doc, which a corpus reader with mentions = true gives the gold ones"
UNKNOWN = "to entities that are not in the entity vocabulary"


@dataclass(kw_only=True)
class GoldLinks(GoldSpans):
    """Gold links of the entities of a predicted Doc, and what of the annotation is lost on the way.

    targets: in the entity vocabulary; those of entities that are not `known` mean nothing. *Shape:* (entities,)
    kb_ids: of each entity; "" without a gold link.
    """

    kb_ids: list[str]


@dataclass(frozen=True)
class LinkedDoc:
    """The entities of a Doc with their gold links."""

    mentions: Mentions
    gold: GoldLinks


def gold_links(example: Example, spans: Sequence[Span], find: Callable[[str], int]) -> GoldLinks:
    """The gold links of some entities of the predicted Doc.

    find: id of an entity of the knowledge base in the entity vocabulary, -1 if it is not there.

    An entity of the reference without `kb_id_`, or with that of none (NIL), has no gold link.
    """
    count = len(spans)
    none = np.zeros(count, dtype=np.int64)
    gold = GoldLinks(targets=none, known=np.zeros(count, dtype=bool), kb_ids=[""] * count)
    index = {(span.start, span.end): i for i, span in enumerate(spans)}
    for ent in example.reference.ents:
        if not ent.kb_id_ or ent.kb_id_ == NIL:
            continue
        gold.total += 1
        tokens = aligned_tokens(example, ent)
        i = index.get(tokens) if tokens is not None else None
        entity = find(ent.kb_id_)
        if i is None or entity < 0:
            gold.missed[NOT_THERE if i is None else UNKNOWN] += 1
            gold.missed_texts.append(f"{ent.text!r} ({ent.kb_id_})")
        if i is not None:
            gold.kb_ids[i], gold.targets[i], gold.known[i] = ent.kb_id_, entity, entity >= 0
    return gold


def draw_masked(known: np.ndarray, rate: float) -> np.ndarray:
    """Draw the entities of a window that are masked and learned; the others with a known link are given.

    known: whether the link of each is known. rate: share of these that is masked; one is, at least.
        *Shape:* (entities,), bool -> the same
    """
    # spaCy seeds NumPy's global state.
    masked = known & (np.random.random(len(known)) < rate)  # noqa: NPY002
    if known.any() and not masked.any():
        masked[np.random.choice(np.flatnonzero(known))] = True  # noqa: NPY002
    return masked
