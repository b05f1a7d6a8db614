"""Properties of all configs: those of the library and those of the bundled model's recipe."""

from __future__ import annotations

from pathlib import Path

import pytest
from spacy.util import registry
from thinc.api import Config

ROOT = Path(__file__).parents[1]
FILES = [*(ROOT / "configs").glob("*.cfg"), *(ROOT / "projects").glob("*/configs/*.cfg")]
ALL = {path.name: Config().from_disk(path, interpolate=False) for path in sorted(FILES)}
TRAINED = [name for name, config in ALL.items() if config.get("training")]
LUKE = "spacy-luke.LukeEncoder.v1"


def blocks(block: Config | dict, name: str) -> list[dict]:
    """The blocks of a registered function, wherever they are."""
    found = [block] if name in (block.get("@architectures"), block.get("@loggers")) else []
    return found + [b for value in block.values() if isinstance(value, dict) for b in blocks(value, name)]


def test_every_config_is_looked_at() -> None:
    assert len(TRAINED) > 15
    assert sum(bool(blocks(config, LUKE)) for config in ALL.values()) > 10


@pytest.mark.parametrize("name", [name for name, config in ALL.items() if "checkpoint" in config["paths"]])
def test_no_config_starts_from_a_folder_of_its_own(name: str) -> None:
    """Null means the encoder of the bundled model, in all of them."""
    assert ALL[name]["paths"]["checkpoint"] is None


@pytest.mark.parametrize("name", TRAINED)
def test_the_logger_has_a_progress_bar(name: str) -> None:
    [logger] = blocks(ALL[name], "spacy.ConsoleLogger.v3")
    assert logger is ALL[name]["training"]["logger"]
    for progress_bar in (logger["progress_bar"], "train", "eval"):
        assert callable(registry.resolve({"logger": {**logger, "progress_bar": progress_bar}})["logger"])


@pytest.mark.parametrize("name", [name for name, config in ALL.items() if blocks(config, LUKE)])
def test_a_config_says_which_attention_it_trains(name: str) -> None:
    fast = name in ("ner_fast.cfg", "ner_small.cfg", "en_luke_mini.cfg", "en_luke_mini_documents.cfg")
    for encoder in blocks(ALL[name], LUKE):
        assert encoder["entity_attention"] == ("independent" if fast else "full")
