"""`luke_entity_linker`: entities are masked, and the encoder predicts which of their candidates they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from spacy.kb import KnowledgeBase
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.vocab import Vocab
from thinc.api import Model

from ...annotations import set_linked_entities
from ...batching.pieces import doc_pieces
from ...batching.windows import Windows
from ...checkpoints.checkpoint import Checkpoint, Description
from ...checkpoints.heads import MASKED_LM, architecture_on
from ...checks import require_at_least, require_one_of, require_probability
from ...default_model import bundled_component
from ...encoders.config import has_independent_attention
from ...encoders.encoder import Encoder
from ...errors import LukeError, warn
from ...knowledge_base import NIL, CandidateGenerator, KnowledgeBaseLoader, StoredKnowledgeBase, load_kb
from ...tokenization.entity_vocab import MASK, EntityVocab, read_titles
from ..base.checkpoint_component import CFG
from ..base.component import TaskComponent, Training
from ..base.factory import component_factory
from ..base.gold import GoldReport, listed
from ..base.losses import cross_entropy
from ..base.stored_head import StoredHead
from .candidates import CandidateFinder, EntityCandidates, KnowledgeBaseCandidates, VocabularyCandidates, entity_id
from .decoding import DECODINGS, LinkDecoder, Mentions, bounded, listed_scores, saved_windows, split_logits
from .gold import LinkedDoc, draw_masked, gold_links
from .inputs import EntityRow, PlacedEntities, place_entities, windows_with_entities
from .knowledge_base import (
    KB,
    UNKNOWN_CANDIDATES,
    no_titles,
    read_kb_titles,
    read_saved_kb,
    warn_unknown,
    warn_without_aliases,
)

LOSSES = ("candidates", "vocabulary")
BIAS = "entity_predictions.bias"
DEFAULT_CONFIG = """
[luke_entity_linker]
windows = null
decoding = "local"
mentions_per_pass = 1
prior_weight = 1.0
max_candidates = 30
unknown_candidates = "prior"
threshold = 0.0
n_best = 5
labels_discard = []
overwrite = true
max_mention_pieces = 30
mask_rate = 0.9
loss = "candidates"
freeze_entities = false
max_batch_pieces = 4096

[luke_entity_linker.model]
@architectures = "spacy-luke.EntityPrediction.v1"

[luke_entity_linker.model.encoder]
entity_vocab = "full"

[luke_entity_linker.get_candidates]
@misc = "spacy-luke.candidates.v1"
lowercase = true

[luke_entity_linker.generate_empty_kb]
@misc = "spacy.EmptyKB.v2"

