"""Runs that could write the same file at the same time do not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from spacy_luke.errors import LukeError, LukeWarning
from spacy_luke.scale import Shard, lock
from spacy_luke.scale.lock import locked

pytestmark = pytest.mark.skipif(lock.fcntl is None, reason="this system has no flock")
HOLD = """
import os, signal, sys
from pathlib import Path
from spacy_luke.scale import Shard
from spacy_luke.scale.lock import locked
with locked(Path(sys.argv[1]), Shard(1, 2)):
    print("held", flush=True)
    {then}
"""


@pytest.mark.parametrize(
    ("first", "second"), [("1/1", "1/1"), ("1/2", "1/2"), ("1/1", "1/2"), ("1/2", "1/1"), ("1/2", "2/3")]
)
def test_two_runs_that_may_have_the_same_input(tmp_path, first, second):
    refused = pytest.raises(LukeError, match=rf"L168.*--shard {first}")
    with locked(tmp_path, Shard.parse(first)), refused, locked(tmp_path, Shard.parse(second)):
        pass
    with locked(tmp_path, Shard.parse(second)):
        pass


def test_shards_of_one_deal_run_together(tmp_path):
    with locked(tmp_path, Shard(1, 3)), locked(tmp_path, Shard(2, 3)), locked(tmp_path, Shard(3, 3)):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_the_lock_of_a_process_that_was_killed_is_none(tmp_path):
    killed = HOLD.format(then="os.kill(os.getpid(), signal.SIGKILL)")
    done = subprocess.run([sys.executable, "-c", killed, tmp_path], capture_output=True, text=True, check=False)
    assert done.stdout == "held\n"
    assert (tmp_path / "shard-1-of-2.lock").exists()
    with locked(tmp_path, Shard(1, 1)):
        pass


def test_that_of_another_process_holds(tmp_path):
    holds = [sys.executable, "-c", HOLD.format(then="sys.stdin.read()"), str(tmp_path)]
    with subprocess.Popen(holds, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(LukeError, match=rf"L168.*process {process.pid} "), locked(tmp_path, Shard(1, 1)):
            pass


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch):
    def refuse(file, operation):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    with pytest.warns(LukeWarning, match="W049.*Function not implemented"), locked(tmp_path, Shard(1, 1)):
        pass
    monkeypatch.setattr(lock, "fcntl", None)
    with pytest.warns(LukeWarning, match="W049"), locked(tmp_path, Shard(1, 1)):
        pass
