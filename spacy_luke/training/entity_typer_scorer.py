"""Scores of entity types."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from spacy.scorer import PRFScore
from spacy.training import Example

from ..annotations import get_entity_types, typed_spans


def build_entity_typer_scorer() -> Callable[..., dict[str, Any]]:
    """Scores of the types of given spans, as `spacy-luke.entity_typer_scorer.v1`.

    Over the spans whose types the references give (a predicted span without types, or none at all, has predicted
    nothing), None if no reference gives any:

    - `types_micro_p`, `types_micro_r`, `types_micro_f`, and `types_per_type`: over all pairs of span and type
    - `types_macro_p` …: loose macro average, the mean precision of the spans that were given types and the mean recall
      of those that have some (Ling and Weld 2012, section 5.1; Choi et al. 2018)
    - `types_acc`: share of the spans whose types are all right
    """
    return partial(score_entity_types)


def score_entity_types(examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
    """See `build_entity_typer_scorer`."""
    micro = PRFScore()
    per_type: dict[str, PRFScore] = {}
    precisions: list[float] = []
    recalls: list[float] = []
    right = spans = 0
    for example in examples:
        for span in typed_spans(example.reference):
            gold = set(get_entity_types(span))
            here = example.predicted.char_span(span.start_char, span.end_char)
            predicted = set(get_entity_types(here)) if here is not None else set()
            spans += 1
            right += gold == predicted
            micro.score_set(predicted, gold)
            for label in gold | predicted:
                per_type.setdefault(label, PRFScore()).score_set(predicted & {label}, gold & {label})
            if predicted:
                precisions.append(len(gold & predicted) / len(predicted))
            if gold:
                recalls.append(len(gold & predicted) / len(gold))
    if not spans:
        names = [f"types_{kind}_{score}" for kind in ("micro", "macro") for score in "prf"]
        return dict.fromkeys([*names, "types_acc", "types_per_type"])
    precision, recall = (sum(values) / len(values) if values else 0.0 for values in (precisions, recalls))
    return {
        "types_micro_p": micro.precision,
        "types_micro_r": micro.recall,
        "types_micro_f": micro.fscore,
        "types_macro_p": precision,
        "types_macro_r": recall,
        "types_macro_f": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        "types_acc": right / spans,
        "types_per_type": {label: per_type[label].to_dict() for label in sorted(per_type)},
    }
