"""Gold categories of an Example as targets of its Doc."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from spacy.training import Example

from ...errors import LukeError
from ..base.gold import GoldReport

_SHOWN = 60


@dataclass(frozen=True)
class GoldCats:
    """Targets of a Doc.

    values: 1 for the labels that it has. *Shape:* (labels,), float32
    known: False for labels whose value cannot be learned: all of them, if the Doc is not annotated.
        *Shape:* (labels,), bool
    """

    values: np.ndarray
    known: np.ndarray


def gold_cats(example: Example, labels: Sequence[str], multi_label: bool, name: str, report: GoldReport) -> GoldCats:
    """`doc.cats` of the reference; what cannot be learned of it is counted in `report`.

    labels, multi_label, name: of the component. Without `multi_label`, labels that the reference lacks have the value
        0, as in spaCy's `textcat`; with it, they are not known.

    L041 for labels that the component does not have, L081 for values other than 0 and 1, and, without `multi_label`,
    for several labels.
    """
    cats, text = example.reference.cats, example.predicted.text
    gold = GoldCats(np.zeros(len(labels), dtype=np.float32), np.zeros(len(labels), dtype=bool))
    if not cats:
        return gold
    if unknown := sorted(set(cats) - set(labels)):
        raise LukeError("L041", labels=", ".join(unknown), name=name, known=", ".join(labels))
    if any(value not in (0, 1) for value in cats.values()):
        raise LukeError("L081", cats=cats, text=text[:_SHOWN], name=name, reason="each value must be 0 or 1")
    if not multi_label and sum(cats.values()) > 1:
        reason = "one label alone may be 1. Set multi_label = true if Docs have several"
        raise LukeError("L081", cats=cats, text=text[:_SHOWN], name=name, reason=reason)
    report.total += 1
    if not text.strip():
        report.miss("without text", repr(text[:_SHOWN]))
    elif not multi_label and not any(cats.values()):
        report.miss("without a label that is 1", repr(text[:_SHOWN]))
    else:
        for place, label in enumerate(labels):
            gold.values[place], gold.known[place] = cats.get(label, 0), label in cats or not multi_label
    return gold
