"""Every activation of the installed transformers: computed as there, or refused by its name."""

from __future__ import annotations

import math

import pytest
import torch
from transformers.activations import ACT2FN

from spacy_luke.encoders.activations import ACTIVATIONS, TRAINED_ACTIVATIONS, get_activation
from spacy_luke.errors import LukeError

X = torch.linspace(-12, 12, 201)
# Those that transformers 4 lacks, by their definition.
DEFINITIONS = {
    "gelu_python_tanh": lambda x: 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "hardswish": lambda x: x * (x + 3).clamp(0, 6) / 6,
    "sqrtsoftplus": lambda x: x.exp().log1p().sqrt(),
}


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_an_activation_equals_the_reference(name: str) -> None:
    reference = ACT2FN[name] if name in ACT2FN else DEFINITIONS[name]
    assert torch.allclose(get_activation(name)(X), reference(X), atol=1e-5)


def test_every_activation_of_transformers_is_known_or_refused_by_name() -> None:
    assert set(ACT2FN) <= {*ACTIVATIONS, *TRAINED_ACTIVATIONS}


@pytest.mark.parametrize("name", TRAINED_ACTIVATIONS)
def test_an_activation_with_weights_raises_l115(name: str) -> None:
    with pytest.raises(LukeError, match=f"L115.*{name}.*trained weights"):
        get_activation(name)
