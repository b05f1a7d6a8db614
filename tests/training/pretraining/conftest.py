"""A tiny corpus and a tokenizer for the runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.training.pretraining.linked import write_corpus
from tests.util import write_byte_bpe


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A tiny corpus and a tokenizer."""
    folder = tmp_path_factory.mktemp("files")
    write_byte_bpe(folder)
    write_corpus(folder)
    return folder


@pytest.fixture
def folder(files, tmp_path) -> Path:
    """The same in a folder for one test."""
    return shutil.copytree(files, tmp_path, dirs_exist_ok=True)
