"""Several Docs as one long sequence of tokens and pieces: what is done with arrays is done once for all of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from spacy.tokens import Doc

from .pieces import DocPieces, sentence_ranges


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


_NONE = np.zeros(0, dtype=np.int64)


def _offsets(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], counts.cumsum()])
