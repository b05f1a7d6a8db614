"""Which states of pieces are kept where there is not room for all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

import pytest
import spacy
import torch
from spacy.tokens import Doc

from spacy_luke.models.piece_store import EncodedBatch, PieceStore

NLP = spacy.blank("en")
READERS = {"luke_ner", "luke_relations"}


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
