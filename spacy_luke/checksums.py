"""Checksums of the files of a saved component, by which damage is noticed when they are loaded.

A damaged file of text often still reads, as something else, and weights always do. The checksum is the sum of the
64-bit words of a file: it runs as fast as memory, so that weights are checked at each load, too (a hash such as SHA-256
takes longer than loading them does). It is for accidents, not for forgeries.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .errors import LukeError
from .files import parse_json_object

CHECKSUMS = "checksums.json"
_CHUNK = 1 << 18  # stays in the cache between reading and adding up


def write_checksums(folder: Path) -> None:
    """Write down size and sum of every file of a folder in one more, unless there is none."""
    record = {file.name: checksum(file) for file in sorted(folder.iterdir())}
    if record:
        (folder / CHECKSUMS).write_text(json.dumps(record, indent=1), encoding="utf8")


def check_files(folder: Path, names: Iterable[str]) -> None:
    """L140 if one of these files is not what was saved; nothing for a folder or a file without a checksum."""
    file = folder / CHECKSUMS
    if not file.is_file():
        return
    record = parse_json_object(file.read_bytes(), file)
    for name in sorted(record.keys() & set(names)):
        found = checksum(folder / name) if (folder / name).is_file() else "no file"
        if found != record[name]:
            raise LukeError("L140", file=folder / name, checksums=file, saved=record[name], found=found)


def checksum(file: Path) -> str:
    """Size of a file in bytes and the sum of its little-endian 64-bit words, zeros filled up, modulo 2^64."""
    size = total = 0
    buffer = bytearray(_CHUNK)
    words = np.frombuffer(buffer, dtype="<u8")
    with file.open("rb", buffering=0) as stream:
        while count := stream.readinto(buffer):
            end = -(-count // 8)
            buffer[count : 8 * end] = bytes(8 * end - count)
            total += int(words[:end].sum())
            size += count
    return f"{size} bytes, {total % 2**64:016x}"
