"""Spans marked in the text by <ent> and <ent2>, and the text around them: rows for pairs and for single entities.

    "Ana met Bo ."  head "Ana", tail "Bo"   ->   <s> <ent> Ana <ent> met <ent2> Bo <ent2> . </s>
                                                     (1, 4)          (5, 8)

Each marked span is an entity of the encoder whose range includes its markers. The text is tokenised as LukeTokenizer
does for the same spans: cut at their edges and nowhere else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from spacy.tokens import Doc

from ...batching.collate import PreparedRow, RowInput, collate
from ...batching.mentions import WHITE_SPACE, Item, item_ranges, too_long, visible_edges
from ...batching.pieces import DocPieces, doc_pieces
from ...batching.windows import PassageWindows
from ...encoders.inputs import EncoderInput
from ...errors import LukeError
from ...tokenization.added_tokens import MARKERS
from ...tokenization.entity_vocab import MASK, MASK2, PAD, EntityVocab
from ...tokenization.pieces import PieceTokenizer, moved

_MASKS = (MASK, MASK2)


@dataclass(frozen=True)
class Passage:
    """The part of a Doc's text that the encoder sees, and what is marked in it.

    spans: half-open ranges of the text's characters, without white space at their edges.
    """

    text: str
    spans: tuple[tuple[int, int], ...]


def find_passages(
    doc: Doc, pieces: DocPieces, items: Sequence[Sequence[tuple[int, int]]], windows: PassageWindows
) -> list[Passage | str]:
    """Find the passage of each item: the sentences of its spans, or as much as a window holds around them.

    items: token ranges; each item has the same number of them.
    RETURNS: For each item its passage, or the reason why there is none.

    L045 for a span that is empty, reversed or outside the Doc.
    """
    if not len(items):
        return []
    first, last = visible_edges(items, doc, pieces.visible)
    cut = _PassageCutter(doc, pieces, windows, 2 * first.shape[1])
    return [WHITE_SPACE if (a > b).any() else cut(a, b) or too_long(len(a)) for a, b in zip(first, last, strict=True)]


def passage_lengths(
    doc: Doc, pieces: DocPieces, items: Sequence[Sequence[tuple[int, int]]], windows: PassageWindows
) -> np.ndarray:
    """The pieces of the Doc in the passage that `find_passages` finds for each item; 0 where there is none.

    *Shape:* (items,), int64
    """
    if not len(items):
        return np.zeros(0, dtype=np.int64)
    first, last = visible_edges(items, doc, pieces.visible)
    lengths = np.zeros(len(first), dtype=np.int64)
    for i in np.flatnonzero((first <= last).all(axis=1)):
        _, window = _tokens_and_window(pieces, int(first[i].min()), int(last[i].max()), windows, 2 * first.shape[1])
        lengths[i] = 0 if window is None else window[1] - window[0]
    return lengths


def _tokens_and_window(
    pieces: DocPieces, low: int, high: int, windows: PassageWindows, reserved: int
) -> tuple[tuple[int, int], tuple[int, int] | None]:
    """The token range of the sentences from one token to another, and the piece range that shows them or as much of
    them as fits; None if the two tokens do not fit.

    reserved: places of the window that markers take.
    """
    sentences, starts, ends = pieces.sentences, pieces.pieces.starts, pieces.pieces.ends
    sentence = np.searchsorted(sentences[:, 0], [low, high], side="right") - 1
    from_token, to_token = int(sentences[sentence[0], 0]), int(sentences[sentence[1], 1])
    whole = (int(starts[from_token]), int(ends[to_token - 1]))
    hull = (int(starts[low]), int(ends[high]))
    window = windows.around(hull, whole, len(pieces.pieces.ids), reserved)
    return (from_token, to_token), window


class _PassageCutter:
    """Cuts passages out of a Doc. What all of them need is made once; equal texts are one object."""

    def __init__(self, doc: Doc, pieces: DocPieces, windows: PassageWindows, reserved: int):
        self._pieces = pieces
        self._windows = windows
        self._reserved = reserved
        self._text = doc.text
        self._char_starts = [token.idx for token in doc]
        # Words may carry white space of their own, which belongs to no span.
        self._first_chars = [token.idx + len(token.text) - len(token.text.lstrip()) for token in doc]
        self._after_last_chars = [token.idx + len(token.text.rstrip()) for token in doc]
        self._texts: dict[tuple[int, int], str] = {}

    def __call__(self, first: np.ndarray, last: np.ndarray) -> Passage | None:
        """first, last: tokens of the spans; None if no window holds them all. *Shape:* (spans,)"""
        starts, ends = self._pieces.pieces.starts, self._pieces.pieces.ends
        low, high = int(first.min()), int(last.max())
        (from_token, to_token), window = _tokens_and_window(self._pieces, low, high, self._windows, self._reserved)
        if window is None:
            return None
        if window != (starts[from_token], ends[to_token - 1]):  # the tokens that are wholly in it
            from_token = min(int(np.searchsorted(starts, window[0], side="left")), low)
            to_token = max(int(np.searchsorted(ends, window[1], side="right")), high + 1)
        start = moved(self._text, self._char_starts[from_token])
        at_end = to_token == len(self._char_starts)
        end = len(self._text) if at_end else moved(self._text, self._char_starts[to_token])
        text = self._texts.setdefault((start, end), self._text[start:end])
        spans = zip(first.tolist(), last.tolist(), strict=True)
        edges = ((self._first_chars[a], self._after_last_chars[b]) for a, b in spans)
        return Passage(text, tuple((first - start, after - start) for first, after in edges))


@dataclass(frozen=True)
class MarkerVocab:
    """Tokenizer and ids that the marked rows of a checkpoint are made with.

    markers: piece ids of <ent> and <ent2>.
    longest_mention: pieces of a mention that give it its position, markers included; the rest does not count.
    max_pieces: longest row, special pieces included.
    """

    tokenizer: PieceTokenizer
    entity_vocab: EntityVocab
    markers: tuple[int, int]
    longest_mention: int
    max_pieces: int


def marker_ids(tokenizer: PieceTokenizer, rows: int) -> tuple[int, int]:
    """Piece ids of <ent> and <ent2>: those of the tokenizer's files, else the two rows after its last piece, where
    LukeTokenizer adds them.

    rows: of the piece table. L033 if it has no room for them.
    """
    first, second = (tokenizer.vocab.get(marker) for marker in MARKERS)
    if first is None or second is None:
        first, second = tokenizer.rows, tokenizer.rows + 1
    if max(first, second) >= rows:
        raise LukeError("L033", markers=" and ".join(MARKERS), rows=rows, pieces=tokenizer.rows)
    return first, second


def marked_row(passage: Passage, vocab: MarkerVocab) -> RowInput | None:
    """The row that shows a passage with one span (<ent>, [MASK]) or two (<ent> and <ent2>, [MASK] and [MASK2]).

    None if cutting the text elsewhere than `find_passages` did makes the spans too long for a row.
    """
    found = vocab.tokenizer.encode_text(passage.text, {edge for span in passage.spans for edge in span})
    ranges = [(found.boundary_index[a], found.boundary_index[b]) for a, b in passage.spans]
    kept = _fitting(len(found.ids), ranges, vocab.max_pieces - 2 - 2 * len(ranges))
    if kept is None:
        return None
    from_piece, to_piece = kept
    ids, types, spans = insert_markers(
        found.ids[from_piece:to_piece],
        found.types[from_piece:to_piece],
        [(a - from_piece, b - from_piece) for a, b in ranges],
        vocab.markers,
    )
    special = vocab.tokenizer.special
    positions = [(a + 1, min(b + 1, a + 1 + vocab.longest_mention)) for a, b in spans]
    return RowInput(
        np.concatenate([[special.bos], ids, [special.eos]]),
        np.concatenate([[0], types, [0]]),
        np.array([vocab.entity_vocab[mask] for mask, _ in zip(_MASKS, spans, strict=False)], dtype=np.int64),
        np.array(positions, dtype=np.int64),
    )


def insert_markers(
    ids: np.ndarray, types: np.ndarray, spans: Sequence[tuple[int, int]], markers: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int]]]:
    """Put markers around piece ranges; RETURNS: ids, types and the ranges with their markers.

    Where several markers stand between the same two pieces, spans that end come before spans that start, so touching
    spans keep apart. Nested and identical spans nest: the longer one is outside, of identical ones the first.
    Spans that partly overlap cross.
    """
    events = []
    for i, (start, end) in enumerate(spans):
        # Of spans that start together the longer one opens first; of those that end together it closes last.
        events.append((start, 1, start - end, i))
        events.append((end, 0, end - start, -i))
    inserted_at: dict[tuple[int, bool], int] = {}
    new_ids: list[int] = []
    new_types: list[int] = []
    done = 0
    for at, opens, _, i in sorted(events):
        new_ids += ids[done:at].tolist()
        new_types += types[done:at].tolist()
        done = at
        inserted_at[abs(i), bool(opens)] = len(new_ids)
        new_ids.append(markers[abs(i)])
        new_types.append(0)
    new_ids += ids[done:].tolist()
    new_types += types[done:].tolist()
    ranges = [(inserted_at[i, True], inserted_at[i, False] + 1) for i in range(len(spans))]
    return np.array(new_ids, dtype=np.int64), np.array(new_types, dtype=np.int64), ranges


def _fitting(pieces: int, spans: Sequence[tuple[int, int]], limit: int) -> tuple[int, int] | None:
    """The pieces that are kept if there are more than `limit`: cut at the end first, then at the start."""
    low, high = min(a for a, _ in spans), max(b for _, b in spans)
    excess = max(pieces - limit, 0)
    at_end = min(excess, pieces - high)
    return (excess - at_end, pieces - at_end) if excess - at_end <= low else None


@dataclass(frozen=True)
class MarkedItem:
    """The passage of one item of a Doc."""

    doc: int
    items: np.ndarray
    passage: Passage


@dataclass(frozen=True)
class MarkedRow(PreparedRow):
    """One item, marked in its passage.

    doc: index of the Doc. items: index of the item among the Doc's. *Shape:* (1,)
    """

    doc: int
    items: np.ndarray


class MarkedLayout:
    """A row for each item, which is marked in its sentences by <ent> and <ent2>."""

    def __init__(self, vocab: MarkerVocab, windows: PassageWindows):
        self.left_out: Counter[str] = Counter()
        self._vocab = vocab
        self._windows = windows
        # Of Docs whose items were measured and not placed so far.
        self._pieces: dict[Doc, DocPieces] = {}

    def sizes(self, doc: Doc, items: Sequence[Item]) -> np.ndarray:
        """The passage of each item as the Doc's own pieces count it, with its markers, special pieces and entities; 0
        for an item that has none."""
        if doc not in self._pieces:
            self._pieces[doc] = doc_pieces(doc, self._vocab.tokenizer)
        lengths = passage_lengths(doc, self._pieces[doc], item_ranges(items), self._windows)
        added = 2 + 3 * len(items[0]) if len(items) else 0  # <s> and </s>; two markers and an entity a mention
        return np.where(lengths > 0, lengths + added, 0)

    def place(self, docs: Sequence[Doc], items: Sequence[Sequence[Item]]) -> list[MarkedItem]:
        places = []
        for index, (doc, doc_items) in enumerate(zip(docs, items, strict=True)):
            pieces = self._pieces.pop(doc, None)
            if pieces is None and len(doc_items):
                pieces = doc_pieces(doc, self._vocab.tokenizer)
            found = find_passages(doc, pieces, item_ranges(doc_items), self._windows) if pieces is not None else []
            for number, passage in enumerate(found):
                if isinstance(passage, str):
                    self.left_out[passage] += 1
                else:
                    places.append(MarkedItem(index, np.array([number]), passage))
        return places

    def rows(self, places: Sequence[MarkedItem]) -> list[MarkedRow]:
        made = []
        for place in places:
            row = marked_row(place.passage, self._vocab)
            if row is None:
                self.left_out[too_long(len(place.passage.spans))] += 1
            else:
                made.append(MarkedRow(row, place.doc, place.items))
        return made

    def collate(self, rows: Sequence[MarkedRow]) -> EncoderInput:
        pads = {"piece_pad": self._vocab.tokenizer.special.pad, "entity_pad": self._vocab.entity_vocab[PAD]}
        return collate([row.row for row in rows], **pads)
