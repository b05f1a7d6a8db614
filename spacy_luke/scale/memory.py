"""Memory that was freed, for the system to take back."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache


def release_memory() -> None:
    """Give the system the memory that was freed and that the C library keeps, if that is glibc.

    It never gives back by itself what lies between blocks in use, of which batches of all sizes leave much: a process
    with the bundled model grew from 650 to 1,060 MB over 10,000 sentences, and had 580 MB after this.
    """
    if (trim := _malloc_trim()) is not None:
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library, or another system
        return None
    return found
