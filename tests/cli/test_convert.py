from __future__ import annotations

from pathlib import Path

import pytest
import spacy
from spacy.cli._util import app
from spacy.tokens import Doc, DocBin
from typer.testing import CliRunner, Result

from spacy_luke.cli import luke_cli

IOB = "Ann\tB-PER\nin\tO\nRome\tB-LOC\n\n"


def luke(*args: object) -> Result:
    return CliRunner().invoke(luke_cli, [str(arg) for arg in args])


def load(path: Path) -> list[Doc]:
    return list(DocBin().from_disk(path).get_docs(spacy.blank("en").vocab))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    (folder / "news").mkdir(parents=True)
    (folder / "train.iob").write_text(IOB)
    (folder / "news" / "dev.iob").write_text(IOB * 2)
    return folder


def test_spacy_has_the_luke_commands():
    result = CliRunner().invoke(app, ["luke", "--help"])
    assert result.exit_code == 0
    assert all(command in result.output for command in ("convert", "import", "upcycle"))


def test_a_file_becomes_a_spacy_file_and_a_report(corpus, tmp_path):
    result = luke("convert", "iob", corpus / "train.iob", tmp_path / "out.spacy")
    assert result.exit_code == 0
    assert "1 documents, 1 sentences, 3 tokens" in result.output
    assert [span.label_ for span in load(tmp_path / "out.spacy")[0].ents] == ["PER", "LOC"]


def test_a_folder_becomes_a_folder_of_the_same_shape(corpus, tmp_path):
    result = luke("convert", "iob", corpus, tmp_path / "out")
    assert result.exit_code == 0
    assert len(load(tmp_path / "out" / "train.spacy")) == 1
    assert len(load(tmp_path / "out" / "news" / "dev.spacy")) == 2


def test_a_folder_can_become_one_file(corpus, tmp_path):
    assert luke("convert", "iob", corpus, tmp_path / "out.spacy").exit_code == 0
    assert len(load(tmp_path / "out.spacy")) == 3


def test_files_that_differ_by_suffix_do_not_overwrite_each_other(corpus, tmp_path):
    (corpus / "train.conll").write_text(IOB)
    assert luke("convert", "iob", corpus, tmp_path / "out").exit_code == 0
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["news", "train.conll.spacy", "train.iob.spacy"]


def test_hidden_converted_and_other_files_are_not_read(corpus, tmp_path):
    (corpus / ".notes").write_text("prose")
    (corpus / "README.md").write_text("prose")
    for _ in range(2):  # the second time the .spacy files lie there too
        assert luke("convert", "iob", corpus, corpus, "--suffix", ".iob").exit_code == 0
    assert luke("convert", "iob", corpus, tmp_path / "out").exit_code == 1


def test_types_and_only(corpus, tmp_path):
    options = ["--types", "PER=person", "--types", "LOC=place", "--only", "person,org"]
    result = luke("convert", "iob", corpus / "train.iob", tmp_path / "out.spacy", *options)
    assert result.exit_code == 0
    assert "Entities left out: 1 (LOC 1)" in result.output
    assert [span.label_ for span in load(tmp_path / "out.spacy")[0].ents] == ["person"]


def test_an_option_that_a_kind_does_not_have_is_refused(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr("spacy_luke.converters.CONVERTERS", {"other": lambda path, *, vocab, types: ([], None)})
    result = luke("convert", "other", corpus, tmp_path / "out", "--tag-column", "2")
    assert result.exit_code == 2
    assert "--tag-column is not an option of 'other'" in result.output


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["nope", "train.iob"], "L063"),
        (["iob", "missing.iob"], "L061"),
        (["iob", "train.iob", "--types", "PER"], "L062"),
        (["iob", "train.iob", "--types", "=PER"], "L062"),
        (["iob", "train.iob", "--tag-column", "9"], "L060"),
    ],
)
def test_a_mistake_is_one_coded_line(corpus, tmp_path, args, code):
    kind, source, *options = args
    result = luke("convert", kind, corpus / source, tmp_path / "out.spacy", *options)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"[{code}]")
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out.spacy").exists()


def test_one_bad_file_means_no_file_is_written(corpus, tmp_path):
    (corpus / "z.iob").write_bytes(b"\xff\tO\n")
    assert luke("convert", "iob", corpus, tmp_path / "out").exit_code == 1
    assert not (tmp_path / "out").exists()
