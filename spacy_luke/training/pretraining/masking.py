"""Masking of pieces and entities of a window.

As in the paper's code (studio-ousia/luke, luke/pretraining/batch_generator.py) with its defaults, but that words are
the tokens of the Doc.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...batching.collate import PreparedRow, RowInput
from ...checks import require_probability
from ...errors import LukeError
from ...tokenization.case import NO_CASE
from ...tokenization.entity_vocab import MASK, EntityVocab
from ...tokenization.pieces import PieceTokenizer
from .windows import BEGIN, BLANK, INSIDE


@dataclass(frozen=True)
class MaskVocab:
    """Ids that replace masked pieces and entities.

    piece, entity: ids of the masks.
    ordinary: ids of the pieces that may stand for another at random: all but the special ones. *Shape:* (pieces,)
    """

    piece: int
    entity: int
    ordinary: np.ndarray

    @classmethod
    def from_tokenizer(cls, tokenizer: PieceTokenizer, entity_vocab: EntityVocab) -> MaskVocab:
        special, rows = set(vars(tokenizer.special).values()), tokenizer.rows
        special |= {token.id for token in tokenizer.added.values() if token.special}
        ordinary = sorted(i for i in set(tokenizer.vocab.values()) - special if i < rows)
        return cls(tokenizer.special.mask, entity_vocab[MASK], np.array(ordinary, dtype=np.int64))


@dataclass(frozen=True)
class MaskedRow(PreparedRow):
    """A window in which something is masked.

    piece_places: where pieces are to be predicted, in order. *Shape:* (masked,)
    piece_targets: what they are. *Shape:* (masked,)
    entity_places, entity_targets: the same of entities.
    words: how many the window has.
    """

    piece_places: np.ndarray
    piece_targets: np.ndarray
    entity_places: np.ndarray
    entity_targets: np.ndarray
    words: int


@dataclass(frozen=True)
class Masking:
    """Rates of masking: `[pretraining.masking]`. All are probabilities, with the paper's defaults.

    pieces: share of the pieces of a window that are to be predicted.
    random_pieces, kept_pieces: of these, the share that becomes a random piece, and that stays as it is; the rest
        becomes the mask.
    whole_words: mask all pieces of a word or none.
    entities: share of the entities of a window that become [MASK].
    """

    pieces: float = 0.15
    random_pieces: float = 0.1
    kept_pieces: float = 0.1
    whole_words: bool = True
    entities: float = 0.15

    def __post_init__(self) -> None:
        together = self.random_pieces + self.kept_pieces
        require_probability(pieces=self.pieces, random_pieces=self.random_pieces, kept_pieces=self.kept_pieces)
        require_probability(entities=self.entities, **{"random_pieces + kept_pieces": together})
        if not self.pieces and not self.entities:
            raise LukeError("L047", setting="masking.pieces", value=0, reason="neither pieces nor entities are masked")

    def __call__(self, row: RowInput, kinds: np.ndarray, vocab: MaskVocab, rng: np.random.Generator) -> MaskedRow:
        """Mask a window.

        row: special pieces included. kinds: of its pieces, see `LinkedWindow`. *Shape:* (pieces,)
        """
        ids, types = row.piece_ids.copy(), row.piece_types.copy()
        masked: list[np.ndarray] = []
        for word in self._choose(_words(kinds, whole=self.whole_words), kinds, rng):
            masked.append(word)
            chance = rng.random()
            if chance < 1 - self.random_pieces - self.kept_pieces:
                ids[word], types[word] = vocab.piece, NO_CASE
            elif chance < 1 - self.kept_pieces:
                ids[word] = rng.choice(vocab.ordinary, len(word))
        places = np.sort(np.concatenate(masked)) if masked else np.zeros(0, dtype=np.int64)
        entity_ids = row.entity_ids.copy()
        chosen = np.sort(rng.permutation(row.entities)[: _share(row.entities, self.entities)])
        entity_ids[chosen] = vocab.entity
        return MaskedRow(
            RowInput(ids, types, entity_ids, row.entity_spans),
            places,
            row.piece_ids[places],
            chosen,
            row.entity_ids[chosen],
            int((kinds == BEGIN).sum()),
        )

    def _choose(self, words: Sequence[np.ndarray], kinds: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
        """Random words with as many pieces as are to be predicted, or some fewer. A word with more is never among them,
        so if all are, it is one of their pieces."""
        left = _share(len(kinds) - 2, self.pieces)
        if not left or not words:
            return []
        chosen = []
        for index in rng.permutation(len(words)):
            if len(words[index]) <= left:
                chosen.append(words[index])
                left -= len(words[index])
                if not left:
                    break
        return chosen or [rng.choice(np.concatenate(words), 1)]


def _share(count: int, share: float) -> int:
    """Number of masked ones of `count`: at least one, if there are any and some are to be."""
    return min(count, max(1, round(count * share))) if share else 0


def _words(kinds: np.ndarray, *, whole: bool) -> list[np.ndarray]:
    """The places of the pieces of each word; of each piece, if words may be masked in part. Without `BLANK` pieces."""
    places = np.flatnonzero(kinds != BLANK)
    if not len(places):
        return []
    starts = places[1:][kinds[places[1:]] != INSIDE] if whole else places[1:]
    return np.split(places, np.searchsorted(places, starts))
