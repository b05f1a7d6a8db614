"""`luke_ner`: every candidate span is an entity of the encoder, and the classifier says which kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.vocab import Vocab
from thinc.api import Model

from ...annotations import annotated_entities
from ...batching.mentions import SpanCandidates, Suggester, find_candidates, suggest
from ...batching.pieces import DocBatch, doc_pieces
from ...batching.windows import Windows, build_sentence_windows
from ...checkpoints.checkpoint import Description
from ...checkpoints.heads import SPAN_CLASSIFIER
from ...checks import require_at_least, require_one_of, require_probability
from ...encoders.config import EncoderConfig, LukeConfig, has_independent_attention
from ...encoders.encoder import Encoder
from ...encoders.heads import EntitySpanClassification
from ...encoders.span_filter import SpanFilter, SpanFilterSettings
from ...errors import LukeError, warn
from ...extensions import write_scored_spans
from ...tokenization.entity_vocab import MASK
from ..base.component import TaskComponent, Training
from ..base.entities import DECODINGS, SpanLogits, positive_spans, write_entities
from ..base.factory import component_factory
from ..base.gold import GoldReport, GoldSpans, gold_spans, has_entity_annotation, listed
from ..base.negative_label import NO_ENTITY, find_negative
from ..base.score_weights import ENTS_WEIGHTS, ScoreWeights, spans_weights
from ..base.stored_head import StoredHead
from .filter import SPAN_FILTER, FilterProbabilities, filter_probabilities, usable_filter, without_filter
from .inputs import MentionRow, NERInputs, mention_rows
from .loss import batch_loss, sample_negatives

# For the memory budget: with a span filter about this share of the candidates is encoded.
FILTERED_SHARE = 1 / 16

DEFAULT_CONFIG = """
[luke_ner]
windows = null
span_filter = null
max_mention_pieces = 30
chunk_size = 128
max_negatives = null
overlap = false
overwrite = false
decoding = "greedy"
threshold = 0.0
negative_label = null
spans_key = "luke_ner"
max_batch_pieces = 4096

[luke_ner.model]
@architectures = "spacy-luke.SpanClassifier.v1"

[luke_ner.model.encoder]
entity_attention = null

[luke_ner.suggester]
@misc = "spacy-luke.span_suggester.v1"
max_pieces = 16

