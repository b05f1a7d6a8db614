"""What a component that classifies candidate spans does before labels mean anything: from Docs to raw scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from spacy.tokens import Doc, Span

from ...batching.collate import batch_rows, collate
from ...batching.docs import Joined
from ...batching.mentions import Candidates, Suggester, find_candidates, suggest
from ...batching.pieces import DocPieces, doc_pieces
from ...batching.windows import Windows, build_sentence_windows
from ...checkpoints.checkpoint import Description
from ...checks import require_at_least
from ...encoders.config import LukeConfig
from ...encoders.encoder import Encoder
from ...encoders.heads import EntitySpanClassification
from ...encoders.span_filter import SpanFilter, SpanFilterSettings, build_span_filter
from ...errors import LukeError, warn
from ...tokenization.entity_vocab import PAD
from ...user_functions import naming_key_errors
from ..base.component import TaskComponent
from ..base.entities import SpanLogits
from ..base.gold import listed
from ..base.stored_head import StoredHead
from .filter import FilterProbabilities, filter_probabilities
from .inputs import MentionRow, mention_rows

# For the memory budget: with a span filter about this share of the candidates is encoded.
FILTERED_SHARE = 1 / 16
SPAN_FILTER = "span_filter"  # its settings, in our own block of config.json


@dataclass(frozen=True)
class Encoded:
    """Docs on their way to the encoder."""

    pieces: list[DocPieces]
    candidates: list[Candidates]


class SpanPipe(TaskComponent):
    """A component whose candidates are spans, each a mention of the encoder's input; see `LukeNER` for the settings."""

    def __init__(
        self,
        *args: Any,
        suggester: Suggester,
        span_filter: SpanFilterSettings | None,
        max_mention_pieces: int,
        chunk_size: int,
        **settings: Any,
    ):
        super().__init__(*args, **settings)
        require_at_least(1, max_mention_pieces=max_mention_pieces, chunk_size=chunk_size)
        self.suggester = suggester
        self.max_mention_pieces = max_mention_pieces
        self.chunk_size = chunk_size
        self._span_filter_setting = span_filter

    @property
    def windows(self) -> Windows:
        """The windows in use: those of the config, else those that the checkpoint was trained with, else the
        paper's; never longer than the encoder's positions allow."""
        return self._windows(build_sentence_windows, special_pieces=2)

    def _head_options(self, source: Description) -> dict[str, Any]:
        saved = source.settings.get(SPAN_FILTER)
        settings = self._span_filter_setting or (build_span_filter(**saved) if saved else None)
        if settings is None:
            return {}
        config = source.config
        if not (isinstance(config, LukeConfig) and config.entity_attention == "independent"):
            if self._span_filter_setting is None:  # that of a checkpoint which is trained for full attention
                return {}
            raise LukeError("L055", name=self.name)
        if saved and saved["layer"] != settings.layer:
            reason = f"the filter of the checkpoint was trained on layer {saved['layer']}"
            raise LukeError("L047", setting="layer", value=settings.layer, reason=reason)
        return {"span_filter": settings}

    def _settings_to_save(self, source: Description, options: Mapping[str, Any]) -> dict[str, Any]:
        settings = super()._settings_to_save(source, options)
        return {name: value for name, value in settings.items() if name != SPAN_FILTER or name in options}

    def _attach_saved_head(self, head: StoredHead, source: Description, encoder: Encoder) -> None:
        if SPAN_FILTER in head.settings and not self._head_options(replace(source, settings=head.settings)):
            settings = {name: value for name, value in head.settings.items() if name != SPAN_FILTER}
            weights = {name: value for name, value in head.weights.items() if not name.startswith(f"{SPAN_FILTER}.")}
            head = replace(head, settings=settings, weights=weights)
        super()._attach_saved_head(head, source, encoder)

    @property
    def span_filter(self) -> SpanFilter | None:
        """The filter in use."""
        module = self._module
        assert isinstance(module, EntitySpanClassification)
        return module.span_filter

    def logits(self, docs: Iterable[Doc]) -> list[tuple[list[Span], np.ndarray]]:
        """Per Doc its candidate spans and their raw scores, before softmax; with a span filter, of those it keeps.

        *Shape:* (spans, labels), float32; labels in the order of `logit_labels`, the negative one included.
        """
        docs = self._listed(docs)
        return [
            ([doc[start:end] for start, end in scored.spans.tolist()], scored.logits)
            for doc, scored in zip(docs, self.predict(docs), strict=True)
        ]

    def predict(self, docs: Iterable[Doc]) -> list[SpanLogits]:
        """Raw scores of the candidates of each Doc, or of those that the span filter keeps."""
        encoded, scores = self._score(docs)
        found = []
        for candidates, of_mentions in zip(encoded.candidates, scores, strict=True):
            logits = of_mentions[candidates.mention_of][:, : len(self.logit_labels)]
            kept = logits[:, 0] != -np.inf
            found.append(SpanLogits(candidates.spans[kept], logits[kept]))
        return found

    def filter_probabilities(self, docs: Iterable[Doc]) -> list[FilterProbabilities]:
        """What the span filter says of the candidates of each Doc; L056 without one."""
        if self.span_filter is None:
            raise LukeError("L056", name=self.name)
        encoded, scores = self._score(docs)
        return [
            filter_probabilities(candidates, of_mentions[:, -1])
            for candidates, of_mentions in zip(encoded.candidates, scores, strict=True)
        ]

    def _score(self, docs: Iterable[Doc]) -> tuple[Encoded, list[np.ndarray]]:
        """What the model gives for the mentions of each Doc: see `EntitySpanClassification.forward`."""
        docs = self._listed(docs)
        self._require_weights_or_bundled(docs)
        self._warn_without_sentences(docs)
        encoded = self._encode(docs)
        width = len(self.logit_labels) + (self.span_filter is not None)
        scores = [np.zeros((len(c.mentions), width), dtype=np.float32) for c in encoded.candidates]
        batches = self._batches(encoded, [np.arange(len(c.mentions)) for c in encoded.candidates])
        for rows, found in self._predicted(batches):
            for row, row_scores in zip(rows, found, strict=True):
                scores[row.doc][row.mentions] = row_scores[: len(row.mentions)]
        return encoded, scores

    def _encode(self, docs: list[Doc]) -> Encoded:
        tokenizer = self._require_weights().tokenizer
        pieces = [doc_pieces(doc, tokenizer) for doc in docs]
        joined = Joined.of_pieces(pieces)
        with naming_key_errors(self.name, "suggester", self.suggester):
            suggested = suggest(self.suggester, docs, joined, self.model.ops)
        candidates = find_candidates(pieces, joined, suggested, self.windows, self.max_mention_pieces)
        left_out: Counter[str] = sum((c.left_out for c in candidates if c.left_out), Counter())
        if left_out:
            warn("W005", name=self.name, count=left_out.total(), reasons=listed(left_out))
        return Encoded(pieces, candidates)

    def _batches(
        self,
        encoded: Encoded,
        mentions: Sequence[np.ndarray],
        drawn: Sequence[np.ndarray | None] | None = None,
    ) -> Iterable[tuple[list[MentionRow], Any]]:
        """Padded inputs that show the given mentions of each Doc, with the rows they are made of.

        drawn: for each Doc the mentions that a span filter is to keep in training.
        """
        description = self._require_weights()
        special, vocab = description.tokenizer.special, description.entity_vocab
        chunk_size, share = self._encoding
        rows = [
            row
            for doc, (candidates, chosen, kept) in enumerate(
                zip(encoded.candidates, mentions, drawn or [None] * len(mentions), strict=True)
            )
            for row in mention_rows(doc, candidates, chosen, chunk_size, share=share, drawn=kept)
        ]
        for group in batch_rows(rows, self.max_batch_pieces):
            inputs = [row.make(encoded.pieces[row.doc], encoded.candidates[row.doc], special, vocab) for row in group]
            yield group, collate(inputs, piece_pad=special.pad, entity_pad=vocab[PAD])

    @property
    def _encoding(self) -> tuple[int | None, float]:
        """Most mentions of a row, and the share of them that the encoder computes a row for."""
        config = self._require_weights().config
        if not isinstance(config, LukeConfig):
            return None, 0.0
        if config.entity_attention == "full":
            return self.chunk_size, 1.0
        return None, 1.0 if self.span_filter is None else FILTERED_SHARE