[luke_entity_linker.scorer]
@scorers = "spacy-luke.entity_linker_scorer.v1"
"""


class LukeEntityLinker(TaskComponent):
    """Links of entities, predicted behind a mask (Yamada et al. 2022, "Global Entity Disambiguation with BERT").

    windows: how a Doc is cut; null = as the checkpoint was trained, else windows of 510 pieces. The entities of a
        window are decoded together.
    decoding: "local": all entities are masked, and one pass decides; "global": the link whose probability is highest is
        taken first, and its entity given to the encoder in the next pass.
    mentions_per_pass: links of a window that a pass of global decoding takes (1 in the paper).
    prior_weight: times log p(entity | mention) is added to the logits; 0 = the prior only says what is a candidate, as
        in the paper.
    max_candidates: of a mention, those with the largest priors.
    unknown_candidates: those that are not in the entity vocabulary keep their "prior" (see
        `KnowledgeBaseCandidates`), or "drop".
    threshold: least probability in [0, 1] of a link; below it, and without candidate, an entity is linked to NIL.
    n_best: candidates that are kept in `span._.linked_entities`.
    labels_discard: labels of entities that are linked to NIL unseen.
    overwrite: replace links that entities have already; otherwise they stay and are given to the encoder.
    max_mention_pieces: pieces of a mention that give it its position; the rest does not count.
    mask_rate: share of the gold links that an update masks and learns; the others are given (0.9 in the paper).
    loss: in an update, cross entropy over the "candidates" with their priors, as in the paper's fine-tuning, or over
        the whole entity "vocabulary", as in its pretraining.
    freeze_entities: leave the entity table and its bias as they are, as in the paper.
    max_batch_pieces: most pieces and entities of one forward pass, padding included.
    get_candidates, generate_empty_kb: as for spaCy's `entity_linker`.

    Without a knowledge base (`set_kb`, or `kb_loader` under [initialize]), every title of the entity vocabulary is a
    candidate: a pass then takes 4 bytes for each entity of its windows and each title.
    """

    architecture = MASKED_LM
    factory = "luke_entity_linker"
    needs_labels = False
    gold_place = "doc.ents"

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str,
        *,
        windows: Windows | None,
        decoding: str,
        mentions_per_pass: int,
        prior_weight: float,
        max_candidates: int,
        unknown_candidates: str,
        threshold: float,
        n_best: int,
        labels_discard: list[str],
        overwrite: bool,
        max_mention_pieces: int,
        mask_rate: float,
        loss: str,
        freeze_entities: bool,
        max_batch_pieces: int,
        get_candidates: CandidateGenerator,
        generate_empty_kb: Callable[[Vocab, int], KnowledgeBase],
        scorer: Callable[..., dict[str, Any]] | None,
    ):
        super().__init__(vocab, model, name, windows=windows, max_batch_pieces=max_batch_pieces, scorer=scorer)
        require_at_least(
            1,
            max_candidates=max_candidates,
            n_best=n_best,
            mentions_per_pass=mentions_per_pass,
            max_mention_pieces=max_mention_pieces,
        )
        require_one_of(UNKNOWN_CANDIDATES, unknown_candidates=unknown_candidates)
        require_one_of(DECODINGS, decoding=decoding)
        require_one_of(LOSSES, loss=loss)
        require_probability(threshold=threshold, mask_rate=mask_rate)
        if isinstance(prior_weight, bool) or not prior_weight >= 0:
            raise LukeError("L047", setting="prior_weight", value=prior_weight, reason="it must be 0 or more")
        self.decoding = decoding
        self.mentions_per_pass = mentions_per_pass
        self.prior_weight = prior_weight
        self.max_candidates = max_candidates
        self.unknown_candidates = unknown_candidates
        self.threshold = threshold
        self.n_best = n_best
        self.labels_discard = frozenset(labels_discard)
        self.overwrite = overwrite
        self.max_mention_pieces = max_mention_pieces
        self.mask_rate = mask_rate
        self.loss = loss
        self.freeze_entities = freeze_entities
        self.get_candidates = get_candidates
        self.kb_titles = {}
        self._kept = StoredKnowledgeBase(vocab, generate_empty_kb)
        self._new_entities: list[str] = []

    @property
    def windows(self) -> Windows:
        """The windows in use; never longer than the encoder's positions allow."""
        return self._windows(saved_windows, special_pieces=2)

    # Knowledge base

    @property
    def kb(self) -> KnowledgeBase | None:
        """The knowledge base in use."""
        return self._kept.kb

    @property
    def kb_titles(self) -> Mapping[str, str]:
        """kb_id -> title of the entity vocabulary, where they differ."""
        return self._kb_titles

    @kb_titles.setter
    def kb_titles(self, titles: Mapping[str, str]) -> None:
        self._kb_titles = dict(titles)
        self._ids_of_titles = {title: kb_id for kb_id, title in titles.items()}

    def set_kb(
        self, kb_loader: KnowledgeBaseLoader | str | Path | None, titles: Mapping[str, str] | None = None
    ) -> None:
        """Take candidates from another knowledge base.

        kb_loader: as for spaCy's `entity_linker`, a function from a Vocab to a knowledge base; or the folder of a saved
            `InMemoryLookupKB`; None = none, every entity of the vocabulary is a candidate.
        titles: kb_id -> title in the entity vocabulary, where they differ.

        L086 if there is none, L087 if it is empty; W042 if it has no alias, and W023 tells how many of its entities the
        model cannot score.
        """
        self._kept.kb = load_kb(kb_loader, self.vocab, self.name) if kb_loader is not None else None
        warn_without_aliases(self.name, self.kb, self.get_candidates)
        self.kb_titles = titles or {}
        if self.has_weights:
            warn_unknown(self.name, self.kb, self.entity_id, self.unknown_candidates)

    def entity_id(self, kb_id: str) -> int:
        """The id of an entity of the knowledge base in the entity vocabulary; -1 if it is not there."""
        return entity_id(self._require_weights().entity_vocab, self.kb_titles, kb_id)

    def _finder(self) -> Callable[[Span], EntityCandidates]:
        """Finds the candidates of a mention."""
        if self.kb is None:
            every = self._every_entity()
            return lambda mention: every
        return CandidateFinder(
            self.name,
            self.kb,
            self.get_candidates,
            self._require_weights().entity_vocab,
            self.kb_titles,
            self.max_candidates,
            self.unknown_candidates == "prior",
            self.prior_weight,
        )

    def _every_entity(self) -> VocabularyCandidates:
        vocab = self._require_weights().entity_vocab
        return VocabularyCandidates(vocab, self._vocabulary_rows, self._ids_of_titles, self.n_best)

    # Weights

    def initialize(  # type: ignore[override]
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        checkpoint: str | None = None,
        revision: str | None = None,
        kb_loader: object = None,  # spaCy's check of the settings knows built-in types only
        titles: str | None = None,
        entities: str | None = None,
    ) -> None:
        """Prepare for training.

        checkpoint, revision: as for every component; a LUKE without head for entities gets a new one.
        kb_loader: the knowledge base; see `set_kb`. Default: the one that the component has.
        titles: path of a JSON dictionary from its ids to titles of the entity vocabulary, where they differ.
        entities: path of a JSON list or text file of titles that are added to the entity vocabulary of the checkpoint;
            see `GrownWeights` for what their rows start as. L067 if the encoder is that of another component.
        """
        if entities is not None:
            self._encoder_source.require_own(self.name)
        self._new_entities = read_titles(entities, "entities") if entities is not None else []
        if titles is not None:
            self.kb_titles = read_kb_titles(titles)
        if kb_loader is not None:
            self._kept.kb = load_kb(kb_loader, self.vocab, self.name)
            warn_without_aliases(self.name, self.kb, self.get_candidates)
        super().initialize(get_examples, nlp=nlp, checkpoint=checkpoint, revision=revision)

    def _load_bundled(self, *, to_train: bool = False) -> bool:
        """Take its knowledge base, too, if the component has none."""
        folder = bundled_component(self.factory)
        # With further entities, the head of the bundled model has too few rows.
        if folder is None or self._new_entities or not super()._load_bundled(to_train=to_train):
            return False
        if self.kb is None:
            self._kept.kb, self.kb_titles = read_saved_kb(self._kept, folder, self._read_cfg(folder))
        return True

    def _open(self, path: Path, *, to_train: bool = False) -> Checkpoint:
        checkpoint = super()._open(path, to_train=to_train)
        adds = to_train and self._new_entities and checkpoint.config.entity_inputs
        return checkpoint.with_entities(self._new_entities) if adds else checkpoint

    def _check_encoder(self, source: Description, settings: Mapping[str, Any]) -> None:
        kind = source.config.model_type
        if not source.config.entity_inputs:
            raise LukeError("L023", architecture=architecture_on(kind, MASKED_LM), model_type=kind, known=MASKED_LM)

    def _check_head(self, source: Description, entity_vocab: EntityVocab, labels: tuple[str, ...]) -> None:
        if not entity_vocab.title_of:
            raise no_titles(self.name, source, None if isinstance(source, Checkpoint) else self._provider.name)

    def _freeze_parameters(self) -> None:
        if self.freeze_entities:
            module = self._module
            module.entity_predictions.bias.requires_grad_(False)
            if module.entity_predictions.decoder is not None:
                module.entity_predictions.decoder.requires_grad_(False)
            if self._owns_encoder:
                module.encoder.entity_embeddings.entity.requires_grad_(False)

    def _attach_saved_head(self, head: StoredHead, source: Description, encoder: Encoder) -> None:
        if BIAS in head.weights:  # else the head as a whole is refused
            self._check_entities(head.weights[BIAS].numel(), source)
        super()._attach_saved_head(head, source, encoder)

    def _change_encoder(self, source: Description, encoder: Encoder) -> None:
        self._check_entities(len(self._module.entity_predictions.bias), source)
        super()._change_encoder(source, encoder)

    def _check_entities(self, rows: int, source: Description) -> None:
        """L068 if the head was trained with another number of entities than an encoder has."""
        config: Any = source.config
        if config.entity_inputs and config.entity_vocab_size != rows:
            needed, found = (f"{config.model_type} with {count} entities" for count in (rows, config.entity_vocab_size))
            raise LukeError("L068", name=self.name, needed=needed, found=found)

    # Prediction

    def logits(self, docs: Iterable[Doc]) -> list[tuple[list[tuple[Span, tuple[str, ...]]], np.ndarray]]:
        """Per Doc its entities, each with the ids of its candidates, and their raw scores, without priors, when all
        entities are masked.

        *Shape:* (entities, most candidates), float32, filled up with -inf. Left out are entities and candidates that
        the model does not score.
        """
        docs = self._as_list(docs)
        found = self._mentions(docs)
        scores: list[dict[int, np.ndarray]] = [{} for _ in found]
        rows = [
            mentions.row(i, window, members, predicted)
            for i, mentions in enumerate(found)
            for window, members in windows_with_entities(mentions.placed)
            if (predicted := mentions.is_scored(members)).any()
        ]
        for row, row_scores in self._scored(docs, rows):
            scores[row.doc].update(zip(row.wanted.tolist(), row_scores, strict=True))
        return [listed_scores(mentions, doc_scores) for mentions, doc_scores in zip(found, scores, strict=True)]

    def predict(self, docs: Iterable[Doc]) -> list[Mentions]:
        """The entities of each Doc with their candidates, ranked."""
        docs = self._as_list(docs)
        mentions = self._mentions(docs)
        decoder = LinkDecoder(self.decoding, self.mentions_per_pass, self.threshold)
        decoder.rank(mentions, partial(self._scored, docs))
        self._has_read(docs)
        return mentions

    def set_annotations(self, docs: Iterable[Doc], mentions: Sequence[Mentions]) -> None:
        """Write `kb_id_` of the entities, and their best candidates with probabilities to `span._.linked_entities`."""
        for doc, doc_mentions in zip(docs, mentions, strict=True):
            for span, ranking in zip(doc_mentions.spans, doc_mentions.rankings, strict=True):
                if ranking is not None:
                    sure = bool(ranking.kb_ids) and ranking.probabilities[0] >= self.threshold
                    _write_link(span, ranking.kb_ids[0] if sure else NIL)
                    best = zip(ranking.kb_ids[: self.n_best], ranking.probabilities, strict=False)
                    set_linked_entities(span, list(best))
            for ent in doc.ents:
                if ent.label_ in self.labels_discard and (self.overwrite or not ent.kb_id_):
                    _write_link(ent, NIL)
                    set_linked_entities(ent, ())

    def _mentions(self, docs: Sequence[Doc]) -> list[Mentions]:
        self._require_weights_or_bundled(docs)
        find = self._finder()
        found = []
        for doc in docs:
            spans = self._shown(doc)
            ids = self._masked(len(spans))
            candidates: list[EntityCandidates | None] = []
            for i, span in enumerate(spans):
                given = bool(span.kb_id_) and not self.overwrite
                candidates.append(None if given else find(span))
                if given and (entity := self.entity_id(span.kb_id_)) >= 0:
                    ids[i] = entity
            found.append(Mentions(spans, self._place(doc, spans), candidates, ids))
        self._warn_left_out(found)
        return found

    def _shown(self, doc: Doc) -> list[Span]:
        """The entities that are linked."""
        return [ent for ent in doc.ents if ent.label_ not in self.labels_discard]

    def _place(self, doc: Doc, spans: Sequence[Span]) -> PlacedEntities:
        tokens = np.array([(span.start, span.end) for span in spans], dtype=np.int64).reshape(-1, 2)
        pieces = doc_pieces(doc, self._require_weights().tokenizer)
        return place_entities(pieces, tokens, self.windows, self.max_mention_pieces)

    def _warn_left_out(self, mentions: Iterable[Mentions]) -> None:
        left_out: Counter[str] = sum((m.placed.left_out for m in mentions), Counter())
        if left_out:
            warn("W014", name=self.name, what="entities", count=left_out.total(), reasons=listed(left_out))

    def _masked(self, count: int) -> np.ndarray:
        """Ids of masked entities. *Shape:* (count,)"""
        return np.full(count, self._require_weights().entity_vocab[MASK], dtype=np.int64)

    def _scored(self, docs: Sequence[Doc], rows: Sequence[EntityRow]) -> Iterator[tuple[EntityRow, list[np.ndarray]]]:
        """Rows with the logits of the candidates of each entity that they predict."""
        for group, logits in self._predict_batches(self._batches(docs, rows)):
            yield from zip(group, split_logits(group, logits), strict=True)

    def _batches(
        self, docs: Sequence[Doc], rows: Sequence[EntityRow], *, training: bool = False
    ) -> Iterator[tuple[list[EntityRow], Any]]:
        """Padded inputs and the rows they are made of."""
        for part in bounded(rows, self._vocabulary_rows):
            yield from self._window_batches(docs, part, training=training)

    def _attaches_entities(self, source: Description, settings: Mapping[str, Any]) -> bool:
        return has_independent_attention(source.config)

    @property
    def _vocabulary_rows(self) -> int:
        """Rows of the entity table."""
        config: Any = self._require_weights().config
        return int(config.entity_vocab_size)

    # Training

    def _training(self, examples: Sequence[Example]) -> Training[list[EntityRow]]:
        """Return the windows that have gold links, some of them masked: the loss is the mean cross entropy of these.

        A gold link is always a candidate, if it is in the entity vocabulary.
        """
        linked_docs = [self._linked_doc(example) for example in examples]
        self._warn_left_out([linked_doc.mentions for linked_doc in linked_docs])
        find = self._finder() if self.loss == "candidates" else None
        rows = [
            row for index, linked_doc in enumerate(linked_docs) for row in self._masked_rows(index, linked_doc, find)
        ]
        total = sum(len(row.wanted) for row in rows)
        docs = [example.predicted for example in examples]
        return Training(
            self._batches(docs, rows, training=True),
            total,
            lambda group, logits, _: _gradient(group, logits, linked_docs),
        )

    def _linked_doc(self, example: Example) -> LinkedDoc:
        spans = self._shown(example.predicted)
        placed = self._place(example.predicted, spans)
        mentions = Mentions(spans, placed, [None] * len(spans), self._masked(len(spans)))
        return LinkedDoc(mentions, gold_links(example, spans, self.entity_id))

    def _masked_rows(
        self, index: int, linked_doc: LinkedDoc, find: Callable[[Any], EntityCandidates] | None
    ) -> Iterable[EntityRow]:
        """The windows of a Doc that have a gold link, with some of these masked.

        find: the candidates of a mention; None = the whole vocabulary.
        """
        mentions, gold = linked_doc.mentions, linked_doc.gold
        every = self._every_entity() if find is None else None
        for window, members in windows_with_entities(mentions.placed):
            known = gold.known[members]
            masked = draw_masked(known, self.mask_rate)
            given = members[known & ~masked]
            mentions.ids[given] = gold.targets[given]
            for i in members[masked].tolist():
                found = every if find is None else find(mentions.spans[i])
                if isinstance(found, KnowledgeBaseCandidates):
                    found = found.with_gold(gold.kb_ids[i], int(gold.targets[i]))
                mentions.candidates[i] = found
            if masked.any():
                yield mentions.row(index, window, members, masked)

    def _prepare(self, get_examples: Callable[[], Iterable[Example]]) -> None:
        """Tell what of knowledge base and gold annotation the model has no entity for."""
        warn_unknown(self.name, self.kb, self.entity_id, self.unknown_candidates)
        report = GoldReport()
        docs = 0
        for example in get_examples():
            docs += 1
            gold = gold_links(example, self._shown(example.predicted), self.entity_id)
            report.add(gold, gold.total)
        if docs and not report.total:
            warn("W024", name=self.name, count=docs)
        report.warn(self.name, "W020", what="links")

    # Saving

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> LukeEntityLinker:
        """Load what `to_disk` saved, or leave the component as it was.

        exclude: as for every component, and "kb", the knowledge base with its titles.
        """
        path, exclude = Path(path), set(exclude)
        kb, titles = self.kb, self.kb_titles
        if KB not in exclude:
            cfg = self._read_cfg(path, exclude)
            kb, titles = read_saved_kb(self._kept, path, cfg, without_cfg=CFG in exclude)
        super().from_disk(path, exclude=exclude)
        self._kept.kb, self.kb_titles = kb, titles
        return self

    def _cfg(self, exclude: Collection[str]) -> dict[str, Any]:
        saved = self.kb is not None and KB not in exclude
        return {**super()._cfg(exclude), KB: saved, "titles": dict(self.kb_titles) if saved else {}}

    def _more_files(self, exclude: Collection[str]) -> dict[str, bytes]:
        files = super()._more_files(exclude)
        return files if self.kb is None or KB in exclude else {**files, KB: self._kept.to_bytes()}


