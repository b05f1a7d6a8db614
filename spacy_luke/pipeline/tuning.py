"""Settings and calibration of a trained component, chosen on annotated Docs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from spacy.training import Example

from ..checks import require_probability
from ..errors import LukeError
from ..progress import track
from .base.calibration import Calibration, Trials
from .entity_markers.component import EntityMarkerComponent
from .ner.component import LukeNER
from .ner.tune_filter import choose_threshold, measure_filter
from .qa.component import LukeQA

PROBABILITIES = tuple(step / 20 for step in range(19))
FINE_PROBABILITIES = tuple(step / 100 for step in range(100))
TUNABLE = (LukeNER, EntityMarkerComponent, LukeQA)


@dataclass(frozen=True)
class Tuning:
    """Choice of settings for a component.

    settings: of its config.
    calibration: to apply to its head.
    f1: of what it predicts with both, on the Docs that they were chosen on.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    calibration: Calibration = field(default_factory=Calibration)
    f1: float = 0.0


def tune(
    pipe: Any,
    corpora: Sequence[Sequence[Example]],
    *,
    f1_loss: float = 0.001,
    per_label: bool = False,
    min_precision: float | None = None,
) -> Tuning:
    """Choose calibration and thresholds of a component, which has them afterwards.

    `luke_ner`: temperature, bias of the negative label, and threshold of the span filter. `luke_relations` and
    `luke_entity_typer`: temperature, and the threshold with the best F1. `luke_qa`: temperature, and the
    `no_answer_bias` with the best F1. The settings are those of the component alone: `nlp.config` does not have
    them.

    corpora: predicted Docs as the component gets them, references with gold annotation. F1 is the mean over them.
    f1_loss: so much may F1 (0 to 1) be below the best for a higher threshold of the span filter.
    per_label: also a threshold for each label of a `luke_relations` or `luke_entity_typer`, the one with the best F1 of
        the label over all corpora. A label without gold annotation there has the general one.
    min_precision: take only thresholds with at least this precision (0 to 1). A label that reaches it nowhere gets the
        threshold 1, so that it is silent.

    L080 for another component, or one without these options; L159 if nothing is predicted that has gold annotation
    beside it; L191 if no general threshold has the precision that is asked for.
    """
    if not isinstance(pipe, TUNABLE):
        raise LukeError("L080", argument="component", value=getattr(pipe, "name", pipe), wanted=wanted())
    if (per_label or min_precision is not None) and not isinstance(pipe, EntityMarkerComponent):
        options = "a luke_relations or luke_entity_typer, for per_label and min_precision"
        raise LukeError("L080", argument="component", value=pipe.name, wanted=options)
    if min_precision is not None:
        require_probability(min_precision=min_precision)
    if isinstance(pipe, EntityMarkerComponent) and per_label:
        pipe.label_thresholds = {}
    calibration = pipe.find_calibration(corpora)
    pipe.apply_calibration(calibration)
    if isinstance(pipe, LukeNER):
        return _tune_filter(pipe, corpora, calibration, f1_loss)
    if isinstance(pipe, LukeQA):  # the setting has the bias already
        return Tuning({"no_answer_bias": pipe.no_answer_bias}, replace(calibration, bias=0.0), calibration.f1 or 0.0)
    trials = _SettingTrials(pipe, corpora)
    f1_name, _ = pipe._calibration_scores
    chosen: dict[str, Any] = {"threshold": _general_threshold(trials, f1_name, min_precision, demanded=not per_label)}
    if per_label:
        chosen["label_thresholds"] = _label_thresholds(trials, f1_name, chosen["threshold"], min_precision)
    return Tuning(chosen, calibration, trials.mean_with(chosen, f1_name))


class _SettingTrials(Trials):
    """Scores of a component with some settings."""

    def annotate(self, settings: Mapping[str, Any]) -> None:
        """Give the component some settings, and the Docs what it then predicts."""
        for setting, value in settings.items():
            setattr(self.pipe, setting, value)
        self.pipe.set_annotations(self.docs, self.predicted)

    def mean_with(self, settings: Mapping[str, Any], name: str) -> float:
        """The mean of a score over the corpora with some settings."""
        self.annotate(settings)
        return self.mean(name)


def _general_threshold(trials: _SettingTrials, f1_name: str, min_precision: float | None, *, demanded: bool) -> float:
    """The threshold with the best F1, of those with enough precision. If none has it: L191, or the most precise one
    if it is not demanded."""
    if min_precision is None:
        tried = track(PROBABILITIES, "Choosing a threshold", "thresholds")
        return max(tried, key=lambda value: trials.mean_with({"threshold": value}, f1_name))
    precision_name = f"{f1_name.removesuffix('_f')}_p"
    precision: dict[float, float] = {}
    f1: dict[float, float] = {}
    for value in track(FINE_PROBABILITIES, "Choosing a threshold", "thresholds"):
        f1[value] = trials.mean_with({"threshold": value}, f1_name)
        precision[value] = trials.mean(precision_name)
    enough = [value for value in FINE_PROBABILITIES if precision[value] >= min_precision]
    if enough:
        return max(enough, key=f1.__getitem__)
    if demanded:
        raise LukeError("L191", name=trials.pipe.name, wanted=min_precision, best=max(precision.values()))
    return max(FINE_PROBABILITIES, key=precision.__getitem__)


def _label_thresholds(
    trials: _SettingTrials, f1_name: str, general: float, min_precision: float | None
) -> list[tuple[str, float]]:
    """A threshold for each label. What is predicted of a label does not depend on the thresholds of others, so that one
    pass over the values serves all."""
    pipe = trials.pipe
    per_type = f"{f1_name.partition('_')[0]}_per_type"
    by_value: dict[float, Any] = {}
    for value in track(FINE_PROBABILITIES, "Choosing thresholds of labels", "thresholds"):
        trials.annotate({"threshold": value})
        by_value[value] = pipe.score(trials.examples).get(per_type) or {}
    gold = pipe._labels_of(lambda: trials.examples)
    thresholds = []
    for label in pipe.labels:
        scores = {value: by_label[label] for value, by_label in by_value.items() if label in by_label}
        least = 0.0 if min_precision is None else min_precision
        enough = [value for value, score in scores.items() if score["f"] > 0 and score["p"] >= least]
        if enough:
            threshold = max(enough, key=lambda value: scores[value]["f"])
        else:
            threshold = general if min_precision is None or label not in gold else 1.0
        thresholds.append((label, threshold))
    return thresholds


def wanted() -> str:
    """Components that `tune` takes, in words."""
    return "the name of a luke_ner, luke_relations, luke_entity_typer or luke_qa"


def _tune_filter(
    pipe: LukeNER, corpora: Sequence[Sequence[Example]], calibration: Calibration, f1_loss: float
) -> Tuning:
    examples = [example for corpus_examples in corpora for example in corpus_examples]
    if pipe.span_filter is None:
        trials = Trials(pipe, corpora)
        pipe.set_annotations(trials.docs, trials.predicted)
        return Tuning({}, calibration, trials.mean(pipe._calibration_scores[0]))
    point = choose_threshold(measure_filter(pipe, examples), recall=1.0, f1_loss=f1_loss)
    pipe.span_filter.settings = replace(pipe.span_filter.settings, threshold=point.threshold)
    return Tuning({"span_filter": {"threshold": point.threshold}}, calibration, point.f)