[luke_ner.scorer]
@scorers = "spacy-luke.ner_scorer.v1"
"""


class LukeNER(TaskComponent):
    """Named entities by classifying candidate spans (Yamada et al. 2020, section 4.3).

    windows: how a Doc is cut; null = as the checkpoint was trained, else the paper's document context (LUKE) or the
        whole Doc (Longformer).
    suggester: any spaCy suggester; default: all spans inside a sentence up to 16 pieces.
    span_filter: drops candidates before they are encoded, for a LUKE with independent attention (see
        `build_span_filter`); null = as the checkpoint has it, which may be none.
    max_mention_pieces: longest candidate in pieces; longer ones are left out with a warning.
    chunk_size: most candidates of a window that are encoded together (128 in the paper); encoders whose mentions do
        not see each other take all.
    max_negatives: candidates without label per window in training, drawn at random; the loss
        makes up for it (see `sample_negatives`); null = all, as in the paper.
    overlap: write all positive spans to `doc.spans[spans_key]` and leave `doc.ents` alone; otherwise write those to
        `doc.ents` that do not overlap.
    overwrite: replace entities that the Doc has already; otherwise they stay and win over predicted ones. Tokens that
        are blocked (`doc.set_ents(…, blocked=…)`) are in no entity and stay blocked, as with spaCy's `ner`.
    decoding: "greedy": of spans that overlap, those with the best raw scores are entities, best first, as in the paper;
        "joint": those that are the most probable together, each with a probability of at least one half.
    threshold: least probability in [0, 1] of a predicted entity; 0 = the most probable label decides, as in the paper.
    negative_label: label for "no entity"; null = found among the labels by its name (NIL, O, …).
    spans_key: key of `doc.spans` for the predicted spans and their `.attrs["scores"]`.
    max_batch_pieces: most pieces and entities of one forward pass, padding included.
    """

    architecture = SPAN_CLASSIFIER
    factory = "luke_ner"
    gold_place = "doc.ents"
    head_options = (SPAN_FILTER,)

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str,
        *,
        windows: Windows | None,
        suggester: Suggester,
        span_filter: SpanFilterSettings | None,
        max_mention_pieces: int,
        chunk_size: int,
        max_negatives: int | None,
        overlap: bool,
        overwrite: bool,
        decoding: str,
        threshold: float,
        negative_label: str | None,
        spans_key: str,
        max_batch_pieces: int,
        scorer: Callable[..., dict[str, Any]] | None,
    ):
        super().__init__(vocab, model, name, windows=windows, max_batch_pieces=max_batch_pieces, scorer=scorer)
        require_at_least(1, max_mention_pieces=max_mention_pieces, chunk_size=chunk_size)
        if max_negatives is not None:
            require_at_least(0, max_negatives=max_negatives)
        require_one_of(DECODINGS, decoding=decoding)
        require_probability(threshold=threshold)
        self.suggester = suggester
        self.max_mention_pieces = max_mention_pieces
        self.chunk_size = chunk_size
        self._span_filter_setting = span_filter
        self._negative_setting = negative_label
        self.max_negatives = max_negatives
        self.overlap = overlap
        self.overwrite = overwrite
        self.decoding = decoding
        self.threshold = threshold
        self.spans_key = spans_key
        self.missed_gold: Counter[str] = Counter()

    @property
    def windows(self) -> Windows:
        """The windows in use: those of the config, else those that the checkpoint was trained with, else the
        paper's; never longer than the encoder's positions allow."""
        return self._windows(build_sentence_windows, special_pieces=2)

    @property
    def span_filter(self) -> SpanFilter | None:
        """The filter in use."""
        module = self._module
        assert isinstance(module, EntitySpanClassification)
        return module.span_filter

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of entities, without the negative one; () before the component has weights."""
        return tuple(label for label in self.logit_labels if label != self.negative_label)

    @property
    def negative_label(self) -> str:
        """The label that means "no entity"; L030 if there is none."""
        return self._negative_of(self.logit_labels)

    @property
    def _calibration_scores(self) -> tuple[str, str]:
        prefix = f"spans_{self.spans_key}" if self.overlap else "ents"
        return f"{prefix}_f", f"{prefix}_ece"

    @property
    def _biased_row(self) -> int | None:
        return self.logit_labels.index(self.negative_label)

    def _negative_of(self, labels: tuple[str, ...]) -> str:
        negative = find_negative(self.name, labels, self._negative_setting, NO_ENTITY)
        if negative is None:
            raise LukeError("L030", labels=", ".join(labels), count=len(labels))
        return negative

    def _check_labels(self, labels: tuple[str, ...]) -> None:
        self._negative_of(labels)

    def _labels_of_new_head(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        negative = self._negative_setting or NO_ENTITY[0]
        return (negative, *(label for label in labels if label != negative)) if labels else ()

    # Weights

    def _attaches_entities(self, source: Description, settings: Mapping[str, Any]) -> bool:
        return has_independent_attention(source.config)

    def _head_options(self, source: Description, *, new_head: bool) -> dict[str, Any]:
        settings = usable_filter(self._span_filter_setting, source, self.name)
        return {SPAN_FILTER: settings} if settings else {}

    def _attach_saved_head(self, head: StoredHead, source: Description, encoder: Encoder) -> None:
        if SPAN_FILTER in head.settings and not usable_filter(
            self._span_filter_setting, replace(source, settings=head.settings), self.name
        ):
            head = without_filter(head)
        super()._attach_saved_head(head, source, encoder)

    # Prediction

    def logits(self, docs: Iterable[Doc]) -> list[tuple[list[Span], np.ndarray]]:
        """Per Doc its candidate spans and their raw scores, before softmax; with a span filter, of those it keeps.

        *Shape:* (spans, labels), float32; labels in the order of `logit_labels`, the negative one included.
        """
        docs = self._as_list(docs)
        return [
            ([doc[start:end] for start, end in scored.spans.tolist()], scored.logits)
            for doc, scored in zip(docs, self.predict(docs), strict=True)
        ]

    def predict(self, docs: Iterable[Doc]) -> list[SpanLogits]:
        """Raw scores of the candidates of each Doc, or of those that the span filter keeps."""
        encoded, scores = self._score(docs)
        labels = len(self.logit_labels)
        found = []
        for candidates, mention_logits in zip(encoded.candidates, scores, strict=True):
            logits = mention_logits[candidates.mention_of][:, :labels]
            kept = logits[:, 0] != -np.inf
            found.append(SpanLogits(candidates.spans[kept], logits[kept]))
        return found

    def filter_probabilities(self, docs: Iterable[Doc]) -> list[FilterProbabilities]:
        """Probabilities that the span filter gives the candidates of each Doc; L056 without one."""
        if self.span_filter is None:
            raise LukeError("L056", name=self.name)
        encoded, scores = self._score(docs)
        return [
            filter_probabilities(candidates, mention_logits[:, -1])
            for candidates, mention_logits in zip(encoded.candidates, scores, strict=True)
        ]

    def set_annotations(self, docs: Iterable[Doc], scores: Sequence[SpanLogits]) -> None:
        """Decode raw scores into `doc.ents` (or `doc.spans`, with `overlap`) and scores of spans."""
        for doc, scored in zip(docs, scores, strict=True):
            self._annotate(doc, scored)

    def _annotate(self, doc: Doc, scored: SpanLogits) -> None:
        labels = self._require_weights().labels
        found = positive_spans(scored, labels.index(self.negative_label), self.threshold)
        if self.overlap:
            write_scored_spans(doc, self.spans_key, found.in_doc(doc, labels), found.probabilities.tolist())
        else:
            write_entities(doc, found, labels, self.spans_key, overwrite=self.overwrite, decoding=self.decoding)

    def _score(self, docs: Iterable[Doc]) -> tuple[NERInputs, list[np.ndarray]]:
        """Score the mentions of each Doc: see `EntitySpanClassification.forward`."""
        docs = self._as_list(docs)
        description = self._require_weights_or_bundled(docs)
        self._warn_without_sentences(docs)
        encoded = self._encode(docs)
        width = len(description.labels) + (self.span_filter is not None)
        scores = [np.zeros((len(c.mentions), width), dtype=np.float32) for c in encoded.candidates]
        batches = self._batches(docs, encoded, [np.arange(len(c.mentions)) for c in encoded.candidates])
        for rows, found in self._predict_batches(batches):
            for row, row_scores in zip(rows, found, strict=True):
                scores[row.doc][row.mentions] = row_scores[: len(row.mentions)]
        self._has_read(docs)
        return encoded, scores

    def _encode(self, docs: list[Doc]) -> NERInputs:
        tokenizer = self._require_weights().tokenizer
        pieces = [doc_pieces(doc, tokenizer) for doc in docs]
        batch = DocBatch.from_pieces(pieces)
        suggested = suggest(self.suggester, docs, batch, self.model.ops, self.name)
        candidates = find_candidates(pieces, batch, suggested, self.windows, self.max_mention_pieces)
        left_out: Counter[str] = sum((c.left_out for c in candidates if c.left_out), Counter())
        if left_out:
            warn("W005", name=self.name, count=left_out.total(), reasons=listed(left_out))
        return NERInputs(pieces, candidates)

    def _batches(
        self,
        docs: Sequence[Doc],
        encoded: NERInputs,
        mentions: Sequence[np.ndarray],
        drawn: Sequence[np.ndarray | None] | None = None,
        *,
        training: bool = False,
    ) -> Iterable[tuple[list[MentionRow], Any]]:
        """Padded inputs that show the given mentions of each Doc, with the rows they are made of.

        drawn: for each Doc the mentions that a span filter is to keep in training.
        """
        description = self._require_weights()
        chunk_size, share = self._encoding(description.config)
        mask = description.entity_vocab[MASK]
        rows = [
            row
            for doc, (candidates, chosen, kept) in enumerate(
                zip(encoded.candidates, mentions, drawn or [None] * len(mentions), strict=True)
            )
            for row in mention_rows(
                doc,
                encoded.pieces[doc].pieces,
                candidates,
                chosen,
                chunk_size,
                mask=mask,
                share=share,
                drawn=kept,
            )
        ]
        return self._window_batches(docs, rows, training=training)

    def _encoding(self, config: EncoderConfig) -> tuple[int | None, float]:
        """Most mentions of a row, and the share of them that an encoder computes a row for."""
        if not isinstance(config, LukeConfig):
            return None, 0.0
        if config.entity_attention == "full":
            return self.chunk_size, 1.0
        return None, 1.0 if self.span_filter is None else FILTERED_SHARE

    # Training

    @property
    def score_weights(self) -> ScoreWeights:
        """Default weights of the scores of what the component writes: entities, or with overlap spans."""
        return spans_weights(self.spans_key) if self.overlap else ENTS_WEIGHTS

    def score(self, examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
        """Scores of what the component writes; see the scorer."""
        settings = {"spans_key": self.spans_key, "overlap": self.overlap}
        return super().score(examples, **{**settings, **kwargs})

    def _training(self, examples: Sequence[Example]) -> Training[list[MentionRow]]:
        """Return the candidates. The loss is their mean cross entropy and, with a span filter, that of its decisions.

        Docs without entity annotation and candidates with tokens whose annotation is missing are left out. Where a Doc
        is annotated with some labels only (`set_entity_labels`), the others remain possible for candidates without
        label, except those that overlap an entity.
        """
        examples = [e for e in examples if has_entity_annotation(e.reference, self.gold_of(e.reference))]
        docs = [example.predicted for example in examples]
        self._warn_without_sentences(docs)
        encoded = self._encode(docs)
        gold = [self._gold(example, c) for example, c in zip(examples, encoded.candidates, strict=True)]
        negative, limit = self.logit_labels.index(self.negative_label), self.max_negatives
        samples = [sample_negatives(c, g, negative, limit) for c, g in zip(encoded.candidates, gold, strict=True)]
        hard = self.span_filter.settings.hard_negatives if self.span_filter else None
        if hard is None:
            batches = self._batches(docs, encoded, [sample.mentions for sample in samples], training=True)
        else:
            known, drawn = [s.known for s in samples], [s.drawn for s in samples]
            batches = self._batches(docs, encoded, known, drawn, training=True)
        total = max(sum(len(sample.mentions) for sample in samples), 1)
        return Training(batches, total, lambda rows, logits, _: batch_loss(rows, logits, gold, samples, negative, hard))

    @property
    def _gold_place(self) -> str:
        return f"doc.spans[{self.spans_key!r}], since overlap = true" if self.overlap else self.gold_place

    def _labels_of(self, get_examples: Callable[[], Iterable[Example]]) -> tuple[str, ...]:
        return tuple(sorted({span.label_ for example in get_examples() for span in self.gold_of(example.reference)}))

    def gold_of(self, reference: Doc) -> Sequence[Span]:
        """The gold spans: entities, or the spans under `spans_key` for a component with overlap."""
        return annotated_entities(
            reference, reference.spans.get(self.spans_key, ()) if self.overlap else reference.ents
        )

    def _match(self, example: Example, candidates: SpanCandidates) -> GoldSpans:
        spans = self.gold_of(example.reference)
        return gold_spans(example, spans, candidates, self.logit_labels, self.negative_label, overlap=self.overlap)

    def _gold(self, example: Example, candidates: SpanCandidates) -> GoldSpans:
        gold = self._match(example, candidates)
        if gold.unknown_labels:
            unknown, known = ", ".join(gold.unknown_labels), ", ".join(self.labels)
            raise LukeError("L041", labels=unknown, name=self.name, known=known)
        self.missed_gold += gold.missed
        return gold

    def _prepare(self, get_examples: Callable[[], Iterable[Example]]) -> None:
        report = GoldReport()
        for example in get_examples():
            spans = len(self.gold_of(example.reference))
            if spans:
                [candidates] = self._encode([example.predicted]).candidates
                report.add(self._match(example, candidates), spans)
        report.warn(self.name)


make_luke_ner = component_factory(
    LukeNER,
    DEFAULT_CONFIG,
    assigns=["doc.ents", "doc.spans", "token.ent_iob", "token.ent_type", "span._.score"],
    score_weights=dict(ENTS_WEIGHTS),
)
