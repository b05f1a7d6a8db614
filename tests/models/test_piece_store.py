"""Which states of pieces are kept where there is not room for all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc

from spacy_luke.batching.collate import WindowRow, collate
from spacy_luke.encoders.config import LukeConfig
from spacy_luke.encoders.independent_attention import IndependentLukeEncoder
from spacy_luke.models.piece_store import EncodedBatch, PieceStore
from spacy_luke.tokenization.loading import SpecialPieces
from spacy_luke.tokenization.pieces import WordPieces

NLP = spacy.blank("en")
READERS = {"luke_ner", "luke_relations"}
SPECIAL = SpecialPieces(bos=0, eos=2, pad=1, unk=3, mask=4)


def batch_of(store: PieceStore, *docs: Doc) -> Any:
    """A batch of Docs on its way through a pipeline, whose states take 4 bytes."""
    unused: Any = None
    encoded = EncodedBatch(unused, unused, WeakSet(docs))
    for doc in docs:
        store._predicted.places.setdefault(doc, {})[0, 1] = (encoded, 0)
    return encoded


def encode(store: PieceStore, *batches: Any) -> None:
    with torch.no_grad():
        for encoded in batches:
            store.states(encoded, (), trains=False)


def are_kept(*batches: Any) -> list[bool]:
    return [encoded.kept is not None for encoded in batches]


@pytest.fixture(autouse=True)
def encoded_is_counted(monkeypatch: Any) -> None:
    monkeypatch.setattr(EncodedBatch, "encode", lambda self, layers: SimpleNamespace(nbytes=4, hidden={}))


@pytest.mark.parametrize(
    ("room", "left", "kept"),
    [
        (12, (), [True, True, True]),
        (11, (), [True, True, False]),
        (11, (1,), [True, False, True]),
        (11, (0, 1), [False, True, True]),
        (8, (0, 1), [False, True, True]),
        (7, (0, 1), [False, False, True]),
        (4, (0,), [False, False, True]),
        (3, (0, 1), [False, False, False]),
        (0, (), [False, False, False]),
    ],
)
def test_states_of_docs_that_were_left_behind_make_room_oldest_first(
    room: int, left: tuple[int, ...], kept: list[bool]
) -> None:
    store, docs = PieceStore(room, max_trained_pieces=0), [NLP.make_doc(text) for text in "abc"]
    batches = [batch_of(store, doc) for doc in docs]
    encode(store, *batches[:2])
    store.has_read([docs[i] for i in left], "luke_ner", READERS)
    encode(store, batches[2])
    assert are_kept(*batches) == kept
    assert store.nbytes == 4 * sum(kept)


def test_a_batch_is_left_behind_when_all_of_its_docs_are() -> None:
    store, (a, b, c) = PieceStore(7, max_trained_pieces=0), (NLP.make_doc(text) for text in "abc")
    first, second = batch_of(store, a, b), batch_of(store, c)
    encode(store, first)
    store.has_read([a], "luke_ner", READERS)
    encode(store, second)
    assert are_kept(first, second) == [True, False]
    store.has_read([b], "luke_ner", READERS)
    encode(store, second)
    assert are_kept(first, second) == [False, True]


def test_other_batches_of_the_docs_at_hand_stay() -> None:
    store, doc = PieceStore(7, max_trained_pieces=0), NLP.make_doc("a")
    first, second = batch_of(store, doc), batch_of(store, doc)
    store._predicted.places[doc][1, 2] = (first, 0)
    encode(store, first)
    store.has_read([doc], "luke_ner", READERS)
    encode(store, second)
    assert are_kept(first, second) == [True, False]


def test_what_all_have_read_is_kept_no_more() -> None:
    store, (a, b) = PieceStore(100, max_trained_pieces=0), (NLP.make_doc(text) for text in "ab")
    both = batch_of(store, a, b)
    encode(store, both)
    for reader in sorted(READERS):
        store.has_read([a], reader, READERS)
    assert are_kept(both) == [True], "the other Doc is still to be read"
    for reader in sorted(READERS):
        store.has_read([b], reader, READERS)
    assert are_kept(both) == [False]
    assert store.nbytes == 0


def test_a_batch_shows_a_window_of_the_same_pieces_and_types() -> None:
    unused = np.zeros(0, dtype=np.int64)

    def window(ids: list[int], types: list[int]) -> WindowRow:
        return WindowRow(
            0, WordPieces(np.array([9, *ids, 9]), np.array([0, *types, 0]), unused, unused), 1, 1 + len(ids)
        )

    rows = [window([5, 6], [0, 1]), window([5, 6, 7], [0, 1, 1])]
    encoder: Any = None
    batch = collate([row.make(SPECIAL) for row in rows], piece_pad=SPECIAL.pad, entity_pad=0)
    encoded = EncodedBatch(encoder, batch, WeakSet())
    others = [window([5, 8], [0, 1]), window([5, 6], [0, 0]), window([5, 6, 2], [0, 1, 0]), window([5], [0])]
    assert [encoded.shows(0, row) for row in [*rows, *others]] == [True] + [False] * 5
    assert [encoded.shows(1, row) for row in [*rows, *others]] == [False, True] + [False] * 4


@pytest.mark.parametrize(("trains", "sizes"), [(None, [80]), (True, [40, 40])], ids=["prediction", "update"])
def test_a_component_reads_in_one_batch_what_is_encoded_in_one(trains: bool | None, sizes: list[int]) -> None:
    """Predictions leave padding out, so that windows of 10 and of 15 pieces are a batch; updates do not."""
    config = LukeConfig(vocab_size=5, entity_vocab_size=5, hidden_size=4, num_attention_heads=1, num_hidden_layers=1)
    encoder, docs = IndependentLukeEncoder(config), [NLP.make_doc("a") for _ in range(80)]
    text = WordPieces(*[np.zeros(13, dtype=np.int64)] * 4)
    rows = [WindowRow(doc, text, 0, 8 if doc % 2 else 13) for doc in range(80)]
    store = PieceStore(0, max_trained_pieces=0)
    found = list(store.batches(encoder, docs, rows, 4096, SPECIAL, entity_pad=0, trains=trains))
    assert [len(group) for group, _ in found] == sizes
    assert len({id(batch.piece_source.reading.encoded) for _, batch in found}) == len(sizes)
