"""Functions that run in a process of their own, because they measure its memory or its start.

Nothing here imports transformers, which would disturb the memory of our side.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from .machine import untuned
from .options import ROOT


def in_own_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of a module of this package in a new process. Arguments and result are JSON."""
    name = [function.__module__, function.__qualname__]
    command = [sys.executable, "-m", "benchmarks.child", *name, json.dumps(arguments)]
    environment = untuned(os.environ)
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{'.'.join(name)} failed in its own process:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


class PeakMemory:
    """The most memory since it was made, above that of then: resident (Linux), or of the GPU."""

    def __init__(self, device: str):
        self._cuda = device == "cuda"
        if self._cuda:
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()
        else:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts again
            self._before = _bytes("VmRSS")

    def megabytes(self) -> float:
        """The current value."""
        peak = torch.cuda.max_memory_allocated() if self._cuda else _bytes("VmHWM")
        return (peak - self._before) / 2**20


def _bytes(entry: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(entry))


if __name__ == "__main__":
    module, function_name, given = sys.argv[1:]
    print(json.dumps(getattr(import_module(module), function_name)(*json.loads(given))))
