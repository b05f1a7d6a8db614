"""Windows of whole texts: the rows that `luke_textcat` shows to the encoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...batching.collate import RowInput, WindowRow
from ...batching.strided import ContextWindows, max_context
from ...tokenization.loading import SpecialPieces
from ...tokenization.pieces import TextPieces


@dataclass(frozen=True)
class TextRow(WindowRow):
    """A window of a text.

    window: which one of the text it is.
    share: of the pieces of the text, the part that has most context in this window: its weight in their mean.
    """

    window: int
    share: float

    def make(self, special: SpecialPieces) -> RowInput:
        """The row's tensors; the first piece is global, as in transformers' LongformerForSequenceClassification."""
        return self._input(special, global_mask=np.arange(self.pieces) == 0)


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
        TextRow(doc, text, start, end, number, share)
        for number, ((start, end), share) in enumerate(zip(cut, shares, strict=True))
    ]
