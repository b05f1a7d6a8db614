"""Spans marked in the text by <ent> and <ent2>, and the text around them: rows for pairs and for single entities.

    "Ana met Bo ."  head "Ana", tail "Bo"   ->   <s> <ent> Ana <ent> met <ent2> Bo <ent2> . </s>
                                                     (1, 4)          (5, 8)

Each marked span is an entity of the encoder whose range includes its markers. The text is tokenised as LukeTokenizer
does for the same spans: cut at their edges and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from spacy.tokens import Doc

from ..errors import LukeError
from ..tokenization.alignment import moved
from ..tokenization.entity_vocab import MASK, MASK2, EntityVocab
from ..tokenization.pieces import PieceTokenizer
from .collate import RowInput
from .mentions import trim
from .pieces import DocPieces
from .windows import PassageWindows

MARKERS = ("<ent>", "<ent2>")
_MASKS = (MASK, MASK2)


@dataclass(frozen=True)
class Passage:
    """Marked spans and the part of the Doc that the encoder sees.

    spans: token ranges, without white space at their edges.
    start, end: token range of what is seen.
    """

    spans: tuple[tuple[int, int], ...]
    start: int
    end: int


def find_passage(
    doc: Doc, pieces: DocPieces, spans: Sequence[tuple[int, int]], windows: PassageWindows
) -> Passage | str:
    """Where some spans of a Doc can be seen together: their sentences, or as much as a window holds around the spans.

    RETURNS: The passage, or the reason why there is none.

    L045 for a span that is empty, reversed or outside the Doc.
    """
    for start, end in spans:
        if not 0 <= start < end <= len(doc):
            raise LukeError("L045", start=start, end=end, length=len(doc))
    first, last = trim(doc, pieces, np.array(spans, dtype=np.int64))
    if (first > last).any():
        return "white space only"
    low, high = int(first.min()), int(last.max())
    owner = np.searchsorted(pieces.sentences[:, 0], [low, high], side="right") - 1
    from_token, to_token = int(pieces.sentences[owner[0], 0]), int(pieces.sentences[owner[1], 1])
    starts, ends = pieces.pieces.starts, pieces.pieces.ends
    whole = (int(starts[from_token]), int(ends[to_token - 1]))
    hull = (int(starts[low]), int(ends[high]))
    window = windows.around(hull, whole, len(pieces.pieces.ids), reserved=2 * len(spans))
    if window is None:
        return "too far apart for a window" if len(spans) > 1 else "too long for a window"
    if window != whole:  # the tokens that are wholly in it
        from_token = min(int(np.searchsorted(starts, window[0], side="left")), low)
        to_token = max(int(np.searchsorted(ends, window[1], side="right")), high + 1)
    return Passage(tuple(zip(first.tolist(), (last + 1).tolist(), strict=True)), from_token, to_token)


@dataclass(frozen=True)
class MarkerVocab:
    """What the marked rows of a checkpoint are made with.

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
    known = [tokenizer.vocab.get(marker) for marker in MARKERS]
    if known[0] is not None and known[1] is not None:
        return known[0], known[1]
    if rows < tokenizer.rows + 2:
        raise LukeError("L033", markers=" and ".join(MARKERS), rows=rows, pieces=tokenizer.rows)
    return tokenizer.rows, tokenizer.rows + 1


def marked_row(doc: Doc, passage: Passage, vocab: MarkerVocab) -> RowInput | None:
    """The row that shows a passage with one span (<ent>, [MASK]) or two (<ent> and <ent2>, [MASK] and [MASK2]).

    None if cutting the text elsewhere than `find_passage` did makes the spans too long for a row.
    """
    text = doc.text
    first = doc[passage.start].idx
    start = moved(text, first)
    end = len(text) if passage.end == len(doc) else moved(text, doc[passage.end].idx)
    chars = [(doc[a].idx - start, doc[b - 1].idx + len(doc[b - 1]) - start) for a, b in passage.spans]
    found = vocab.tokenizer.encode_text(text[start:end], {edge for span in chars for edge in span})
    ranges = [(found.boundary_index[a], found.boundary_index[b]) for a, b in chars]
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

    Where several markers stand between the same two pieces, spans that end come before spans that begin, so touching
    spans keep apart. Nested and identical spans nest: the longer one is outside, of identical ones the first.
    Spans that partly overlap cross.
    """
    events = []
    for i, (start, end) in enumerate(spans):
        # Of spans that begin together the longer one opens first; of those that end together it closes last.
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
