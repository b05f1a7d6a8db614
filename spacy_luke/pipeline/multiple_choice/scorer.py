"""Scores of multiple choice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from spacy.training import Example

from ...annotations import Choice, get_chosen


def build_multiple_choice_scorer() -> Callable[..., dict[str, Any]]:
    """Scores of `luke_multiple_choice`, as `spacy-luke.multiple_choice_scorer.v1`.

    `choice_acc`: share of the questions with a gold choice, in [0, 1], whose best option is the gold one; None if there
    are none. Questions are compared by their place. Predicted Docs have to have them: a corpus reader with
    questions = true gives them.
    """
    return partial(score_choices)


def score_choices(examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
    """See `build_multiple_choice_scorer`."""
    right = []
    for example in examples:
        predicted, gold = (best_choices(get_chosen(doc)) for doc in (example.predicted, example.reference))
        right += [number in predicted and _same(predicted[number], choice) for number, choice in gold.items()]
    return {"choice_acc": sum(right) / len(right) if right else None}


def best_choices(chosen: Iterable[Choice]) -> dict[int, Choice]:
    """Number of a question -> the first choice."""
    best: dict[int, Choice] = {}
    for choice in chosen:
        best.setdefault(choice.number, choice)
    return best


def _same(a: Choice, b: Choice) -> bool:
    return (a.question, a.index, a.text) == (b.question, b.index, b.text)
