"""Forked processes compute after their parent has."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# The sum of a large tensor is computed by all threads; in a fork they would wait for threads that it lacks.
FORKED = """
import multiprocessing
import torch
from spacy_luke.models.wrapper import EncoderShim

def work(results):
    results.put((torch.get_num_threads(), float(torch.ones(2_000, 2_000).exp().sum())))

if __name__ == "__main__":
    torch.set_num_threads(2)
    EncoderShim(torch.nn.Linear(1, 1))
    expected = float(torch.ones(2_000, 2_000).exp().sum())
    fork = multiprocessing.get_context("fork")
    results = fork.SimpleQueue()
    process = fork.Process(target=work, args=(results,))
    process.start()
    process.join(60)
    if process.is_alive():
        process.kill()
        raise SystemExit("the forked process hangs")
    assert process.exitcode == 0, process.exitcode
    threads, found = results.get()
    assert threads == 1, threads
    assert torch.get_num_threads() == 2
    assert abs(found - expected) <= 1e-5 * expected, (found, expected)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")
def test_a_forked_process_computes_with_one_thread_and_does_not_wait_for_its_parents() -> None:
    run = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
