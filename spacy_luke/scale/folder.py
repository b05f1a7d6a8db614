"""The folder that results are written to, and in it the hidden one with what a run needs to go on after a stop."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import LukeError
from ..files import parse_json_object, write_file
from .inputs import Input, Shard
from .lock import locked, only_one

STATE = ".annotate"
_SETTINGS, _INPUT = "settings.json", "input.json"


@dataclass(frozen=True)
class Folder:
    """Where things are. form: of the results, one of `FORMATS`."""

    path: Path
    form: str

    @property
    def _state(self) -> Path:
        return self.path / STATE

    def result(self, source: Input) -> Path:
        """The results of an input."""
        return self.path / source.name

    def failed(self, source: Input) -> Path:
        """The rows of an input that have no results."""
        return self.path / f"{source.name}.failed"

    def parts(self, source: Input) -> Path:
        """The folder of the results of the parts of an input."""
        return self._state / "parts" / source.name

    def part(self, source: Input, number: int) -> Path:
        """The results of a part."""
        return self.parts(source) / f"{number:06}.{self.form}"

    def failed_part(self, source: Input, number: int) -> Path:
        """The rows of a part that have no results."""
        return self.parts(source) / f"{number:06}.failed"

    @contextmanager
    def open(self, settings: Mapping[str, Any], shard: Shard) -> Iterator[None]:
        """Make the folder if it is not there, and hold its lock inside the `with` block.

        settings: of which the results depend; L169 if there are results with other ones. L168 if the folder is in use,
        L029 if it cannot be written.
        """
        with ExitStack() as held:
            try:
                self._state.mkdir(parents=True, exist_ok=True)
                with only_one(self._state):
                    self._check(settings)
                held.enter_context(locked(self._state, shard))
            except OSError as error:
                raise LukeError("L029", path=self.path, reason=error) from error
            yield

    def _check(self, settings: Mapping[str, Any]) -> None:
        path = self._state / _SETTINGS
        if not path.exists():
            write_file(path, json.dumps(settings, ensure_ascii=False, indent=1))
            return
        before = parse_json_object(path.read_bytes(), path)
        changed = [f"{name} = {before.get(name)!r}" for name, value in settings.items() if before.get(name) != value]
        if changed:
            raise LukeError("L169", path=self.path, changed=", ".join(changed))

    def start_parts(self, source: Input) -> None:
        """Make the folder of the parts. What is there from a stopped run stays, unless the input has changed."""
        about = source.path.stat()
        now = {"size": about.st_size, "modified": about.st_mtime_ns}
        folder, note = self.parts(source), self.parts(source) / _INPUT
        try:
            before = parse_json_object(note.read_bytes(), note)
        except FileNotFoundError:
            before = {}
        if before != now:
            self.drop_parts(source)
            write_file(folder / _INPUT, json.dumps(now))

    def drop_parts(self, source: Input) -> None:
        """Remove what is there of the parts."""
        shutil.rmtree(self.parts(source), ignore_errors=True)