def _write_link(span: Span, kb_id: str) -> None:
    for token in span:
        token.ent_kb_id_ = kb_id


def _gradient(
    group: Sequence[EntityRow], logits: np.ndarray, linked_docs: Sequence[LinkedDoc]
) -> tuple[np.ndarray, float]:
    """Gradient and sum of the cross entropy of the entities that some rows predict.

    *Shape:* (predicted, candidates) -> the same, float32
    """
    gradient = np.zeros(logits.shape, dtype=np.float32)
    total = 0.0
    place = 0
    for row, row_logits in zip(group, split_logits(group, logits), strict=True):
        mentions, gold = linked_docs[row.doc].mentions, linked_docs[row.doc].gold
        for i, mention_logits in zip(row.wanted.tolist(), row_logits, strict=True):
            found = mentions.candidates[i]
            assert found is not None
            target = np.array([found.target(int(gold.targets[i]))])
            mention_gradient, loss = cross_entropy(found.scores(mention_logits)[None], target)
            gradient[place, : len(mention_logits)] = mention_gradient[0]
            total += loss
            place += 1
    return gradient, total


make_luke_entity_linker = component_factory(
    LukeEntityLinker,
    DEFAULT_CONFIG,
    requires=["doc.ents"],
    assigns=["token.ent_kb_id", "span._.linked_entities"],
    score_weights={"nel_micro_f": 1.0, "nel_micro_p": None, "nel_micro_r": None, "nel_in_kb_acc": None},
)
