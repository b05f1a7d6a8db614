"""SentencePiece's normalisation: what it makes of a text, and where each character of the result comes from.

The normaliser "Precompiled" of `tokenizers` reads the same table, but looks up only short clusters of characters. So it
leaves Korean letters and half-width marks apart that SentencePiece, with which XLM-R and mLUKE were trained, puts
together.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

SPACE = "\u2581"


class SentencePieceNormalizer:
    """Normalise as google/sentencepiece does (src/normalizer.cc, `Normalizer::Normalize`) with XLM-R's settings.

    The longest sequence of characters that the table has is replaced, again and again; white space becomes "▁", one for
    several, one before the text and none at its end.

    charsmap: the table of a model: the size of a double-array trie, the trie, and the replacements, each ended by a
        zero. ValueError if it is none.
    """

    def __init__(self, charsmap: bytes):
        size = struct.unpack_from("<I", charsmap)[0] if len(charsmap) >= 4 else 0
        if size < 4 or size % 4 or 4 + size >= len(charsmap):
            raise ValueError("its table of characters is damaged")
        self._trie: Sequence[int] = struct.unpack_from(f"<{size // 4}I", charsmap, 4)
        self._replacements = charsmap[4 + size :]

    def __call__(self, text: str) -> tuple[str, list[tuple[int, int]]]:
        """The normal form, and for each of its characters the range of the text's characters that it stands for."""
        lengths = [len(character.encode("utf8")) for character in text]
        data = text.encode("utf8")
        characters: list[str] = []
        origins: list[tuple[int, int]] = []
        after_space = True
        place = index = 0
        while index < len(text):
            replacement, length = self._longest(data, place)
            end, consumed = index + 1, lengths[index]
            if replacement is None:
                replacement = text[index]
            while consumed < length:
                consumed += lengths[end]
                end += 1
            if after_space:
                replacement = replacement.lstrip(" ")
            if replacement:
                if not characters:
                    characters.append(SPACE)
                    origins.append((index, end))
                characters += replacement.replace(" ", SPACE)
                origins += [(index, end)] * len(replacement)
                after_space = replacement.endswith(" ")
            place, index = place + consumed, end
        while characters and characters[-1] == SPACE:
            characters.pop()
            origins.pop()
        return "".join(characters), origins

    def _longest(self, data: bytes, place: int) -> tuple[str | None, int]:
        """The replacement of the longest sequence that starts at a place, and its length in bytes; else None and 0.

        The units of the trie are those of Darts-clone (darts.h, `DoubleArrayUnit`).
        """
        trie = self._trie
        found, length = -1, 0
        unit = trie[0]
        node = _offset(unit)
        for index in range(place, len(data)):
            node ^= data[index]
            if node >= len(trie):
                break
            unit = trie[node]
            if unit & 0x800000FF != data[index]:
                break
            node ^= _offset(unit)
            if unit >> 8 & 1 and node < len(trie):
                found, length = trie[node] & 0x7FFFFFFF, index + 1 - place
        if not length:
            return None, 0
        return self._replacements[found : self._replacements.find(b"\0", found)].decode("utf8", "replace"), length


def _offset(unit: int) -> int:
    return (unit >> 10) << ((unit & 0x200) >> 6)
