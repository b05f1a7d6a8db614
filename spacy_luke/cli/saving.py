"""Files of commands, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from spacy.kb import InMemoryLookupKB
from spacy.language import Language

from ..checkpoints.writer import staged
from ..checksums import write_checksums
from ..errors import LukeError


def save_pipeline(nlp: Language, path: Path) -> None:
    """Save a pipeline in the place of an older one; L029 if it fails, which is unchanged then.

    The parts of a pipeline are written one after the other. Without this, a failure would leave some of each.
    """
    with staged(path, stale=()) as folder:
        try:
            nlp.to_disk(folder)
        except LukeError as e:  # of a component, in a folder that nobody knows
            if e.code != "L029":
                raise
            raise LukeError("L029", path=path, reason=e.__cause__) from e


def save_kb(kb: InMemoryLookupKB, path: Path) -> None:
    """Save a knowledge base in the place of an older one; L029 if it fails, which is unchanged then."""
    with staged(path, stale=()) as folder:
        try:
            kb.to_disk(folder)
        except AssertionError as e:  # all that spaCy says if not everything is written
            raise OSError("the file of the knowledge base is not complete; the disk may be full") from e
        write_checksums(folder)
