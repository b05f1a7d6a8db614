from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from spacy.language import Language

pytest.importorskip("fastapi", reason="FastAPI is not installed")

import httpx
from fastapi.testclient import TestClient

from spacy_luke.serve import Settings, make_app

from . import rules


@pytest.fixture(scope="session")
def nlp() -> Language:
    return rules.make_pipeline()


@pytest.fixture
def closed() -> Iterator[Any]:
    """Texts with WAIT wait until the test sets the event, or ends."""
    rules.may_go_on.clear()
    yield rules.may_go_on
    rules.may_go_on.set()


@contextmanager
def served(nlp: Language, **settings: Any) -> Iterator[TestClient]:
    with TestClient(make_app(nlp, Settings(**settings)), raise_server_exceptions=False) as client:
        yield client
        rules.may_go_on.set()  # the server ends when all is done


@pytest.fixture
def client(nlp) -> Iterator[TestClient]:
    with served(nlp) as client:
        yield client


def together(nlp: Language, act: Callable[[httpx.AsyncClient, Any], Awaitable[Any]], **settings: Any) -> Any:
    """What a coroutine returns that asks a server many things at once. It gets a client and the app."""

    async def run() -> Any:
        app = make_app(nlp, Settings(**settings))
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=30) as client:
                return await act(client, app)

    return asyncio.run(run())


async def until(condition: Callable[[], bool]) -> None:
    """Let others go on until something holds."""
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to that")
