"""Every test of an encoder runs by PyTorch's own code alone, and by all kernels that compute rightly here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from spacy_luke.encoders.kernels.routes import Mode, use


@pytest.fixture(params=["plain", "all"], scope="module", autouse=True)
def routes(request: Any) -> Iterator[Mode]:
    with use(request.param):
        yield request.param
