"""Gold links of the entities of a predicted Doc, where those are in the text, and which of them are masked."""

from __future__ import annotations

from collections import Counter

import numpy as np
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import fix_random_seed
from spacy.vocab import Vocab

from spacy_luke.batching.pieces import DocPieces
from spacy_luke.batching.windows import SentenceWindows
from spacy_luke.pipeline.entity_linker.gold import NOT_THERE, UNKNOWN, draw_masked, gold_links
from spacy_luke.pipeline.entity_linker.inputs import NO_WINDOW, EntityRow, place_entities
from spacy_luke.tokenization.loading import SpecialPieces
from spacy_luke.tokenization.pieces import WordPieces

VOCAB = Vocab()
IDS = {"Q1": 0, "Q2": 7}


def linked(words: list[str], *ents: tuple[int, int, str]) -> Doc:
    doc = Doc(VOCAB, words=words)
    doc.ents = [Span(doc, start, end, "X", kb_id=kb_id) for start, end, kb_id in ents]
    return doc


def test_gold_links_are_those_of_the_same_tokens_and_what_is_lost_is_counted() -> None:
    words = list("abcdefgh")
    gold = linked(
        words, (0, 1, "Q2"), (1, 2, "Q1"), (2, 3, "NIL"), (3, 4, ""), (4, 6, "Q1"), (6, 7, "Q9"), (7, 8, "Q8")
    )
    predicted = linked(words, (0, 1, ""), (1, 2, ""), (2, 3, ""), (3, 4, ""), (4, 5, ""), (6, 7, ""), (7, 8, ""))
    found = gold_links(Example(predicted, gold), list(predicted.ents), lambda kb_id: IDS.get(kb_id, -1))
    assert found.kb_ids == ["Q2", "Q1", "", "", "", "Q9", "Q8"]
    assert found.known.tolist() == [True, True, False, False, False, False, False]
    assert found.targets[found.known].tolist() == [7, 0], "an entity may have the first row of the vocabulary"
    assert (found.total, found.missed) == (5, Counter({NOT_THERE: 1, UNKNOWN: 2}))
    assert found.missed_texts == ["'e f' (Q1)", "'g' (Q9)", "'h' (Q8)"]


def test_a_share_of_the_known_links_is_masked_and_one_at_least() -> None:
    fix_random_seed(0)
    known = np.arange(4000) % 4 > 0
    masked = draw_masked(known, 0.25)
    assert not (masked & ~known).any()
    assert 0.2 < masked.sum() / known.sum() < 0.3
    assert draw_masked(known, 1.0).tolist() == known.tolist()
    few = np.array([False, True, True, False])
    drawn = [np.flatnonzero(draw_masked(few, 0.0)).tolist() for _ in range(40)]
    assert {tuple(one) for one in drawn} == {(1,), (2,)}
    assert not draw_masked(np.zeros(3, dtype=bool), 1.0).any()


def test_entities_are_placed_by_their_first_pieces() -> None:
    """White space has no place, nor has what is in no sentence as a whole."""
    ends = np.array([2, 3, 8, 9, 11])
    starts = np.array([0, 2, 3, 8, 9])
    visible = np.array([True, False, True, True, True])
    none = np.zeros(11, dtype=np.int64)
    pieces = DocPieces(WordPieces(np.arange(11), none, starts, ends), np.array([[0, 4], [4, 5]]), visible)
    tokens = np.array([[0, 2], [1, 2], [1, 3], [2, 4], [3, 5], [4, 5], [3, 5]])
    placed = place_entities(pieces, tokens, SentenceWindows(20, "none"), 4)
    assert placed.pieces is pieces
    assert placed.spans[[0, 2, 3, 4, 5]].tolist() == [[0, 2], [3, 7], [3, 7], [8, 11], [9, 11]]
    assert [(window.start, window.end) for window in placed.windows] == [(0, 9), (9, 11)]
    assert placed.window_of.tolist() == [0, -1, 0, 0, -1, 1, -1]
    assert placed.left_out == Counter({"white space only": 1, NO_WINDOW: 2})
    in_context = place_entities(pieces, tokens[:1], SentenceWindows(20, "document"), 4)
    assert [(window.start, window.end) for window in in_context.windows] == [(0, 11)] * 2
    assert in_context.left_out == Counter()
    members, predicted = np.array([0, 3]), np.array([True, False])
    row = EntityRow(
        0, pieces.pieces, 3, 9, members, np.array([5, 2]), placed.spans[[3, 4]], predicted, np.array([[5, 7]])
    )
    made = row.make(SpecialPieces(0, 2, 1, 3, 4))
    assert made.entity_ids.tolist() == [5, 2]
    assert made.entity_spans.tolist() == [[1, 5], [6, 9]]
    assert made.predicted.tolist() == [True, False]
    assert made.candidates.tolist() == [[5, 7]]
