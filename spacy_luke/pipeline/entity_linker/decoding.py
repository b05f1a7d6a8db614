"""What `luke_entity_linker` does before it writes links: from the entities of Docs to candidates in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from spacy.tokens import Doc, Span

from ...batching.collate import batch_rows, collate
from ...batching.device import is_finite
from ...batching.pieces import doc_pieces
from ...batching.strided import StridedWindows, build_strided_windows
from ...batching.windows import Windows, build_sentence_windows
from ...checks import require_at_least, require_one_of, require_probability
from ...errors import warn
from ...tokenization.entity_vocab import MASK, PAD
from ..base.gold import listed
from .candidates import Candidates, KnownCandidates, Ranking
from .inputs import EntityRow, PlacedEntities, listed_candidates, place_entities, windows_with_entities
from .knowledge_base import KnowledgeBasePipe

DECODINGS = ("local", "global")
# Most logits of one forward pass over the whole entity vocabulary: 256 MB.
_MOST_LOGITS = 1 << 26


@dataclass
class Mentions:
    """The entities of a Doc on their way to their links.

    spans: those that the encoder is shown.
    candidates: what each may be; None for one whose link is given.
    ids: what each is given to the encoder as: [MASK], or its entity. *Shape:* (spans,)
    rankings: what was found; None for one that is not decoded yet, and for one whose link is given.
    """

    spans: list[Span]
    placed: PlacedEntities
    candidates: list[Candidates | None]
    ids: np.ndarray
    rankings: list[Ranking | None] = field(init=False)

    def __post_init__(self) -> None:
        self.rankings = [None] * len(self.spans)

    def is_open(self, members: np.ndarray) -> np.ndarray:
        """Which of some entities are still to be decoded. *Shape:* (members,) -> the same, bool"""
        return np.array([self.candidates[i] is not None and self.rankings[i] is None for i in members], dtype=bool)

    def is_scored(self, members: np.ndarray) -> np.ndarray:
        """Which of some entities have candidates that the model scores. *Shape:* (members,) -> the same, bool"""
        found = [self.candidates[i] for i in members]
        return np.array([one is not None and (one.ids is None or len(one.ids) > 0) for one in found], dtype=bool)

    def row(self, doc: int, window: Any, members: np.ndarray, predicted: np.ndarray) -> EntityRow:
        """A row that shows some entities and predicts some of these."""
        ids = [found.ids for i in members[predicted] if (found := self.candidates[i]) is not None]
        known = [of_one for of_one in ids if of_one is not None]
        candidates = listed_candidates(known) if known else None
        text, shown = self.placed.pieces.pieces, (members, self.ids[members], self.placed.spans[members])
        return EntityRow(doc, text, window.start, window.end, *shown, predicted, candidates)


class LinkPipe(KnowledgeBasePipe):
    """A component that predicts masked entities; see `LukeEntityLinker` for the settings."""

    def __init__(
        self,
        *args: Any,
        decoding: str,
        mentions_per_pass: int,
        threshold: float,
        max_mention_pieces: int,
        labels_discard: list[str],
        overwrite: bool,
        **settings: Any,
    ):
        super().__init__(*args, **settings)
        require_one_of(DECODINGS, decoding=decoding)
        require_at_least(1, mentions_per_pass=mentions_per_pass, max_mention_pieces=max_mention_pieces)
        require_probability(threshold=threshold)
        self.decoding = decoding
        self.mentions_per_pass = mentions_per_pass
        self.threshold = threshold
        self.max_mention_pieces = max_mention_pieces
        self.labels_discard = frozenset(labels_discard)
        self.overwrite = overwrite

    @property
    def windows(self) -> Windows:
        """The windows in use; never longer than the encoder's positions allow."""
        return self._windows(_saved_windows, special_pieces=2)

    def logits(self, docs: Iterable[Doc]) -> list[tuple[list[tuple[Span, tuple[str, ...]]], np.ndarray]]:
        """Per Doc its entities, each with the ids of its candidates, and their raw scores, without priors, when all
        entities are masked.

        *Shape:* (entities, most candidates), float32, filled up with -inf. Left out are entities and candidates that
        the model does not score.
        """
        found = self._mentions(docs)
        scores: list[dict[int, np.ndarray]] = [{} for _ in found]
        rows = [
            mentions.row(i, window, members, predicted)
            for i, mentions in enumerate(found)
            for window, members in windows_with_entities(mentions.placed)
            if (predicted := mentions.is_scored(members)).any()
        ]
        for row, of_row in self._scored(rows):
            scores[row.doc].update(zip(row.wanted.tolist(), of_row, strict=True))
        return [_listed_scores(mentions, of_doc) for mentions, of_doc in zip(found, scores, strict=True)]

    def predict(self, docs: Iterable[Doc]) -> list[Mentions]:
        """The entities of each Doc with their candidates, ranked."""
        mentions = self._mentions(docs)
        self._decode(mentions)
        return mentions

    def _mentions(self, docs: Iterable[Doc]) -> list[Mentions]:
        docs = self._listed(docs)
        self._require_weights_or_bundled(docs)
        find = self._finder()
        found = []
        for doc in docs:
            spans = self._shown(doc)
            ids = self._masked(len(spans))
            candidates: list[Candidates | None] = []
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

    def _decode(self, docs: Sequence[Mentions]) -> None:
        """Rank the candidates of all entities; see `LukeEntityLinker` for how."""
        for mentions in docs:
            self._decide_without_model(mentions)
        shown = [(i, *part) for i, mentions in enumerate(docs) for part in windows_with_entities(mentions.placed)]
        while rows := [
            docs[i].row(i, window, members, predicted)
            for i, window, members in shown
            if (predicted := docs[i].is_open(members)).any()
        ]:
            for row, of_row in self._scored(rows):
                self._settle(docs[row.doc], row, of_row)

    def _decide_without_model(self, mentions: Mentions) -> None:
        """What the model cannot change: entities without or with a single candidate, or that no window shows."""
        for i, found in enumerate(mentions.candidates):
            hidden = mentions.placed.window_of[i] < 0
            if isinstance(found, KnownCandidates) and (hidden or not len(found.ids) or found.is_certain):
                self._link(mentions, i, found.rank_by_prior())
            elif found is not None and hidden:
                self._link(mentions, i, Ranking())

    def _settle(self, mentions: Mentions, row: EntityRow, logits: Sequence[np.ndarray]) -> None:
        """Link all entities that a row predicts, or those whose best candidate is most probable."""
        ranked = []
        for i, of_mention in zip(row.wanted.tolist(), logits, strict=True):
            found = mentions.candidates[i]
            assert found is not None
            if is_finite(of_mention):
                ranked.append((i, found.rank(of_mention)))
            else:
                self._link(mentions, i, Ranking())
        if self.decoding == "global":
            ranked.sort(key=lambda item: -item[1].probabilities[0])
            ranked = ranked[: self.mentions_per_pass]
        for i, ranking in ranked:
            self._link(mentions, i, ranking)

    def _link(self, mentions: Mentions, index: int, ranking: Ranking) -> None:
        mentions.rankings[index] = ranking
        if self.decoding == "global" and ranking.entity >= 0 and ranking.probabilities[0] >= self.threshold:
            mentions.ids[index] = ranking.entity

    def _masked(self, count: int) -> np.ndarray:
        """Ids of masked entities. *Shape:* (count,)"""
        return np.full(count, self._require_weights().entity_vocab[MASK], dtype=np.int64)

    def _scored(self, rows: Sequence[EntityRow]) -> Iterator[tuple[EntityRow, list[np.ndarray]]]:
        """Rows with the logits of the candidates of each entity that they predict."""
        for group, logits in self._predicted(self._batches(rows)):
            yield from zip(group, split_logits(group, logits), strict=True)

    def _batches(self, rows: Sequence[EntityRow]) -> Iterator[tuple[list[EntityRow], Any]]:
        """Padded inputs and the rows they are made of."""
        description = self._require_weights()
        special, entity_pad = description.tokenizer.special, description.entity_vocab[PAD]
        for group in batch_rows(rows, self.max_batch_pieces):
            for part in _bounded(group, self._vocabulary_rows):
                yield part, collate([row.make(special) for row in part], piece_pad=special.pad, entity_pad=entity_pad)

    @property
    def _vocabulary_rows(self) -> int:
        """Rows of the entity table."""
        config: Any = self._require_weights().config
        return int(config.entity_vocab_size)


