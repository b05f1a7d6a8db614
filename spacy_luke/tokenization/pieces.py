"""Words and texts to pieces, aligned exactly.

A text is cut by LukeTokenizer's rule for entity boundaries: every boundary of a span cuts it, and each segment is
tokenised alone. A boundary just after a U+0020 moves left over that one space, so that the space goes with what follows
it, as byte-level BPE wants it (transformers, tokenization_luke.py, `get_input_ids_and_entity_token_spans`). With spans
on "Ana" and "Bo":

    "Ana met  Bo ."   ->   "Ana" " met " " Bo" " ."
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain, pairwise

import numpy as np
from tokenizers import decoders

from ..checks import has_surrogate
from ..errors import LukeError
from .added_tokens import AddedToken, AddedTokenFinder, Part
from .cache import LONGEST_CACHED, Segment, SegmentCache
from .case import case_type, case_types_of_text
from .loading import load_tokenizer
from .normalization import SPACE

_BYTES = decoders.ByteLevel()
# For SentencePiece, the white space U+0085 is an unknown character like any other.
_SENTENCEPIECE_SPACE = "".join(ch for ch in map(chr, range(0x3001)) if ch.isspace() and ch != "\x85")


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

    def char_spans(self, text: str) -> np.ndarray:
        """The half-open ranges of characters that hold the pieces. text: that was tokenised. *Shape:* (pieces, 2)"""
        starts = np.cumsum([0, *(len(ch.encode("utf8")) for ch in text)])
        first = np.searchsorted(starts, self.byte_spans[:, 0], side="right") - 1
        end = np.searchsorted(starts, self.byte_spans[:, 1], side="left")
        return np.stack([first, np.maximum(end, first)], axis=1).astype(np.int64)


# Ids and ranges of UTF-8 bytes.
_Pieces = tuple[list[int], list[tuple[int, int]]]


class PieceTokenizer:
    """The tokenizer of a checkpoint, for text that was split into words or is to be cut at entity boundaries.

    Segments between boundaries are tokenised alone, as LukeTokenizer does. So the pieces of a segment depend on
    nothing else, and each distinct segment is tokenised once. Strings that look like special pieces stay text. Words
    that were added to the tokenizer are found in segments as transformers finds them in texts.

    files: content of the tokenizer files of a checkpoint by name, kept as it is to be saved again.
    case_types: give each piece the case of its word as type id (see `case.py`) instead of 0.

    added: its added tokens by their content. finder: of those that are not special; None if there is none.
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
        self.added = loaded.added
        self.finder, self._mask_finder = loaded.finder, loaded.mask_finder
        self._slow = loaded.slow
        self._piece_of_space = loaded.piece_of_space
        self._cache = SegmentCache()
        self.reported_cut = False  # whether W034 was given
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
        added = [token.id for token in self.added.values() if not token.special]
        return 1 + max(*self._tokenizer.get_vocab().values(), *vars(self.special).values(), *added)

    def text_of(self, piece: str) -> str:
        """A piece as text, with the space that it may start with; what is no whole character is "�".

        A piece of WordPiece that continues a word keeps its "##".
        """
        if piece in self.added:
            return piece
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
        known = self._cache.texts
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
    ) -> list[Segment] | None:
        """A segment for each word; None if a word is none.

        after_space: whether a space before the word goes with it.
        """
        tables = self._cache.words
        known = [tables[spaced].get(word) for word, spaced in zip(hashes, after_space, strict=True)]
        if not all(known):
            for i, segment in enumerate(known):
                known[i] = segment or self._segment_of_word(hashes[i], word_of(hashes[i]), bool(after_space[i]))
        return known if all(known) else None  # type: ignore[return-value]

    def _segment_of_word(self, word: int, text: str, after_space: bool) -> Segment | None:
        """None for a word that is no segment: its space, or the one before it, may belong to the next word."""
        if not text or text.endswith(" "):
            return None
        segment = self._segment(" " + text if after_space else text)
        if len(text) < LONGEST_CACHED:
            self._cache.store_word(word, after_space, segment)
        return segment

    def encode_text(self, text: str, boundaries: Iterable[int], *, masks: bool = False) -> TextPieces:
        """Tokenise a text that is cut at `boundaries` (in characters): LukeTokenizer's ids for the same spans.

        masks: masks in the text, as the tokenizer writes them or as one of `MASKS`, are mask pieces.

        With `add_prefix_space`, only the text gets a space in front; LukeTokenizer gives one to every segment.

        L120 for a text with a lone surrogate.
        """
        if has_surrogate(text):
            place = next(i for i, ch in enumerate(text) if "\ud800" <= ch <= "\udfff")
            raise LukeError("L120", text=text[max(place - 20, 0) : place + 20], place=place, number=ord(text[place]))
        boundaries = sorted(set(boundaries))
        ids: list[int] = []
        byte_spans: list[tuple[int, int]] = []
        pieces_before = {0: 0}
        offset = 0
        for start, end in segments(text, boundaries):
            content = text[start:end]
            prefix = "" if start else self._prefix(content)
            whole = prefix + content
            segment = self._tokenize(whole, self._mask_finder) if masks else self._segment(whole)
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
        char_types = case_types_of_text(text)
        byte_types = char_types if text.isascii() else np.repeat(char_types, [len(ch.encode("utf8")) for ch in text])
        return byte_types[np.maximum(byte_spans[:, 1] - 1, 0)] if len(byte_types) else np.zeros(0, dtype=np.int64)

    def _prefix(self, text: str) -> str:
        """The space that goes in front of a whole text."""
        if not self.add_prefix_space or not text or (text[0].isspace() if self._slow else text[0] == " "):
            return ""
        # `tokenizers` puts it in front of what the model sees.
        at_once = self.finder is not None and not self._slow and isinstance(self.finder(text)[0][2], AddedToken)
        return "" if at_once else " "

    def _segment(self, text: str) -> Segment:
        segment = self._cache.texts.get(text)
        if segment is None:
            segment = self._tokenize(text, self.finder)
            self._cache.store_text(text, segment)
        return segment

    def _tokenize(self, text: str, finder: AddedTokenFinder | None) -> Segment:
        parts = finder(text) if finder else []
        if parts and parts != [(0, len(text), text)]:
            ids, byte_spans = self._encode_parts(text, parts)
        else:
            ids, byte_spans = self._encode(text)
        if not ids and self.kind != "bpe" and (visible := self._stripped(text)) and not visible.isspace():
            # A word that normalises to nothing is unknown.
            start = len(text[: text.index(visible)].encode("utf8"))
            ids, byte_spans = [self.special.unk], [(start, start + len(visible.encode("utf8")))]
        types = (case_type(text) if self.case_types else 0,) * len(ids)
        return Segment(tuple(ids), tuple(byte_spans), types)

    def _encode_parts(self, text: str, parts: Sequence[Part]) -> _Pieces:
        """The pieces of a segment with added tokens, which the model does not see, nor anything across them."""
        ids: list[int] = []
        byte_spans: list[tuple[int, int]] = []
        offset = 0
        for index, (start, end, content) in enumerate(parts):
            size = len(text[start:end].encode("utf8"))
            if isinstance(content, AddedToken):
                ids.append(content.id)
                byte_spans.append((offset, offset + size))
            else:
                following = parts[index + 1][2] if index + 1 < len(parts) else None
                part_ids, spans = self._encode_part(content, index > 0, following)
                ids += part_ids
                byte_spans += [(offset + a, offset + b) for a, b in spans]
                if self.kind == "bpe":  # white space that a slow tokenizer takes out of the text
                    byte_spans[-1] = (byte_spans[-1][0], offset + size)
            offset += size
        return ids, byte_spans

    def _encode_part(self, text: str, after_token: bool, following: AddedToken | str | None) -> _Pieces:
        """The pieces of what stands beside added tokens, with the spaces that `tokenizers` makes pieces there."""
        if self.kind == "bpe":
            prefix = " " if self.add_prefix_space and not self._slow and after_token and text[0] != " " else ""
            ids, byte_spans = self._encode(prefix + text)
            return ids, [(max(a - len(prefix), 0), b - len(prefix)) for a, b in byte_spans]
        ids, byte_spans = self._encode(text)
        if self._piece_of_space and isinstance(following, AddedToken) and following.normalized:
            assert self._normalize is not None
            if self._normalize(f"{text}.")[0].endswith(f"{SPACE}."):
                size = len(text.encode("utf8"))
                return [*ids, self.vocab.get(SPACE, self.special.unk)], [*byte_spans, (size, size)]
        return ids, byte_spans

    def _encode(self, text: str) -> _Pieces:
        """The pieces that the model makes of a text without added tokens."""
        if self.kind != "bpe":
            return self._normalised(text)
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        assert self._byte_lengths is not None
        ends = np.cumsum([self._byte_lengths[i] for i in ids]).tolist()
        return ids, list(zip([0, *ends], ends, strict=False))

    def _normalised(self, text: str) -> _Pieces:
        """WordPiece and SentencePiece: white space has no pieces.

        A Unigram without SentencePiece's normalisation, such as transformers 5 makes of mLUKE's, has pieces for it.
        """
        stripped = self._stripped(text)
        if not stripped:
            return [], []
        lead = len(text[: text.index(stripped)].encode("utf8"))
        byte_at = np.cumsum([0, *(len(ch.encode("utf8")) for ch in stripped)]) + lead
        normal, origins = self._normalize(stripped) if self._normalize else (stripped, None)
        encoding = self._tokenizer.encode(normal, add_special_tokens=False)
        offsets = encoding.offsets
        if origins is not None:
            offsets = [(origins[a][0], origins[b - 1][1]) for a, b in offsets]
        spans = [(int(byte_at[a]), int(byte_at[b])) for a, b in _without_gaps(stripped, offsets)]
        return encoding.ids, spans

    def _stripped(self, text: str) -> str:
        """Without white space that is no piece. A Unigram without SentencePiece's normalisation makes pieces of it."""
        if self.kind == "unigram":
            return text.strip(_SENTENCEPIECE_SPACE) if self._normalize else text
        return text.strip()


def moved(text: str, boundary: int) -> int:
    """The cut that stands for `boundary`: itself, or one to the left of it after a single U+0020."""
    return boundary - 1 if boundary > 0 and text[boundary - 1] == " " else boundary


def segments(text: str, boundaries: Iterable[int]) -> list[tuple[int, int]]:
    """The non-empty segments (start, end), in characters, that `boundaries` cut `text` into."""
    cuts = sorted({0, len(text), *(moved(text, b) for b in boundaries)})
    return list(pairwise(cuts))


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
