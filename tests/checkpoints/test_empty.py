"""Modules without values: what `spacy.load` makes before it reads weights."""

from __future__ import annotations

import torch
from torch import nn

from spacy_luke.checkpoints.weights import meta_device


def test_modules_have_shapes_and_are_not_initialised(monkeypatch):
    def fail(*args, **settings):
        raise AssertionError("a value was computed")

    for name in ("normal_", "uniform_"):
        monkeypatch.setattr(torch.Tensor, name, fail)
    with meta_device():
        made = [nn.Embedding(5, 3, padding_idx=1), nn.Linear(3, 2), nn.LayerNorm(3)]
    assert all(parameter.is_meta for module in made for parameter in module.parameters())
    assert [tuple(module.weight.shape) for module in made] == [(5, 3), (2, 3), (3,)]


def test_modules_made_afterwards_are_initialised():
    with meta_device():
        pass
    torch.manual_seed(0)
    assert nn.Embedding(5, 3).weight.std() > 0.1
