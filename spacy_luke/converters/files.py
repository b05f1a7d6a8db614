"""Bytes of files, also of compressed ones, which may unpack to far more than memory holds."""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, cast

from ..errors import LukeError

_UNPACK: Mapping[str, Callable[[BinaryIO], BinaryIO]] = {
    ".bz2": lambda file: cast("BinaryIO", bz2.BZ2File(file)),
    ".gz": lambda file: cast("BinaryIO", gzip.GzipFile(fileobj=file)),
}
CHUNK = 2**20
# Corpora unpack to 3 to 30 times their size; gzip can pack 1,000 bytes into one and bzip2 far more.
MAX_RATIO = 200
# A small file may unpack to more than that: a table of a few values over and over.
ALWAYS_UNPACKED = 2**26


def read_chunks(path: Path, on_read: Callable[[int], None] | None = None) -> Iterator[bytes]:
    """The bytes of a file, unpacked if it is a .gz or .bz2, in pieces of at most a MiB.

    on_read: called before each piece with the number of bytes of the file, as it is on the disk, that were read so far.

    L060 if it cannot be unpacked, L151 if more than 64 MiB come out of it, and more than 200 times what was read.
    """
    with path.open("rb") as packed:
        if path.suffix not in _UNPACK:
            while chunk := packed.read(CHUNK):
                if on_read is not None:
                    on_read(packed.tell())
                yield chunk
            return
        file, size = _UNPACK[path.suffix](packed), 0
        while chunk := _unpack(path, file):
            size += len(chunk)
            if size > max(ALWAYS_UNPACKED, MAX_RATIO * packed.tell()):
                raise LukeError("L151", path=path, size=size, packed=packed.tell(), ratio=MAX_RATIO)
            if on_read is not None:
                on_read(packed.tell())
            yield chunk


def _unpack(path: Path, file: BinaryIO) -> bytes:
    try:
        return file.read(CHUNK)
    except (EOFError, OSError, zlib.error) as error:
        raise LukeError("L060", path=path, line=1, reason=f"it cannot be unpacked ({error})") from None
