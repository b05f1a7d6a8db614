"""What a command cannot write, because the disk is full or the folder takes no files: a line that says so, and what was
there before is unchanged."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.tokens import DocBin
from transformers import LukeForEntitySpanClassification
from typer.testing import CliRunner, Result

from spacy_luke.cli import luke_cli
from spacy_luke.converters import write_docbin
from tests.checkpoints.test_upcycle import write_source
from tests.cli.test_card import GOOD
from tests.pipeline.ner.test_span_filter import blank
from tests.pipeline.ner.test_training import examples
from tests.test_knowledge_base import LINKS, linked
from tests.training.pretraining.linked import CONFIG, ENCODER, write_corpus
from tests.util import luke_config, randomise, write_byte_bpe, write_luke

resource: Any = pytest.importorskip("resource", reason="limits the size of files")
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the size of files")


@contextmanager
def longest_file(size: int) -> Iterator[None]:
    """Nothing longer can be written, as on a disk that is full."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def luke(args: list[Any]) -> Result:
    return CliRunner().invoke(luke_cli, [str(arg) for arg in args])


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_links(folder: Path) -> Path:
    links = [*LINKS, *((f"Bo {i}", f"Bo, number {i}") for i in range(80))]
    path = folder / "links.spacy"
    DocBin(docs=[linked(spacy.blank("en"), links)], store_user_data=True).to_disk(path)
    return path


def write_iob(folder: Path, name: str) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"Ada{i} B-PER\nmet O\n\n" for i in range(400)))
    return path


def write_checkpoint(folder: Path) -> Path:
    path = folder / "checkpoint"
    path.mkdir()
    labels = {0: "NIL", 1: "PER"}
    config = luke_config(vocab_size=write_byte_bpe(path) + 2, id2label=labels)
    write_luke(path, randomise(LukeForEntitySpanClassification(config)))
    return path


def write_plain(folder: Path) -> Path:
    (folder / "plain").mkdir()
    write_source(folder / "plain", "roberta")
    return folder / "plain"


def write_filtered(folder: Path) -> list[Path]:
    nlp = blank()
    gold = examples(nlp)
    nlp.get_pipe("luke_ner").initialize(lambda: gold, checkpoint=str(write_checkpoint(folder)))
    nlp.to_disk(folder / "filtered")
    write_docbin([example.reference for example in gold], folder / "dev.spacy")
    return [folder / "filtered", folder / "dev.spacy"]


def write_evaluation(folder: Path) -> list[Path]:
    nlp = spacy.blank("en")
    nlp.to_disk(folder / "pipeline")
    (folder / "evaluation.json").write_text(json.dumps(GOOD))
    return [folder / "pipeline", folder / "evaluation.json"]


def pretraining(folder: Path) -> list[Any]:
    write_byte_bpe(folder)
    write_corpus(folder)
    options = {
        "paths.train": folder / "train.spacy",
        "paths.dev": folder / "dev.spacy",
        "paths.tokenizer": folder,
        "pretraining.max_steps": 1,
        "pretraining.batch_size": 300,
        **{f"pretraining.model.sizes.{name}": value for name, value in ENCODER.items()},
    }
    return [CONFIG, *(part for name, value in options.items() for part in (f"--{name}", value))]


# Command -> its arguments, before the place of what it writes, and after it.
COMMANDS: dict[str, Any] = {
    "build-kb": lambda folder: ([write_links(folder)], []),
    "build-kb --entities": lambda folder: ([write_links(folder), folder / "kb", "--entities"], []),
    "convert": lambda folder: (["iob", write_iob(folder, "a.iob")], []),
    "convert, a folder": lambda folder: (["iob", write_iob(folder, "in/a.iob").parent], []),
    "import": lambda folder: ([write_checkpoint(folder)], []),
    "upcycle": lambda folder: ([write_plain(folder)], []),
    "card": lambda folder: ([*write_evaluation(folder), "--output"], []),
    "pretrain": lambda folder: (["--output"], pretraining(folder)),
    "tune-filter": lambda folder: ([*write_filtered(folder), "--output"], []),
}
SINGLE_FILES = ("build-kb --entities", "convert", "card")


@pytest.fixture(params=COMMANDS)
def command(request, tmp_path: Path) -> tuple[str, list[Any], list[Any]]:
    (tmp_path / "in").mkdir()
    before, after = COMMANDS[request.param](tmp_path / "in")
    return request.param, [request.param.partition(" ")[0].rstrip(","), *before], after


def assert_failed(result: Result, path: Path) -> None:
    assert result.exit_code == 1, result.output
    assert f"[L029] Cannot save to {path}" in result.output
    assert ": ." not in result.output, "the reason is missing"
    assert "What was there before is unchanged." in result.output
    assert result.stderr.count("\n") == 1


@pytest.mark.filterwarnings("ignore:.*W0")
def test_a_full_disk_leaves_what_was_there(command, tmp_path: Path) -> None:
    name, before, after = command
    target = tmp_path / "out" / ("file.spacy" if name in SINGLE_FILES else "folder")
    result = luke([*before, target, *after])
    assert result.exit_code == 0, result.output
    if target.is_dir():
        (target / "notes.txt").write_text("not of the command")
    written, old = content(tmp_path / "out"), content(tmp_path)
    if name == "pretrain":  # which does not go over a run that is there
        target = tmp_path / "out" / "other"
    longest = max(map(len, written.values()))
    for size in (0, 100, longest // 3, longest - 1):
        with longest_file(size):
            result = luke([*before, target, *after])
        place = tmp_path if name == "build-kb --entities" else target  # it may be the knowledge base that fails
        assert_failed(result, place)
        if name != "pretrain":
            assert content(tmp_path) == old, size
    assert {file: data for file, data in content(tmp_path).items() if not file.startswith("out/other/")} == old
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]
    assert luke([*before, target, *after]).exit_code == 0
    assert content(tmp_path / "out").keys() >= written.keys()


def test_a_place_that_takes_no_files_is_named(command, tmp_path: Path) -> None:
    _, before, after = command
    (tmp_path / "file").write_text("a file, not a folder")
    result = luke([*before, tmp_path / "file" / "out", *after])
    assert result.exit_code == 1
    assert str(tmp_path / "file") in result.output
    assert result.stderr.count("\n") == 1
    assert (tmp_path / "file").read_text() == "a file, not a folder"


def test_an_older_knowledge_base_survives_a_full_disk_in_a_process_of_its_own(tmp_path: Path) -> None:
    source, target = write_links(tmp_path), tmp_path / "kb"
    assert luke(["build-kb", source, target]).exit_code == 0
    before = content(target)
    done = subprocess.run(
        [sys.executable, "-B", "-m", "spacy", "luke", "build-kb", str(source), str(target)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024)),
    )
    assert done.returncode == 1
    assert f"[L029] Cannot save to {target}" in done.stderr
    assert content(target) == before
