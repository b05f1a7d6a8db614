"""Masking by the paper's recipe: what is masked, how often, and what is put in its place."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from spacy_luke.batching.collate import RowInput
from spacy_luke.errors import LukeError
from spacy_luke.tokenization.entity_vocab import EntityVocab
from spacy_luke.tokenization.pieces import PieceTokenizer
from spacy_luke.training.pretraining.masking import MaskedRow, Masking, MaskVocab
from spacy_luke.training.pretraining.windows import BEGIN, BLANK, INSIDE
from tests.util import read_files, write_word_piece

MASK, ENTITY_MASK = 4, 2
VOCAB = MaskVocab(MASK, ENTITY_MASK, np.arange(5, 200))
WINDOWS = 300


def window(entities: int = 20) -> tuple[RowInput, np.ndarray]:
    """98 pieces, none of which is random or a mask, in words of one to three; every tenth piece is white space."""
    kinds = np.full(100, BLANK)
    sizes = [1, 2, 3, 3] * 100
    place = 1
    while place < 98:
        size = min(sizes.pop(), 99 - place)
        kinds[place : place + size] = [BEGIN, *[INSIDE] * (size - 1)]
        place += size
    kinds[10:99:10] = BLANK
    kinds[11:99:10] = BEGIN
    spans = np.array([(i, i + 1) for i in range(1, entities + 1)]).reshape(-1, 2)
    return RowInput(np.arange(300, 400), np.full(100, 3), np.arange(50, 50 + entities), spans), kinds


def masked(masking: Masking, entities: int = 20, count: int = WINDOWS) -> list[MaskedRow]:
    row, kinds = window(entities)
    return [masking(row, kinds, VOCAB, np.random.default_rng(seed)) for seed in range(count)]


def test_shares_are_those_of_the_paper():
    rows = masked(Masking())
    becomes: Counter[str] = Counter()
    for row in rows:
        new = row.row.piece_ids[row.piece_places]
        becomes["mask"] += int((new == MASK).sum())
        becomes["random"] += int(((new >= 5) & (new < 200)).sum())
        becomes["kept"] += int((new == row.piece_targets).sum())
        assert len(row.piece_targets) <= 15
        assert len(row.entity_targets) == 3
    total = becomes.total()
    assert total == pytest.approx(0.15 * 98 * WINDOWS, rel=0.03)
    assert becomes["mask"] / total == pytest.approx(0.8, abs=0.02)
    assert becomes["random"] / total == pytest.approx(0.1, abs=0.02)
    assert becomes["kept"] / total == pytest.approx(0.1, abs=0.02)


def test_every_word_and_every_entity_is_masked_about_as_often():
    rows = masked(Masking(), count=1000)
    pieces = Counter(place for row in rows for place in row.piece_places.tolist())
    entities = Counter(place for row in rows for place in row.entity_places.tolist())
    _, kinds = window()
    assert set(pieces) == set(np.flatnonzero(kinds != BLANK).tolist())
    assert min(pieces.values()) > 100
    assert max(pieces.values()) < 260  # words of one piece fill up what longer ones leave
    assert set(entities) == set(range(20))
    assert min(entities.values()) > 100
    assert max(entities.values()) < 200


def test_words_are_masked_as_a_whole():
    _, kinds = window()
    for row in masked(Masking()):
        places = set(row.piece_places.tolist())
        for place in range(1, 99):
            if kinds[place] == INSIDE:
                assert (place in places) == (place - 1 in places)


def test_without_whole_words_pieces_are_masked_one_by_one():
    _, kinds = window()
    cut = 0
    for row in masked(Masking(whole_words=False)):
        places = set(row.piece_places.tolist())
        assert len(places) == 15
        cut += sum(kinds[p] == INSIDE and (p in places) != (p - 1 in places) for p in range(1, 99))
    assert cut > WINDOWS


def test_what_is_not_masked_stays_and_targets_are_what_was_there():
    given, kinds = window()
    for row in masked(Masking()):
        assert np.array_equal(given.piece_ids[row.piece_places], row.piece_targets)
        assert np.array_equal(given.entity_ids[row.entity_places], row.entity_targets)
        kept = np.setdiff1d(np.arange(100), row.piece_places)
        assert np.array_equal(row.row.piece_ids[kept], given.piece_ids[kept])
        entities = np.setdiff1d(np.arange(20), row.entity_places)
        assert np.array_equal(row.row.entity_ids[entities], given.entity_ids[entities])
        assert (row.row.entity_ids[row.entity_places] == ENTITY_MASK).all()
        assert np.array_equal(row.row.entity_spans, given.entity_spans)
        assert row.words == (kinds == BEGIN).sum()


def test_a_mask_does_not_show_the_case_of_its_word():
    for row in masked(Masking()):
        hidden = row.row.piece_ids == MASK
        assert (row.row.piece_types[hidden] == 0).all()
        assert (row.row.piece_types[~hidden] == 3).all()


def test_the_same_numbers_give_the_same_masks():
    first, again = masked(Masking()), masked(Masking())
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.row.piece_ids, b.row.piece_ids)
        assert np.array_equal(a.row.entity_ids, b.row.entity_ids)
    assert len({row.row.piece_ids.tobytes() for row in first}) == WINDOWS


def test_one_piece_of_a_word_is_masked_if_all_words_are_too_long():
    row = RowInput(np.arange(300, 308), np.zeros(8, int), np.zeros(0, int), np.zeros((0, 2), int))
    kinds = np.array([BLANK, BEGIN, INSIDE, INSIDE, BEGIN, INSIDE, INSIDE, BLANK])
    for seed in range(20):
        made = Masking()(row, kinds, VOCAB, np.random.default_rng(seed))
        assert len(made.piece_places) == 1
        assert not len(made.entity_places)


def test_nothing_is_masked_in_white_space():
    row = RowInput(np.arange(300, 304), np.zeros(4, int), np.zeros(0, int), np.zeros((0, 2), int))
    made = Masking()(row, np.full(4, BLANK), VOCAB, np.random.default_rng(0))
    assert not len(made.piece_places)
    assert np.array_equal(made.row.piece_ids, row.piece_ids)


@pytest.mark.parametrize(("pieces", "entities"), [(0.0, 0.5), (0.5, 0.0), (1.0, 1.0)])
def test_either_task_can_be_left_out_or_be_all_there_is(pieces, entities):
    _, kinds = window()
    (row,) = masked(Masking(pieces=pieces, entities=entities), count=1)
    room = min(round(pieces * 98), int((kinds != BLANK).sum()))
    assert room - 2 <= len(row.piece_places) <= room
    assert len(row.entity_places) == round(entities * 20)


@pytest.mark.parametrize(
    "settings",
    [
        {"pieces": 1.5},
        {"random_pieces": -0.1},
        {"random_pieces": 0.6, "kept_pieces": 0.6},
        {"entities": "all"},
        {"pieces": 0.0, "entities": 0.0},
    ],
)
def test_shares_that_cannot_be_raise_l047(settings):
    with pytest.raises(LukeError, match="L047"):
        Masking(**settings)


def test_random_pieces_are_no_special_ones(tmp_path):
    write_word_piece(tmp_path)
    tokenizer = PieceTokenizer(read_files(tmp_path))
    vocab = MaskVocab.from_tokenizer(tokenizer, EntityVocab.special_only())
    assert vocab.piece == tokenizer.vocab["[MASK]"]
    assert vocab.entity == 2
    assert set(vocab.ordinary.tolist()) == set(tokenizer.vocab.values()) - set(vars(tokenizer.special).values())
