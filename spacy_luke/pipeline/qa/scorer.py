"""Scores of answers: exact match and F1, as SQuAD 2.0's script has them.

https://worksheets.codalab.org/rest/bundles/0x6b567e1cf2e041ec80d7098f031c5c9e/contents/blob/ (`evaluate-v2.0.py`;
Rajpurkar et al. 2016, 2018).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from spacy.training import Example

from ...annotations import Answer, get_answers
from ..base.scoring import calibration

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


class _Score(NamedTuple):
    """Scores of one question. probability: of its answer; None without one."""

    has_answer: bool
    exact: float
    f1: float
    probability: float | None


def build_qa_scorer() -> Callable[..., dict[str, Any]]:
    """Scores of `luke_qa`, as `spacy-luke.qa_scorer.v1`. They are shares in [0, 1], where the script gives percentages.

    - `qa_em`: share of the questions whose answer is that of a gold answer, but for case, articles, ASCII punctuation
      and white space.
    - `qa_f1`: mean F1 of the words of the answer, after the same changes; of the gold answers, the best counts.
    - `qa_has_answer_em`, `qa_has_answer_f1`: of the questions with an answer.
    - `qa_no_answer_em`: share of the unanswerable questions for which no answer was predicted.
    - `qa_ece`: expected calibration error of the scores of the answers, "no answer" included: how far they are from the
      share of exact matches (`calibration_error`); `qa_calibration`: its bins.

    Questions of the reference without a gold Answer are not scored. A question is unanswerable if it has gold Answers
    and the span of each is None. Of several predicted answers to a question, the first counts. A question without any
    predicted Answer is wrong, even if it is unanswerable; the script leaves it out. Predicted Docs have to have the
    questions: a corpus reader with questions = true gives them.

    Scores are None if there is no such question.
    """
    return partial(score_answers)


def score_answers(examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
    """See `build_qa_scorer`."""
    scores = [score for example in examples for score in _scores(example)]
    answerable = [score for score in scores if score.has_answer]
    unanswerable = [score for score in scores if not score.has_answer]
    return {
        "qa_em": _mean([score.exact for score in scores]),
        "qa_f1": _mean([score.f1 for score in scores]),
        "qa_has_answer_em": _mean([score.exact for score in answerable]),
        "qa_has_answer_f1": _mean([score.f1 for score in answerable]),
        "qa_no_answer_em": _mean([score.exact for score in unanswerable]),
        **calibration("qa", [(s.probability, s.exact > 0) for s in scores if s.probability is not None]),
    }


def normalised(text: str) -> str:
    """The text in lower case, without ASCII punctuation, articles and superfluous white space.

    As in the script, in this order: "a.b" is one word, and punctuation beyond ASCII ("“", "–") stays.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def answer_f1(gold: str, predicted: str) -> float:
    """F1 of the words of two answers; if one has no words, 1 if neither has."""
    gold_words, words = normalised(gold).split(), normalised(predicted).split()
    if not gold_words or not words:
        return float(gold_words == words)
    same = (Counter(gold_words) & Counter(words)).total()
    precision, recall = same / len(words), same / len(gold_words)
    return 2 * precision * recall / (precision + recall) if same else 0.0


def _scores(example: Example) -> Iterator[_Score]:
    predicted: dict[str, Answer] = {}
    for answer in get_answers(example.predicted):
        predicted.setdefault(answer.question, answer)
    gold: dict[str, list[str]] = {}
    answerable = set()
    for answer in get_answers(example.reference):
        gold.setdefault(answer.question, []).append(answer.text)
        if answer.span is not None:
            answerable.add(answer.question)
    for question, texts in gold.items():
        # As in the script: answers of nothing but articles and punctuation do not count, and without others, no answer
        # is right.
        texts = [text for text in texts if normalised(text)] or [""]
        found = predicted.get(question)
        if found is None:
            yield _Score(question in answerable, 0.0, 0.0, None)
            continue
        exact = float(any(normalised(gold_text) == normalised(found.text) for gold_text in texts))
        f1 = max(answer_f1(gold_text, found.text) for gold_text in texts)
        yield _Score(question in answerable, exact, f1, found.score)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
