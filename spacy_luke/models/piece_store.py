"""Pieces that are encoded once for all components that share an encoder with independent attention.

Under independent attention the states of the pieces of a window depend on nothing but the pieces. The first component
that needs those of a Doc encodes them; the others attach their entities to them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
import torch
from spacy.tokens import Doc

from ..batching.collate import RowT, WindowRow, batch_rows, collate
from ..encoders.encoder import Encoder
from ..encoders.independent_attention import IndependentLukeEncoder
from ..encoders.inputs import EncoderInput
from ..encoders.kernels.int8 import stamp
from ..encoders.piece_states import PieceStates
from ..tokenization.loading import SpecialPieces

# Windows that are sorted by length at a time: those of an encoded batch are of Docs that are near each other.
_AT_A_TIME = 1024
MAX_KEPT_BYTES = 2**29  # the default
_ROWS_OF_WORD = 3  # at most, about: some words are several pieces, and up to half of a packed batch is padding
Place = tuple["EncodedBatch", int]


class RandomState:
    """The state of PyTorch's random numbers, on the CPU and on the device that encodes."""

    def __init__(self, device: torch.device):
        self.cpu = torch.get_rng_state()
        self.devices = [device] if device.type == "cuda" else []
        self.on_devices = [torch.cuda.get_rng_state(one) for one in self.devices]

    @contextmanager
    def again(self) -> Iterator[None]:
        """Draw the same numbers once more in a `with` block, and go on afterwards as if nothing had been drawn."""
        with torch.random.fork_rng(self.devices):
            torch.set_rng_state(self.cpu)
            for device, state in zip(self.devices, self.on_devices, strict=True):
                torch.cuda.set_rng_state(state, device)
            yield


@dataclass(eq=False)
class EncodedBatch:
    """Windows whose pieces are encoded together.

    What does not fit into memory is encoded again in the same batch, so that the states are the same, bit for bit.

    encoder: that encodes. batch: the pieces. docs: those that the windows are of.
    kept: the states, as long as there is room for them; in training those that components attach their entities to,
        which collect the gradients of all.
    encoded: in training, the states that take these gradients back to the weights, as long as there is room for what
        the backward pass needs.
    drawn: in training, the random numbers with which they are encoded again for the backward pass.
    """

    encoder: IndependentLukeEncoder
    batch: EncoderInput
    docs: WeakSet[Doc]
    kept: PieceStates | None = None
    encoded: PieceStates | None = None
    drawn: RandomState | None = None

    def shows(self, row: int, window: WindowRow) -> bool:
        """Whether a row of the batch has the pieces of a window, which a Doc may have no more."""
        ids, types = self.batch.piece_ids[row], self.batch.piece_types
        inside = slice(window.window_offset, window.window_offset + window.end - window.start)
        assert types is not None
        return (
            int(self.batch.piece_mask[row].sum()) == window.pieces
            and np.array_equal(ids[inside].numpy(), window.text.ids[window.start : window.end])
            and np.array_equal(types[row, inside].numpy(), window.text.types[window.start : window.end])
        )

    @property
    def size(self) -> int:
        """Pieces, padding included."""
        return self.batch.piece_ids.numel()

    def encode(self, layers: Iterable[int]) -> PieceStates:
        """Encode the pieces."""
        return self.encoder.encode_pieces(self.batch.to(self.encoder.device), *layers)


@dataclass
class _Reading:
    """A batch that a component reads in several parts: what is not kept is encoded once for all of these."""

    store: PieceStore
    encoded: EncodedBatch
    trains: bool
    states: PieceStates | None = None

    def read(self, layers: tuple[int, ...]) -> PieceStates:
        if self.states is None or not self.states.hidden.keys() >= set(layers):
            self.states = self.store.states(self.encoded, layers, trains=self.trains)
        return self.states


@dataclass(frozen=True)
class SelectedStates:
    """The states of some rows of a batch: a `PieceSource`.

    rows: *Shape:* (rows,), int64
    pieces: of the longest of them.
    """

    reading: _Reading
    rows: np.ndarray
    pieces: int

    def states(self, *layers: int) -> PieceStates:
        found = self.reading.read(layers)
        if np.array_equal(self.rows, np.arange(len(self.reading.encoded.batch.piece_ids))):
            return found
        return found.select(torch.from_numpy(self.rows).to(found.last.device), self.pieces)

    @property
    def inputs(self) -> dict[str, Any]:
        """The tensors of the pieces."""
        batch, index = self.reading.encoded.batch, torch.from_numpy(self.rows)
        assert batch.piece_types is not None
        tensors = {"piece_ids": batch.piece_ids, "piece_mask": batch.piece_mask, "piece_types": batch.piece_types}
        return {name: tensor[index, : self.pieces] for name, tensor in tensors.items()}


