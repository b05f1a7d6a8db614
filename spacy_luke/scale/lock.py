"""The lock of a folder that one run, or several that deal the inputs among them, may write to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ..errors import LukeError, warn
from .inputs import Shard

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(folder: Path, shard: Shard) -> Iterator[None]:
    """Hold the lock of a folder inside the `with` block; L168 if a run holds it that the same inputs may be dealt to.

    The locks are the system's: they end with the process that holds them, however it dies. W049 where there are none.
    """
    own = folder / f"shard-{shard.number}-of-{shard.count}.lock"
    with only_one(folder):
        for path in folder.glob("shard-*.lock"):
            same_deal = path.name.endswith(f"-of-{shard.count}.lock")
            if (path == own or not same_deal) and (holder := _holder(path)):
                raise LukeError("L168", path=folder.parent, holder=holder)
        file = own.open("w+b")
        if fcntl is not None:
            with suppress(OSError):  # the file system has no locks: `only_one` has said so
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.write(f"process {os.getpid()} of {os.uname().nodename} (--shard {shard})".encode() if fcntl else b"")
        file.flush()
    try:
        yield
    finally:
        with only_one(folder):
            file.close()
            own.unlink(missing_ok=True)


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Wait until no other process is inside such a block for this folder, then run the block."""
    with (folder / "lock").open("wb") as file:
        if fcntl is None:
            warn("W049", path=folder.parent, reason="this system has no flock")
        else:
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError as error:
                warn("W049", path=folder.parent, reason=error.strerror)
        yield


def _holder(path: Path) -> str | None:
    """Who holds a lock; None if nobody does, because that process is dead."""
    if fcntl is None:
        return None
    file: BinaryIO
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return file.read().decode() or "another run"
        except OSError:
            return None
    return None
