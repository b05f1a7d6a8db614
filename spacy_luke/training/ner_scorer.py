"""Scores of named entities."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from spacy.scorer import Scorer, get_ner_prf
from spacy.training import Example

from .scoring import with_annotated_labels


def build_ner_scorer(spans_key: str = "luke_ner") -> Callable[..., dict[str, Any]]:
    """Exact-match scores of `luke_ner`, as `spacy-luke.ner_scorer.v1`.

    Flat entities give spaCy's `ents_p`, `ents_r`, `ents_f`, `ents_per_type` over `doc.ents`. Where the references have
    spans under `spans_key` (a component with overlap = true), `spans_{spans_key}_p` and so on are given beside them.
    Predictions with labels that a reference is not annotated with (see `set_entity_labels`) do not count.
    """

    return partial(score_ner, spans_key=spans_key)


def score_ner(examples: Iterable[Example], *, spans_key: str, **kwargs: Any) -> dict[str, Any]:
    """See `build_ner_scorer`."""
    examples = [with_annotated_labels(example) for example in examples]
    scores = dict(get_ner_prf(examples, **kwargs))
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
