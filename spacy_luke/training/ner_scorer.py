"""Scores of named entities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from spacy.scorer import Scorer, get_ner_prf
from spacy.training import Example

from .scoring import calibration_error, places, with_annotated_labels


def build_ner_scorer(spans_key: str = "luke_ner") -> Callable[..., dict[str, Any]]:
    """Exact-match scores of `luke_ner`, as `spacy-luke.ner_scorer.v1`.

    Flat entities give spaCy's `ents_p`, `ents_r`, `ents_f`, `ents_per_type` over `doc.ents`. Where the references have
    spans under `spans_key` (a component with overlap = true), `spans_{spans_key}_p` and so on are given beside them.
    `ents_ece` is the expected calibration error of the scores that `luke_ner` gives them (see `calibration_error`).
    Predictions with labels that a reference is not annotated with (see `set_entity_labels`) do not count.
    """

    return partial(score_ner, spans_key=spans_key)


def score_ner(examples: Iterable[Example], *, spans_key: str, **kwargs: Any) -> dict[str, Any]:
    """See `build_ner_scorer`."""
    examples = [with_annotated_labels(example) for example in examples]
    scores = dict(get_ner_prf(examples, **kwargs))
    scores["ents_ece"] = calibration_error([p for example in examples for p in _scored(example, spans_key)])
    if any(spans_key in example.reference.spans for example in examples):
        scores.update(
            Scorer.score_spans(
                examples,
                f"spans_{spans_key}",
                getter=lambda doc, _: doc.spans.get(spans_key, ()),
                has_annotation=lambda doc: spans_key in doc.spans,
                allow_overlap=True,
                labeled=True,
            )
        )
    return scores


def _scored(example: Example, spans_key: str) -> Iterator[tuple[float, bool]]:
    """Probability of each predicted entity, and whether it is right."""
    group = example.predicted.spans.get(spans_key)
    if group is None or "scores" not in group.attrs or not example.reference.has_annotation("ENT_IOB"):
        return
    cand_place, gold_place = places(example)
    gold = {(gold_place(ent), ent.label_) for ent in example.reference.ents}
    for span, score in zip(group, group.attrs["scores"], strict=True):
        yield score, (cand_place(span), span.label_) in gold
