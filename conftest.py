"""README.md and docs as tests: see tests/docs/blocks.py, which is imported only where a page is to be run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-outputs", action="store_true", help="write the outputs of the blocks of README and docs")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    is_page = file_path == ROOT / "README.md" or (file_path.parent == ROOT / "docs" and file_path.suffix == ".md")
    return _collect()(file_path, parent) if is_page and _is_asked_for(file_path, parent.config) else None


def _is_asked_for(file_path: Path, config: pytest.Config) -> bool:
    """Whether a path of the command line, or else of `testpaths`, has the file.

    pytest shows files that lie beside these, too, also in environments that have no Sybil.
    """
    paths = ((config.invocation_params.dir / argument.split("::")[0]).resolve() for argument in config.args)
    return any(file_path.is_relative_to(path) for path in paths)


@cache
def _collect() -> Callable[[Path, pytest.Collector], pytest.Collector | None]:
    from sybil import Sybil

    from tests.docs.blocks import blocks

    fixtures = ["pages", "hub", "update_outputs"]
    return Sybil(parsers=[blocks], path=str(ROOT), patterns=["*.md"], fixtures=fixtures).pytest()


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Any]:
    """What the blocks of a page share, made with its first block."""
    from tests.docs import blocks, stand_ins

    @cache
    def page(path: Path) -> blocks.Page:
        return blocks.Page(stand_ins.make_files(tmp_path_factory.mktemp(path.stem) / "files"))

    return page


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.docs import stand_ins

    return stand_ins.make_hub(tmp_path_factory.mktemp("hub"))


@pytest.fixture(scope="session")
def update_outputs(request: pytest.FixtureRequest) -> Iterator[dict[Path, list[tuple[int, int, str]]] | None]:
    """Page -> outputs that replace those in it; None if they are to be compared."""
    from tests.docs import blocks

    if not request.config.getoption("--update-outputs"):
        yield None
        return
    updates: dict[Path, list[tuple[int, int, str]]] = {}
    yield updates
    for path, found in updates.items():
        blocks.rewrite(path, found)
