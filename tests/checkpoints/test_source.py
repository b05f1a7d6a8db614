"""A checkpoint is a folder, or is in the local Hub cache, before anything is asked of the network."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

import huggingface_hub.constants
import pytest
from huggingface_hub.utils import reset_sessions

from spacy_luke.checkpoints.source import locate
from spacy_luke.errors import LukeError
from tests.util import write_luke

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def no_network(monkeypatch):
    """The Hub is not told to be offline, but every attempt to reach it fails and is counted."""
    attempts: list[object] = []

    def refuse(*args: object, **options: object) -> None:
        attempts.append(args)
        raise OSError("blocked by the test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    reset_sessions()
    yield attempts
    reset_sessions()


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty Hub cache."""
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder))
    return folder


def fill(cache: Path, name: str, commit: str = COMMIT) -> Path:
    """A snapshot in the layout of the Hub cache."""
    repository = cache / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    write_luke(snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    return snapshot


def test_a_folder_is_taken_as_it_is(tmp_path, no_network):
    assert locate(tmp_path) == tmp_path
    assert locate(str(tmp_path)) == tmp_path
    assert not no_network


@pytest.mark.parametrize("name", ["/nowhere/luke", "a/b/c", "./nowhere", "../nowhere", "no where", "", "~/luke"])
def test_a_path_that_is_no_folder_raises_l020(name, cache, no_network):
    with pytest.raises(LukeError, match="L020") as error:
        locate(name)
    assert repr(name) in str(error.value)
    assert not no_network


def test_a_path_that_is_no_folder_says_so(cache, no_network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("./encoder", "training/mini/encoder", "training\\encoder", "~/encoder"):
        with pytest.raises(LukeError, match=r"L020.*there is no folder") as error:
            locate(name)
        assert "Hub repository it" not in str(error.value)
    assert not no_network


def test_a_name_that_may_be_a_path_or_an_id_says_that_it_is_neither(cache, no_network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LukeError) as error:
        locate("training/encoder")
    message = str(error.value)
    assert message.startswith(
        f"[L020] No checkpoint 'training/encoder': there is no folder {tmp_path}/training/encoder"
    )
    assert "as the id of a Hub repository it could not be had" in message


def test_a_file_is_no_checkpoint(tmp_path, no_network):
    (tmp_path / "file").write_text("")
    with pytest.raises(LukeError, match="L020"):
        locate(tmp_path / "file")


@pytest.mark.parametrize("offline", [True, False])
def test_an_id_that_cannot_be_had_raises_l020(cache, no_network, monkeypatch, offline):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline)
    with pytest.raises(LukeError, match=r"L020.*nobody/luke"):
        locate("nobody/luke")
    assert bool(no_network) != offline


@pytest.mark.parametrize("revision", [None, "main", COMMIT])
def test_a_cached_snapshot_is_found_without_the_network(cache, no_network, revision):
    snapshot = fill(cache, "somebody/luke")
    assert os.path.realpath(locate("somebody/luke", revision)) == os.path.realpath(snapshot)
    assert not no_network


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "merges.txt", "entity_vocab.json"])
def test_a_snapshot_that_lacks_a_file_is_completed_from_the_network(cache, no_network, missing):
    """Other programs cache only the files that they need."""
    (fill(cache, "somebody/luke") / missing).unlink()
    with contextlib.suppress(LukeError):  # the Hub's client may give what it has
        locate("somebody/luke")
    assert no_network


def test_another_revision_than_the_cached_one_is_not_made_up(cache, no_network):
    fill(cache, "somebody/luke")
    with pytest.raises(LukeError, match="L020"):
        locate("somebody/luke", "v2")
