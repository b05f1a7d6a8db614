"""Corpora of a few rows, and what becomes of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from spacy.language import Language

from spacy_luke import to_dict
from spacy_luke.errors import LukeError
from spacy_luke.scale import annotate
from spacy_luke.scale.pool import Done
from tests.pipeline.every_component import open_component
from tests.util import TEXTS

from . import trouble  # noqa: F401 (registers the component)

CODE = Path(__file__).parent / "trouble.py"
# Bytes of text in a part: a row or two.
SMALL = 100


def write_pipeline(folder: Path) -> Path:
    """A tiny random pipeline that does what texts say."""
    nlp, _ = open_component("luke_ner", folder / "checkpoint")
    nlp.add_pipe("trouble")
    nlp.to_disk(folder / "pipeline")
    return folder / "pipeline"


def make_rows(count: int, **at: str) -> list[dict[str, Any]]:
    """Rows of JSON lines. at: words to add to some texts, as r3="RAISE"."""
    names = {int(name.removeprefix("r")): word for name, word in at.items()}
    texts = [" ".join(TEXTS[i % 4].split()) for i in range(count)]
    return [{"id": i, "text": f"{text} {names.get(i, '')}".strip()} for i, text in enumerate(texts)]


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf8")
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf8").splitlines()]


def found(folder: Path) -> list[str]:
    """Names of all files in a folder but the state of the run."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(name.as_posix() for name in files if name.parts[0] != ".annotate")


def leftovers(folder: Path) -> list[Path]:
    """What is still there of parts and of files that were being written."""
    parts = folder / ".annotate" / "parts"
    return [path for path in folder.rglob("*") if path.is_file() and (parts in path.parents or ".jsonl." in path.name)]


def in_one_process(nlp: Language, texts: Sequence[str]) -> list[dict[str, Any]]:
    """What `nlp.pipe` gives."""
    return [rounded(to_dict(doc)) for doc in nlp.pipe(texts)]


def rounded(value: Any) -> Any:
    """The same with floats of four digits: how texts are batched changes the last bits."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list) else value


class PoolOfThisProcess:
    """Does the tasks here, in place of processes that take seconds to start."""

    deaths = 0

    def __init__(self, count: int, setup: Callable[[int], Callable[[Any], Any]]):
        self._setup = setup

    def run(self, take: Callable[[], Any]) -> Iterator[Done]:
        do = self._setup(0)
        while (task := take()) is not None:
            try:
                reply = do(task)
            except LukeError as error:
                reply = error
            yield Done(task, reply)


def run(pipeline: Path, inputs: Sequence[Path] | Path, output: Path, **options: Any) -> Any:
    """`annotate` with small parts."""
    paths = [inputs] if isinstance(inputs, Path) else inputs
    return annotate(pipeline, paths, output, **{"code": CODE, "part_size": SMALL, **options})
