"""Ranking of the candidates of entities, most probable first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from spacy.tokens import Span

from ...batching.device import is_finite
from ...batching.strided import StridedWindows, build_strided_windows
from ...batching.windows import Windows, build_sentence_windows
from .candidates import EntityCandidates, KnowledgeBaseCandidates, Ranking
from .inputs import EntityRow, PlacedEntities, listed_candidates, windows_with_entities

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
    candidates: list[EntityCandidates | None]
    ids: np.ndarray
    rankings: list[Ranking | None] = field(init=False)

    def __post_init__(self) -> None:
        self.rankings = [None] * len(self.spans)

    def is_open(self, members: np.ndarray) -> np.ndarray:
        """Mask of those entities that are still to be decoded. *Shape:* (members,) -> the same, bool"""
        return np.array([self.candidates[i] is not None and self.rankings[i] is None for i in members], dtype=bool)

    def is_scored(self, members: np.ndarray) -> np.ndarray:
        """Mask of those entities that have candidates which the model scores. *Shape:* (members,) -> the same, bool"""
        found = [self.candidates[i] for i in members]
        return np.array([one is not None and (one.ids is None or len(one.ids) > 0) for one in found], dtype=bool)

    def row(self, doc: int, window: Any, members: np.ndarray, predicted: np.ndarray) -> EntityRow:
        """A row that shows some entities and predicts some of these."""
        ids = [found.ids for i in members[predicted] if (found := self.candidates[i]) is not None]
        known = [candidate_ids for candidate_ids in ids if candidate_ids is not None]
        candidates = listed_candidates(known) if known else None
        text, shown = self.placed.pieces.pieces, (members, self.ids[members], self.placed.spans[members])
        return EntityRow(doc, text, window.start, window.end, *shown, predicted, candidates)


# Rows -> each with the logits of the candidates of each entity that it predicts.
Score = Callable[[Sequence[EntityRow]], Iterable[tuple[EntityRow, list[np.ndarray]]]]


@dataclass(frozen=True)
class LinkDecoder:
    """Decides what entities are linked to, in one pass of the encoder or, one link after the other, in several; see
    `LukeEntityLinker` for the settings."""

    decoding: str
    mentions_per_pass: int
    threshold: float

    def rank(self, docs: Sequence[Mentions], score: Score) -> None:
        """Rank the candidates of all entities that have no ranking yet."""
        for mentions in docs:
            self._decide_without_model(mentions)
        shown = [(i, *part) for i, mentions in enumerate(docs) for part in windows_with_entities(mentions.placed)]
        while rows := [
            docs[i].row(i, window, members, predicted)
            for i, window, members in shown
            if (predicted := docs[i].is_open(members)).any()
        ]:
            for row, row_logits in score(rows):
                self._link_row(docs[row.doc], row, row_logits)

    def _decide_without_model(self, mentions: Mentions) -> None:
        """Decide what the model cannot change: entities without or with a single candidate, or that no window shows."""
        for i, found in enumerate(mentions.candidates):
            hidden = mentions.placed.window_of[i] < 0
            if isinstance(found, KnowledgeBaseCandidates) and (hidden or not len(found.ids) or found.is_certain):
                self._link(mentions, i, found.rank_by_prior())
            elif found is not None and hidden:
                self._link(mentions, i, Ranking())

    def _link_row(self, mentions: Mentions, row: EntityRow, logits: Sequence[np.ndarray]) -> None:
        """Link all entities that a row predicts, or those whose best candidate is most probable."""
        ranked = []
        for i, mention_logits in zip(row.wanted.tolist(), logits, strict=True):
            found = mentions.candidates[i]
            assert found is not None
            if is_finite(mention_logits):
                ranked.append((i, found.rank(mention_logits)))
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


def listed_scores(
    mentions: Mentions, scores: Mapping[int, np.ndarray]
) -> tuple[list[tuple[Span, tuple[str, ...]]], np.ndarray]:
    """The entities of a Doc that have scores, each with the ids of its candidates, and the scores as one array.

    scores: entity -> scores of its candidates. *Shape:* (candidates,)

    *Shape:* (entities, most candidates), float32, filled up with -inf
    """
    filled = np.full((len(scores), max(map(len, scores.values()), default=0)), -np.inf, dtype=np.float32)
    items = []
    for row, i in zip(filled, sorted(scores), strict=True):
        found = mentions.candidates[i]
        assert found is not None
        row[: len(scores[i])] = scores[i]
        items.append((mentions.spans[i], found.kb_ids))
    return items, filled


def saved_windows(**saved: Any) -> Windows:
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
        row_logits = logits[start : start + count]
        start += count
        if row.candidates is None:
            yield list(row_logits)
        else:
            lengths = (row.candidates >= 0).sum(axis=1).tolist()
            yield [one[:length] for one, length in zip(row_logits, lengths, strict=True)]


def bounded(rows: Sequence[EntityRow], vocabulary: int) -> Iterator[list[EntityRow]]:
    """Parts of some rows whose logits fit into memory, where those of the whole vocabulary are wanted."""
    part: list[EntityRow] = []
    logits = 0
    for row in rows:
        more = int(row.predicted.sum()) * vocabulary if row.candidates is None else 0
        if part and logits + more > _MOST_LOGITS:
            yield part
            part, logits = [], 0
        part.append(row)
        logits += more
    if part:
        yield part
