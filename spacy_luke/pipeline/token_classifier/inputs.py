"""Windows with the tokens that are read from them: the rows that `luke_token_classifier` shows to the encoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...batching.collate import WindowRow
from ...batching.pieces import DocPieces
from ...batching.windows import Windows, best_windows


@dataclass(frozen=True)
class TokenRow(WindowRow):
    """A window with the tokens that it scores, which are read off their pieces.

    words: the tokens, as indices among those given to `token_rows`. *Shape:* (words,)
    places: where the row has the first piece of each. *Shape:* (words,)
    """

    words: np.ndarray
    places: np.ndarray


def token_rows(doc: int, pieces: DocPieces, tokens: np.ndarray, windows: Windows) -> list[TokenRow]:
    """The rows of the tokens of a Doc: each token in the window that shows most around its first piece.

    doc: index of the Doc. tokens: indices of those that have pieces, in order. *Shape:* (tokens,)
    """
    first = pieces.pieces.starts[tokens]
    cut = windows(len(pieces.pieces.ids), pieces.sentence_pieces, 1)
    window_of = best_windows(np.stack([first, first + 1], axis=1), cut)
    assert (window_of >= 0).all(), "Windows must cover every piece"
    order = np.argsort(window_of, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(window_of[order])) + 1)
    rows = []
    for words in groups:
        if len(words):
            window = cut[int(window_of[words[0]])]
            places = first[words] - window.start + 1
            rows.append(TokenRow(doc, pieces.pieces, window.start, window.end, words, places))
    return rows
