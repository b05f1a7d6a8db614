"""The bundled model: the package `en_luke_mini`, which a component runs that nobody gave weights."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from .errors import LukeError

PACKAGE = "en_luke_mini"


def bundled_pipeline() -> Path:
    """The folder of the pipeline, for `spacy.load`; L050 if the package is not installed."""
    try:
        package = import_module(PACKAGE)
    except ModuleNotFoundError as error:
        if error.name != PACKAGE:
            raise
        raise LukeError("L050", package=PACKAGE) from None
    return Path(package.__path__[0]) / f"{PACKAGE}-{package.__version__}"


def bundled_component(factory: str) -> Path | None:
    """The folder of the component that `factory` makes; None if the bundled model has no such component."""
    path = bundled_pipeline() / factory
    return path if path.is_dir() else None


def bundled_encoder() -> Path:
    """The checkpoint of the encoder of the bundled model."""
    shared = bundled_pipeline() / "luke_encoder"
    return shared if shared.is_dir() else bundled_pipeline() / "luke_ner"


def is_bundled(path: Path) -> bool:
    """Whether a checkpoint is one of the bundled model."""
    return find_spec(PACKAGE) is not None and path.parent == bundled_pipeline()
