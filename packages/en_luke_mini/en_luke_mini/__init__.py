"""A small English pipeline of spacy-luke: `spacy.load("en_luke_mini")`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.util import get_model_meta, load_model_from_init_py

__version__: str = get_model_meta(Path(__file__).parent)["version"]


def load(**overrides: Any) -> Language:
    """Load the pipeline. overrides: `vocab`, `disable`, `enable`, `exclude` and `config` of `spacy.load`."""
    return load_model_from_init_py(__file__, **overrides)
