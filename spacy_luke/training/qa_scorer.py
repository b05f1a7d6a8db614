"""Scores of answers, as SQuAD counts them."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from spacy.training import Example

from ..annotations import get_answers

_ARTICLE = re.compile(r"\b(a|an|the)\b", re.UNICODE)
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def build_qa_scorer() -> Callable[..., dict[str, Any]]:
    """Exact match and token F1 of answers, as `spacy-luke.qa_scorer.v1`.

    For each question, the first (best) predicted answer against the gold answer it fits best; a question without any gold
    answer is left out. As in SQuAD's evaluate-v2.0.py:

    - `qa_em`, `qa_f1`: means over all questions, in [0, 1]; None if there is no question
    - `qa_has_answer_em`, `qa_has_answer_f1`: over questions that have an answer
    - `qa_no_answer_em`: share of the unanswerable questions that were not answered
    """
    return partial(score_answers)


def score_answers(examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
    """See `build_qa_scorer`."""
    with_answer: list[tuple[float, float]] = []
    without: list[float] = []
    for example in examples:
        gold: dict[str, list[str]] = {}
        for answer in get_answers(example.reference):
            gold.setdefault(answer.question, []).append(answer.text)
        predicted: dict[str, str] = {}
        for answer in get_answers(example.predicted):
            predicted.setdefault(answer.question, answer.text)
        for question, texts in gold.items():
            guess = predicted.get(question, "")
            # As in the reference: gold answers of punctuation and articles only count as none.
            real = [text for text in texts if normalize(text)]
            if real:
                with_answer.append((max(exact_match(guess, t) for t in real), max(f1(guess, t) for t in real)))
            else:
                without.append(exact_match(guess, ""))
    has_answer_em, has_answer_f1 = (_mean([pair[i] for pair in with_answer]) for i in range(2))
    return {
        "qa_em": _mean([em for em, _ in with_answer] + without),
        "qa_f1": _mean([score for _, score in with_answer] + without),
        "qa_has_answer_em": has_answer_em,
        "qa_has_answer_f1": has_answer_f1,
        "qa_no_answer_em": _mean(without),
    }


def normalize(text: str) -> str:
    """Lower case, without ASCII punctuation, English articles and surplus white space (`normalize_answer`)."""
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def exact_match(guess: str, gold: str) -> float:
    """1 if both are the same when normalised."""
    return float(normalize(guess) == normalize(gold))


def f1(guess: str, gold: str) -> float:
    """F1 of the words of both; where one has none, 1 if neither has (`compute_f1`)."""
    guessed, wanted = normalize(guess).split(), normalize(gold).split()
    if not guessed or not wanted:
        return float(guessed == wanted)
    common = (Counter(guessed) & Counter(wanted)).total()
    return 2 * common / (len(guessed) + len(wanted))


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
