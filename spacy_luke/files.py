"""Files that are read whole and checked, or written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from .checks import has_surrogate
from .errors import LukeError


def parse_json(data: bytes | str, file: str | Path) -> Any:
    """Parse JSON; L022 for anything else, for a key that occurs twice and for half a surrogate pair.

    file: that the data is from, for messages.
    """
    try:
        text = data if isinstance(data, str) else data.decode("utf8")
        content = json.loads(text, object_pairs_hook=_unique)
        if ("\\ud" in text or "\\uD" in text) and has_surrogate(json.dumps(content, ensure_ascii=False)):
            raise ValueError("it has half a character (a lone surrogate)")
    except RecursionError:
        raise LukeError("L022", file=file, reason="it is nested too deeply") from None
    except UnicodeEncodeError:
        raise LukeError("L022", file=file, reason="it has half a character (a lone surrogate)") from None
    except ValueError as e:
        raise LukeError("L022", file=file, reason=e) from None
    return content


def parse_json_object(data: bytes | str, file: str | Path) -> dict[str, Any]:
    """Parse JSON that is one object; L022 for anything else."""
    content = parse_json(data, file)
    if not isinstance(content, dict):
        raise LukeError("L022", file=file, reason="it is no JSON dictionary")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} occurs twice")
    return found


def write_file(path: str | Path, data: bytes | str) -> None:
    """Write a file whole or not at all; L029 if it fails. A file that is there stays until the new one is complete.

    data: text is written in UTF-8.
    """
    with new_file(path) as file:
        file.write(data.encode("utf8") if isinstance(data, str) else data)


@contextmanager
def new_file(path: str | Path, *, folder: Path | None = None) -> Iterator[BinaryIO]:
    """A file to write to that takes the place of `path` when the `with` block ends; L029 if it fails.

    folder: where it is until then, on the same disk; default: beside `path`, under a hidden name.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder or path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(name, 0o666 & ~umask)  # as any new file; mkstemp's are private
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as e:
        raise LukeError("L029", path=path, reason=e) from e
