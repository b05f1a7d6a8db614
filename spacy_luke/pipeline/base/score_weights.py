"""Weights of scores in training, for components whose settings say what they write, and so what is scored.

spaCy takes default weights from the factory, which has the same ones whatever the settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spacy.language import Language

ScoreWeights = Mapping[str, float | None]

ENTS_WEIGHTS: ScoreWeights = {"ents_f": 1.0, "ents_p": 0.0, "ents_r": 0.0, "ents_per_type": None}


def spans_weights(key: str | None) -> ScoreWeights:
    """Default weights of the scores of spans under a key of `doc.spans`; none for None."""
    if key is None:
        return {}
    return {f"spans_{key}_f": 1.0, f"spans_{key}_p": 0.0, f"spans_{key}_r": 0.0, f"spans_{key}_per_type": None}


def fit_score_weights(nlp: Language, pipe: Any) -> None:
    """Let [training.score_weights] name the scores that a component gives, in place of those that it does not.

    What has a weight there for a score that is given stays as it is. Otherwise the weights move: from the scores that
    the component gives under other settings, but neither it nor another component of the pipeline under these.
    """
    scores: dict[str, ScoreWeights] = {name: _score_weights(nlp, name) for name in nlp.component_names}
    name = next((name for name in scores if nlp.get_pipe(name) is pipe), None)
    if name is None:
        return
    given, meta = scores.pop(name), nlp.get_pipe_meta(name)
    usual = {**(meta.default_score_weights or {}), **spans_weights((meta.default_config or {}).get("spans_key"))}
    given_elsewhere = {score for pipe_scores in scores.values() for score in pipe_scores}
    dead = usual.keys() - given.keys() - given_elsewhere
    weights = nlp.config["training"]["score_weights"]  # with the defaults of the factories
    if not any(weights.get(score) for score in given):
        share = sum(weights.get(score) or 0.0 for score in dead)
        if not share and weights.keys().isdisjoint(given):
            share = sum(weights.get(score) or 0.0 for score in usual)  # as much as the other component's
        if share:
            weights.update({score: weight and weight * share for score, weight in given.items()})
    weights.update(dict.fromkeys(sorted(dead & weights.keys())))


def _score_weights(nlp: Language, name: str) -> ScoreWeights:
    """The scores that a component gives, with their default weights."""
    given: ScoreWeights | None = getattr(nlp.get_pipe(name), "score_weights", None)
    return nlp.get_pipe_meta(name).default_score_weights or {} if given is None else given
