"""Words and texts to pieces, aligned exactly."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain

import numpy as np
from tokenizers import decoders

from .alignment import moved, segments
from .case import case_type
from .loading import load_tokenizer

_BYTES = decoders.ByteLevel()
# Words come back, longer segments hardly do; a segment takes 0.3 to 0.7 kB.
_CACHE_SIZE = 200_000
_LONGEST_CACHED = 32
# For SentencePiece, the white space U+0085 is an unknown character like any other.
_SENTENCEPIECE_SPACE = "".join(ch for ch in map(chr, range(0x3001)) if ch.isspace() and ch != "\x85")
# A word as spaCy's tokenizers would cut it, roughly: enough for its case.
_WORD = re.compile(r"\w+(?:[.'’&]\w+)*")


@dataclass(frozen=True)
class WordPieces:
    """The pieces of a sequence of words (the tokens of a Doc).

    ids: *Shape:* (pieces,), int64
    types: token type ids. *Shape:* (pieces,), int64
    starts, ends: word i owns the pieces starts[i] … ends[i] - 1; white space may own none, and a piece may belong to
        no word. *Shape:* (words,), int64
    """

    ids: np.ndarray
    types: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


@dataclass(frozen=True)
class TextPieces:
    """The pieces of a text that was cut at given boundaries.

    ids: *Shape:* (pieces,), int64
    types: token type ids. *Shape:* (pieces,), int64
    byte_spans: half-open ranges of the text's UTF-8 bytes. With byte-level BPE they tile the text. *Shape:* (pieces, 2)
    boundary_index: boundary (in characters) -> number of pieces before it.
    """

    ids: np.ndarray
    types: np.ndarray
    byte_spans: np.ndarray
    boundary_index: dict[int, int]


@dataclass(frozen=True)
class _Segment:
    ids: tuple[int, ...]
    byte_spans: tuple[tuple[int, int], ...]
    types: tuple[int, ...]


class PieceTokenizer:
    """The tokenizer of a checkpoint, for text that was split into words or is to be cut at entity boundaries.

    Segments between boundaries are tokenised alone, as LukeTokenizer does. So the pieces of a segment depend on
    nothing else, and each distinct segment is tokenised once. Strings that look like special pieces stay text.

    files: content of the tokenizer files of a checkpoint by name, kept as it is to be saved again.
    case_types: give each piece the case of its word as type id (see `case.py`) instead of 0.
    """

    def __init__(self, files: Mapping[str, bytes], *, case_types: bool = False):
        loaded = load_tokenizer(files)
        self.files = dict(files)
        self.case_types = case_types
        self.kind = loaded.kind
        self.special = loaded.special
        self.vocab = loaded.vocab
        self.lowercase = loaded.lowercase
        self.add_prefix_space = loaded.add_prefix_space
        self._tokenizer = loaded.tokenizer
        self._normalize = loaded.normalize
        self._cache: dict[str, _Segment] = {}
        # The segments of words by their hash, without and with a space before the word.
        self._of_words: tuple[dict[int, _Segment], dict[int, _Segment]] = ({}, {})
        self._byte_lengths: dict[int, int] | None = None
        if loaded.kind == "bpe":  # one character of a piece is one byte of the text
            self._byte_lengths = {i: len(piece) for piece, i in loaded.vocab.items()} | {loaded.special.unk: 1}

    @cached_property
    def strings(self) -> dict[int, str]:
        """Every piece by its id, as the vocabulary writes it."""
        return {i: piece for piece, i in self.vocab.items()}

    @property
    def rows(self) -> int:
        """Rows that the piece table must have for the pieces that texts are made of and the special ones."""
        return 1 + max(*self._tokenizer.get_vocab().values(), *vars(self.special).values())

    def text_of(self, piece: str) -> str:
        """A piece as text, with the space that it may begin with; what is no whole character is "�".

        A piece of WordPiece that continues a word keeps its "##".
        """
        if self.kind == "bpe":
            return _BYTES.decode([piece])
        return piece.replace("▁", " ") if self.kind == "unigram" else piece

    def encode_words(self, words: Sequence[str], spaces: Sequence[bool]) -> WordPieces:
        """Tokenise a text given as words, every word edge being a boundary.

        spaces: whether a U+0020 follows the word.

        A space before a word goes with the word ("Ġword"); the space that ends the text makes a piece of no word.
        """
        ids: list[int] = []
        types: list[int] = []
        starts = np.empty(len(words), dtype=np.int64)
        ends = np.empty(len(words), dtype=np.int64)
        known = self._cache
        # The space that the next segment starts with.
        carried = self._prefix(words[0] or " ") if len(words) else ""
        for i, (word, space) in enumerate(zip(words, spaces, strict=True)):
            body = word
            following = ""
            if word.endswith(" "):  # white space: its last space moves on, too
                body, following = word[:-1], " "
            starts[i] = len(ids)
            if word:
                segment = known.get(carried + body) or self._segment(carried + body)
                ids += segment.ids
                types += segment.types
            else:  # both edges of an empty word are one boundary, left of the space before it
                following = carried
            ends[i] = len(ids)
            carried = following
            if space:
                if following:  # two spaces in a row: the first is a segment of its own, of no word
                    gap = self._segment(" ")
                    ids += gap.ids
                    types += gap.types
                carried = " "
        if carried and len(words):
            gap = self._segment(carried)
            ids += gap.ids
            types += gap.types
        return WordPieces(np.array(ids, dtype=np.int64), np.array(types, dtype=np.int64), starts, ends)

    def encode_hashes(self, hashes: Sequence[int], spaces: Sequence[int], word_of: Callable[[int], str]) -> WordPieces:
        """`encode_words` for words given by their hashes in a StringStore, which are looked up without making strings.

        word_of: the word of a hash.
        """
        if not hashes:
            return self.encode_words([], [])
        after_space = [bool(self._prefix(word_of(hashes[0]) or " ")), *spaces[:-1]]
        segments = self._segments_of_words(hashes, after_space, word_of)
        if segments is None:
            return self.encode_words([word_of(one) for one in hashes], [bool(one) for one in spaces])
        edges = np.zeros(len(hashes) + 1, dtype=np.int64)
        edges[1:] = list(accumulate([len(segment.ids) for segment in segments]))
        if spaces[-1]:
            segments.append(self._segment(" "))
        ids = np.array(list(chain.from_iterable([segment.ids for segment in segments])), dtype=np.int64)
        types = np.zeros(len(ids), dtype=np.int64)
        if self.case_types:
            types[:] = list(chain.from_iterable([segment.types for segment in segments]))
        return WordPieces(ids, types, edges[:-1], edges[1:])

    def _segments_of_words(
        self, hashes: Sequence[int], after_space: Sequence[int], word_of: Callable[[int], str]
    ) -> list[_Segment] | None:
        """A segment for each word; None if a word is none.

        after_space: whether a space before the word goes with it.
        """
        tables = self._of_words
        known = [tables[spaced].get(word) for word, spaced in zip(hashes, after_space, strict=True)]
        if not all(known):
            for i, segment in enumerate(known):
                known[i] = segment or self._segment_of_word(hashes[i], word_of(hashes[i]), bool(after_space[i]))
        return known if all(known) else None  # type: ignore[return-value]

    def _segment_of_word(self, word: int, text: str, after_space: bool) -> _Segment | None:
        """None for a word that is no segment: its space, or the one before it, may belong to the next word."""
        if not text or text.endswith(" "):
            return None
        segment = self._segment(" " + text if after_space else text)
        if len(text) < _LONGEST_CACHED:
            known = self._of_words[after_space]
            if len(known) >= _CACHE_SIZE:
                known.clear()
            known[word] = segment
        return segment

    def encode_text(self, text: str, boundaries: Iterable[int]) -> TextPieces:
        """Tokenise a text that is cut at `boundaries` (in characters): LukeTokenizer's ids for the same spans.

        With `add_prefix_space`, only the text gets a space in front; LukeTokenizer gives one to every segment.
        """
        boundaries = sorted(set(boundaries))
        ids: list[int] = []
        byte_spans: list[tuple[int, int]] = []
        pieces_before = {0: 0}
        offset = 0
        for start, end in segments(text, boundaries):
            content = text[start:end]
            prefix = "" if start else self._prefix(content)
            segment = self._segment(prefix + content)
            ids += segment.ids
            shift = offset - len(prefix)
            byte_spans += [(max(shift + a, 0), shift + b) for a, b in segment.byte_spans]
            offset += len(content.encode("utf8"))
            pieces_before[end] = len(ids)
        index = {b: pieces_before[moved(text, b)] for b in boundaries}
        spans = np.array(byte_spans, dtype=np.int64).reshape(-1, 2)
        types = self._text_types(text, spans) if self.case_types else np.zeros(len(ids), dtype=np.int64)
        return TextPieces(np.array(ids, dtype=np.int64), types, spans, index)

    def _text_types(self, text: str, byte_spans: np.ndarray) -> np.ndarray:
        """The case type of the word that the last byte of each piece belongs to."""
        of_char = np.zeros(len(text), dtype=np.int64)
        for word in _WORD.finditer(text):
            of_char[word.start() : word.end()] = case_type(word[0])
        of_byte = of_char if text.isascii() else np.repeat(of_char, [len(ch.encode("utf8")) for ch in text])
        return of_byte[np.maximum(byte_spans[:, 1] - 1, 0)] if len(of_byte) else np.zeros(0, dtype=np.int64)

    def _prefix(self, text: str) -> str:
        """The space that goes in front of a whole text."""
        return " " if self.add_prefix_space and text and not text[0].isspace() else ""

    def _segment(self, text: str) -> _Segment:
        segment = self._cache.get(text)
        if segment is None and len(text) > _LONGEST_CACHED:
            return self._tokenize(text)
        if segment is None:
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            segment = self._cache[text] = self._tokenize(text)
        return segment

    def _tokenize(self, text: str) -> _Segment:
        if self.kind != "bpe":
            return self._tokenize_normalised(text)
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        assert self._byte_lengths is not None
        ends = np.cumsum([self._byte_lengths[i] for i in ids]).tolist()
        spans = tuple(zip([0, *ends], ends, strict=False))
        return _Segment(tuple(ids), spans, self._types(text, len(ids)))

    def _tokenize_normalised(self, text: str) -> _Segment:
        """WordPiece and SentencePiece: white space has no pieces, and a word that normalises to nothing is unknown.

        A Unigram without SentencePiece's normalisation, such as transformers 5 makes of mLUKE's, has pieces for it.
        """
        sentencepiece = _SENTENCEPIECE_SPACE if self._normalize else ""
        stripped = text.strip(sentencepiece if self.kind == "unigram" else None)
        if not stripped:
            return _Segment((), (), ())
        lead = len(text[: text.index(stripped)].encode("utf8"))
        byte_at = np.cumsum([0, *(len(ch.encode("utf8")) for ch in stripped)]) + lead
        normal, origins = self._normalize(stripped) if self._normalize else (stripped, None)
        encoding = self._tokenizer.encode(normal, add_special_tokens=False)
        offsets = encoding.offsets
        if origins is not None:
            offsets = [(origins[a][0], origins[b - 1][1]) for a, b in offsets]
        spans = tuple((int(byte_at[a]), int(byte_at[b])) for a, b in _without_gaps(stripped, offsets))
        ids = tuple(encoding.ids)
        if not ids and not stripped.isspace():
            ids, spans = (self.special.unk,), ((int(byte_at[0]), int(byte_at[-1])),)
        return _Segment(ids, spans, self._types(stripped, len(ids)))

    def _types(self, text: str, pieces: int) -> tuple[int, ...]:
        return (case_type(text) if self.case_types else 0,) * pieces


def _without_gaps(text: str, offsets: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Character ranges of pieces, with what the normaliser dropped given to the piece before it.

    A normaliser may drop accents and soft hyphens, which are part of the word for whoever reads it.
    """
    closed = []
    for index, (start, end) in enumerate(offsets):
        following = offsets[index + 1][0] if index + 1 < len(offsets) else len(text)
        while end < following and not text[end].isspace():
            end += 1
        closed.append((start, end))
    return closed
