"""Commands as a person runs them: with a terminal for standard error."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from types import MappingProxyType
from typing import Any

import pytest

# Without the wait before a bar is shown, which short work would not outlast.
WITHOUT_DELAY = "from spacy_luke.cli import progress; progress.DELAY = 0; from spacy.cli import setup_cli; setup_cli()"
WIDTH = 100
NO_MORE: Mapping[str, str] = MappingProxyType({})


def open_terminal() -> tuple[int, int]:
    """File descriptors of a new pseudo-terminal: ours and that of the program."""
    pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, WIDTH, 0, 0))
    return ours, theirs


def on_terminal(function: Callable[[], Any]) -> tuple[str, str]:
    """Call a function whose standard error is a terminal; what it printed on standard output, and what on the
    terminal."""
    ours, theirs = open_terminal()
    shown = _Reader(ours)
    with os.fdopen(theirs, "w") as terminal, redirect_stderr(terminal), redirect_stdout(StringIO()) as output:
        function()
    return output.getvalue(), shown.text()


def run(*args: object, environment: Mapping[str, str] = NO_MORE) -> subprocess.CompletedProcess[str]:
    """Run `python -m spacy` as a process without a terminal. environment: variables to set."""
    command = [sys.executable, "-m", "spacy", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=300)


def run_on_terminal(*args: object, environment: Mapping[str, str] = NO_MORE) -> tuple[int, str, str]:
    """Run `python -m spacy` as a process whose standard error is a terminal; exit status, standard output, and what the
    terminal was sent. environment: variables to set."""
    ours, theirs = open_terminal()
    shown = _Reader(ours)
    command = [sys.executable, "-c", WITHOUT_DELAY, *map(str, args)]
    variables = {**os.environ, **environment}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True, env=variables)
    os.close(theirs)
    output, _ = process.communicate(timeout=300)
    return process.returncode, output, shown.text()


class _Reader(threading.Thread):
    """Reads what a terminal is sent, until the last program has closed it."""

    def __init__(self, terminal: int):
        super().__init__(daemon=True)
        self._terminal = terminal
        self._data = b""
        self.start()

    def run(self) -> None:
        try:
            while data := os.read(self._terminal, 4096):
                self._data += data
        except OSError:  # what Linux says at the end
            pass

    def text(self) -> str:
        self.join(timeout=60)
        os.close(self._terminal)
        return self._data.decode("utf8")
