"""The options of a question about a Doc as rows of the encoder: `<s> context </s></s> question option </s>`.

As in transformers' examples for SWAG and RACE (examples/pytorch/multiple-choice). The second text has global attention,
where the encoder has any, as in transformers' LongformerForMultipleChoice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...batching.collate import RowInput
from ...tokenization.loading import SpecialPieces
from ...tokenization.pieces import PieceTokenizer, TextPieces

# <s>, two separators, and the one at the end.
SPECIAL_PIECES = 4
_SHOWN = 60


@dataclass(frozen=True)
class ChoiceRow:
    """A context with one option; the row's tensors are made when its batch is.

    doc, question, option: indices of the Doc, of the question among those asked about it, and of the option.
    context_pieces, option_pieces: how much of both is read, from their begin.
    """

    doc: int
    question: int
    option: int
    context: TextPieces
    text: TextPieces
    context_pieces: int
    option_pieces: int

    @property
    def pieces(self) -> int:
        return self.context_pieces + self.option_pieces + SPECIAL_PIECES

    @property
    def entities(self) -> int:
        """None: options are read off their pieces."""
        return 0

    def make(self, special: SpecialPieces) -> RowInput:
        """The row's tensors; what comes after the two separators is global."""
        context, option = slice(self.context_pieces), slice(self.option_pieces)
        eos, none = [special.eos], np.zeros(0, dtype=np.int64)
        ids, types = self.context.ids[context], self.context.types[context]
        return RowInput(
            np.concatenate([[special.bos], ids, eos, eos, self.text.ids[option], eos]),
            np.concatenate([[0], types, [0, 0], self.text.types[option], [0]]),
            none,
            none.reshape(0, 2),
            global_mask=np.arange(self.pieces) > self.context_pieces + 2,
        )


class ChoiceReader:
    """Tokenises contexts and options, and lays them out as rows.

    max_pieces: most pieces of context, question and option together, without the special ones. What is longer is cut at
        the end, as by transformers' LukeTokenizer with `truncation=True` ("longest first"): piece by piece of the
        longer of the two texts.

    cut_docs: indices of the Docs of which not all is read. cut_options, first_cut: how many options are cut, and the
    begin of the first.
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
            rows.append(ChoiceRow(doc, number, index, context, text, *lengths))
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
