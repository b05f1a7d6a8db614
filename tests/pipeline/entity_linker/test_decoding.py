"""From logits to links, one pass after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pytest
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_luke.batching.pieces import DocPieces
from spacy_luke.batching.windows import Window
from spacy_luke.pipeline.entity_linker import decoding
from spacy_luke.pipeline.entity_linker.candidates import KnowledgeBaseCandidates, Ranking, VocabularyCandidates
from spacy_luke.pipeline.entity_linker.decoding import LinkDecoder, Mentions, bounded, listed_scores, split_logits
from spacy_luke.pipeline.entity_linker.inputs import EntityRow, PlacedEntities, listed_candidates, windows_with_entities
from spacy_luke.tokenization.entity_vocab import EntityVocab
from spacy_luke.tokenization.pieces import WordPieces
from tests.util import ENTITIES

MASK = 2


def known(ids: list[int], priors: list[float], others: tuple[str, ...] = ()) -> KnowledgeBaseCandidates:
    return KnowledgeBaseCandidates(
        np.array(ids, dtype=np.int64), tuple(f"Q{i}" for i in ids), others, np.array(priors), 0.0
    )


def mentions_of(candidates: list[KnowledgeBaseCandidates | None], window_of: list[int]) -> Mentions:
    """Entities of a token each in windows of two tokens; those without candidates are given as entity 9."""
    count = len(candidates)
    doc = Doc(Vocab(), words=["w"] * count)
    places = np.arange(count)
    pieces = WordPieces(places, places * 0, places, places + 1)
    windows = [Window(i, min(i + 2, count), (0, count)) for i in range(0, count, 2)]
    spans = np.stack([places, places + 1], axis=1)
    doc_pieces = DocPieces(pieces, np.array([[0, count]]), np.ones(count, dtype=bool))
    placed = PlacedEntities(doc_pieces, spans, np.array(window_of), windows, Counter())
    ids = np.array([9 if one is None else MASK for one in candidates])
    return Mentions([doc[i : i + 1] for i in range(count)], placed, candidates, ids)


class Scorer:
    """Gives each entity the logits that a table has for it, and keeps what it was shown."""

    def __init__(self, table: dict[int, list[float]]):
        self.table = table
        self.shown: list[tuple[list[int], list[int], list[int]]] = []

    def __call__(self, rows: Sequence[EntityRow]) -> Iterator[tuple[EntityRow, list[np.ndarray]]]:
        for row in rows:
            self.shown.append((row.members.tolist(), row.ids.tolist(), row.wanted.tolist()))
            yield row, [np.array(self.table[i]) for i in row.wanted.tolist()]


TWO = [0.5, 0.5]


def test_local_decoding_takes_one_pass_with_what_is_given() -> None:
    mentions = mentions_of([known([4, 5], TWO), None, known([5, 6], TWO)], [0, 0, 1])
    scorer = Scorer({0: [0.0, 1.0], 2: [3.0, 1.0]})
    LinkDecoder("local", 1, 0.0).rank([mentions], scorer)
    assert scorer.shown == [([0, 1], [MASK, 9], [0]), ([2], [MASK], [2])]
    assert [ranking and ranking.entity for ranking in mentions.rankings] == [5, None, 5]
    assert mentions.ids.tolist() == [MASK, 9, MASK]


@pytest.mark.parametrize(("per_pass", "passes"), [(1, [[0, 1], [0]]), (2, [[0, 1]])])
def test_global_decoding_gives_the_surest_links_to_the_next_pass(per_pass: int, passes: list[list[int]]) -> None:
    mentions = mentions_of([known([4, 5], TWO), known([5, 6], TWO)], [0, 0])
    scorer = Scorer({0: [0.0, 1.0], 1: [3.0, 1.0]})
    LinkDecoder("global", per_pass, 0.0).rank([mentions], scorer)
    assert [wanted for _, _, wanted in scorer.shown] == passes
    assert scorer.shown[-1][1] == ([MASK, MASK] if len(passes) == 1 else [MASK, 5])
    assert mentions.ids.tolist() == [5, 5]


def test_a_link_below_the_threshold_is_not_given_to_the_next_pass() -> None:
    sure = 1 / (1 + np.exp(-1.0))
    for threshold, expected in ((sure - 1e-9, 5), (sure + 1e-9, MASK)):
        mentions = mentions_of([known([4, 5], TWO)], [0])
        LinkDecoder("global", 1, threshold).rank([mentions], Scorer({0: [0.0, 1.0]}))
        assert mentions.ids.tolist() == [expected]
        assert mentions.rankings[0].entity == 5
    mentions = mentions_of([known([0, 5], TWO)], [0])
    LinkDecoder("global", 1, 0.5).rank([mentions], Scorer({0: [1.0, 1.0]}))
    assert mentions.ids.tolist() == [0], "as probable as the threshold, in the first row of the vocabulary"


def test_the_model_is_not_asked_what_it_cannot_change() -> None:
    """An entity without candidates, with one, with none that the model knows, and in no window."""
    found = [known([], []), known([4], [1.0]), known([], [1.0], ("Q0",)), known([4, 5], [0.4, 0.6])]
    mentions = mentions_of(found, [0, 0, 1, -1])
    scorer = Scorer({})
    LinkDecoder("global", 1, 0.0).rank([mentions], scorer)
    assert scorer.shown == []
    assert [ranking.kb_ids for ranking in mentions.rankings] == [(), ("Q4",), ("Q0",), ("Q5", "Q4")]
    assert mentions.ids.tolist() == [MASK, 4, MASK, 5]
    hidden = mentions_of([VocabularyCandidates(EntityVocab(ENTITIES), len(ENTITIES), {}, 3), None], [-1, -1])
    LinkDecoder("global", 1, 0.0).rank([hidden], scorer)
    assert hidden.rankings == [Ranking(), None], "one whose link is given needs none"


@pytest.mark.parametrize("decoder", ["local", "global"])
def test_an_entity_whose_logits_are_not_finite_has_no_link_and_others_have(decoder: str) -> None:
    mentions = mentions_of([known([4, 5], TWO), known([5, 6], TWO)], [0, 0])
    LinkDecoder(decoder, 1, 0.0).rank([mentions], Scorer({0: [np.nan, 1.0], 1: [3.0, 1.0]}))
    assert [ranking.kb_ids for ranking in mentions.rankings] == [(), ("Q5", "Q6")]


def test_rows_list_the_candidates_of_the_entities_that_they_predict() -> None:
    mentions = mentions_of([known([4, 5], TWO), None, known([], []), known([6], [1.0])], [0, 0, 1, 1])
    members = np.array([0, 1, 2, 3])
    assert mentions.is_open(members).tolist() == [True, False, True, True]
    assert mentions.is_scored(members).tolist() == [True, False, False, True]
    row = mentions.row(7, Window(0, 4, (0, 4)), members, np.array([True, False, False, True]))
    assert (row.doc, row.start, row.end, row.entities) == (7, 0, 4, 4)
    assert row.text is mentions.placed.pieces.pieces
    assert row.candidates.tolist() == [[4, 5], [6, -1]]
    anything = mentions_of([VocabularyCandidates(EntityVocab(ENTITIES), len(ENTITIES), {}, 3)], [0])
    assert anything.row(0, Window(0, 1, (0, 1)), np.array([0]), np.array([True])).candidates is None
    assert row.wanted.tolist() == [0, 3]
    shown = windows_with_entities(mentions.placed)
    assert [(window.start, found.tolist()) for window, found in shown] == [(0, [0, 1]), (2, [2, 3])]
    assert listed_candidates([]).shape == (0, 0)


def rows_of(counts: Iterable[int], candidates: list[list[int]] | None = None) -> list[EntityRow]:
    """Rows that predict so many entities each, among all or among these candidates."""
    none = np.zeros(0, dtype=np.int64)
    pieces = WordPieces(none, none, none, none)
    rows = []
    for count in counts:
        predicted = np.array([False] + [True] * count)
        members, ranges = np.arange(count + 1), np.zeros((count + 1, 2), dtype=np.int64)
        listed = None if candidates is None else np.array(candidates[:count])
        rows.append(EntityRow(0, pieces, 0, 0, members, members, ranges, predicted, listed))
    return rows


def test_logits_go_to_the_entities_that_they_are_of() -> None:
    logits = np.arange(12.0).reshape(4, 3)
    everything = [[one.tolist() for one in of_row] for of_row in split_logits(rows_of([1, 2, 1]), logits)]
    assert everything == [[[0, 1, 2]], [[3, 4, 5], [6, 7, 8]], [[9, 10, 11]]]
    listed = rows_of([2], [[4, 5, -1], [0, 7, 8]])
    assert [[one.tolist() for one in of_row] for of_row in split_logits(listed, logits)] == [[[0, 1], [3, 4, 5]]]


def test_logits_of_a_whole_vocabulary_are_computed_in_parts_that_fit(monkeypatch) -> None:
    monkeypatch.setattr(decoding, "_MOST_LOGITS", 100)
    parts = [[int(row.predicted.sum()) for row in part] for part in bounded(rows_of([3, 2, 1, 9, 1, 4]), 20)]
    assert parts == [[3, 2], [1], [9], [1, 4]]
    assert len(list(bounded(rows_of([3, 2, 1, 9], [[1]] * 9), 20))) == 1, "few of them are computed for candidates"
    assert list(bounded([], 20)) == []


def test_scores_are_those_of_the_candidates_filled_up() -> None:
    mentions = mentions_of([known([4, 5], TWO), None, known([6], [1.0])], [0, 0, 1])
    items, scores = listed_scores(mentions, {2: np.array([0.5]), 0: np.array([1.0, 2.0])})
    assert [(span.start, names) for span, names in items] == [(0, ("Q4", "Q5")), (2, ("Q6",))]
    assert scores.dtype == np.float32
    assert scores.tolist() == [[1.0, 2.0], [0.5, -np.inf]]
    assert listed_scores(mentions, {})[1].shape == (0, 0)
