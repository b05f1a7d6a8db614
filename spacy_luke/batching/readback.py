"""What a model gave for batches, copied to the memory of the processor while the device computes the next ones."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
import torch
from thinc.util import is_cupy_array

T = TypeVar("T")
Wait = Callable[[], np.ndarray]


def read_back(results: Iterable[tuple[T, Any]]) -> Iterator[tuple[T, np.ndarray]]:
    """Arrays as those of NumPy, in order, with what belongs to them.

    Before the array of a GPU is waited for, the next one is asked for, so that the GPU has work while the processor
    reads. Arrays that are there already come one by one.
    """
    yield from one_behind((item, copying(array)) for item, array in results)


def is_finite(scores: np.ndarray) -> bool:
    """Whether no score of a model is NaN or +inf; -inf stands for what it does not score. *Shape:* any"""
    return not scores.size or bool(scores.max() < np.inf)  # the maximum is NaN if one of them is


def one_behind(started: Iterable[tuple[T, np.ndarray | Wait]]) -> Iterator[tuple[T, np.ndarray]]:
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
