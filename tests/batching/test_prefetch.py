"""Batches made in a thread come in order, whole, and with the errors of the thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from spacy_luke.batching.device import in_background, prefetch
from tests.util import make_input


def counted(made: list[int], count: int = 20) -> Iterator[int]:
    for i in range(count):
        made.append(i)
        yield i


def test_items_come_in_order_from_another_thread():
    threads: set[int] = set()

    def prepare(item: int) -> int:
        threads.add(threading.get_ident())
        return item * item

    assert list(in_background(counted([]), prepare)) == [i * i for i in range(20)]
    assert threads != {threading.get_ident()}
    assert list(in_background([], prepare)) == []


def test_a_process_may_end_before_the_thread_does():
    assert list(in_background([0], lambda _: int(threading.current_thread().daemon))) == [1]


def test_an_error_comes_where_the_item_would_have_come():
    def failing() -> Iterator[int]:
        yield 1
        raise KeyError("two")

    items = in_background(failing(), lambda item: item)
    assert next(items) == 1
    with pytest.raises(KeyError, match="two"):
        next(items)


def test_whoever_stops_early_stops_the_thread():
    made: list[int] = []
    before = threading.active_count()
    items = in_background(counted(made, 1000), lambda item: item)
    assert next(items) == 0
    items.close()
    assert threading.active_count() == before
    assert len(made) < 10


def test_a_thread_that_waits_for_room_is_stopped_too():
    fourth = threading.Event()

    def prepare(item: int) -> int:
        if item == 3:  # one is taken, two are queued: there is no room for it
            fourth.set()
        return item

    items = in_background(counted([], 1000), prepare)
    assert next(items) == 0
    assert fourth.wait(60)
    closing = threading.Thread(target=items.close, daemon=True)
    closing.start()
    closing.join(60)
    assert not closing.is_alive()


def test_on_a_cpu_batches_come_as_they_are_made():
    batch = make_input([4, 2], None)
    made: list[int] = []

    def batches():
        for i in counted(made):
            yield i, batch

    found = prefetch(batches(), torch.device("cpu"))
    assert next(found) == (0, batch)
    assert made == [0]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_they_are_there_already():
    batch = make_input([4, 2], [[(1, 2)], []])
    [(item, moved)] = prefetch([("a", batch)], torch.device("cuda"))
    assert item == "a"
    assert moved.piece_ids.device.type == "cuda"
    assert torch.equal(moved.piece_ids.cpu(), batch.piece_ids)
