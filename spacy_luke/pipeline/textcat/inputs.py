"""Windows of whole texts: the rows that `luke_textcat` shows to the encoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...batching.collate import RowInput
from ...batching.strided import ContextWindow, ContextWindows, max_context
from ...tokenization.loading import SpecialPieces
from ...tokenization.pieces import TextPieces


@dataclass(frozen=True)
class TextRow:
    """A window of a text; the row's tensors are made when its batch is.

    doc: index of the Doc.
    window: which one of the text it is.
    share: of the pieces of the text, the part that has most context in this window: its weight in their mean.
    """

    doc: int
    window: int
    text: TextPieces
    range: ContextWindow
    share: float

    @property
    def pieces(self) -> int:
        """Pieces, the two special ones included."""
        return self.range[1] - self.range[0] + 2

    @property
    def entities(self) -> int:
        """None: the text is read off its pieces."""
        return 0

    def make(self, special: SpecialPieces) -> RowInput:
        """The row's tensors; the first piece is global, as in transformers' LongformerForSequenceClassification."""
        inside = slice(*self.range)
        none = np.zeros(0, dtype=np.int64)
        return RowInput(
            np.concatenate([[special.bos], self.text.ids[inside], [special.eos]]),
            np.concatenate([[0], self.text.types[inside], [0]]),
            none,
            none.reshape(0, 2),
            global_mask=np.arange(self.pieces) == 0,
        )


def text_rows(doc: int, text: TextPieces, windows: ContextWindows) -> list[TextRow]:
    """The windows of a text, in its order; [] for one without pieces.

    Each piece counts in the one window that shows most around it (`max_context`), so what several windows show counts
    once: the shares add up to 1.

    doc: index of the Doc.
    """
    cut = windows.cover(len(text.ids), 0)
    counts = np.bincount(max_context(cut), minlength=len(cut))
    shares = (counts / max(len(text.ids), 1)).tolist()
    return [
        TextRow(doc, number, text, window, share)
        for number, (window, share) in enumerate(zip(cut, shares, strict=True))
    ]
