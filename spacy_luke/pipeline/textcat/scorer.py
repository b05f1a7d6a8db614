"""Scores of categories of texts, by spaCy's own functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from spacy.pipeline.textcat import textcat_score
from spacy.pipeline.textcat_multilabel import textcat_multilabel_score
from spacy.training import Example

from ...errors import LukeError


def build_textcat_scorer(positive_label: str | None = None) -> Callable[..., dict[str, Any]]:
    """Scores of `luke_textcat`, as `spacy-luke.textcat_scorer.v1`: those of spaCy's `textcat`, or with `multi_label` of
    its `textcat_multilabel`.

    positive_label: of two labels the one whose F1 is `cats_score`; null = the mean F1 of all labels. It is for
        components without `multi_label`.

    Docs without gold categories do not count; scores are None if there are no others.
    """
    return partial(score_cats, positive_label=positive_label)


def score_cats(
    examples: Iterable[Example],
    *,
    labels: Sequence[str],
    multi_label: bool,
    positive_label: str | None = None,
    **kwargs: Any,
) -> dict[str, Any]:
    """See `build_textcat_scorer`."""
    if positive_label is not None and (positive_label not in labels or len(labels) != 2 or multi_label):
        reason = f"it must be one of two labels, without multi_label; the labels are {', '.join(labels)}"
        raise LukeError("L047", setting="positive_label", value=positive_label, reason=reason)
    annotated = [example for example in examples if example.reference.cats]
    score = textcat_multilabel_score if multi_label else textcat_score
    scores = score(annotated, labels=labels, positive_label=positive_label, **kwargs)
    return scores if annotated else dict.fromkeys(scores)
