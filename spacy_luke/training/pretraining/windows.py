"""Docs with linked entities -> windows to pretrain on, which cover each Doc once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from spacy.tokens import Doc

from ...batching.mentions import trim
from ...batching.pieces import DocPieces, doc_pieces
from ...knowledge_base import NIL
from ...tokenization.entity_vocab import SPECIAL_ENTITIES
from ...tokenization.pieces import PieceTokenizer

# What a piece is to whole-word masking. Pieces of white space and of no word are BLANK: never masked.
BEGIN, INSIDE, BLANK = range(3)


@dataclass(frozen=True)
class LinkedWindow:
    """A part of a Doc with its linked entities.

    ids, types: of the pieces, without special ones. *Shape:* (pieces,) each
    kinds: `BEGIN` of a word, `INSIDE` of one, or `BLANK`. *Shape:* (pieces,)
    ranges: the pieces of each entity. *Shape:* (entities, 2)
    titles: what they are.
    """

    ids: np.ndarray
    types: np.ndarray
    kinds: np.ndarray
    ranges: np.ndarray
    titles: Sequence[str]


def linked_windows(doc: Doc, tokenizer: PieceTokenizer, max_pieces: int) -> list[LinkedWindow]:
    """Cut a Doc with `cut_document`. An entity is linked if its `kb_id_` is neither empty nor NIL.

    max_pieces: of a window, without special ones.
    """
    if not len(doc):
        return []
    pieces = doc_pieces(doc, tokenizer)
    linked = [ent for ent in doc.ents if ent.kb_id_ and ent.kb_id_ != NIL and ent.kb_id_ not in SPECIAL_ENTITIES]
    tokens = np.array([(ent.start, ent.end) for ent in linked], dtype=np.int64).reshape(-1, 2)
    first, last = trim(pieces.visible, tokens)
    shown = np.flatnonzero(first <= last)
    ranges = np.stack([pieces.pieces.starts[first[shown]], pieces.pieces.ends[last[shown]]], axis=1)
    kinds = piece_kinds(pieces)
    windows = []
    for start, end in cut_document(pieces, ranges, max_pieces):
        inside = np.flatnonzero((ranges[:, 0] >= start) & (ranges[:, 1] <= end))
        windows.append(
            LinkedWindow(
                pieces.pieces.ids[start:end],
                pieces.pieces.types[start:end],
                kinds[start:end],
                ranges[inside] - start,
                [linked[i].kb_id_ for i in shown[inside]],
            )
        )
    return windows


def cut_document(pieces: DocPieces, entities: np.ndarray, max_pieces: int) -> list[tuple[int, int]]:
    """Piece ranges that lie side by side and cover a Doc, each as long as it can be.

    A range ends with a sentence, as in the paper's code (studio-ousia/luke, luke/pretraining/dataset.py). Where that
    cannot be, a sentence being too long or the Doc having none, it ends with a token, and no entity is cut through. An
    entity that is longer than a window is in none.

    entities: piece ranges. *Shape:* (entities, 2)
    """
    count = len(pieces.pieces.ids)
    inside = np.zeros(count + 2, dtype=np.int64)
    np.add.at(inside, entities[:, 0] + 1, 1)
    np.add.at(inside, entities[:, 1], -1)
    in_entity = inside.cumsum() > 0
    levels = [np.unique(points) for points in (pieces.sentence_pieces[:, 0], pieces.pieces.starts)]
    levels = [points[~in_entity[points]] for points in levels]
    ranges = []
    start = 0
    while start < count:
        end = min(start + max_pieces, count)
        if end < count:
            ends = [points[np.searchsorted(points, end, side="right") - 1] for points in levels if len(points)]
            end = int(next((point for point in ends if start < point <= end), end))
        ranges.append((start, end))
        start = end
    return ranges


def piece_kinds(pieces: DocPieces) -> np.ndarray:
    """Role of each piece of a Doc in whole-word masking. *Shape:* (pieces,)"""
    starts, ends = pieces.pieces.starts[pieces.visible], pieces.pieces.ends[pieces.visible]
    lengths = ends - starts
    before = lengths.cumsum() - lengths
    kinds = np.full(len(pieces.pieces.ids), BLANK, dtype=np.uint8)
    kinds[np.repeat(starts - before, lengths) + np.arange(lengths.sum())] = INSIDE
    kinds[starts] = BEGIN
    return kinds
