"""Settings and calibration of a trained component, chosen on annotated Docs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from spacy.training import Example

from ..errors import LukeError
from .base.calibration import CalibratedPipe, Calibration
from .entity_markers.component import EntityMarkerComponent
from .ner.component import LukeNER
from .ner.tune_filter import choose_threshold, measure_filter
from .qa.component import LukeQA

PROBABILITIES = tuple(step / 20 for step in range(19))
DIFFERENCES = tuple(step / 2 for step in range(-10, 21))
TUNABLE = (LukeNER, EntityMarkerComponent, LukeQA)


@dataclass(frozen=True)
class Tuning:
    """Choice of settings for a component.

    settings: of its config.
    calibration: to apply to its head; None = its scores are no probabilities.
    f1: of what it predicts with both, on the Docs that they were chosen on.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    calibration: Calibration | None = None
    f1: float = 0.0


def tune(pipe: Any, corpora: Sequence[Sequence[Example]], *, f1_loss: float = 0.001) -> Tuning:
    """Choose calibration and thresholds of a component, which has them afterwards.

    `luke_ner`: temperature, bias of the negative label, and threshold of the span filter. `luke_relations` and
    `luke_entity_typer`: temperature, and the threshold with the best F1. `luke_qa`: `no_answer_threshold`. The settings
    are those of the component alone: `nlp.config` does not have them.

    corpora: predicted Docs as the component gets them, references with gold annotation. F1 is the mean over them.
    f1_loss: so much may F1 (0 to 1) be below the best for a higher threshold of the span filter.

    L080 for another component; L159 if nothing is predicted that has gold annotation beside it.
    """
    if not isinstance(pipe, TUNABLE):
        raise LukeError("L080", argument="component", value=getattr(pipe, "name", pipe), wanted=wanted())
    calibration = None
    if isinstance(pipe, CalibratedPipe):
        calibration = pipe.find_calibration(corpora)
        pipe.apply_calibration(calibration)
    if isinstance(pipe, LukeNER):
        return _tune_filter(pipe, corpora, calibration, f1_loss)
    setting, f1_name, values = ("threshold", "", PROBABILITIES)
    if isinstance(pipe, LukeQA):
        setting, f1_name, values = "no_answer_threshold", "qa_f1", DIFFERENCES
    else:
        f1_name, _ = pipe._calibration_scores
    tuned: Any = pipe
    copies = [[Example(e.predicted.copy(), e.reference) for e in examples] for examples in corpora]
    docs = [example.predicted for examples in copies for example in examples]
    scores = tuned.predict(docs)

    def f1(value: float) -> float:
        setattr(pipe, setting, value)
        tuned.set_annotations(docs, scores)
        return _mean_f1(pipe, copies, f1_name)

    best = max(values, key=f1)
    return Tuning({setting: best}, calibration, f1(best))


def wanted() -> str:
    """Components that `tune` takes, in words."""
    return "the name of a luke_ner, luke_relations, luke_entity_typer or luke_qa"


def _tune_filter(
    pipe: LukeNER, corpora: Sequence[Sequence[Example]], calibration: Calibration | None, f1_loss: float
) -> Tuning:
    examples = [example for corpus_examples in corpora for example in corpus_examples]
    if pipe.span_filter is None:
        copies = [[Example(e.predicted.copy(), e.reference) for e in corpus_examples] for corpus_examples in corpora]
        docs = [example.predicted for corpus_examples in copies for example in corpus_examples]
        pipe.set_annotations(docs, pipe.predict(docs))
        return Tuning({}, calibration, _mean_f1(pipe, copies, pipe._calibration_scores[0]))
    point = choose_threshold(measure_filter(pipe, examples), recall=1.0, f1_loss=f1_loss)
    pipe.span_filter.settings = replace(pipe.span_filter.settings, threshold=point.threshold)
    return Tuning({"span_filter": {"threshold": point.threshold}}, calibration, point.f)


def _mean_f1(pipe: Any, corpora: Sequence[Sequence[Example]], name: str) -> float:
    found = [pipe.score(examples).get(name) or 0.0 for examples in corpora]
    return float(sum(found) / len(found))
