"""`luke_token_classifier`: a label for every token, as tags of entities or tags of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from spacy.parts_of_speech import IDS as PARTS_OF_SPEECH
from spacy.tokens import Doc, Token
from spacy.training import Example
from spacy.vocab import Vocab
from thinc.api import Model

from ...annotations import LUKE_TAG, annotated_entities
from ...batching.collate import make_batches
from ...batching.pieces import doc_pieces
from ...batching.strided import StridedWindows
from ...batching.windows import Windows, build_sentence_windows
from ...checkpoints.checkpoint import OWN_SETTINGS, Checkpoint, Description
from ...checkpoints.heads import TOKEN_CLASSIFIER
from ...checks import require_probability
from ...encoders.inputs import EncoderInput
from ...errors import LukeError
from ...tokenization.entity_vocab import PAD
from ..base.component import TaskComponent, Training
from ..base.entities import write_entities
from ..base.factory import component_factory
from ..base.gold import GoldReport, GoldSpans
from ..base.losses import cross_entropy_of_sets, softmax
from ..base.score_weights import ENTS_WEIGHTS, ScoreWeights
from .decoding import TokenLogits, tagged_spans
from .gold import ENTS, TOKEN_ATTRIBUTES, gold_entity_tokens, gold_token_tags
from .inputs import TokenRow, token_rows
from .tag_scheme import OUTSIDE, SCHEMES, TagScheme, scheme_labels

DEFAULT_CONFIG = """
[luke_token_classifier]
windows = null
attribute = null
scheme = "BILUO"
overwrite = false
threshold = 0.0
spans_key = "luke_token_classifier"
max_batch_pieces = 4096

[luke_token_classifier.model]
@architectures = "spacy-luke.TokenClassifier.v1"

