"""`luke_entity_linker`: entities are masked, and the encoder predicts which of their candidates they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from spacy.kb import KnowledgeBase
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.vocab import Vocab
from thinc.api import Config, Model

from ...annotations import set_linked_entities
from ...batching.windows import Windows
from ...checkpoints.checkpoint import Checkpoint, Description
from ...checkpoints.heads import MASKED_LM, architecture_on
from ...encoders.encoder import Encoder
from ...encoders.heads import TaskModule
from ...errors import LukeError
from ...knowledge_base import NIL, CandidateGenerator, load_kb
from ...tokenization.entity_vocab import EntityVocab, read_titles
from ..base.stored_head import StoredHead
from .decoding import Mentions
from .knowledge_base import read_kb_titles
from .training import LearningLinkPipe

BIAS = "entity_predictions.bias"
# What L085 advises.
_SETTING = "Set entity_vocab = 'full', or a file of titles, in [components.{place}]"
_IF_IT_HAS = " and load a checkpoint with titles; lite models have none"
_NO_TITLES = (
    "The checkpoint has no others, as lite models: take the one with entities (studio-ousia/luke-base, not "
    "luke-base-lite), or give [initialize.components.{name}] entities, a file of titles, and train. For other "
    "components and for FillMask it will do"
)
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
@architectures = "spacy-luke.LukeEncoder.v1"
entity_vocab = "full"
precision = "float32"

[luke_entity_linker.get_candidates]
@misc = "spacy-luke.candidates.v1"
lowercase = true

[luke_entity_linker.generate_empty_kb]
@misc = "spacy.EmptyKB.v2"

[luke_entity_linker.scorer]
@scorers = "spacy-luke.entity_linker_scorer.v1"
"""


@Language.factory(
    "luke_entity_linker",
    requires=["doc.ents"],
    assigns=["token.ent_kb_id", "span._.linked_entities"],
    default_config=Config().from_str(DEFAULT_CONFIG)["luke_entity_linker"],
    default_score_weights={"nel_micro_f": 1.0, "nel_micro_p": None, "nel_micro_r": None, "nel_in_kb_acc": None},
)
def make_luke_entity_linker(
    nlp: Language,
    name: str,
    model: Model,
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
) -> LukeEntityLinker:
    """Make a `luke_entity_linker` component; see `LukeEntityLinker` for the settings."""
    return LukeEntityLinker(
        nlp.vocab,
        model,
        name,
        windows=windows,
        decoding=decoding,
        mentions_per_pass=mentions_per_pass,
        prior_weight=prior_weight,
        max_candidates=max_candidates,
        unknown_candidates=unknown_candidates,
        threshold=threshold,
        n_best=n_best,
        labels_discard=labels_discard,
        overwrite=overwrite,
        max_mention_pieces=max_mention_pieces,
        mask_rate=mask_rate,
        loss=loss,
        freeze_entities=freeze_entities,
        max_batch_pieces=max_batch_pieces,
        get_candidates=get_candidates,
        generate_empty_kb=generate_empty_kb,
        scorer=scorer,
    )


class LukeEntityLinker(LearningLinkPipe):
    """Links of entities, predicted behind a mask (Yamada et al. 2022, "Global Entity Disambiguation with BERT").

    windows: how a Doc is cut; null = as the checkpoint was trained, else windows of 510 pieces. The entities of a
        window are decoded together.
    decoding: "local": all entities are masked, and one pass decides; "global": the link whose probability is highest is
        taken first, and its entity given to the encoder in the next pass.
    mentions_per_pass: links of a window that a pass of global decoding takes (1 in the paper).
    prior_weight: times log p(entity | mention) is added to the logits; 0 = the prior only says what is a candidate, as
        in the paper.
    max_candidates: of a mention, those with the largest priors.
    unknown_candidates: those that are not in the entity vocabulary keep their "prior" (`KnownCandidates`), or "drop".
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
        freeze_entities: bool,
        **settings: Any,
    ):
        super().__init__(vocab, model, name, **settings)
        self.freeze_entities = freeze_entities
        self._new_entities: list[str] = []

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
            self._warn_without_aliases()
        super().initialize(get_examples, nlp=nlp, checkpoint=checkpoint, revision=revision)

    def _load_bundled(self, *, to_train: bool = False) -> bool:
        # With further entities, the head of the bundled model has too few rows.
        return not self._new_entities and super()._load_bundled(to_train=to_train)

    def _open(self, path: Path, *, to_train: bool = False) -> Checkpoint:
        checkpoint = super()._open(path, to_train=to_train)
        adds = to_train and self._new_entities and checkpoint.config.entity_inputs
        return checkpoint.with_entities(self._new_entities) if adds else checkpoint

    def _check_encoder(self, source: Description) -> None:
        kind = source.config.model_type
        if not source.config.entity_inputs:
            raise LukeError("L023", architecture=architecture_on(kind, MASKED_LM), model_type=kind, known=MASKED_LM)

    def _set_module(
        self, module: TaskModule, source: Description, entity_vocab: EntityVocab, *args: Any, **kw: Any
    ) -> None:
        if not entity_vocab.title_of:
            raise self._no_entities(source)
        super()._set_module(module, source, entity_vocab, *args, **kw)
        if self.freeze_entities:
            head: Any = module
            head.entity_predictions.bias.requires_grad_(False)
            if head.entity_predictions.decoder is not None:
                head.entity_predictions.decoder.requires_grad_(False)
            if self._owns_encoder:
                head.encoder.entity_embeddings.entity.requires_grad_(False)

    def _no_entities(self, source: Description) -> LukeError:
        """source: of the encoder. Settings help only if its checkpoint has titles, as far as that is known."""
        if not isinstance(source, Checkpoint):
            provider = self._provider.name
            return LukeError(
                "L085", name=self.name, path=provider, remedy=_SETTING.format(place=f"{provider}.model") + _IF_IT_HAS
            )
        if source.entity_vocab.title_of:
            remedy = _SETTING.format(place=f"{self.name}.model.encoder")
        else:
            remedy = _NO_TITLES.format(name=self.name)
        return LukeError("L085", name=self.name, path=source.path, remedy=remedy)

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

    def set_annotations(self, docs: Iterable[Doc], mentions: Sequence[Mentions]) -> None:
        """Write `kb_id_` of the entities, and their best candidates with probabilities to `span._.linked_entities`."""
        for doc, of_doc in zip(docs, mentions, strict=True):
            for span, ranking in zip(of_doc.spans, of_doc.rankings, strict=True):
                if ranking is not None:
                    sure = bool(ranking.kb_ids) and ranking.probabilities[0] >= self.threshold
                    _write_link(span, ranking.kb_ids[0] if sure else NIL)
                    best = zip(ranking.kb_ids[: self.n_best], ranking.probabilities, strict=False)
                    set_linked_entities(span, list(best))
            for ent in doc.ents:
                if ent.label_ in self.labels_discard and (self.overwrite or not ent.kb_id_):
                    _write_link(ent, NIL)
                    set_linked_entities(ent, ())


def _write_link(span: Span, kb_id: str) -> None:
    for token in span:
        token.ent_kb_id_ = kb_id
