"""Long work shows how far it is, on a terminal and nowhere else."""

from __future__ import annotations

import json
import re
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.tokens import DocBin
from transformers import LukeForEntitySpanClassification
from typer.main import get_command

from spacy_luke.cli import luke_cli, progress
from spacy_luke.converters import write_docbin
from spacy_luke.progress import Advance, reporting_to, track, work
from tests.cli.terminal import on_terminal, run, run_on_terminal
from tests.pipeline.every_component import open_component
from tests.pipeline.ner.test_training import examples
from tests.test_knowledge_base import LINKS, linked
from tests.training.pretraining.linked import CONFIG, ENCODER, write_files
from tests.util import luke_config, randomise, write_luke


@pytest.fixture(autouse=True)
def _without_delay(monkeypatch) -> None:
    monkeypatch.setattr(progress, "DELAY", 0)


def luke(*args: object) -> tuple[str, str]:
    """Run a command of ours; what it prints, and what it shows on the terminal."""
    return on_terminal(lambda: get_command(luke_cli).main([str(arg) for arg in args], standalone_mode=False))


def bars(shown: str) -> list[str]:
    """What the bars said, each once."""
    return list(dict.fromkeys(re.findall(r"([^\r\n\x1b|:]+):(?: +\d+%\|| \d+ )", shown)))


# --- the library


class Recorder:
    """Notes what is reported."""

    def __init__(self) -> None:
        self.noted: list[object] = []

    @contextmanager
    def __call__(self, what: str, unit: str, total: int | None) -> Iterator[Advance]:
        self.noted.append((what, unit, total))
        yield self.noted.append
        self.noted.append("end")


def test_work_is_reported_where_somebody_listens():
    recorder = Recorder()
    with reporting_to(recorder):
        assert list(track("ab", "Spelling", "letters")) == ["a", "b"]
        with work("Reading", "B", 7) as advance:
            advance(7)
        assert list(track(iter("c"), "Spelling", "letters")) == ["c"]
    assert recorder.noted == [
        *[("Spelling", "letters", 2), 1, 1, "end"],
        *[("Reading", "B", 7), 7, "end"],
        *[("Spelling", "letters", None), 1, "end"],
    ]


def test_nobody_is_told_outside_and_in_other_threads():
    recorder = Recorder()
    with reporting_to(recorder):
        thread = threading.Thread(target=lambda: list(track("ab", "Spelling", "letters")))
        thread.start()
        thread.join()
    assert list(track("ab", "Spelling", "letters")) == ["a", "b"]
    with work("Reading", "B") as advance:
        advance(1)
    assert recorder.noted == []


def test_work_that_fails_is_over():
    recorder = Recorder()

    def fail() -> Iterator[str]:
        yield "a"
        raise ValueError("no more")

    with reporting_to(recorder), pytest.raises(ValueError, match="no more"):
        list(track(fail(), "Spelling", "letters"))
    with reporting_to(recorder):
        list(track("b", "Again", "letters"))
    assert recorder.noted[-3:] == [("Again", "letters", 1), 1, "end"]


# --- the bars


def test_a_bar_is_gone_when_the_work_is_done():
    def run() -> None:
        with progress.shown_progress(quiet=False):
            list(track("abc", "Spelling", "letters"))

    _, shown = on_terminal(run)
    assert "Spelling:   0%|" in shown
    assert "0/3" in shown
    assert shown.endswith("\r")
    assert not shown.rstrip("\r").rpartition("\r")[2].strip()


def test_a_warning_has_a_line_of_its_own(monkeypatch):
    monkeypatch.setattr(warnings, "showwarning", lambda message, *_, **__: sys.stderr.write(f"{message}\n"))

    def run() -> None:
        with progress.shown_progress(quiet=False):
            for letter in track("abc", "Spelling", "letters"):
                warnings.warn(f"look at {letter}", UserWarning, stacklevel=1)

    _, shown = on_terminal(run)
    lines = re.split(r"[\r\n]+", shown)
    assert [line for line in lines if "look at" in line] == ["look at a", "look at b", "look at c"]
    assert any("Spelling" in line for line in lines)


def test_of_one_thing_there_is_no_bar():
    def run() -> None:
        with progress.shown_progress(quiet=False):
            list(track("a", "Spelling", "letters"))
            with work("Reading", "B", 1) as advance:
                advance(1)

    assert bars(on_terminal(run)[1]) == ["Reading"]


def test_short_work_shows_nothing(monkeypatch):
    monkeypatch.setattr(progress, "DELAY", 60)

    def run() -> None:
        with progress.shown_progress(quiet=False):
            list(track("abc", "Spelling", "letters"))

    assert on_terminal(run)[1] == ""


