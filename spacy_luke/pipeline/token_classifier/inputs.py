"""Windows with the tokens that are read from them: the rows that `luke_token_classifier` shows to the encoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...batching.collate import RowInput
from ...batching.pieces import DocPieces
from ...batching.windows import Window, Windows, best_windows
from ...tokenization.loading import SpecialPieces


@dataclass(frozen=True)
class TokenRow:
    """A window with the tokens that it scores; the row's tensors are made when its batch is.

    doc: index of the Doc.
    words: the tokens, as indices among those given to `token_rows`. *Shape:* (words,)
    places: where the row has the first piece of each. *Shape:* (words,)
    """

    doc: int
    doc_pieces: DocPieces
    window: Window
    words: np.ndarray
    places: np.ndarray

    @property
    def pieces(self) -> int:
        """Pieces, the two special ones included."""
        return self.window.end - self.window.start + 2

    @property
    def entities(self) -> int:
        """None: tokens are read off their pieces."""
        return 0

    def make(self, special: SpecialPieces) -> RowInput:
        """The row's tensors, without entities or global pieces."""
        none = np.zeros(0, dtype=np.int64)
        ids, types = self.doc_pieces.row(self.window.start, self.window.end, special)
        return RowInput(ids, types, none, none.reshape(0, 2))


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
            rows.append(TokenRow(doc, pieces, window, words, first[words] - window.start + 1))
    return rows
