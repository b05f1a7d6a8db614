from __future__ import annotations

from pathlib import Path

import pytest
import spacy
from spacy.language import Language

from .corpus import PoolOfThisProcess, write_pipeline


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory) -> Path:
    return write_pipeline(tmp_path_factory.mktemp("pipeline"))


@pytest.fixture(scope="session")
def nlp(pipeline) -> Language:
    return spacy.load(pipeline)


@pytest.fixture
def here(monkeypatch) -> None:
    """All in this process."""
    monkeypatch.setattr("spacy_luke.scale.run.Pool", PoolOfThisProcess)
