"""Scores of entity types."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from spacy.scorer import PRFScore
from spacy.tokens import Doc
from spacy.training import Example

from ...annotations import get_entity_type_scores, get_entity_types, typed_spans
from ..base.scoring import CharRange, CharRanges, calibration, char_ranges, per_label, prf

Types = frozenset[str]


def build_entity_typer_scorer() -> Callable[..., dict[str, Any]]:
    """Scores of `luke_entity_typer`, as `spacy-luke.entity_typer_scorer.v1`.

    What is scored are the spans of the reference whose types are annotated; a span that the predicted Doc does not have
    is one with no type predicted, and what is predicted for other spans does not count.

    - `types_micro_p`, `_r`, `_f`: over all pairs of a span and a type ("loose micro" of Ling and Weld 2012; the score
      of Open Entity in Yamada et al. 2020, section 4.1).
    - `types_macro_p`, `_r`, `_f`: their "loose macro": precision is the mean, over the spans with a predicted type, of
      the share of predicted types that are right; recall is the mean, over the spans with a gold type, of the share of
      gold types that were predicted. So does the scorer of Choi et al. 2018 (uwnlp/open_type, `eval_metric.py`,
      `macro`) for UFET; others divide both sums by the number of all spans.
    - `types_acc`: share of the spans with exactly the gold types (their "strict").
    - `types_per_type`: precision, recall and F1 by type.
    - `types_ece`: expected calibration error of the scores of predicted types (see `calibration_error`), and
      `types_calibration` its bins.

    Scores are None if there is no annotated span; micro and macro also if no span has a type, gold or predicted.
    """
    return partial(score_entity_types)


def score_entity_types(examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
    """See `build_entity_typer_scorer`."""
    examples = list(examples)
    pairs = [pair for example in examples for pair in _predicted_and_gold(example)]
    micro = PRFScore()
    per_type: defaultdict[str, PRFScore] = defaultdict(PRFScore)
    for cand, gold in pairs:
        micro.score_set(set(cand), set(gold))
        for label in cand | gold:
            per_type[label].score_set({label} & cand, {label} & gold)
    return {
        **prf("types_micro", micro),
        **_loose_macro(pairs),
        "types_acc": sum(cand == gold for cand, gold in pairs) / len(pairs) if pairs else None,
        **per_label("types_per_type", per_type),
        **calibration("types", [pair for example in examples for pair in _scored(example)]),
    }


def _loose_macro(pairs: Sequence[tuple[Types, Types]]) -> dict[str, float | None]:
    right = [len(cand & gold) / len(cand) for cand, gold in pairs if cand]
    covered = [len(cand & gold) / len(gold) for cand, gold in pairs if gold]
    if not right and not covered:
        return prf("types_macro", None)
    p = sum(right) / len(right) if right else 0.0
    r = sum(covered) / len(covered) if covered else 0.0
    return {"types_macro_p": p, "types_macro_r": r, "types_macro_f": 2 * p * r / (p + r) if p + r else 0.0}


def _predicted_and_gold(example: Example) -> Iterator[tuple[Types, Types]]:
    """Predicted and gold types of each annotated span of the reference."""
    if typed_spans(example.reference):
        cand_place, gold_place = char_ranges(example)
        cand, gold = _types(example.predicted, cand_place), _types(example.reference, gold_place)
        for place, types in gold.items():
            yield cand.get(place, frozenset()), types


def _scored(example: Example) -> Iterator[tuple[float, bool]]:
    """Probability of each predicted type of the annotated spans, and whether it is right."""
    if typed_spans(example.reference):
        cand_place, gold_place = char_ranges(example)
        gold = _types(example.reference, gold_place)
        for span in typed_spans(example.predicted):
            scores = get_entity_type_scores(span)
            right = gold.get(cand_place(span))
            if right is not None:
                yield from ((scores[label], label in right) for label in get_entity_types(span) if label in scores)


def _types(doc: Doc, char_range: CharRanges) -> dict[CharRange, Types]:
    return {char_range(span): frozenset(get_entity_types(span)) for span in typed_spans(doc)}
