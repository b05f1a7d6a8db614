"""Windows -> masked batches. What a step sees depends on the seed and on how much was seen before, on nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ...batching.collate import RowInput, batch_rows, collate
from ...encoders.inputs import EncoderInput
from ...encoders.layers import flat_indices
from ...tokenization.entity_vocab import PAD, UNK, EntityVocab
from ...tokenization.pieces import PieceTokenizer
from .masking import MaskedRow, Masking, MaskVocab
from .ranks import ONE_PROCESS, Ranks
from .settings import Settings, WindowSettings
from .store import WindowStore
from .windows import BLANK

# What random numbers are for, so that no two uses share them.
_ORDER, _MASKS, _DEV_MASKS, _DROPOUT = range(4)


def random_state(seed: int, *use: int) -> np.random.Generator:
    """Random numbers for one use."""
    return np.random.default_rng([seed, *use])


def dropout_seed(seed: int, step: int, rank: int = 0) -> int:
    """A seed for the dropout of a step in a process."""
    uses = (_DROPOUT, step, rank) if rank else (_DROPOUT, step)
    return int(random_state(seed, *uses).integers(2**63))


@dataclass(frozen=True)
class Targets:
    """Targets of a batch.

    pieces: where, counted through all rows. *Shape:* (masked pieces,)
    piece_ids: what. *Shape:* (masked pieces,)
    entities: None for a batch without entities. *Shape:* (masked entities,)
    entity_ids: *Shape:* (masked entities,)
    """

    pieces: Tensor
    piece_ids: Tensor
    entities: Tensor | None
    entity_ids: Tensor

    @classmethod
    def from_rows(cls, rows: Sequence[MaskedRow], batch: EncoderInput) -> Targets:
        pieces = torch.zeros_like(batch.piece_mask)
        entities = None if batch.entity_mask is None else torch.zeros_like(batch.entity_mask)
        for i, row in enumerate(rows):
            pieces[i, row.piece_places] = True
            if entities is not None:
                entities[i, row.entity_places] = True
        piece_ids = torch.from_numpy(np.concatenate([row.piece_targets for row in rows]))
        entity_ids = torch.from_numpy(np.concatenate([row.entity_targets for row in rows]))
        return cls(flat_indices(pieces), piece_ids, None if entities is None else flat_indices(entities), entity_ids)

    def to(self, device: torch.device) -> Targets:
        entities = None if self.entities is None else self.entities.to(device)
        return Targets(self.pieces.to(device), self.piece_ids.to(device), entities, self.entity_ids.to(device))


@dataclass(frozen=True)
class Part:
    """One of the batches of a step.

    targets: None for a batch of another process.
    pieces, entities: how many are to be predicted in the whole step.
    words: in this batch, and in those of other processes since the one before.
    seen: windows that were seen when the step is over, over all epochs; None if more batches of it follow.
    """

    targets: Targets | None
    pieces: int
    entities: int
    words: int
    seen: int | None


class MaskedWindows:
    """The windows of a corpus, masked.

    Entities out of the vocabulary are [UNK] or left out, and windows without entities left out, as the settings say.

    ranks: processes that the batches of a step are dealt to in turn. Each masks all windows, for what it masks decides
        how much a prediction counts in the step.
    """

    def __init__(
        self,
        store: WindowStore,
        tokenizer: PieceTokenizer,
        entity_vocab: EntityVocab,
        settings: WindowSettings,
        *,
        masking: Masking,
        unknown: str,
        ranks: Ranks = ONE_PROCESS,
    ):
        self.store = store
        self._special = tokenizer.special
        self._settings = settings
        self._masking = masking
        self._ranks = ranks
        self._vocab = MaskVocab.from_tokenizer(tokenizer, entity_vocab)
        self._entity_pad = entity_vocab[PAD]
        other = entity_vocab[UNK] if unknown == "unk" else -1
        found = [entity_vocab.find(title) for title in store.titles]
        ids = [other if i is None else i for i in found]
        self._entity_ids = np.array(ids, dtype=np.int64)[store.entity_titles]
        self.known_entities = int((self._entity_ids >= 0).sum()) - int((self._entity_ids == entity_vocab[UNK]).sum())

    @cached_property
    def windows(self) -> np.ndarray:
        """Indices of those that are used."""
        if self._settings.without_entities:
            return np.arange(len(self.store))
        kept = np.concatenate([[0], (self._entity_ids >= 0).cumsum()])
        ends = self.store.entity_ends
        return np.flatnonzero(np.diff(kept[ends], prepend=0))

    def steps(self, settings: Settings, steps: int, seen: int) -> Iterator[tuple[Part, EncoderInput | None]]:
        """This process's batches of some steps; None where the last one of a step is another process's.

        Each epoch has all windows in a random order. A step takes windows as long as they have no more pieces and
        entities than its batches together; they are packed by size (`batch_rows`).

        seen: windows seen before, over all epochs.
        """
        room = settings.batch_size * settings.accumulate_gradient
        size = 0
        rows: list[MaskedRow] = []
        for epoch, index in self._from(settings.seed, seen):
            row = self._masked(int(index), random_state(settings.seed, _MASKS, epoch, int(index)))
            if rows and size + row.pieces + row.entities > room:
                yield from self._step(rows, settings.batch_size, seen)
                rows, size = [], 0
                steps -= 1
                if not steps:
                    return
            rows.append(row)
            size += row.pieces + row.entities
            seen += 1

    def evaluation(self, settings: Settings) -> Iterator[tuple[Part, EncoderInput | None]]:
        """Batches of all windows, as those of a step, always with the same masks."""
        rows = [self._masked(int(index), random_state(settings.seed, _DEV_MASKS, int(index))) for index in self.windows]
        yield from self._step(rows, settings.batch_size, len(rows))

    def _from(self, seed: int, seen: int) -> Iterator[tuple[int, int]]:
        """Epoch and window, on and on."""
        epoch, place = divmod(seen, len(self.windows))
        while True:
            order = random_state(seed, _ORDER, epoch).permutation(self.windows)
            for index in order[place:]:
                yield epoch, index
            epoch, place = epoch + 1, 0

    def _step(
        self, rows: Sequence[MaskedRow], batch_size: int, seen: int
    ) -> Iterator[tuple[Part, EncoderInput | None]]:
        pieces = sum(len(row.piece_targets) for row in rows)
        entities = sum(len(row.entity_targets) for row in rows)
        groups = list(batch_rows(rows, batch_size))
        words = 0
        for number, group in enumerate(groups):
            words += sum(row.words for row in group)
            last = seen if number == len(groups) - 1 else None
            if number % self._ranks.world_size == self._ranks.rank:
                batch = collate([row.row for row in group], piece_pad=self._special.pad, entity_pad=self._entity_pad)
                yield Part(Targets.from_rows(group, batch), pieces, entities, words, last), batch
                words = 0
            elif last is not None:
                yield Part(None, pieces, entities, words, last), None

    def _masked(self, index: int, rng: np.random.Generator) -> MaskedRow:
        """A window, masked."""
        store, special, limits = self.store, self._special, self._settings
        inside, linked = store.pieces(index), store.entities(index)
        pieces = np.concatenate([[special.bos], store.ids[inside], [special.eos]]).astype(np.int64)
        types = np.concatenate([[0], store.types[inside], [0]]).astype(np.int64)
        kinds = np.concatenate([[BLANK], store.kinds[inside], [BLANK]])
        ids = self._entity_ids[linked]
        kept = np.flatnonzero(ids >= 0)[: limits.max_entities]
        spans = store.entity_ranges[linked][kept].astype(np.int64) + 1
        spans[:, 1] = np.minimum(spans[:, 1], spans[:, 0] + limits.max_mention_pieces)
        return self._masking(RowInput(pieces, types, ids[kept], spans), kinds, self._vocab, rng)
