"""The small model that comes with the package; replace the folder to replace the model."""

from __future__ import annotations

from pathlib import Path

from .errors import LukeError

BOX_NAME = "en_luke_mini"
BOX_PATH = Path(__file__).parent / BOX_NAME


def box_pipeline() -> Path:
    """The folder of the pipeline, for `spacy.load`; L050 if this copy of the package has none."""
    if not (BOX_PATH / "config.cfg").is_file():
        raise LukeError("L050", path=BOX_PATH)
    return BOX_PATH


def box_component(factory: str) -> Path | None:
    """The folder of the component that `factory` makes; None if the model in the box has no such component."""
    path = box_pipeline() / factory
    return path if path.is_dir() else None


def box_encoder() -> Path:
    """The checkpoint of the encoder of the model in the box."""
    shared = box_pipeline() / "luke_encoder"
    return shared if shared.is_dir() else box_pipeline() / "luke_ner"


def is_in_box(path: Path) -> bool:
    """Whether a checkpoint is one of the model in the box."""
    return path.parent == BOX_PATH
