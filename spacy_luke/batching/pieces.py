"""A Doc as the encoder's tokenizer sees it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from spacy.attrs import IS_SPACE, ORTH, SENT_START, SPACY
from spacy.tokens import Doc

from ..errors import warn
from ..tokenization.added_tokens import AddedTokenFinder
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
        ranges = np.empty_like(self.sentences)
        ranges[:, 0] = self.pieces.starts[self.sentences[:, 0]]
        ranges[:, 1] = self.pieces.ends[self.sentences[:, 1] - 1]
        return ranges


def doc_pieces(doc: Doc, tokenizer: PieceTokenizer) -> DocPieces:
    """Tokenise a Doc."""
    if tokenizer.finder is not None and not tokenizer.reported_cut:
        _warn_of_cut(doc, tokenizer, tokenizer.finder)
    hashes, spaces, is_space, sent_starts = doc.to_array([ORTH, SPACY, IS_SPACE, SENT_START]).T
    pieces = tokenizer.encode_hashes(hashes.tolist(), spaces.tolist(), doc.vocab.strings.__getitem__)
    visible = (is_space == 0) & (pieces.ends > pieces.starts)
    return DocPieces(pieces, _ranges(doc, sent_starts), visible)


def _warn_of_cut(doc: Doc, tokenizer: PieceTokenizer, finder: AddedTokenFinder) -> None:
    """Warn once of an added token that tokens of a Doc cut: W034."""
    text = doc.text
    edges = {edge for token in doc for edge in (token.idx, token.idx + len(token))}
    for start, end, added in finder(text):
        if isinstance(added, str):
            continue
        start = text.index(added.content, start) if added.content in text[start:end] else start
        inside = sorted(edge for edge in edges if start < edge < start + len(added.content))
        if inside:
            tokenizer.reported_cut = True
            cuts = [start, *inside, start + len(added.content)]
            parts = [text[a:b] for a, b in itertools.pairwise(cuts) if text[a:b].strip()]
            warn("W034", token=added.content, parts=" and ".join(map(repr, parts)))
            return


def sentence_ranges(doc: Doc) -> np.ndarray:
    """Token ranges of the sentences. *Shape:* (sentences, 2)"""
    return _ranges(doc, doc.to_array(SENT_START))


def _ranges(doc: Doc, sent_starts: np.ndarray) -> np.ndarray:
    if not len(doc):
        return np.zeros((0, 2), dtype=np.int64)
    later = (sent_starts[1:] == 1).nonzero()[0] + 1
    ranges = np.empty((len(later) + 1, 2), dtype=np.int64)
    ranges[0, 0], ranges[-1, 1] = 0, len(doc)
    ranges[1:, 0] = ranges[:-1, 1] = later
    return ranges
