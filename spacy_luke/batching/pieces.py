"""A Doc as the encoder's tokenizer sees it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from spacy.tokens import Doc

from ..tokenization.pieces import PieceTokenizer, WordPieces


@dataclass(frozen=True)
class DocPieces:
    """The pieces of a Doc and its sentences.

    pieces: pieces of the tokens.
    sentences: half-open token ranges; the whole Doc if it has no sentence boundaries. *Shape:* (sentences, 2)
    """

    pieces: WordPieces
    sentences: np.ndarray


def doc_pieces(doc: Doc, tokenizer: PieceTokenizer) -> DocPieces:
    """Tokenise a Doc."""
    words = [token.text for token in doc]
    spaces = [bool(token.whitespace_) for token in doc]
    return DocPieces(tokenizer.encode_words(words, spaces), sentence_ranges(doc))


def sentence_ranges(doc: Doc) -> np.ndarray:
    """Token ranges of the sentences. *Shape:* (sentences, 2)"""
    if not len(doc):
        return np.zeros((0, 2), dtype=np.int64)
    starts = [0]
    if doc.has_annotation("SENT_START"):
        starts += [token.i for token in doc if token.i and token.is_sent_start]
    return np.array(list(zip(starts, [*starts[1:], len(doc)], strict=True)), dtype=np.int64)
