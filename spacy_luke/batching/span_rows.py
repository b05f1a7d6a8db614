"""The rows of given spans of a Doc, and which of their places each token has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from spacy.tokens import Span

from ..tokenization.pieces import WordPieces
from .collate import WindowRow
from .pieces import DocPieces
from .strided import StridedWindows


@dataclass(frozen=True)
class SpanRow(WindowRow):
    """A span, or as much of it as a row can take.

    span: tokens that have their pieces, or some of them, in the row.
    """

    text: WordPieces
    span: Span


def span_rows(doc: int, spans: Iterable[Span], pieces: DocPieces, max_pieces: int) -> list[SpanRow]:
    """The rows of some spans of one Doc, in the order of the spans; none for an empty span.

    doc: index of the Doc.
    max_pieces: of a row, without special pieces. A longer span becomes several rows that overlap by a quarter, so that
        nothing is cut off.
    """
    windows = StridedWindows(max_pieces, max(3 * max_pieces // 4, 1))
    starts, ends = pieces.pieces.starts, pieces.pieces.ends
    rows = []
    for span in spans:
        if span.start == span.end:
            continue
        first, last = int(starts[span.start]), int(ends[span.end - 1])
        cut = windows.cover(last - first, 0) if last - first > max_pieces else [(0, last - first)]
        for a, b in cut:
            # Tokens without pieces, such as white space, may stand at the edges of the span.
            begin = span.start if a == 0 else int(np.searchsorted(ends, first + a, side="right"))
            end = span.end if first + b == last else int(np.searchsorted(starts, first + b, side="left"))
            rows.append(SpanRow(doc, pieces.pieces, first + a, first + b, span.doc[begin:end]))
    return rows


def token_alignment(rows: Sequence[SpanRow], tokens: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Align tokens with the pieces in the rows of a Doc, laid one after the other.

    tokens: of the Doc. width: places of a row, special pieces and padding included.

    With the rows `<s> a b </s>` and `<s> b c </s>`, where the second token has the piece b:  a 1,  b 2 5,  c 6.

    RETURNS: the places of the first token, of the second one, …, and how many each has.
        *Shapes:* (places,), (tokens,), int32
    """
    token_parts, places = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for index, row in enumerate(rows):
        inside = slice(row.span.start, row.span.end)
        starts = row.text.starts[inside].clip(row.start, row.end)
        ends = row.text.ends[inside].clip(row.start, row.end)
        counts = ends - starts
        first = index * width + 1 + starts - row.start
        before = counts.cumsum() - counts
        token_parts.append(np.repeat(np.arange(row.span.start, row.span.end), counts))
        places.append(np.arange(counts.sum()) + np.repeat(first - before, counts))
    tokens_of_pieces = np.concatenate(token_parts)
    order = np.argsort(tokens_of_pieces, kind="stable")
    return np.concatenate(places)[order].astype("i"), np.bincount(tokens_of_pieces, minlength=tokens).astype("i")
