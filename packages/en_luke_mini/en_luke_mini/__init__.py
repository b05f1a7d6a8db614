"""`spacy.load("en_luke_mini")`: spaCy looks for an installed package of that name and calls its `load`.

The pipeline itself is inside spacy_luke, where a bare `nlp.add_pipe("luke_ner")` finds the same weights.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from spacy.language import Language
from spacy.util import load_model_from_path

from spacy_luke.box import box_pipeline

__version__ = version("en_luke_mini")


def load(**overrides: Any) -> Language:
    """The pipeline. overrides: `vocab`, `disable`, `enable`, `exclude` and `config` of `spacy.load`."""
    return load_model_from_path(box_pipeline(), **overrides)
