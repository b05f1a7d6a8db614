"""Processes forked off one that has computed: the workers of `nlp.pipe(n_process=…)` on Linux."""

from __future__ import annotations

import os
from functools import cache, partial

import torch


@cache
def compute_alone_in_forks() -> None:
    """Let every process that is forked off this one, by whomever, compute with one thread, as the workers of
    PyTorch's DataLoader do.

    The threads of OpenMP are not there in a forked process, whose first parallel operation would wait for them for
    ever (libgomp). Nothing happens where processes do not fork.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))
