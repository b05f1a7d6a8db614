"""A tiny corpus and a tokenizer for the runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.training.pretraining.linked import write_files


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A tiny corpus and a tokenizer."""
    return write_files(tmp_path_factory.mktemp("files"))


@pytest.fixture
def folder(files, tmp_path) -> Path:
    """The same in a folder for one test."""
    return shutil.copytree(files, tmp_path, dirs_exist_ok=True)
