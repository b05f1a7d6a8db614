"""A component that does what a text says: given to the command as --code."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc

# The end of a process that it does not notice; Windows ends one like this in any case.
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


@Language.component("trouble")
def trouble(doc: Doc) -> Doc:
    if "RAISE" in doc.text:
        raise RuntimeError("what the text says")
    if "DIE" in doc.text:
        os.kill(os.getpid(), KILL)
    for word, process, number in (
        ("ONCE", os.getpid, KILL),
        ("ORPHAN", _first_process, KILL),
        ("STOP", _first_process, signal.SIGINT),
    ):
        if word in doc.text and _first_time(word):
            os.kill(process(), number)
    return doc


def _first_time(word: str) -> bool:
    """Whether no process has asked before. TROUBLE is a folder of the test."""
    try:
        Path(os.environ["TROUBLE"], word).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _first_process() -> int:
    """The process that has the workers. It is not always their parent: then a test writes down which one it is."""
    note = Path(os.environ["TROUBLE"], "first process")
    return int(note.read_text(encoding="ascii")) if note.exists() else os.getppid()
