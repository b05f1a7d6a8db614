"""The segments that a tokenizer keeps: bounded in bytes, shared by threads, the same results as without."""

from __future__ import annotations

import gc
import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
from spacy.strings import StringStore

from spacy_luke.tokenization import cache
from spacy_luke.tokenization.cache import LONGEST_CACHED, Segment, SegmentCache
from spacy_luke.tokenization.pieces import PieceTokenizer

# Words of one and of many pieces; the emoji have four each, and there are combining marks.
WORDS = [f"{word}{i}" for i in range(120) for word in ("Ada", "\U0001f469" * 8, "e\u0301" * 15, "x" * 28)]


def fill(tokenizer: PieceTokenizer, strings: StringStore) -> None:
    hashes = [strings.add(word) for word in WORDS]
    for spaces in ([0] * len(WORDS), [1] * len(WORDS)):
        tokenizer.encode_hashes(hashes, spaces, strings.__getitem__)
    tokenizer.encode_words(WORDS, [True] * len(WORDS))


def test_it_never_takes_more_than_its_bytes(any_tokenizer, monkeypatch) -> None:
    tokenizer, strings = PieceTokenizer(any_tokenizer.files), StringStore()
    for word in WORDS:
        strings.add(word)
    fill(tokenizer, strings)
    tokenizer._cache = SegmentCache()
    monkeypatch.setattr(cache, "CACHE_BYTES", 400_000)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        fill(tokenizer, strings)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0 < tokenizer._cache.bytes <= 400_000
    assert after - before < 1.1 * 400_000


def test_what_is_counted_is_near_what_is_taken(any_tokenizer) -> None:
    tokenizer, strings = PieceTokenizer(any_tokenizer.files), StringStore()
    fill(tokenizer, strings)
    tokenizer._cache = SegmentCache()
    tracemalloc.start()
    try:
        fill(tokenizer, strings)
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken / 1.1 < tokenizer._cache.bytes < taken * 3


def test_long_segments_are_not_kept() -> None:
    kept = SegmentCache()
    for length in (LONGEST_CACHED, LONGEST_CACHED + 1):
        kept.store_text("x" * length, Segment((1,), ((0, length),), (0,)))
    assert list(kept.texts) == ["x" * LONGEST_CACHED]


def test_a_full_one_is_emptied_as_a_whole(monkeypatch) -> None:
    monkeypatch.setattr(cache, "CACHE_BYTES", 1500)
    kept, segment = SegmentCache(), Segment((1,), ((0, 1),), (0,))
    for i in range(4):
        kept.store_text(str(i), segment)
        kept.store_word(i, True, segment)
    assert list(kept.texts) == ["2", "3"]
    assert list(kept.words[True]) == [2, 3]


def test_threads_that_share_it_get_the_pieces_of_one(any_tokenizer, monkeypatch) -> None:
    monkeypatch.setattr(cache, "CACHE_BYTES", 100_000)
    expected = any_tokenizer.encode_words(WORDS, [True] * len(WORDS)).ids.tolist()
    tokenizer, strings = PieceTokenizer(any_tokenizer.files), StringStore()
    hashes = [strings.add(word) for word in WORDS]

    def encode(number: int) -> list[int]:
        if number % 2:
            return tokenizer.encode_words(WORDS, [True] * len(WORDS)).ids.tolist()
        return tokenizer.encode_hashes(hashes, [1] * len(WORDS), strings.__getitem__).ids.tolist()

    with ThreadPoolExecutor(8) as pool:
        assert all(found == expected for found in pool.map(encode, range(16)))


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_a_copy_begins_empty(protocol) -> None:
    kept = SegmentCache()
    kept.store_text("x", Segment((1,), ((0, 1),), (0,)))
    copied = pickle.loads(pickle.dumps(kept, protocol))
    assert (copied.bytes, copied.texts, copied.words) == (0, {}, ({}, {}))
