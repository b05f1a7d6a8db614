"""Segments of text that were tokenised before."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)

# Most memory that the segments of one tokenizer take, in bytes, as estimated below: 128 MiB.
CACHE_BYTES = 128 * 2**20
# Longer segments, in characters, hardly come back.
LONGEST_CACHED = 32
# Bytes that CPython takes for a segment with its entry, for each of its pieces, and for one more entry of it.
_SEGMENT_BYTES, _PIECE_BYTES, _ENTRY_BYTES = 350, 130, 130


@dataclass(frozen=True, slots=True)
class Segment:
    """A text that is tokenised alone: ids, ranges of UTF-8 bytes and types of its pieces."""

    ids: tuple[int, ...]
    byte_spans: tuple[tuple[int, int], ...]
    types: tuple[int, ...]


class SegmentCache:
    """Segments by their text and, for words, by the hash of their text, without and with a space before the word.

    It is emptied when it takes more than `CACHE_BYTES`. Threads may share it: each of its steps is one operation of a
    dict. If two of them store at once, one of the two may remain uncounted.
    """

    def __init__(self) -> None:
        self.texts: dict[str, Segment] = {}
        self.words: tuple[dict[int, Segment], dict[int, Segment]] = ({}, {})
        self.bytes = 0

    def store_text(self, text: str, segment: Segment) -> None:
        """Keep the segment of a text, unless it is a long one."""
        if len(text) <= LONGEST_CACHED:
            self._store(self.texts, text, segment, _SEGMENT_BYTES + _PIECE_BYTES * len(segment.ids))

    def store_word(self, word: int, after_space: bool, segment: Segment) -> None:
        """Keep the segment of a word, which is that of a text."""
        self._store(self.words[after_space], word, segment, _ENTRY_BYTES)

    def _store(self, table: dict[Key, Segment], key: Key, segment: Segment, size: int) -> None:
        if self.bytes + size > CACHE_BYTES:
            for one in (self.texts, *self.words):
                one.clear()
            self.bytes = 0
        table[key] = segment
        self.bytes += size

    def __reduce__(self) -> tuple[type[SegmentCache], tuple[()]]:
        """A copy in another process starts empty."""
        return SegmentCache, ()