@dataclass
class _Shelf:
    """The windows of Docs, and the batches that they are encoded in."""

    places: WeakKeyDictionary[Doc, dict[tuple[int, int], Place]] = field(default_factory=WeakKeyDictionary)

    def find(self, doc: Doc, window: WindowRow) -> Place | None:
        found = self.places.get(doc, {}).get((window.start, window.end))
        return found if found is not None and found[0].shows(found[1], window) else None

    def add(self, docs: Sequence[Doc], windows: Sequence[WindowRow], encoded: EncodedBatch) -> None:
        for row, window in enumerate(windows):
            self.places.setdefault(docs[window.doc], {})[window.start, window.end] = (encoded, row)

    @property
    def batches(self) -> list[EncodedBatch]:
        """Each once, oldest first."""
        return list(dict.fromkeys(place[0] for windows in list(self.places.values()) for place in windows.values()))


class PieceStore:
    """States of the pieces of Docs that are on their way through a pipeline.

    max_bytes: most memory that the states take which predictions keep between components.
    max_trained_pieces: most pieces of an update, padding included, of which all is kept that the backward pass needs,
        about ten times as much. Of the others the states alone are kept.

    What is not kept is encoded again.

    States are kept until the last component that reads them has, the Doc is gone, or the weights change. Those of an
    update are kept until the gradients of all components are there.
    """

    def __init__(self, max_bytes: int, max_trained_pieces: int):
        self.max_bytes = max_bytes
        self.max_trained_pieces = max_trained_pieces
        self._lock = threading.RLock()
        self._clear()

    def _clear(self) -> None:
        self._predicted, self._trained = _Shelf(), _Shelf()
        self._read_by: WeakKeyDictionary[Doc, set[str]] = WeakKeyDictionary()
        self._version: Any = None

    def __reduce__(self) -> Any:
        # A copy of a pipeline is on its way with other Docs.
        return type(self), (self.max_bytes, self.max_trained_pieces)

    @property
    def nbytes(self) -> int:
        """Memory of the states that are kept, in bytes."""
        with self._lock:
            shelves = (self._predicted, self._trained)
            return sum(b.kept.nbytes for shelf in shelves for b in shelf.batches if b.kept is not None)

    def batches(
        self,
        encoder: Encoder,
        docs: Sequence[Doc],
        rows: Sequence[RowT],
        max_batch_pieces: int,
        special: SpecialPieces,
        *,
        entity_pad: int,
        trains: bool | None = None,
    ) -> Iterator[tuple[list[RowT], EncoderInput]]:
        """Padded inputs whose pieces are encoded once, and the rows that they are made of.

        docs: that the rows are of. rows: windows (`WindowRow`) with entities.
        trains: in an update, whether gradients go back to the pieces; None = for a prediction.
        """
        assert isinstance(encoder, IndependentLukeEncoder)
        shelf = self._shelf(encoder, training=trains is not None)
        packed = encoder.packs(training=trains is not None)
        for start in range(0, len(rows), _AT_A_TIME):
            some: Any = rows[start : start + _AT_A_TIME]
            placed: dict[EncodedBatch, dict[int, int]] = {}
            places = self._places(shelf, encoder, docs, some, max_batch_pieces, packed, special, entity_pad)
            for row, (encoded, index) in zip(some, places, strict=True):
                placed.setdefault(encoded, {})[id(row)] = index
            by_id = {id(row): row for row in some}
            for encoded, members in placed.items():
                reading = _Reading(self, encoded, trains=bool(trains))
                for group in batch_rows([by_id[key] for key in members], max_batch_pieces, packed=packed):
                    chosen = np.array([members[id(row)] for row in group], dtype=np.int64)
                    own = collate([r.make(special) for r in group], piece_pad=special.pad, entity_pad=entity_pad)
                    selected = SelectedStates(reading, chosen, max(row.pieces for row in group))
                    yield group, replace(own, piece_source=selected, **selected.inputs)

    def _places(
        self,
        shelf: _Shelf,
        encoder: IndependentLukeEncoder,
        docs: Sequence[Doc],
        rows: Sequence[WindowRow],
        max_batch_pieces: int,
        packed: bool,
        special: SpecialPieces,
        entity_pad: int,
    ) -> list[Place]:
        """Where the window of each row is encoded; those that are in no batch yet are put into new ones."""
        with self._lock:
            found = [shelf.find(docs[row.doc], row) for row in rows]
            missing = {(row.doc, row.start, row.end): row for row, at in zip(rows, found, strict=True) if at is None}
            windows = [WindowRow(row.doc, row.text, row.start, row.end) for row in missing.values()]
            for group in batch_rows(windows, max_batch_pieces, packed=packed):
                batch = collate([r.make(special) for r in group], piece_pad=special.pad, entity_pad=entity_pad)
                encoded = EncodedBatch(encoder, batch, WeakSet(docs[row.doc] for row in group))
                shelf.add(docs, group, encoded)
            return [at or shelf.places[docs[row.doc]][row.start, row.end] for row, at in zip(rows, found, strict=True)]

    def _shelf(self, encoder: IndependentLukeEncoder, *, training: bool) -> _Shelf:
        """The Docs whose states are those of the encoder as it is now."""
        if training:
            return self._trained
        version = (id(encoder), encoder.precision, stamp(*encoder.parameters()))
        with self._lock:
            if version != self._version:
                self._version, self._predicted = version, _Shelf()
                self._read_by = WeakKeyDictionary()
            return self._predicted

    # States

    def states(self, encoded: EncodedBatch, layers: Iterable[int], *, trains: bool) -> PieceStates:
        """The states of a batch, encoded unless they are kept. trains: as in `batches`, false in predictions."""
        if torch.is_grad_enabled():
            return self._states_in_training(encoded, layers, trains=trains)
        kept = encoded.kept
        if kept is None or not kept.hidden.keys() >= set(layers):
            kept = encoded.encode(layers)
            with self._lock:
                encoded.kept = None
                if self._has_room(kept.nbytes, encoded.docs):
                    encoded.kept = kept
        return kept

    def _has_room(self, nbytes: int, docs: Iterable[Doc]) -> bool:
        """Make room by dropping the states of Docs that were left behind before these."""
        taken = self.nbytes
        now = set(docs)
        for other in self._predicted.batches:
            if taken + nbytes <= self.max_bytes:
                break
            if other.kept is not None and not now.intersection(other.docs) and self._is_left(other):
                taken -= other.kept.nbytes
                other.kept = None
        return taken + nbytes <= self.max_bytes

    def _is_left(self, encoded: EncodedBatch) -> bool:
        """Whether some component has been through with all Docs of a batch."""
        return all(self._read_by.get(doc) for doc in encoded.docs)

    def has_read(self, docs: Iterable[Doc], reader: str, readers: Iterable[str]) -> None:
        """After a prediction of a component. readers: all that read the states of Docs in this pipeline."""
        with self._lock:
            for doc in docs:
                self._read_by.setdefault(doc, set()).add(reader)
                if self._read_by[doc].issuperset(readers):
                    self._read_by.pop(doc)
                    for encoded, _ in self._predicted.places.pop(doc, {}).values():
                        encoded.docs.discard(doc)
                        if not encoded.docs:
                            encoded.kept = None

    # Training

    def _states_in_training(self, encoded: EncodedBatch, layers: Iterable[int], *, trains: bool) -> PieceStates:
        """States that collect gradients, or for a component that does not train the encoder states that do not."""
        if encoded.kept is None or not encoded.kept.hidden.keys() >= set(layers):
            drawn = RandomState(encoded.encoder.device)
            found = encoded.encode(layers)
            if not trains or not any(tensor.requires_grad for tensor in found.tensors):
                return _detached(found)
            self._give_back(encoded, retain=False)  # what was read without these layers
            encoded.drawn = drawn
            encoded.encoded = found if self._keeps_backward(encoded) else None
            leaves = (t.detach().requires_grad_(t.requires_grad) for t in found.tensors)
            encoded.kept = found.with_tensors(tuple(leaves))
        return encoded.kept if trains else _detached(encoded.kept)

    def _keeps_backward(self, encoded: EncodedBatch) -> bool:
        """Whether there is room for what the backward pass needs of a batch."""
        others = sum(one.size for one in self._trained.batches if one.encoded is not None)
        return others + encoded.size <= self.max_trained_pieces

    def backward(self, *, retain: bool) -> None:
        """Take the gradients that components left on the states of pieces back to the weights.

        retain: whether more will come, from other components.
        """
        for encoded in self._trained.batches:
            self._give_back(encoded, retain=retain)

    def _give_back(self, encoded: EncodedBatch, *, retain: bool) -> None:
        if encoded.kept is None or encoded.drawn is None:
            return
        gradients = [leaf.grad for leaf in encoded.kept.tensors]
        if any(gradient is not None for gradient in gradients):
            with _in_training(encoded.encoder):
                states = encoded.encoded
                if states is None:
                    with encoded.drawn.again(), torch.enable_grad():
                        states = encoded.encode(encoded.kept.hidden)
                pairs = zip(states.tensors, gradients, strict=True)
                outputs, reached = zip(*((t, gradient) for t, gradient in pairs if gradient is not None), strict=True)
                torch.autograd.backward(outputs, reached, retain_graph=retain)
        for leaf in encoded.kept.tensors:
            leaf.grad = None
        if not retain:
            encoded.encoded = encoded.kept = encoded.drawn = None

    def forget_update(self) -> None:
        """Drop what an update has encoded."""
        with self._lock:
            self._trained = _Shelf()


def words_to_keep(encoder: Encoder) -> int:
    """About how many words have states that are all kept, with the default of `max_kept_bytes`: not with its value,
    on which no result may depend."""
    config = encoder.config
    of_piece = 2 * 4 * config.hidden_size * config.num_hidden_layers  # keys and values, float32
    return max(MAX_KEPT_BYTES // (of_piece * _ROWS_OF_WORD), 1)


def _detached(states: PieceStates) -> PieceStates:
    return states.with_tensors(tuple(tensor.detach() for tensor in states.tensors))


@contextmanager
def _in_training(encoder: IndependentLukeEncoder) -> Iterator[None]:
    """Checkpointed layers compute once more in the backward pass, with the same dropout."""
    was_training = encoder.training
    encoder.train()
    try:
        yield
    finally:
        encoder.train(was_training)
