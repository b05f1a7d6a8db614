"""A Doc as the encoder's tokenizer sees it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from spacy.tokens import Doc

from ..tokenization.loading import SpecialPieces
from ..tokenization.pieces import PieceTokenizer, WordPieces


@dataclass(frozen=True)
class DocPieces:
    """The pieces of a Doc and its sentences.

    pieces: pieces of the tokens.
    sentences: half-open token ranges; the whole Doc if it has no sentence boundaries. *Shape:* (sentences, 2)
    """

    pieces: WordPieces
    sentences: np.ndarray

    @property
    def sentence_pieces(self) -> np.ndarray:
        """Piece ranges of the sentences. *Shape:* (sentences, 2)"""
        starts, ends = self.sentences[:, 0], self.sentences[:, 1]
        return np.stack([self.pieces.starts[starts], self.pieces.ends[ends - 1]], axis=1)

    def row(self, start: int, end: int, special: SpecialPieces) -> tuple[np.ndarray, np.ndarray]:
        """Ids and types of a range of pieces between the two special ones. *Shape:* (pieces + 2,) each"""
        ids, types = self.pieces.ids[start:end], self.pieces.types[start:end]
        return np.concatenate([[special.bos], ids, [special.eos]]), np.concatenate([[0], types, [0]])


def doc_pieces(doc: Doc, tokenizer: PieceTokenizer) -> DocPieces:
    """Tokenise a Doc."""
    words = [token.text for token in doc]
    spaces = [bool(token.whitespace_) for token in doc]
    return DocPieces(tokenizer.encode_words(words, spaces), sentence_ranges(doc))


def is_word(doc: Doc, pieces: DocPieces) -> np.ndarray:
    """Whether each token has pieces and is not white space. *Shape:* (tokens,)"""
    return (pieces.pieces.ends > pieces.pieces.starts) & np.array([not token.is_space for token in doc], dtype=bool)


def sentence_ranges(doc: Doc) -> np.ndarray:
    """Token ranges of the sentences. *Shape:* (sentences, 2)"""
    if not len(doc):
        return np.zeros((0, 2), dtype=np.int64)
    starts = [0]
    if doc.has_annotation("SENT_START"):
        starts += [i for i, start in enumerate(doc.to_array("SENT_START").tolist()) if i and start == 1]
    return np.array(list(zip(starts, [*starts[1:], len(doc)], strict=True)), dtype=np.int64)
