"""How long `spacy train` will train, before it starts: a schedule made for a large corpus learns nothing from a small
one, and spaCy does not say so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from math import ceil
from typing import Any

from spacy.language import Language

from ...errors import warn

_NEEDED = {"max_epochs", "max_steps", "eval_frequency", "batcher", "optimizer"}


def warn_of_short_training(nlp: Language, get_examples: Callable[[], Iterable[Any]], *, stacklevel: int = 3) -> None:
    """Warn (W051) if [training] ends before the learning rate is up, or before the first evaluation after its start.

    Steps are counted for batches of a number of Docs (`spacy.batch_by_sequence.v1`), else taken from max_steps alone.
    """
    training: Mapping[str, Any] = nlp.config.interpolate().get("training", {})
    if not training.keys() >= _NEEDED:  # a config that spacy train would refuse
        return
    warmup, evaluation = _warmup_steps(training), training["eval_frequency"]
    last, why = _last_step(training, get_examples, enough=max(warmup + 1, evaluation))
    problems = []
    if last <= warmup:
        problems.append(f"the learning rate would still be rising, over {warmup} steps (warmup_steps)")
    if last < evaluation:
        problems.append(
            f"the next evaluation after that of the untrained model is at step {evaluation} (eval_frequency), so that "
            "model-best is untrained"
        )
    if problems:
        warn("W051", last=last, why=why, problems=", and ".join(problems), stacklevel=stacklevel)


def _warmup_steps(training: Mapping[str, Any]) -> int:
    schedule = training["optimizer"].get("learn_rate")
    if isinstance(schedule, Mapping) and schedule.get("@schedules") == "warmup_linear.v1":
        return int(schedule["warmup_steps"])
    return 0


def _last_step(
    training: Mapping[str, Any], get_examples: Callable[[], Iterable[Any]], *, enough: int
) -> tuple[int, str]:
    """The number of the last step, as spaCy's log counts from 0, and what it comes from. No more examples are counted
    than make `enough` steps, which is returned for more, too."""
    epochs, most, batcher = training["max_epochs"], training["max_steps"], training["batcher"]
    by_steps = (most or enough, "max_steps")
    if epochs < 1 or batcher.get("@batchers") != "spacy.batch_by_sequence.v1" or not isinstance(batcher["size"], int):
        return by_steps
    size = batcher["size"]
    docs = sum(1 for _ in islice(get_examples(), ceil((enough + 1) / epochs) * size))
    by_epochs = (epochs * ceil(docs / size) - 1, f"{epochs} epochs of {docs} Docs in batches of {size}")
    return min(by_steps, by_epochs)