[luke_token_classifier.scorer]
@scorers = "spacy-luke.token_classifier_scorer.v1"
"""

_ATTRIBUTES = (ENTS, *TOKEN_ATTRIBUTES)


class LukeTokenClassifier(TaskComponent):
    """Entities or tags by classifying each token, as transformers' classes for token classification do.

    windows: how a Doc is cut; null = as the checkpoint was trained, else a window for each sentence alone (LUKE) or the
        whole Doc (Longformer). A token in several windows is read from the one that shows most around it.
    attribute: what is learned and written: "ents" (`doc.ents`, from labels that are tags of BILUO, BIOES, BIO or IO),
        "luke_tag" (`token._.luke_tag`), "tag" (`token.tag_`) or "pos" (`token.pos_`); null = as the checkpoint was
        trained, else "ents" if its labels are such tags and "luke_tag" if they are not. A new head learns "ents" then.
    scheme: tags of a new head: "BILUO", "BIOES", "BIO" or "IO". A head of a checkpoint has its own. IO cannot tell an
        entity from one of its type right before it (W020).
    overwrite: replace entities or tags that the Doc has already; otherwise they stay, and
        predicted entities that overlap them are left out.
    threshold: least probability in [0, 1] of a predicted entity or tag; 0 = the most probable label decides.
    spans_key: key of `doc.spans` for the predicted entities and their `.attrs["scores"]`.
    max_batch_pieces: most pieces of one forward pass, padding included.

    The label of a token is that of its first piece, as is usual in fine-tuning (Devlin et al. 2019, section 5.3, and
    transformers' examples). White space has none. How tags become entities is in `TagScheme.decode` and `tagged_spans`.

    missed_gold: reason -> how much gold annotation updates could not learn from.
    """

    architecture = TOKEN_CLASSIFIER
    factory = "luke_token_classifier"
    gold_place = "doc.ents"

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str,
        *,
        windows: Windows | None,
        attribute: str | None,
        scheme: str,
        overwrite: bool,
        threshold: float,
        spans_key: str,
        max_batch_pieces: int,
        scorer: Callable[..., dict[str, Any]] | None,
    ):
        super().__init__(vocab, model, name, windows=windows, max_batch_pieces=max_batch_pieces, scorer=scorer)
        if attribute not in (None, *_ATTRIBUTES):
            reason = f"it must be one of {', '.join(_ATTRIBUTES)}, or null"
            raise LukeError("L047", setting="attribute", value=attribute, reason=reason)
        if scheme not in SCHEMES:
            raise LukeError("L047", setting="scheme", value=scheme, reason=f"it must be one of {', '.join(SCHEMES)}")
        require_probability(threshold=threshold)
        self._attribute_setting = attribute
        self.scheme = scheme
        self.overwrite = overwrite
        self.threshold = threshold
        self.spans_key = spans_key
        self.missed_gold: Counter[str] = Counter()

    @property
    def windows(self) -> Windows:
        """The windows in use; never longer than the encoder's positions allow."""
        return self._windows(partial(build_sentence_windows, context="none"), special_pieces=2)

    @property
    def attribute(self) -> str:
        """Annotation that is learned and written: "ents", or the attribute of tokens."""
        description = self._description
        chosen = self._attribute_setting or (description.settings.get("attribute") if description else None)
        if chosen is None:
            chosen = ENTS if description is None or TagScheme.find(description.labels) else LUKE_TAG
        return str(chosen)

    @property
    def labels(self) -> tuple[str, ...]:
        """Types of entities, or tags; () before the component has weights."""
        scheme = self._scheme_of(self.logit_labels)
        return scheme.types if scheme else self.logit_labels

    def _scheme_of(self, labels: tuple[str, ...]) -> TagScheme | None:
        """Tag scheme of the labels; None if entities are not what is written."""
        return TagScheme.find(labels, bare=True) if self.attribute == ENTS else None

    # Weights

    def _from_checkpoint(self, checkpoint: Checkpoint) -> None:
        if checkpoint.architecture == checkpoint.architecture_of(self.architecture):
            saved = checkpoint.settings.get("attribute")
            if saved not in (None, *_ATTRIBUTES):
                raise LukeError("L004", problems=f"{OWN_SETTINGS}: attribute = {saved!r}")
            self._check(checkpoint.labels, self._attribute_setting or saved)
        super()._from_checkpoint(checkpoint)

    def _check(self, labels: tuple[str, ...], attribute: str | None) -> None:
        """An error if the labels do not suit the attribute."""
        if attribute == ENTS and TagScheme.find(labels, bare=True) is None:
            raise LukeError("L058", labels=", ".join(labels), name=self.name)
        if attribute == "pos" and (wrong := [label for label in labels if label not in PARTS_OF_SPEECH]):
            raise LukeError("L059", labels=", ".join(wrong), name=self.name)

    def _settings_to_save(self, source: Description, options: Mapping[str, Any]) -> dict[str, Any]:
        chosen = {"attribute": self._attribute_setting} if self._attribute_setting else {}
        return {**super()._settings_to_save(source, options), **chosen}

    def _labels_of_new_head(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        if (self._attribute_setting or ENTS) != ENTS:
            self._check(labels, self._attribute_setting)
            return labels
        if OUTSIDE in labels:
            reason = "they must be types of entities, without O and prefixes"
            raise LukeError("L047", setting="labels", value=", ".join(labels), reason=reason)
        return scheme_labels(labels, self.scheme) if labels else ()

    def _rows_of(self, label: str) -> tuple[str, ...]:
        scheme = self._scheme_of(self.logit_labels)
        if scheme is None:
            if self._description is not None:
                self._check((label,), self.attribute)
            return (label,)
        if scheme.tags != self.logit_labels:  # types without prefixes
            return (label,)
        prefixes = dict.fromkeys(tag.partition("-")[0] for tag in self.logit_labels if tag != OUTSIDE)
        return tuple(f"{prefix}-{label}" for prefix in prefixes)

    # Prediction

    def logits(self, docs: Iterable[Doc]) -> list[tuple[list[Token], np.ndarray]]:
        """Per Doc its tokens but white space, and their raw scores, before softmax.

        *Shape:* (tokens, labels), float32; labels in the order of `logit_labels`.
        """
        docs = self._as_list(docs)
        return [
            ([doc[i] for i in scored.tokens.tolist()], scored.logits)
            for doc, scored in zip(docs, self.predict(docs), strict=True)
        ]

    def predict(self, docs: Iterable[Doc]) -> list[TokenLogits]:
        """Raw scores of the tokens of each Doc."""
        docs = self._as_list(docs)
        labels = len(self._require_weights_or_bundled(docs).labels)
        scored, rows = self._rows(docs, labels)
        for group, scores in self._predict_batches(self._batches(rows)):
            for row, row_scores in zip(group, scores, strict=True):
                scored[row.doc].logits[row.words] = row_scores[row.places]
        return scored

    def set_annotations(self, docs: Iterable[Doc], scores: Sequence[TokenLogits]) -> None:
        """Decode raw scores into `doc.ents` and scores of spans, or write the tags of tokens."""
        scheme = self._scheme_of(self.logit_labels)
        for doc, scored in zip(docs, scores, strict=True):
            if scheme:
                found = tagged_spans(scored, scheme, self.threshold)
                write_entities(doc, found, scheme.types, self.spans_key, overwrite=self.overwrite)
            else:
                self._write_tags(doc, scored)

    def _write_tags(self, doc: Doc, scored: TokenLogits) -> None:
        attribute = TOKEN_ATTRIBUTES[self.attribute]
        for i, row in zip(scored.tokens.tolist(), scored.logits, strict=True):
            if self.overwrite or not attribute.get(doc[i]):
                best = int(row.argmax())
                attribute.set(doc[i], self.logit_labels[best] if softmax(row)[best] >= self.threshold else None)

    def _rows(self, docs: list[Doc], labels: int) -> tuple[list[TokenLogits], list[TokenRow]]:
        """The tokens of each Doc that are classified, without scores yet, and the rows that show them."""
        tokenizer, windows = self._require_weights().tokenizer, self.windows
        if not isinstance(windows, StridedWindows):
            self._warn_without_sentences(docs)
        scored: list[TokenLogits] = []
        rows: list[TokenRow] = []
        for index, doc in enumerate(docs):
            pieces = doc_pieces(doc, tokenizer)
            tokens = np.flatnonzero(pieces.visible)
            rows += token_rows(index, pieces, tokens, windows)
            sentence_of = np.repeat(np.arange(len(pieces.sentences)), np.diff(pieces.sentences, axis=1)[:, 0])
            scored.append(TokenLogits(tokens, sentence_of[tokens], np.zeros((len(tokens), labels), dtype=np.float32)))
        return scored, rows

    def _batches(self, rows: Sequence[TokenRow]) -> Iterator[tuple[list[TokenRow], Any]]:
        """Padded inputs and the rows they are made of."""
        description = self._require_weights()
        special, entity_pad = description.tokenizer.special, description.entity_vocab[PAD]
        return make_batches(rows, self.max_batch_pieces, special, entity_pad=entity_pad)

    # Training

    @property
    def score_weights(self) -> ScoreWeights:
        """Default weights of the scores of what the component writes."""
        return ENTS_WEIGHTS if self.attribute == ENTS else {f"{self.attribute}_acc": 1.0}

    def score(self, examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
        """Scores of what the component writes; see the scorer."""
        return super().score(examples, **{"attribute": self.attribute, **kwargs})

    def _training(self, examples: Sequence[Example]) -> Training[list[TokenRow]]:
        """Return the windows of the annotated tokens, whose loss is the mean cross entropy.

        Tokens without annotation are left out. Where the entities of a Doc are annotated with some labels only
        (`set_entity_labels`), the others remain possible for tokens without label.
        """
        labels = self._require_weights().labels
        scored, rows = self._rows([example.predicted for example in examples], len(labels))
        gold = [self._known_gold(example, words) for example, words in zip(examples, scored, strict=True)]
        for doc_gold in gold:
            self.missed_gold += doc_gold.missed
        outside = labels.index(OUTSIDE) if OUTSIDE in labels else -1
        wanted = [row for row in rows if gold[row.doc].known[row.words].any()]

        def loss_of(group: list[TokenRow], logits: np.ndarray, batch: EncoderInput) -> tuple[np.ndarray, float]:
            known = [row.words[gold[row.doc].known[row.words]] for row in group]
            places = [row.places[gold[row.doc].known[row.words]] for row in group]
            index = (np.repeat(np.arange(len(group)), [len(words) for words in known]), np.concatenate(places))
            possible = [
                gold[row.doc].possible(words, len(labels), outside) for row, words in zip(group, known, strict=True)
            ]
            gradient = np.zeros(logits.shape, dtype=np.float32)
            gradient[index], loss = cross_entropy_of_sets(logits[index], np.concatenate(possible))
            return gradient, loss

        return Training(self._batches(wanted), sum(int(doc_gold.known.sum()) for doc_gold in gold), loss_of)

    @property
    def _gold_place(self) -> str:
        chosen = self._attribute_setting or ENTS
        if chosen == ENTS:
            return "doc.ents (for tags, set attribute)"
        place = TOKEN_ATTRIBUTES[chosen].place
        return f"{place}, which a DocBin keeps with store_user_data=True" if chosen == LUKE_TAG else place

    def _labels_of(self, get_examples: Callable[[], Iterable[Example]]) -> tuple[str, ...]:
        references = (example.reference for example in get_examples())
        chosen = self._attribute_setting or ENTS
        if chosen == ENTS:
            return tuple(sorted({ent.label_ for doc in references for ent in annotated_entities(doc, doc.ents)}))
        get = TOKEN_ATTRIBUTES[chosen].get
        return tuple(sorted({tag for reference in references for token in reference if (tag := get(token))}))

    def _has_all(self, labels: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
        if (self._attribute_setting or ENTS) != ENTS:
            return set(wanted) <= set(labels)
        scheme = TagScheme.find(labels, bare=self._attribute_setting == ENTS)
        return scheme is not None and set(wanted) <= set(scheme.types)

    def _known_gold(self, example: Example, words: TokenLogits) -> GoldSpans:
        """L041 for labels that the component does not have."""
        gold = self._gold(example, words)
        if gold.unknown_labels:
            unknown, known = ", ".join(sorted(set(gold.unknown_labels))), ", ".join(self.labels)
            raise LukeError("L041", labels=unknown, name=self.name, known=known)
        return gold

    def _gold(self, example: Example, words: TokenLogits) -> GoldSpans:
        """Targets of the tokens that are classified."""
        scheme = self._scheme_of(self.logit_labels)
        if scheme:
            return gold_entity_tokens(example, words, scheme)
        return gold_token_tags(example, words, TOKEN_ATTRIBUTES[self.attribute], self.logit_labels)

    def _prepare(self, get_examples: Callable[[], Iterable[Example]]) -> None:
        report = GoldReport()
        for example in get_examples():
            [words], _ = self._rows([example.predicted], 0)
            gold = self._known_gold(example, words)
            report.add(gold, gold.total)
        report.warn(self.name, "W020", what="entities" if self.attribute == ENTS else "tags")


make_luke_token_classifier = component_factory(
    LukeTokenClassifier,
    DEFAULT_CONFIG,
    assigns=[
        "doc.ents",
        "doc.spans",
        "token.ent_iob",
        "token.ent_type",
        "span._.score",
        "token._.luke_tag",
        "token.tag",
        "token.pos",
    ],
    # A component has one of them: that of what it writes (`score_weights`).
    score_weights={**ENTS_WEIGHTS, **{f"{attribute}_acc": 1.0 for attribute in TOKEN_ATTRIBUTES}},
)
