"""Vectors of pieces, tokens and entities: what `luke_encoder` writes, with an encoder of its own or another's. Also the
states of all layers and the attention weights, which it gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from spacy.tokens import Doc, Span
from thinc.types import Floats2d

from ...annotations import set_entity_vectors
from ...batching.collate import make_batches
from ...batching.mentions import trim
from ...batching.pieces import DocPieces, doc_pieces
from ...batching.strided import build_strided_windows
from ...batching.windows import Windows, build_sentence_windows
from ...checkpoints.checkpoint import Description
from ...encoders.config import LongformerConfig, has_independent_attention
from ...encoders.encoder import Encoder
from ...errors import LukeError
from ...models.wrapper import record
from ...tokenization.entity_vocab import MASK, PAD
from ...tokenization.pieces import WordPieces
from ..base.checkpoint_component import CheckpointComponent
from .inputs import VectorRow, vector_rows
from .states import DocStates, WindowStates, layer_numbers, piece_tokens, recording_of, window_states

ENTITIES = ("none", "mask", "title", "kb_id")


@dataclass(frozen=True)
class DocVectors:
    """States of the last layer for a Doc.

    word_pieces: the pieces, and which of them each token has.
    pieces: zero for white space that is in no window. *Shape:* (pieces, hidden), float32
    tokens: the mean of the token's pieces; zero for a token without pieces. *Shape:* (tokens, hidden), float32
    spans: the entities.
    entities: their states; for an entity that no window shows whole, and on an encoder without entity inputs, the mean
        of its tokens but white space. *Shape:* (entities, hidden), float32
    """

    word_pieces: WordPieces
    pieces: Floats2d
    tokens: Floats2d
    spans: list[Span]
    entities: Floats2d


class VectorPipe(CheckpointComponent):
    """A component that writes vectors, with its own encoder or another's; see `LukeEncoderPipe` for the settings."""

    entities: str
    spans_key: str | None
    set_vectors: bool

    def _set_vector_settings(self, *, entities: str, spans_key: str | None, set_vectors: bool) -> None:
        """Check and keep what the constructors of both components are given."""
        if entities not in ENTITIES:
            reason = f"it must be one of {', '.join(ENTITIES)}"
            raise LukeError("L047", setting="entities", value=entities, reason=reason)
        self.entities = entities
        self.spans_key = spans_key
        self.set_vectors = set_vectors

    def _check_entities(self, source: Description, *, trimmed: bool) -> None:
        """L047 if an encoder lacks the entities that the settings ask for.

        trimmed: whether its entity vocabulary has the special ones only.
        """
        if self.entities not in ("title", "kb_id"):
            return
        if not source.config.entity_inputs:
            reason = 'its encoder has no entity inputs; it must be "mask" or "none"'
            raise LukeError("L047", setting="entities", value=self.entities, reason=reason)
        if trimmed:
            reason = 'it needs entity_vocab = "full", or a file of titles, in the model of its encoder'
            raise LukeError("L047", setting="entities", value=self.entities, reason=reason)

    @property
    def _encoder(self) -> Encoder:
        encoder: Encoder = self._module
        return encoder

    @property
    def read_windows(self) -> Any:
        """The windows of the pieces that the component attaches entities to and others may have encoded; None if it
        attaches none, or writes no vectors."""
        return super().read_windows if self.set_vectors else None

    def _attaches_entities(self, source: Description, settings: Mapping[str, Any]) -> bool:
        return has_independent_attention(source.config)

    @property
    def windows(self) -> Windows:
        """The windows in use; never longer than the encoder's positions allow."""
        longest = self._require_weights().config.max_pieces - 2

        def build(**saved: Any) -> Windows:
            return (
                build_sentence_windows(**saved) if saved else build_strided_windows(longest, max(3 * longest // 4, 1))
            )

        return self._windows(build, special_pieces=2)

    def predict(self, docs: Iterable[Doc]) -> list[DocVectors]:
        """The vectors of each Doc; [] if they are not wanted."""
        return self.vectors(docs) if self.set_vectors else []

    def set_annotations(self, docs: Iterable[Doc], scores: Sequence[DocVectors]) -> None:
        """Write `doc.tensor` and `span._.entity_vector`."""
        if not self.set_vectors:
            return
        for doc, vectors in zip(docs, scores, strict=True):
            doc.tensor = vectors.tokens  # type: ignore[assignment]
            entity_vectors = self.model.ops.to_numpy(vectors.entities)
            self._check_finite(entity_vectors)
            set_entity_vectors(doc, vectors.spans, entity_vectors)

    def vectors(self, docs: Iterable[Doc]) -> list[DocVectors]:
        """States of pieces, tokens and entities of each Doc, on the device of the model."""
        docs = self._as_list(docs)
        description = self._require_weights_or_bundled(docs)
        pieces, spans, rows = self._rows(docs)
        ops, hidden = self.model.ops, description.config.hidden_size
        states: list[Any] = [ops.alloc2f(len(own_pieces.pieces.ids), hidden) for own_pieces in pieces]
        entity_vectors: list[dict[int, Any]] = [{} for _ in docs]
        for group, batch in self._prefetched(self._window_batches(docs, rows)):
            piece_states, entity_states = self.model.predict(batch)
            if isinstance(piece_states, np.ndarray):  # on a GPU, only what is read off it is looked at
                self._check_finite(piece_states)
            for i, row in enumerate(group):
                states[row.doc][row.wanted] = piece_states[i][row.wanted - row.start + 1]
                for slot, entity in enumerate(row.members.tolist()):
                    entity_vectors[row.doc][entity] = entity_states[i, slot]
        self._has_read(docs)
        return [self._vectors_of(*parts) for parts in zip(pieces, states, spans, entity_vectors, strict=True)]

    def states(
        self, docs: Iterable[Doc], *, layers: Iterable[int] | None = None, attentions: bool = False
    ) -> list[DocStates]:
        """States of every layer for the windows of each Doc, with the entity inputs that `vectors` has.

        layers: numbers of layers: 0 is what the embeddings give, n what layer n gives, and negative ones count from the
            last layer; None = all. L155 for others.
        attentions: also the attention weights of these layers.

        The arrays are in the memory of the processor, and stay there: with attention weights a window of 512 rows takes
        1 MB for each head of each layer. `max_batch_pieces` bounds what is computed at once.
        """
        docs = self._as_list(docs)
        description = self._require_weights_or_bundled(docs)
        numbers = layer_numbers(layers, description.config.num_hidden_layers)
        recording = recording_of(numbers, attentions=attentions)
        sliding = isinstance(description.config, LongformerConfig)
        pieces, spans, rows = self._rows(docs)
        tokens = [piece_tokens(own_pieces.pieces) for own_pieces in pieces]
        windows: list[list[WindowStates]] = [[] for _ in docs]
        for group, batch in self._prefetched(self._batches(rows)):
            output = record(self.model, batch, recording)
            found = window_states(group, output, numbers, spans, tokens, description.tokenizer, sliding=sliding)
            for row, window in zip(group, found, strict=True):
                windows[row.doc].append(window)
        for doc_windows in windows:  # batches have the shortest first
            doc_windows.sort(key=lambda window: window.start)
        return [DocStates(doc, numbers, tuple(doc_windows)) for doc, doc_windows in zip(docs, windows, strict=True)]

    def _rows(self, docs: Sequence[Doc]) -> tuple[list[DocPieces], list[list[Span]], list[VectorRow]]:
        """The pieces and the entities of each Doc, and the rows of all."""
        tokenizer, windows = self._require_weights().tokenizer, self.windows
        pieces = [doc_pieces(doc, tokenizer) for doc in docs]
        spans = [list(doc.spans.get(self.spans_key, ()) if self.spans_key else doc.ents) for doc in docs]
        rows = [
            row
            for index, (own_pieces, doc_spans) in enumerate(zip(pieces, spans, strict=True))
            for row in vector_rows(index, own_pieces, *self._inputs(own_pieces, doc_spans), windows)
        ]
        return pieces, spans, rows

    def _batches(self, rows: Sequence[VectorRow]) -> Iterator[tuple[list[VectorRow], Any]]:
        """Padded inputs and the rows they are made of."""
        description = self._require_weights()
        special, entity_pad = description.tokenizer.special, description.entity_vocab[PAD]
        return make_batches(rows, self.max_batch_pieces, special, entity_pad=entity_pad)

    def _inputs(self, pieces: DocPieces, spans: Sequence[Span]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The entity inputs of a Doc: which of the spans they are, their ids, their pieces."""
        if not spans or self.entities == "none" or not self._require_weights().config.entity_inputs:
            none = np.zeros(0, dtype=np.int64)
            return none, none, none.reshape(0, 2)
        tokens = np.array([(span.start, span.end) for span in spans], dtype=np.int64)
        first, last = trim(pieces.visible, tokens)
        seen = np.flatnonzero(first <= last)
        ranges = np.stack([pieces.pieces.starts[first[seen]], pieces.pieces.ends[last[seen]]], axis=1)
        ids = np.array([self._entity_id(spans[i]) for i in seen.tolist()], dtype=np.int64)
        return seen, ids, ranges

    def _entity_id(self, span: Span) -> int:
        vocab = self._require_weights().entity_vocab
        title = {"title": span.text, "kb_id": span.kb_id_}.get(self.entities, "")
        found = (t for t in (title, f"{span.doc.lang_}:{title}") if title and t in vocab)
        return vocab[next(found, MASK)]

    def _vectors_of(
        self, pieces: DocPieces, states: Any, spans: list[Span], entity_vectors: dict[int, Any]
    ) -> DocVectors:
        ops = self.model.ops
        starts, ends = pieces.pieces.starts, pieces.pieces.ends
        tokens: Any = ops.alloc2f(len(starts), states.shape[1])
        visible = np.flatnonzero(pieces.visible)
        if len(visible):
            owned = np.concatenate([np.arange(starts[i], ends[i]) for i in visible])
            lengths = ops.asarray1i((ends - starts)[visible])
            tokens[visible] = ops.reduce_mean(states[owned], lengths)
        entities: Any = ops.alloc2f(len(spans), states.shape[1])
        for i, span in enumerate(spans):
            inside = visible[(visible >= span.start) & (visible < span.end)]
            if i in entity_vectors:
                entities[i] = entity_vectors[i]
            elif len(inside):
                entities[i] = tokens[inside].mean(axis=0)
        return DocVectors(pieces.pieces, states, tokens, spans, entities)
