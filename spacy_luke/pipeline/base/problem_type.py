"""One label or several: `problem_type` of config.json, as transformers' classes with labels have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MULTI_LABEL, SINGLE_LABEL, REGRESSION = "multi_label_classification", "single_label_classification", "regression"
_KEY = "problem_type"


def problem_of(extra: Mapping[str, Any]) -> str:
    """The problem type of `EncoderConfig.extra`; "" if it has none."""
    return str(extra.get(_KEY) or "")


def problem_entry(multi_label: bool) -> dict[str, str]:
    """The entry of config.json."""
    return {_KEY: MULTI_LABEL if multi_label else SINGLE_LABEL}
