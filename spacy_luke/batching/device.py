"""Batches that are made while the device computes earlier ones."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from queue import Queue
from typing import Any, TypeVar

import numpy as np
import torch
from thinc.util import is_cupy_array

from ..encoders.inputs import EncoderInput

T = TypeVar("T")
BatchT = TypeVar("BatchT", EncoderInput, EncoderInput | None)
_AHEAD = 2


def prefetch(batches: Iterable[tuple[T, BatchT]], device: torch.device) -> Iterator[tuple[T, BatchT]]:
    """Batches on the device of the model, with what belongs to them; None stays None.

    For a GPU they are made by a thread, put into pinned memory and copied while the GPU computes. On a CPU, which has
    its cores to compute with, they come as they are made.
    """
    if device.type != "cuda":
        return iter(batches)

    def move(item: tuple[T, BatchT]) -> tuple[T, BatchT]:
        return item if item[1] is None else (item[0], item[1].pinned().to(device))

    return in_background(batches, move)


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


Wait = Callable[[], np.ndarray]


def read_back(results: Iterable[tuple[T, Any]]) -> Iterator[tuple[T, np.ndarray]]:
    """Arrays as those of NumPy, in order, with what belongs to them.

    Before the array of a GPU is waited for, the next one is asked for, so that the GPU has work while the processor
    reads. Arrays that are there already come one by one.
    """
    return delayed_by_one((item, copying(array)) for item, array in results)


def is_finite(scores: np.ndarray) -> bool:
    """Whether no score of a model is NaN or +inf; -inf stands for what it does not score. *Shape:* any"""
    return not scores.size or bool(scores.max() < np.inf)  # the maximum is NaN if one of them is


def delayed_by_one(started: Iterable[tuple[T, np.ndarray | Wait]]) -> Iterator[tuple[T, np.ndarray]]:
    """Arrays, and those that have to be waited for once the next of them has been started."""
    waiting: deque[tuple[T, np.ndarray | Wait]] = deque()
    for item, found in started:
        waiting.append((item, found))
        behind = 0 if isinstance(found, np.ndarray) else 1
        while len(waiting) > behind:
            yield _waited_for(*waiting.popleft())
    yield from itertools.starmap(_waited_for, waiting)


def _waited_for(item: T, found: np.ndarray | Wait) -> tuple[T, np.ndarray]:
    return item, found if isinstance(found, np.ndarray) else found()


def copying(array: Any) -> np.ndarray | Wait:
    """A NumPy array as it is; for one of CuPy the copy is started, and what waits for it comes back."""
    if not is_cupy_array(array):
        return array
    on_device = torch.from_dlpack(array)  # the same memory
    copy = torch.empty(on_device.shape, dtype=on_device.dtype, device="cpu", pin_memory=True)
    copy.copy_(on_device, non_blocking=True)
    copied = torch.cuda.Event()
    copied.record(torch.cuda.current_stream(on_device.device))

    def wait() -> np.ndarray:
        copied.synchronize()
        return copy.numpy().copy()  # pinned memory is scarce, and callers keep what they get

    return wait
