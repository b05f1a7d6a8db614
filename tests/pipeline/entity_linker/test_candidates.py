"""Candidates of a knowledge base share its priors out, those of a vocabulary have a softmax."""

from __future__ import annotations

import numpy as np
import pytest
from spacy.kb import InMemoryLookupKB as KnowledgeBase
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_luke.pipeline.entity_linker.candidates import (
    CandidateFinder,
    KnowledgeBaseCandidates,
    Ranking,
    VocabularyCandidates,
    entity_id,
)
from spacy_luke.tokenization.entity_vocab import EntityVocab

VOCAB = EntityVocab({"[PAD]": 0, "[UNK]": 1, "[MASK]": 2, "[MASK2]": 3, "London": 4, "Paris": 5, "Rome": 6})


class Known:
    """A candidate as spaCy's knowledge base gives it."""

    def __init__(self, entity: str, prior: float):
        self.entity_, self.prior_prob = entity, prior


def finder(found: list[tuple[str, float]], **settings) -> CandidateFinder:
    given = {"titles": {"Q60": "London"}, "max_candidates": 3, "keep_others": True, "prior_weight": 0.5, **settings}

    def generate(kb, mention) -> list[Known]:
        assert (kb, mention) == (KB, MENTION)
        return [Known(*one) for one in found]

    return CandidateFinder("linker", KB, generate, given.pop("vocab", VOCAB), **given)


KB = KnowledgeBase(Vocab(), 1)
MENTION = Doc(Vocab(), words=["London"])[:]
FOUND = [("Rome", 0.1), ("Q60", 0.2), ("Q1", 0.4), ("Rome", 0.3), ("Paris", 0.05), ("Rome", 0.2)]


def test_candidates_are_those_with_the_largest_priors_which_sum_to_1() -> None:
    candidates = finder(FOUND)(MENTION)
    assert (candidates.kb_ids, candidates.others) == (("Rome", "Q60"), ("Q1",))
    assert candidates.ids.tolist() == [6, 4]
    assert candidates.priors == pytest.approx([0.3 / 0.9, 0.2 / 0.9, 0.4 / 0.9]), (
        "of one that is there twice, the larger"
    )
    without = finder(FOUND, keep_others=False)(MENTION)
    assert (without.kb_ids, without.others) == (("Rome", "Q60"), ())
    assert without.priors == pytest.approx([0.6, 0.4])
    of_zero = finder([("Rome", 0.0), ("Paris", 0.0)])(MENTION)
    assert of_zero.priors.tolist() == [0.5, 0.5]
    assert finder([("Rome", 0.0)])(MENTION).priors.tolist() == [1.0]
    assert finder([])(MENTION).rank_by_prior() == Ranking()


def test_an_entity_may_have_the_first_row_of_the_vocabulary() -> None:
    vocab = EntityVocab({"Rome": 0, "[PAD]": 1, "[UNK]": 2, "[MASK]": 3, "[MASK2]": 4})
    candidates = finder([("Rome", 0.7), ("Q1", 0.3)], vocab=vocab)(MENTION)
    assert (candidates.ids.tolist(), candidates.kb_ids, candidates.others) == ([0], ("Rome",), ("Q1",))
    assert candidates.rank_by_prior().entity == 0


def test_candidates_that_are_as_probable_stay_in_order() -> None:
    names = tuple(f"Q{i}" for i in range(200))
    candidates = KnowledgeBaseCandidates(np.arange(200), names, (), np.full(200, 1 / 200), 1.0)
    assert candidates.rank_by_prior().kb_ids == names


def test_an_entity_of_the_knowledge_base_has_the_id_of_its_title() -> None:
    ids = [entity_id(VOCAB, {"Q60": "London", "Q5": "[MASK]"}, kb_id) for kb_id in ("Q60", "Paris", "Q7", "Q5")]
    assert ids == [4, 5, -1, -1]


