"""A few steps of spaCy's own training, from a config of the `configs` folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from thinc.api import Adam, Config
from torch import Tensor

CONFIGS = Path(__file__).parents[2] / "configs"


def short(corpus: Path, checkpoint: Path | str, steps: int = 4) -> dict[str, Any]:
    """Overrides of a config: some steps on a corpus, which is the dev set, too, with two evaluations."""
    return {
        "paths.train": str(corpus),
        "paths.dev": str(corpus),
        "paths.checkpoint": str(checkpoint),
        "training.max_steps": steps,
        "training.max_epochs": 0,
        "training.eval_frequency": steps // 2,
    }


def trained(config: Config, out: Path) -> Language:
    """The best pipeline of a training run, as it was saved to `out`."""
    out.mkdir()
    train(init_nlp(config), out)
    return spacy.load(out / "model-best")


def assert_complete(config: Config) -> None:
    """A config spells out all settings of its components, and weights for all of their scores."""
    made = spacy.util.load_model_from_config(config, auto_fill=False, validate=True)
    filled = spacy.util.load_model_from_config(config, auto_fill=True).config
    assert made.config["components"] == filled["components"]
    assert set(filled["training"]["score_weights"]) == set(config["training"]["score_weights"])


def adam(rate: float = 0.003, **settings: Any) -> Adam:
    return Adam(rate, use_averages=False, **settings)


def gradients(pipe: Any) -> dict[str, Tensor]:
    """The gradients of a component, which are then cleared."""
    found = {name: p.grad.clone() for name, p in pipe._module.named_parameters() if p.grad is not None}
    pipe._module.zero_grad(set_to_none=True)
    return found
