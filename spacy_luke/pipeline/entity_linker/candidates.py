"""Candidates of a mention, ranked by logits of the model and priors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from spacy.kb import KnowledgeBase
from spacy.tokens import Span

from ...knowledge_base import CandidateGenerator
from ...tokenization.entity_vocab import EntityVocab
from ...user_functions import naming_key_errors
from ..base.losses import log_softmax, softmax

# Least prior: one of 0 must not rule a candidate out.
LEAST_PRIOR = 1e-6


@dataclass(frozen=True)
class Ranking:
    """Candidates of a mention, most probable first.

    kb_ids: as they are in the knowledge base.
    probabilities: *Shape:* (candidates,)
    entity: id of the first in the entity vocabulary; -1 if it is not there, or there is no candidate.
    """

    kb_ids: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    entity: int = -1


class EntityCandidates(Protocol):
    """Candidate entities of a mention.

    ids: of those in the entity vocabulary, whose logits the model gives; None = the whole vocabulary.
        *Shape:* (scored,)
    kb_ids: of these.
    """

    @property
    def ids(self) -> np.ndarray | None: ...

    @property
    def kb_ids(self) -> tuple[str, ...]: ...

    def scores(self, logits: np.ndarray) -> np.ndarray:
        """Logits with all that is added to them, of which the softmax is taken. *Shape:* (scored,) -> the same"""

    def target(self, entity: int) -> int:
        """Index of the logit of an entity."""

    def rank(self, logits: np.ndarray) -> Ranking:
        """The candidates by probability. logits: *Shape:* (scored,)"""


@dataclass(frozen=True)
class KnowledgeBaseCandidates:
    """Candidates of a knowledge base.

    The model cannot tell candidates that are not in the entity vocabulary apart from others. They keep their priors,
    p(entity | mention), and what the priors leave for the others is shared out among these by the model.

    priors: of the scored ones, then of `others`, which sum to 1. *Shape:* (scored + others,)
    others: ids of the knowledge base that are not in the entity vocabulary.
    prior_weight: of the logarithm of the prior, added to a logit.
    """

    ids: np.ndarray
    kb_ids: tuple[str, ...]
    others: tuple[str, ...]
    priors: np.ndarray
    prior_weight: float

    def scores(self, logits: np.ndarray) -> np.ndarray:
        return logits + self.prior_weight * np.log(np.maximum(self.priors[: len(self.ids)], LEAST_PRIOR))

    def target(self, entity: int) -> int:
        return int(np.flatnonzero(self.ids == entity)[0])

    @property
    def is_certain(self) -> bool:
        """Whether there is one candidate only, whatever the model says."""
        return len(self.ids) == 1 and not self.others

    def rank(self, logits: np.ndarray) -> Ranking:
        probabilities = self.priors.copy()
        scored = len(self.ids)
        if scored:
            probabilities[:scored] = self.priors[:scored].sum() * softmax(self.scores(logits))
        return self._ranked(probabilities)

    def rank_by_prior(self) -> Ranking:
        """The candidates as they are without the model."""
        return self._ranked(self.priors)

    def _ranked(self, probabilities: np.ndarray) -> Ranking:
        if not len(probabilities):
            return Ranking()
        names = (*self.kb_ids, *self.others)
        order = np.argsort(-probabilities, kind="stable").tolist()
        best = int(self.ids[order[0]]) if order[0] < len(self.ids) else -1
        return Ranking(tuple(names[i] for i in order), tuple(probabilities[order].tolist()), best)

    def with_gold(self, kb_id: str, entity: int) -> KnowledgeBaseCandidates:
        """The same with a gold entity, if it is not there: as unlikely as the least likely candidate."""
        if entity in self.ids:
            return self
        least = self.priors[: len(self.ids)].min(initial=1.0)
        scored = [*self.priors[: len(self.ids)], least]
        ids, names = np.append(self.ids, entity), (*self.kb_ids, kb_id)
        return KnowledgeBaseCandidates(ids, names, (), _normalised(np.array(scored)), self.prior_weight)


class VocabularyCandidates:
    """Every title of the entity vocabulary, where there is no knowledge base.

    names: title -> kb_id, where they differ.
    n_best: how many are ranked.
    """

    ids = None

    def __init__(self, vocab: EntityVocab, rows: int, names: Mapping[str, str], n_best: int):
        self._title_of = vocab.title_of
        self._names = names
        self._n_best = n_best
        self._is_special = np.ones(rows, dtype=bool)
        self._is_special[vocab.titled_ids] = False

    @cached_property
    def kb_ids(self) -> tuple[str, ...]:
        return tuple(self._name(i) for i in range(len(self._is_special)))

    def _name(self, entity: int) -> str:
        title = self._title_of.get(entity, "")
        return self._names.get(title, title)

    def scores(self, logits: np.ndarray) -> np.ndarray:
        """-inf for what is no entity."""
        return np.where(self._is_special, -np.inf, logits)

    def target(self, entity: int) -> int:
        return entity

    def rank(self, logits: np.ndarray) -> Ranking:
        logs = log_softmax(self.scores(logits))
        n_best = min(self._n_best, len(self._title_of))
        best = np.argpartition(-logs, n_best - 1)[:n_best]
        best = best[np.argsort(-logs[best], kind="stable")].tolist()
        return Ranking(tuple(self._name(i) for i in best), tuple(np.exp(logs[best]).tolist()), best[0])


@dataclass(frozen=True)
class CandidateFinder:
    """Looks mentions up in a knowledge base.

    name: of the component.
    generate: as spaCy's `get_candidates`.
    vocab: the entity vocabulary, whose titles are the ids of the knowledge base, or what `titles` has for them.
    titles: kb_id -> title, where they differ.
    max_candidates: of a mention, those with the largest priors.
    keep_others: also candidates that are not in the entity vocabulary.
    """

    name: str
    kb: KnowledgeBase
    generate: CandidateGenerator
    vocab: EntityVocab
    titles: Mapping[str, str]
    max_candidates: int
    keep_others: bool
    prior_weight: float

    def __call__(self, mention: Span) -> KnowledgeBaseCandidates:
        """The candidates of a mention, largest prior first."""
        priors: dict[str, float] = {}
        with naming_key_errors(self.name, "get_candidates", self.generate):
            for candidate in self.generate(self.kb, mention):
                priors[candidate.entity_] = max(priors.get(candidate.entity_, 0.0), float(candidate.prior_prob))
        kept = sorted(priors, key=lambda kb_id: -priors[kb_id])[: self.max_candidates]
        found = [(kb_id, entity_id(self.vocab, self.titles, kb_id)) for kb_id in kept]
        scored = [(kb_id, entity) for kb_id, entity in found if entity >= 0]
        others = tuple(kb_id for kb_id, entity in found if entity < 0) if self.keep_others else ()
        names = tuple(kb_id for kb_id, _ in scored)
        values = np.array([priors[kb_id] for kb_id in (*names, *others)], dtype=np.float64)
        ids = np.array([entity for _, entity in scored], dtype=np.int64)
        return KnowledgeBaseCandidates(ids, names, others, _normalised(values), self.prior_weight)


def entity_id(vocab: EntityVocab, titles: Mapping[str, str], kb_id: str) -> int:
    """The id of an entity of the knowledge base in the entity vocabulary; -1 if it is not there."""
    found = vocab.find(titles.get(kb_id, kb_id))
    return -1 if found is None else found


def _normalised(priors: np.ndarray) -> np.ndarray:
    """Priors that sum to 1; equal ones if they sum to 0."""
    total = priors.sum()
    return priors / total if total > 0 else np.full(len(priors), 1 / max(len(priors), 1))
