"""`luke_encoder`: vectors of pieces, tokens and entities, and one encoder for any number of components."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab
from thinc.api import Config, Model
from thinc.types import Floats2d

from ..annotations import set_entity_vectors
from ..batching.collate import make_batches
from ..batching.mentions import trim
from ..batching.pieces import DocPieces, doc_pieces
from ..batching.strided import build_strided_windows
from ..batching.vector_rows import VectorRow, vector_rows
from ..batching.windows import Windows, build_sentence_windows
from ..checkpoints.checkpoint import Checkpoint
from ..errors import LukeError
from ..tokenization.entity_vocab import MASK, PAD
from ..tokenization.pieces import WordPieces
from .owner import GradClip, OwnerPipe

DEFAULT_CONFIG = """
[luke_encoder]
windows = null
entities = "mask"
spans_key = null
set_vectors = true
max_batch_pieces = 4096
component_grad_clip = null

[luke_encoder.model]
@architectures = "spacy-luke.LukeEncoder.v1"
entity_vocab = "special"
precision = "float32"
"""

ENTITIES = ("none", "mask", "title", "kb_id")


@Language.factory(
    "luke_encoder",
    assigns=["doc.tensor", "span._.entity_vector"],
    default_config=Config().from_str(DEFAULT_CONFIG)["luke_encoder"],
)
def make_luke_encoder(
    nlp: Language,
    name: str,
    model: Model,
    windows: Windows | None,
    entities: str,
    spans_key: str | None,
    set_vectors: bool,
    max_batch_pieces: int,
    component_grad_clip: float | dict[str, float | None] | None,
) -> LukeEncoderPipe:
    """Make a `luke_encoder` component; see `LukeEncoderPipe` for the settings."""
    return LukeEncoderPipe(
        nlp.vocab,
        model,
        name,
        windows=windows,
        entities=entities,
        spans_key=spans_key,
        set_vectors=set_vectors,
        max_batch_pieces=max_batch_pieces,
        component_grad_clip=component_grad_clip,
    )


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


class LukeEncoderPipe(OwnerPipe):
    """An encoder without a head. Components whose model has `spacy-luke.SharedEncoder.v1` use its weights.

    windows: how a Doc is cut; null = windows as long as the encoder reads, each three quarters of that further than
        the one before. A piece in several windows is read from the one that shows most around it.
    entities: entity inputs of LUKE: "none"; "mask": each span as [MASK]; "title": as the entity whose title its text
        is; "kb_id": as the entity that its `kb_id_` names. Entities that are not in the entity vocabulary (which
        `entity_vocab` of the model trims) are [MASK]s.
    spans_key: key of `doc.spans` with the spans that get vectors; null = `doc.ents`.
    set_vectors: write `doc.tensor` and `span._.entity_vector`; false for an encoder that is only to be shared, which
        then costs nothing by itself.
    max_batch_pieces: most pieces and entities of one forward pass, padding included.
    component_grad_clip: largest norm of the gradient that each component adds to the encoder in an update: a number for
        all, or a mapping from their names; null, or not in the mapping = any.

    It has no loss of its own: the components that share it train it, unless it is among the frozen components.
    """

    factory = "luke_encoder"
    box_warning = "W026"

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str,
        *,
        windows: Windows | None,
        entities: str,
        spans_key: str | None,
        set_vectors: bool,
        max_batch_pieces: int,
        component_grad_clip: GradClip = None,
    ):
        settings = {"max_batch_pieces": max_batch_pieces, "component_grad_clip": component_grad_clip}
        super().__init__(vocab, model, name, windows=windows, **settings)
        if entities not in ENTITIES:
            reason = f"it must be one of {', '.join(ENTITIES)}"
            raise LukeError("L047", setting="entities", value=entities, reason=reason)
        self.entities = entities
        self.spans_key = spans_key
        self.set_vectors = set_vectors

    def _check_checkpoint(self, checkpoint: Checkpoint) -> None:
        if self.entities in ("title", "kb_id") and self._encoder_settings["entity_vocab"] == "special":
            reason = 'it needs entity_vocab = "full", or a file of titles, in the component\'s model'
            raise LukeError("L047", setting="entities", value=self.entities, reason=reason)

    # Vectors

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
            set_entity_vectors(doc, vectors.spans, self.model.ops.to_numpy(vectors.entities))

    def vectors(self, docs: Iterable[Doc]) -> list[DocVectors]:
        """States of pieces, tokens and entities of each Doc, on the device of the model."""
        docs = self._listed(docs)
        description = self._require_weights_or_box(docs)
        pieces = [doc_pieces(doc, description.tokenizer) for doc in docs]
        spans = [list(doc.spans.get(self.spans_key, ()) if self.spans_key else doc.ents) for doc in docs]
        windows = self.windows
        rows = [
            row
            for index, (of_doc, doc_spans) in enumerate(zip(pieces, spans, strict=True))
            for row in vector_rows(index, of_doc, *self._inputs(of_doc, doc_spans), windows)
        ]
        ops, hidden = self.model.ops, description.config.hidden_size
        states: list[Any] = [ops.alloc2f(len(of_doc.pieces.ids), hidden) for of_doc in pieces]
        of_entities: list[dict[int, Any]] = [{} for _ in docs]
        for group, batch in self._ahead(self._batches(rows)):
            piece_states, entity_states = self.model.predict(batch)
            for i, row in enumerate(group):
                states[row.doc][row.wanted] = piece_states[i][row.wanted - row.start + 1]
                for slot, entity in enumerate(row.members.tolist()):
                    of_entities[row.doc][entity] = entity_states[i, slot]
        return [self._vectors_of(*parts) for parts in zip(pieces, states, spans, of_entities, strict=True)]

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

    def _vectors_of(self, pieces: DocPieces, states: Any, spans: list[Span], of_entities: dict[int, Any]) -> DocVectors:
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
            if i in of_entities:
                entities[i] = of_entities[i]
            elif len(inside):
                entities[i] = tokens[inside].mean(axis=0)
        return DocVectors(pieces.pieces, states, tokens, spans, entities)
