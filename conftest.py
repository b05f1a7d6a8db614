"""README.md and docs as tests: see tests/docs/blocks.py."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sybil import Sybil

from tests.docs import blocks, stand_ins

pytest_collect_file = Sybil(
    parsers=[blocks.blocks],
    path=str(blocks.ROOT),
    patterns=[str(page.relative_to(blocks.ROOT)) for page in blocks.PAGES],
    fixtures=["pages", "hub", "update_outputs"],
).pytest()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(blocks.UPDATE, action="store_true", help="write the outputs of the blocks of README.md and docs")


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], blocks.Page]:
    """What the blocks of a page share, made with its first block."""
    known: dict[Path, blocks.Page] = {}

    def page(path: Path) -> blocks.Page:
        if path not in known:
            known[path] = blocks.Page(stand_ins.make_files(tmp_path_factory.mktemp(path.stem) / "files"))
        return known[path]

    return page


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stand_ins.make_hub(tmp_path_factory.mktemp("hub"))


@pytest.fixture(scope="session")
def update_outputs(request: pytest.FixtureRequest) -> Iterator[dict[Path, list[tuple[int, int, str]]] | None]:
    """Page -> outputs that replace those in it; None if they are to be compared."""
    if not request.config.getoption(blocks.UPDATE):
        yield None
        return
    updates: dict[Path, list[tuple[int, int, str]]] = {}
    yield updates
    for path, found in updates.items():
        blocks.rewrite(path, found)
