"""Tests of a kernel run it, whatever the processor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from spacy_luke.encoders.kernels.routes import Mode, use


@pytest.fixture(scope="module", autouse=True)
def routes() -> Iterator[Mode]:
    with use("all"):
        yield "all"