def test_what_the_priors_leave_for_known_entities_is_shared_out_by_the_model() -> None:
    candidates = finder(FOUND)(MENTION)
    logits = np.array([1.0, 2.5])
    weights = np.exp(logits) * candidates.priors[:2] ** 0.5
    assert np.exp(candidates.scores(logits)) == pytest.approx(weights)
    shared = candidates.priors[:2].sum() * weights / weights.sum()
    ranking = candidates.rank(logits)
    expected = sorted(zip(["Rome", "Q60", "Q1"], [*shared, candidates.priors[2]], strict=True), key=lambda one: -one[1])
    assert ranking.kb_ids == tuple(name for name, _ in expected)
    assert ranking.probabilities == pytest.approx([probability for _, probability in expected])
    assert sum(ranking.probabilities) == pytest.approx(1)
    assert ranking.entity == {"Rome": 6, "Q60": 4, "Q1": -1}[ranking.kb_ids[0]]
    by_prior = candidates.rank_by_prior()
    assert (by_prior.kb_ids, by_prior.entity) == (("Q1", "Rome", "Q60"), -1)
    assert candidates.target(4) == 1


def test_a_prior_of_zero_makes_a_candidate_improbable_and_not_impossible() -> None:
    candidates = KnowledgeBaseCandidates(np.array([4, 5]), ("London", "Paris"), (), np.array([1.0, 0.0]), 1.0)
    assert candidates.scores(np.zeros(2)) == pytest.approx([0.0, np.log(1e-6)])


def test_one_candidate_is_certain_unless_there_are_others() -> None:
    def certain(*names: str) -> bool:
        return finder([(name, 0.5) for name in names])(MENTION).is_certain

    assert certain("Rome")
    assert not certain("Rome", "Q1")
    assert not certain("Rome", "Paris")
    assert not certain("Q1")


def test_a_gold_entity_that_is_no_candidate_is_the_least_likely() -> None:
    candidates = finder(FOUND)(MENTION)
    assert candidates.with_gold("Rome", 6) is candidates
    more = candidates.with_gold("Paris", 5)
    assert (more.ids.tolist(), more.kb_ids, more.others) == ([6, 4, 5], ("Rome", "Q60", "Paris"), ())
    assert more.priors == pytest.approx([3 / 7, 2 / 7, 2 / 7])
    assert more.prior_weight == 0.5
    alone = finder([("Q1", 1.0)])(MENTION).with_gold("Paris", 5)
    assert (alone.kb_ids, alone.priors.tolist()) == (("Paris",), [1.0])


def test_every_title_of_the_vocabulary_may_be_meant() -> None:
    anything = VocabularyCandidates(VOCAB, 8, {"London": "Q60"}, n_best=2)
    logits = np.array([9.0, 9, 9, 9, 1, 3, 2, 9])
    assert np.flatnonzero(np.isfinite(anything.scores(logits))).tolist() == [4, 5, 6]
    ranking = anything.rank(logits)
    shares = np.exp([1, 3, 2]) / np.exp([1, 3, 2]).sum()
    assert (ranking.kb_ids, ranking.entity) == (("Paris", "Rome"), 5)
    assert ranking.probabilities == pytest.approx([shares[1], shares[2]])
    assert anything.kb_ids == ("", "", "", "", "Q60", "Paris", "Rome", "")
    assert anything.target(6) == 6
    large = EntityVocab({**{f"T{i}": i + 4 for i in range(300)}, "[PAD]": 0, "[UNK]": 1, "[MASK]": 2, "[MASK2]": 3})
    for seed in range(50):
        logits_of_large = np.random.default_rng(seed).normal(size=304)
        best = 4 + np.argsort(-logits_of_large[4:])[:7]
        assert VocabularyCandidates(large, 304, {}, n_best=7).rank(logits_of_large).kb_ids == tuple(
            f"T{i - 4}" for i in best
        )
    every = VocabularyCandidates(VOCAB, 8, {}, n_best=10).rank(logits)
    assert every.kb_ids == ("Paris", "Rome", "London")
