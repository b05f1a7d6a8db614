"""Steps by which en_luke_mini is made, measured and compared: `python -m scripts.NAME --help` in the folder above."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
ROOT = PROJECT.parents[1]
# Those of the recipe alone, and those that come with the library.
RECIPE_CONFIGS = PROJECT / "configs"
LIBRARY_CONFIGS = ROOT / "configs"