# --- the commands


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """What the commands read."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "iob").mkdir()
    for name in ("train.iob", "dev.iob"):
        (folder / "iob" / name).write_text("Ann B-PER\nin O\nRome B-LOC\n\n" * 3)
    DocBin(docs=[linked(spacy.blank("en"), LINKS)] * 3, store_user_data=True).to_disk(folder / "links.spacy")
    (folder / "dump.xml").write_text(
        "<mediawiki>"
        + "".join(f"<page><title>{n}</title><ns>0</ns><revision><text>A [[B]].</text></revision></page>" for n in "ab")
        + "</mediawiki>"
    )
    return folder


@pytest.fixture(scope="module")
def tagger(tmp_path_factory) -> Path:
    """A pipeline with a luke_ner of random weights, and Docs with entities."""
    folder = tmp_path_factory.mktemp("tagger")
    nlp, _ = open_component("luke_ner", folder / "checkpoint")
    nlp.to_disk(folder / "pipeline")
    write_docbin([example.reference for example in examples(nlp)], folder / "dev.spacy")
    return folder


@pytest.fixture
def commands(files: Path, tagger: Path, tmp_path: Path) -> dict[str, list[Any]]:
    out, dev = tmp_path / "out", tagger / "dev.spacy"
    return {
        "convert": ["convert", "iob", files / "iob", out],
        "convert a file": ["convert", "iob", files / "iob" / "dev.iob", tmp_path / "out.spacy"],
        "convert a dump": ["convert", "mediawiki", files / "dump.xml", tmp_path / "out.spacy"],
        "build-kb": ["build-kb", files / "links.spacy", out],
        "evaluate": ["evaluate", tagger / "pipeline", dev],
        "tune": ["tune", tagger / "pipeline", dev],
    }


SHOWN = {
    "convert": ["Converting", "Making Docs", "Writing dev.spacy"],
    "convert a file": ["Making Docs", "Writing out.spacy"],
    "convert a dump": ["Reading dump.xml", "Writing out.spacy"],
    "build-kb": ["links.spacy"],
    "evaluate": ["Reading dev.spacy", "Evaluating", "luke_ner"],
    "tune": ["Reading dev.spacy", "sentencizer", "luke_ner", "Calibrating"],
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_command_shows_what_it_does(name, commands):
    output, shown = luke(*commands[name])
    assert set(SHOWN[name]) <= set(bars(shown)), shown
    assert "|" not in output, "results alone are on standard output"


@pytest.mark.parametrize("name", ["convert", "build-kb", "evaluate", "tune"])
def test_quiet_commands_show_nothing_and_print_the_same(name, commands, tmp_path):
    output, shown = luke(*commands[name], "--quiet")
    assert shown == ""
    assert output


def test_preparing_a_corpus_for_pretraining_is_shown(tmp_path):
    corpus = write_files(tmp_path)
    settings = {
        **{"paths.train": corpus / "train.spacy", "paths.dev": corpus / "dev.spacy", "paths.tokenizer": corpus},
        **{"pretraining.max_steps": 1, "pretraining.eval_frequency": 1, "pretraining.batch_size": 300},
        **{f"pretraining.model.sizes.{name}": value for name, value in ENCODER.items()},
    }
    given = [part for name, value in settings.items() for part in (f"--{name}", value)]
    _, shown = luke("pretrain", CONFIG, "-o", tmp_path / "out", *given)
    assert bars(shown) == [f"Cutting the {name} corpus into windows" for name in ("train", "dev")]
    assert luke("pretrain", CONFIG, "-o", tmp_path / "quiet", *given, "--quiet")[1] == ""


def test_a_process_shows_it_on_a_terminal(files, tmp_path):
    status, output, shown = run_on_terminal("luke", "convert", "iob", files / "iob", tmp_path / "out")
    assert status == 0, shown
    assert "Converting" in bars(shown)
    assert "6 documents" in output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["dev.spacy", "train.spacy"]


# --- downloads


@pytest.fixture
def hub(tmp_path) -> Iterator[dict[str, str]]:
    """A server on this machine that has one checkpoint, and the environment of a process that takes it for the Hub."""
    folder = tmp_path / "served"
    write_luke(folder, randomise(LukeForEntitySpanClassification(luke_config())))
    commit = "0" * 40

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            if self.path.startswith("/api/models/me/luke"):
                siblings = [{"rfilename": path.name} for path in folder.iterdir()]
                about = {"id": "me/luke", "modelId": "me/luke", "sha": commit, "siblings": siblings}
                self._answer(json.dumps(about).encode())
            elif (file := folder / self.path.rpartition("/")[2]).is_file():
                self._answer(file.read_bytes())
            else:
                self.send_error(404)

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", f'"{sha1(body).hexdigest()}"')
            self.send_header("X-Repo-Commit", commit)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield {
                "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
                "HF_HUB_OFFLINE": "0",
                "HF_HUB_DISABLE_XET": "1",
                "HF_HOME": str(tmp_path / "home"),
            }
        finally:
            server.shutdown()


def test_downloads_are_shown_on_a_terminal(hub, tmp_path):
    status, output, shown = run_on_terminal("luke", "import", "me/luke", tmp_path / "out", environment=hub)
    assert status == 0, shown
    assert "Saved sentencizer + luke_ner" in output
    assert "Fetching" in shown
    assert "model.safetensors" in shown


def test_quiet_downloads_show_nothing(hub, tmp_path):
    command = ("luke", "import", "me/luke", tmp_path / "out", "--quiet")
    assert run_on_terminal(*command, environment=hub)[::2] == (0, "")


def test_downloads_show_nothing_where_there_is_no_terminal(hub, tmp_path):
    done = run("luke", "import", "me/luke", tmp_path / "out", environment=hub)
    assert (done.returncode, done.stderr) == (0, "")
