"""The options of a question about a Doc as rows of the encoder: `<s> context </s></s> question option </s>`.

As in transformers' examples for SWAG and RACE (examples/pytorch/multiple-choice). The second text has global attention,
where the encoder has any, as in transformers' LongformerForMultipleChoice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...batching.collate import RowInput, WindowRow
from ...tokenization.loading import SpecialPieces
from ...tokenization.pieces import PieceTokenizer, TextPieces

# <s>, two separators, and the one at the end.
SPECIAL_PIECES = 4
_SHOWN = 60


@dataclass(frozen=True)
class ChoiceRow(WindowRow):
    """A context with one option, which is the window: as much of it as is read.

    question, option: indices of the question among those asked about the Doc, and of the option.
    context: what the question is about.
    context_pieces: how much of it is read, from its start.
    """

    question: int
    option: int
    context: TextPieces
    context_pieces: int

    @property
    def window_offset(self) -> int:
        """Position in the row of the option's first piece: after `<s> context </s></s>`."""
        return self.context_pieces + 3

    def make(self, special: SpecialPieces) -> RowInput:
        """The row's tensors; what comes after the two separators is global."""
        return self._input(special, global_mask=np.arange(self.pieces) >= self.window_offset)

    def _prefix(self, special: SpecialPieces) -> tuple[np.ndarray, np.ndarray]:
        read, eos = slice(self.context_pieces), special.eos
        ids = np.concatenate([[special.bos], self.context.ids[read], [eos, eos]])
        return ids, np.concatenate([[0], self.context.types[read], [0, 0]])


class ChoiceReader:
    """Tokenises contexts and options, and lays them out as rows.

    max_pieces: most pieces of context, question and option together, without the special ones. What is longer is cut at
        the end, as by transformers' LukeTokenizer with `truncation=True` ("longest first"): piece by piece of the
        longer of the two texts.

    cut_docs: indices of the Docs of which not all is read. cut_options, first_cut: how many options are cut, and the
    start of the first.
    """

    def __init__(self, tokenizer: PieceTokenizer, max_pieces: int):
        self.tokenizer = tokenizer
        self.max_pieces = max_pieces
        self.cut_docs: set[int] = set()
        self.cut_options = 0
        self.first_cut = ""

    def context(self, text: str) -> TextPieces:
        """Tokenise a context: once, whatever the number of questions."""
        return self.tokenizer.encode_text(text, ())

    def rows(
        self, doc: int, number: int, context: TextPieces, question: str, options: Sequence[str]
    ) -> list[ChoiceRow]:
        """A row for each option of a question."""
        rows = []
        for index, option in enumerate(options):
            read = f"{question} {option}" if question else option
            text = self.tokenizer.encode_text(read, ())
            lengths = cut_longest_first(len(context.ids), len(text.ids), self.max_pieces)
            if lengths[0] < len(context.ids):
                self.cut_docs.add(doc)
            if lengths[1] < len(text.ids):
                self.first_cut = self.first_cut or read[:_SHOWN]
                self.cut_options += 1
            rows.append(ChoiceRow(doc, text, 0, lengths[1], number, index, context, lengths[0]))
        return rows


def cut_longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """Lengths of two texts of which the longer one loses its last piece, of equal ones the second, until they fit."""
    half = room // 2
    if first + second <= room:
        return first, second
    if second <= half:
        return room - second, second
    if first <= room - half:
        return first, room - first
    return room - half, half
