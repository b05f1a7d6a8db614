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
    visible: whether each token has pieces and is not white space. *Shape:* (tokens,), bool
    """

    pieces: WordPieces
    sentences: np.ndarray
    visible: np.ndarray

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
    pieces = tokenizer.encode_words(words, doc.to_array("SPACY").tolist())
    visible = (doc.to_array("IS_SPACE") == 0) & (pieces.ends > pieces.starts)
    return DocPieces(pieces, sentence_ranges(doc), visible)


def sentence_ranges(doc: Doc) -> np.ndarray:
    """Token ranges of the sentences. *Shape:* (sentences, 2)"""
    if not len(doc):
        return np.zeros((0, 2), dtype=np.int64)
    starts = [0]
    if doc.has_annotation("SENT_START"):
        starts += [i for i, start in enumerate(doc.to_array("SENT_START").tolist()) if i and start == 1]
    return np.array(list(zip(starts, [*starts[1:], len(doc)], strict=True)), dtype=np.int64)
