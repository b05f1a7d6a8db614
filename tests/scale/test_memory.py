"""Memory that was freed goes back to the system."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest
import torch

from spacy_luke.scale import memory

MB = 2**20


def resident() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


@pytest.mark.skipif(memory._malloc_trim() is None, reason="another C library than glibc")
def test_what_lies_between_blocks_in_use_is_given_back() -> None:
    blocks = [torch.ones(100 * 2**10, dtype=torch.uint8) for _ in range(2000)]
    kept = blocks[::20]
    before = resident()
    del blocks
    memory.release_memory()
    assert before - resident() > 120 * MB
    assert all(bool(block.all()) for block in kept)


@pytest.mark.parametrize("error", [AttributeError, OSError, TypeError])
def test_another_library_keeps_what_it_keeps(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def refuse(name: None) -> None:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    memory._malloc_trim.cache_clear()
    try:
        memory.release_memory()
    finally:
        memory._malloc_trim.cache_clear()
