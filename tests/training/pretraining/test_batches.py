"""Windows on disk, and the batches that are made of them."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from spacy_luke.encoders.inputs import EncoderInput
from spacy_luke.encoders.layers import flat_indices
from spacy_luke.tokenization.entity_vocab import EntityVocab
from spacy_luke.tokenization.pieces import PieceTokenizer
from spacy_luke.training.pretraining.batches import MaskedWindows, Part
from spacy_luke.training.pretraining.masking import Masking
from spacy_luke.training.pretraining.settings import ModelSettings, Settings, WindowSettings
from spacy_luke.training.pretraining.store import WindowStore
from spacy_luke.training.pretraining.windows import linked_windows
from tests.training.pretraining.linked import make_doc, make_docs
from tests.util import read_files, write_byte_bpe

VOCAB = EntityVocab({"[PAD]": 0, "[UNK]": 1, "[MASK]": 2, "[MASK2]": 3, "London": 4, "Ada Lovelace": 5})
MAX_PIECES = 60


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> PieceTokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    write_byte_bpe(folder)
    return PieceTokenizer(read_files(folder))


@pytest.fixture(scope="module")
def store(tokenizer, tmp_path_factory) -> WindowStore:
    return WindowStore.write(tmp_path_factory.mktemp("data") / "train", make_docs(20), tokenizer, MAX_PIECES)


def settings_of(**changes: Any) -> Settings:
    return Settings("train", ModelSettings(checkpoint="x"), {"only": _Stage()}, **changes)  # type: ignore[dict-item]


class _Stage:
    steps = 1


def windows(store: WindowStore, tokenizer: PieceTokenizer, *, unknown: str = "unk", **changes: Any) -> MaskedWindows:
    return MaskedWindows(
        store, tokenizer, VOCAB, WindowSettings(**changes), masking=Masking(entities=0.0), unknown=unknown
    )


def steps_of(
    made: MaskedWindows, settings: Settings, count: int, seen: int = 0
) -> list[list[tuple[Part, EncoderInput]]]:
    """The batches of each step."""
    steps: list[list[tuple[Part, EncoderInput]]] = [[]]
    for part, batch in made.steps(settings, count, seen):
        steps[-1].append((part, batch))
        if part.seen is not None:
            steps.append([])
    assert not steps.pop()
    return steps


def entities_of(made: MaskedWindows) -> list[int]:
    """The entities of all windows."""
    batches = (batch for _, batch in made.evaluation(settings_of()))
    return [i for b in batches if b.entity_ids is not None for i in b.entity_ids[b.entity_mask].tolist()]


# --- on disk


def test_a_store_has_the_windows_of_the_docs(store, tokenizer):
    made = [window for doc in make_docs(20) for window in linked_windows(doc, tokenizer, MAX_PIECES)]
    assert len(store) == len(made) > 20
    for index, window in enumerate(made):
        inside, linked = store.pieces(index), store.entities(index)
        assert np.array_equal(store.ids[inside], window.ids)
        assert np.array_equal(store.types[inside], window.types)
        assert np.array_equal(store.kinds[inside], window.kinds)
        assert np.array_equal(store.entity_ranges[linked], window.ranges)
        assert [store.titles[i] for i in store.entity_titles[linked]] == list(window.titles)
    counts = Counter(title for window in made for title in window.titles)
    assert dict(zip(store.titles, store.counts.tolist(), strict=True)) == counts
    assert store.docs == 20
    assert store.words == sum(len(doc) for doc in make_docs(20))


def test_a_new_store_takes_the_place_of_the_old_one(tokenizer, tmp_path):
    for docs in (make_docs(5), make_docs(2)):
        made = WindowStore.write(tmp_path / "store", docs, tokenizer, MAX_PIECES)
        assert len(WindowStore(tmp_path / "store")) == len(made)
    assert made.docs == 2
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_store_without_docs_or_entities_is_empty(tokenizer, tmp_path):
    empty = WindowStore.write(tmp_path / "empty", [], tokenizer, MAX_PIECES)
    assert (len(empty), empty.titles, empty.docs) == (0, [], 0)
    plain = WindowStore.write(tmp_path / "plain", [make_doc([["No links here."]])], tokenizer, MAX_PIECES)
    assert (len(plain), plain.titles) == (1, [])
    assert not len(windows(plain, tokenizer).windows)
    assert len(windows(plain, tokenizer, without_entities=True).windows) == 1


# --- the entities that are shown


def test_unknown_entities_are_unk_or_left_out(store, tokenizer):
    given = Counter(entities_of(windows(store, tokenizer)))
    known = {title: int(store.counts[store.titles.index(title)]) for title in ("London", "Ada Lovelace")}
    assert given == {4: known["London"], 5: known["Ada Lovelace"], 1: store.counts.sum() - sum(known.values())}
    assert Counter(entities_of(windows(store, tokenizer, unknown="skip"))) == {4: given[4], 5: given[5]}
    assert windows(store, tokenizer).known_entities == sum(known.values())


def test_windows_whose_entities_are_all_left_out_are_not_used(store, tokenizer):
    used = windows(store, tokenizer, unknown="skip").windows
    known = [
        index
        for index in range(len(store))
        if {store.titles[i] for i in store.entity_titles[store.entities(index)]} & {"London", "Ada Lovelace"}
    ]
    assert used.tolist() == known
    assert len(known) < len(store)
    assert len(windows(store, tokenizer, unknown="skip", without_entities=True).windows) == len(store)


def test_the_first_entities_of_a_window_are_taken(store, tokenizer):
    for _, batch in windows(store, tokenizer, max_entities=2).evaluation(settings_of()):
        assert batch.entity_mask.sum(1).max() <= 2
    every = [batch for _, batch in windows(store, tokenizer).evaluation(settings_of(batch_size=1))]
    some = [batch for _, batch in windows(store, tokenizer, max_entities=2).evaluation(settings_of(batch_size=1))]
    by_pieces = {b.piece_ids.numpy().tobytes(): b.entity_spans for b in every}
    for batch in some:
        spans = by_pieces[batch.piece_ids.numpy().tobytes()]
        assert torch.equal(batch.entity_spans, spans[:, :2])


def test_a_long_mention_has_the_place_of_its_first_pieces(store, tokenizer):
    for _, batch in windows(store, tokenizer, max_mention_pieces=2).evaluation(settings_of()):
        start, end = batch.entity_spans[batch.entity_mask].unbind(-1)
        assert (end - start <= 2).all()
        assert (end > start).all()


# --- steps


def test_a_step_fills_its_batches_and_no_more(store, tokenizer):
    settings = settings_of(batch_size=300, accumulate_gradient=2)
    for step in steps_of(windows(store, tokenizer), settings, 10):
        sizes = []
        for _, batch in step:
            padded = batch.piece_ids.numel() + batch.entity_ids.numel()
            assert padded <= 300
            sizes.append(int(batch.piece_mask.sum() + batch.entity_mask.sum()))
        assert 600 - 80 < sum(sizes) <= 600
        pieces, entities = step[0][0].pieces, step[0][0].entities
        assert pieces == sum(len(part.targets.pieces) for part, _ in step)
        assert entities == sum(len(part.targets.entity_ids) for part, _ in step)
        assert sum(part.words for part, _ in step) > 0


def test_targets_stand_where_the_batch_is_masked(store, tokenizer):
    made = MaskedWindows(
        store,
        tokenizer,
        VOCAB,
        WindowSettings(),
        masking=Masking(random_pieces=0.0, kept_pieces=0.0, entities=0.5),
        unknown="unk",
    )
    for part, batch in made.steps(settings_of(batch_size=500), 5, 0):
        assert torch.equal(part.targets.pieces, flat_indices(batch.piece_ids == tokenizer.special.mask))
        assert torch.equal(part.targets.entities, flat_indices(batch.entity_ids == VOCAB["[MASK]"]))
        assert len(part.targets.piece_ids) == len(part.targets.pieces)
        assert len(part.targets.entity_ids) == len(part.targets.entities)


def test_an_epoch_has_each_window_once_and_the_next_one_another_order_and_masks(store, tokenizer):
    made = windows(store, tokenizer)
    settings = settings_of(batch_size=1)  # a window a step
    count = len(made.windows)
    steps = [batch for _, batch in islice(made.steps(settings, 10_000, 0), 2 * count)]

    def texts(batches: list[EncoderInput]) -> list[bytes]:
        return [batch.entity_spans.numpy().tobytes() + bytes(batch.piece_ids.shape) for batch in batches]

    first, second = texts(steps[:count]), texts(steps[count:])
    assert sorted(first) == sorted(second)
    assert first != second
    masked = {batch.piece_ids.numpy().tobytes() for batch in steps}
    assert len(masked) > 1.5 * count


def test_steps_go_on_from_any_place_as_if_they_had_not_stopped(store, tokenizer):
    made = windows(store, tokenizer)
    settings = settings_of(batch_size=700)
    whole = steps_of(made, settings, 12)
    for stop in (1, 5, 11):
        seen = whole[stop - 1][-1][0].seen
        rest = steps_of(windows(store, tokenizer), settings, 12 - stop, seen)
        assert len(rest) == 12 - stop
        for before, after in zip(whole[stop:], rest, strict=True):
            for (part, batch), (other_part, other) in zip(before, after, strict=True):
                assert torch.equal(batch.piece_ids, other.piece_ids)
                assert torch.equal(batch.entity_ids, other.entity_ids)
                assert part.seen == other_part.seen


def test_an_evaluation_has_the_same_masks_each_time_and_those_of_the_seed(store, tokenizer):
    made = windows(store, tokenizer)

    def ids(seed: int) -> list[bytes]:
        return [batch.piece_ids.numpy().tobytes() for _, batch in made.evaluation(settings_of(seed=seed))]

    assert ids(0) == ids(0) != ids(1)