def _listed_scores(
    mentions: Mentions, scores: Mapping[int, np.ndarray]
) -> tuple[list[tuple[Span, tuple[str, ...]]], np.ndarray]:
    filled = np.full((len(scores), max(map(len, scores.values()), default=0)), -np.inf, dtype=np.float32)
    items = []
    for row, i in zip(filled, sorted(scores), strict=True):
        found = mentions.candidates[i]
        assert found is not None
        row[: len(scores[i])] = scores[i]
        items.append((mentions.spans[i], found.kb_ids))
    return items, filled


def _saved_windows(**saved: Any) -> Windows:
    """Windows of a checkpoint, and by default such as a document needs."""
    if saved:
        return build_sentence_windows(**saved)
    default: StridedWindows = build_strided_windows(510, 384)
    return default


def split_logits(group: Sequence[EntityRow], logits: np.ndarray) -> Iterator[list[np.ndarray]]:
    """The logits of the candidates of each entity that a row predicts, row after row."""
    start = 0
    for row in group:
        count = int(row.predicted.sum())
        of_row = logits[start : start + count]
        start += count
        if row.candidates is None:
            yield list(of_row)
        else:
            lengths = (row.candidates >= 0).sum(axis=1).tolist()
            yield [one[:length] for one, length in zip(of_row, lengths, strict=True)]


def _bounded(group: list[EntityRow], vocabulary: int) -> Iterator[list[EntityRow]]:
    """Parts of a group whose logits fit into memory, where those of the whole vocabulary are wanted."""
    part: list[EntityRow] = []
    logits = 0
    for row in group:
        more = int(row.predicted.sum()) * vocabulary if row.candidates is None else 0
        if part and logits + more > _MOST_LOGITS:
            yield part
            part, logits = [], 0
        part.append(row)
        logits += more
    if part:
        yield part
