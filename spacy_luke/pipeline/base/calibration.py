"""Calibration: scores of what a component predicts become the share of it that is right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from spacy.attrs import ENT_ID, ENT_IOB, ENT_KB_ID, ENT_TYPE
from spacy.training import Example
from torch import nn

from ...errors import LukeError
from ...progress import track

TEMPERATURES = tuple(step / 20 for step in range(8, 61))
BIASES = tuple(step / 5 for step in range(-15, 16))
_ENTITIES = [ENT_IOB, ENT_TYPE, ENT_KB_ID, ENT_ID]


@dataclass(frozen=True)
class Calibration:
    """Temperature and bias of the raw scores of a component.

    temperature: what they are divided by.
    bias: added before to that of the negative label.
    error_before, error_after: expected calibration error on the Docs that it was chosen on.
    f1: of what is predicted with it there.
    """

    temperature: float = 1.0
    bias: float = 0.0
    error_before: float | None = None
    error_after: float | None = None
    f1: float | None = None


class Calibratable(Protocol):
    """A component whose `score` gives the expected calibration error of its probabilities."""

    name: str
    predict: Callable[..., Any]
    set_annotations: Callable[..., None]
    score: Callable[..., dict[str, Any]]

    @property
    def _calibration_scores(self) -> tuple[str, str] | None:
        """Names of F1 and of the expected calibration error among the component's scores."""

    @property
    def _biases(self) -> Sequence[float]:
        """Those that calibration chooses from; none = it leaves biases alone."""

    def _calibrated(self, scored: Any, calibration: Calibration) -> Any:
        """The raw scores of a Doc, as `predict` gives them, with a calibration."""


def find_calibration(pipe: Calibratable, corpora: Sequence[Sequence[Example]]) -> Calibration:
    """Choose temperature and bias; see `TaskComponent.calibrate`. F1 is the mean over the corpora."""
    trials = _CalibrationTrials(pipe, corpora)
    error_before = trials.error(Calibration())
    # The bias moves the best temperature little, and joint decoding depends on the temperature.
    found = trials.with_best_bias(Calibration())
    temperatures = track(TEMPERATURES, "Calibrating", "temperatures")
    errors = {t: trials.error(replace(found, temperature=t)) for t in temperatures}
    known = {t: error for t, error in errors.items() if error is not None}
    if not known:
        raise LukeError("L159", name=pipe.name)
    # Of equal errors, the temperature that changes least.
    best = min(known, key=lambda t: (known[t], abs(t - 1)))
    found = trials.with_best_bias(replace(found, temperature=best))
    return replace(found, error_before=error_before, error_after=trials.error(found), f1=trials.f1(found))


def apply_to_head(output: nn.Linear, calibration: Calibration, biased_row: int | None) -> None:
    """Change the weights of a head by a calibration: the bias first, then all of them by the temperature. L047 for a
    bias without `biased_row`."""
    with torch.no_grad():
        if calibration.bias:
            if biased_row is None or output.bias is None:
                reason = "the component has no bias of a negative label"
                raise LukeError("L047", setting="bias", value=calibration.bias, reason=reason)
            output.bias[biased_row] += calibration.bias
        if calibration.temperature != 1:
            for parameter in output.parameters():
                parameter.div_(calibration.temperature)


def calibrated_logits(logits: np.ndarray, calibration: Calibration, biased_row: int | None) -> np.ndarray:
    """*Shape:* (items, labels) -> the same"""
    if calibration.bias:
        logits = logits.copy()
        logits[:, biased_row] += calibration.bias
    return logits / calibration.temperature


class Trials:
    """Scores of a component tried in several ways, from raw scores that are made once, on copies of the Docs."""

    def __init__(self, pipe: Any, corpora: Sequence[Sequence[Example]]):
        self.pipe = pipe
        self.corpora = [[Example(e.predicted.copy(), e.reference) for e in examples] for examples in corpora]
        self.examples = [example for examples in self.corpora for example in examples]
        self.docs = [example.predicted for example in self.examples]
        self.predicted = pipe.predict(self.docs)

    def mean(self, name: str) -> float:
        """The mean over the corpora of a score of what the Docs have now, 0 for one without it."""
        found = [self.pipe.score(examples).get(name) or 0.0 for examples in self.corpora]
        return float(sum(found) / len(found))


class _CalibrationTrials(Trials):
    """Scores of a component under calibrations."""

    def __init__(self, pipe: Calibratable, corpora: Sequence[Sequence[Example]]):
        super().__init__(pipe, corpora)
        self.before: list[Any] = [doc.to_array(_ENTITIES) for doc in self.docs]
        names = pipe._calibration_scores
        if names is None:
            raise LukeError("L080", argument="component", value=pipe.name, wanted="one whose scores can be calibrated")
        self.f1_name, self.error_name = names

    def error(self, calibration: Calibration) -> float | None:
        self._annotate(calibration)
        found: float | None = self.pipe.score(self.examples).get(self.error_name)
        return found

    def f1(self, calibration: Calibration) -> float:
        self._annotate(calibration)
        return self.mean(self.f1_name)

    def with_best_bias(self, calibration: Calibration) -> Calibration:
        """The calibration with the bias that gives the best F1; of equal ones, the least."""
        if not self.pipe._biases:
            return calibration
        tried = track([replace(calibration, bias=bias) for bias in self.pipe._biases], "Calibrating", "biases")
        return max(tried, key=lambda one: (self.f1(one), -abs(one.bias)))

    def _annotate(self, calibration: Calibration) -> None:
        # Entities of the trial before would stand in the way, and those of other components would be lost.
        for doc, entities in zip(self.docs, self.before, strict=True):
            doc.from_array(_ENTITIES, entities)
        self.pipe.set_annotations(self.docs, [self.pipe._calibrated(scored, calibration) for scored in self.predicted])
