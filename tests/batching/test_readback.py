"""Outputs of a model come in order, and those of a GPU only once the next batch has been started."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from thinc.api import get_array_module, torch2xp

from spacy_luke.batching.device import delayed_by_one, is_finite, read_back


def waited_for(number: int, log: list[str]) -> Callable[[], np.ndarray]:
    def wait() -> np.ndarray:
        log.append(f"wait {number}")
        return np.array([number])

    return wait


def started(kinds: list[bool], log: list[str]) -> Iterator[tuple[int, np.ndarray | Callable[[], np.ndarray]]]:
    """kinds: for each array whether it has to be waited for."""
    for number, slow in enumerate(kinds):
        log.append(f"start {number}")
        yield number, waited_for(number, log) if slow else np.array([number])


@given(kinds=st.lists(st.booleans(), max_size=8))
def test_all_come_in_order_with_what_belongs_to_them(kinds: list[bool]) -> None:
    found = list(delayed_by_one(started(kinds, [])))
    assert [(number, int(array[0])) for number, array in found] == [(number, number) for number in range(len(kinds))]


def test_the_next_one_is_started_before_one_is_waited_for() -> None:
    log: list[str] = []
    for number, _ in delayed_by_one(started([True] * 3, log)):
        log.append(f"use {number}")
    assert log == ["start 0", "start 1", "wait 0", "use 0", "start 2", "wait 1", "use 1", "wait 2", "use 2"]


def test_arrays_that_are_there_come_before_the_next_is_asked_for() -> None:
    log: list[str] = []
    for number, _ in delayed_by_one(started([False] * 2, log)):
        log.append(f"use {number}")
    assert log == ["start 0", "use 0", "start 1", "use 1"]


def test_an_array_in_host_memory_is_not_copied() -> None:
    array = np.ones(3)
    [(item, found)] = read_back([("a", array)])
    assert item == "a"
    assert found is array


@pytest.mark.parametrize(
    ("scores", "finite"),
    [
        ([], True),
        ([[0.0, -1.0]], True),
        ([[0.0, -np.inf]], True),
        ([[0.0, np.inf]], False),
        ([[np.nan, 1.0]], False),
        ([[1.0, np.nan]], False),
    ],
)
def test_scores_that_are_nan_or_plus_infinity_are_not_finite(scores: list[list[float]], finite: bool) -> None:
    assert is_finite(np.array(scores)) is finite


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_arrays_of_a_gpu_are_copied_once_they_are_computed() -> None:
    def computed(number: int) -> object:
        torch.cuda._sleep(50_000_000)  # cycles: the copy has to wait for them
        return torch2xp(torch.full((1000, 1000), float(number), device="cuda"))

    assert get_array_module(computed(0)) is not np
    found = list(read_back((number, computed(number)) for number in range(5)))
    assert [number for number, _ in found] == list(range(5))
    for number, array in found:
        np.testing.assert_array_equal(array, np.full((1000, 1000), float(number), dtype=np.float32))
