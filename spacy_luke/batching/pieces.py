"""A Doc as the encoder's tokenizer sees it, and several as one long sequence: what is done with arrays is done once for
all of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from spacy.attrs import IS_SPACE, ORTH, SENT_START, SPACY
from spacy.tokens import Doc

from ..errors import warn
from ..tokenization.added_tokens import AddedTokenFinder
from ..tokenization.pieces import PieceTokenizer, WordPieces

_NONE = np.zeros(0, dtype=np.int64)


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


@dataclass(frozen=True)
class DocBatch:
    """Docs one after the other. Numbers of tokens and pieces count on from Doc to Doc.

    token_offsets, piece_offsets: where each Doc starts, and the end of the last. *Shape:* (Docs + 1,)
    starts, ends: token i owns the pieces starts[i] … ends[i] - 1. *Shape:* (tokens,)
    visible: whether a token has pieces and is not white space. *Shape:* (tokens,), bool
    sentence_of: number of the sentence of each token. *Shape:* (tokens,)
    sentence_ends: where each sentence ends, in tokens. *Shape:* (sentences,)
    """

    token_offsets: np.ndarray
    piece_offsets: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    visible: np.ndarray
    sentence_of: np.ndarray
    sentence_ends: np.ndarray

    @classmethod
    def from_pieces(cls, pieces: Sequence[DocPieces]) -> DocBatch:
        """Join tokenised Docs."""
        counts = np.array([len(p.pieces.ids) for p in pieces], dtype=np.int64)
        return cls._concatenate(
            [p.sentences for p in pieces],
            [p.visible for p in pieces],
            counts,
            np.concatenate([*(p.pieces.starts for p in pieces), _NONE]),
            np.concatenate([*(p.pieces.ends for p in pieces), _NONE]),
        )

    @classmethod
    def from_tokens(cls, docs: Sequence[Doc]) -> DocBatch:
        """Join Docs whose tokens are taken as pieces."""
        lengths = np.array([len(doc) for doc in docs], dtype=np.int64)
        index = np.concatenate([*(np.arange(length) for length in lengths), _NONE])
        visible = [doc.to_array("IS_SPACE") == 0 for doc in docs]
        return cls._concatenate([sentence_ranges(doc) for doc in docs], visible, lengths, index, index + 1)

    @classmethod
    def _concatenate(
        cls,
        sentences: Sequence[np.ndarray],
        visible: Sequence[np.ndarray],
        piece_counts: np.ndarray,
        starts: np.ndarray,
        ends: np.ndarray,
    ) -> DocBatch:
        token_counts = np.array([len(v) for v in visible], dtype=np.int64)
        token_offsets, piece_offsets = _offsets(token_counts), _offsets(piece_counts)
        shift = np.repeat(piece_offsets[:-1], token_counts)
        ranges = np.concatenate([*sentences, _NONE.reshape(0, 2)])
        lengths = ranges[:, 1] - ranges[:, 0]
        return cls(
            token_offsets,
            piece_offsets,
            starts + shift,
            ends + shift,
            np.concatenate([*visible, np.zeros(0, dtype=bool)]),
            np.repeat(np.arange(len(ranges)), lengths),
            lengths.cumsum(),  # the sentences of a Doc cover it
        )

    def split(self, values: np.ndarray, docs: np.ndarray) -> list[np.ndarray]:
        """The values of each Doc. docs: the Doc of each value, in order. *Shape:* (values,)"""
        edges = np.searchsorted(docs, np.arange(len(self.token_offsets))).tolist()
        return [values[start:end] for start, end in itertools.pairwise(edges)]

    def doc_indices(self, tokens: np.ndarray) -> np.ndarray:
        """The Docs that tokens are of. *Shape:* the same"""
        lengths = self.token_offsets[1:] - self.token_offsets[:-1]
        return np.repeat(np.arange(len(lengths)), lengths)[tokens]


def _offsets(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], counts.cumsum()])
