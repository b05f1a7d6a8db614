"""Batches that are made while the device computes earlier ones."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import Queue
from typing import Any, TypeVar

import torch

from ..encoders.inputs import EncoderInput

T = TypeVar("T")
_AHEAD = 2


def prefetch(batches: Iterable[tuple[T, EncoderInput]], device: torch.device) -> Iterator[tuple[T, EncoderInput]]:
    """Batches on the device of the model, with what belongs to them.

    For a GPU they are made by a thread, put into pinned memory and copied while the GPU computes. On a CPU, which has
    its cores to compute with, they come as they are made.
    """
    if device.type != "cuda":
        yield from batches
        return

    def move(item: tuple[T, EncoderInput]) -> tuple[T, EncoderInput]:
        return item[0], item[1].pinned().to(device)

    yield from in_background(batches, move)


def in_background(items: Iterable[T], prepare: Callable[[T], T]) -> Iterator[T]:
    """Make items, and prepare them, in a thread that is at most `_AHEAD` items ahead.

    An error in the thread is raised here, where the item would have come. A caller that stops early stops the thread.
    """
    queue: Queue[tuple[str, Any]] = Queue(maxsize=_AHEAD)
    stopped = threading.Event()

    def work() -> None:
        try:
            for item in items:
                queue.put(("item", prepare(item)))
                if stopped.is_set():
                    return
            queue.put(("end", None))
        except BaseException as error:  # raised again in the thread that waits for it
            queue.put(("error", error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (got := queue.get())[0] == "item":
            yield got[1]
        if got[0] == "error":
            raise got[1]
    finally:
        stopped.set()
        while thread.is_alive():  # it may wait for room
            if not queue.empty():
                queue.get()
            thread.join(timeout=0.01)
