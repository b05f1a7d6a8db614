"""`log.jsonl` of a run: a line of JSON for each evaluation, of the whole run however often it was stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import LukeError
from ...files import parse_json_object, write_file

FILE = "log.jsonl"


def start_log(folder: Path) -> None:
    """Remove what a run that did not get to its first save has left."""
    (folder / FILE).unlink(missing_ok=True)


def resume_log(folder: Path, steps: int) -> None:
    """Keep the lines up to the last save, after `steps` steps: what comes after it is evaluated again."""
    file = folder / FILE
    if not file.is_file():  # of a run that was started before there was a log
        return
    kept = []
    for line in file.read_text(encoding="utf8").splitlines(keepends=True):
        try:
            if parse_json_object(line, file)["step"] <= steps:
                kept.append(line)
        except (LukeError, KeyError, TypeError):
            continue  # no line of ours
    write_file(file, "".join(kept))


def append_to_log(folder: Path, evaluation: Mapping[str, Any]) -> None:
    """Add a line. L029 if it fails; the file is then as it was."""
    file = folder / FILE
    before = file.read_text(encoding="utf8") if file.is_file() else ""
    write_file(file, before + json.dumps(evaluation) + "\n")
