from __future__ import annotations

import inspect
import json
import shutil
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Span
from typer.testing import CliRunner, Result

from spacy_luke.annotations import Relation, get_relations, set_relations
from spacy_luke.cli import luke_cli
from spacy_luke.cli.convert import options_of
from spacy_luke.cli.export import export_cli
from spacy_luke.converters import EXPORTERS, write_docbin

from .test_convert import load

DATA = Path(__file__).parents[1] / "data" / "annotation_tools"


def luke(*args: object) -> Result:
    return CliRunner().invoke(luke_cli, [str(arg) for arg in args])


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    doc = spacy.blank("en")("Ann runs Acme.")
    doc.set_ents([Span(doc, 0, 1, "PER"), Span(doc, 2, 3, "ORG")])
    doc.ents[0]._.score = 0.5
    set_relations(doc, [Relation(doc.ents[0], doc.ents[1], "runs", 0.25)])
    (tmp_path / "in" / "more").mkdir(parents=True)
    write_docbin([doc], tmp_path / "in" / "a.spacy")
    write_docbin([doc, doc], tmp_path / "in" / "more" / "b.spacy")
    (tmp_path / "in" / "notes.txt").write_text("prose")
    return tmp_path / "in"


def test_a_file_is_written_with_a_report(docs, tmp_path):
    result = luke("export", "label_studio", docs / "a.spacy", tmp_path / "out.json", "--results", "predictions")
    assert result.exit_code == 0
    assert "1 documents, 4 tokens\nEntities: 2 (PER 1, ORG 1)\nRelations: 1 (runs 1)" in result.output
    (task,) = json.loads((tmp_path / "out.json").read_text(encoding="utf8"))
    assert task["predictions"][0]["score"] == 0.25


def test_all_files_of_a_folder_are_written_into_one(docs, tmp_path):
    assert luke("export", "prodigy", docs, tmp_path / "out.jsonl").exit_code == 0
    assert len((tmp_path / "out.jsonl").read_text(encoding="utf8").splitlines()) == 3


def test_what_is_lost_is_told(docs, tmp_path):
    result = luke("export", "doccano", docs / "a.spacy", tmp_path / "out.jsonl")
    assert "Not carried over, for lack of a place: 2 (scores of mentions 1, scores of relations 1)" in result.output


@pytest.mark.parametrize(("kind", "suffix"), [("brat", ".ann"), ("inception", ".json")])
def test_a_folder_is_written_and_converted_again(docs, tmp_path, kind, suffix):
    assert luke("export", kind, docs, tmp_path / "out").exit_code == 0
    assert len(list((tmp_path / "out").glob(f"*{suffix}"))) == 3
    result = luke("convert", kind, tmp_path / "out", tmp_path / "again.spacy")
    assert result.exit_code == 0, result.output
    again = load(tmp_path / "again.spacy")
    assert [get_relations(doc)[0].score for doc in again] == [0.25] * 3


def test_options_of_annotation_tools_are_those_of_convert(tmp_path):
    chosen = ["--layers", "Span", "--layers", "Relation", "--features", "Span=label"]
    source = DATA / "inception" / "ann.json"
    result = luke("convert", "inception", source, tmp_path / "a.spacy", *chosen)
    assert result.exit_code == 0
    assert "Entities: 2 (PER 1, ORG 1)" in result.output
    result = luke("convert", "brat", DATA / "brat", tmp_path / "b.spacy", "--relations")
    assert "Relations: 2 (works_for 1, based_in 1); 1 documents without any" in result.output
    result = luke(
        "convert", "label_studio", DATA / "label_studio.json", tmp_path / "c.spacy", "--results", "predictions"
    )
    assert "[L060]" in result.stderr


def test_a_feature_that_cannot_be_read_is_an_error(tmp_path):
    result = luke("convert", "inception", DATA / "inception", tmp_path / "a.spacy", "--features", "Span")
    assert result.exit_code == 1
    assert result.stderr == "[L180] Cannot read --features entry 'Span': write LAYER=FEATURE.\n"


def test_what_cannot_be_exported_is_one_coded_line(docs, tmp_path):
    for args, code in [
        (("tsv", docs), "L175"),
        (("brat", tmp_path / "none"), "L061"),
        (("brat", docs / "notes.txt"), "L106"),
        (("label_studio", docs, "--results", "drafts"), "L047"),
    ]:
        result = luke("export", *args[:2], tmp_path / "out", *args[2:])
        assert result.exit_code == 1
        assert result.stderr.startswith(f"[{code}]")
        assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("kind", "option"),
    [("doccano", ["--results", "predictions"]), ("brat", ["--offsets", "utf16"]), ("prodigy", ["--xmi"])],
)
def test_an_option_that_a_kind_does_not_have_is_refused(docs, tmp_path, kind, option):
    result = luke("export", kind, docs, tmp_path / "out", *option)
    assert result.exit_code == 2
    assert f"{option[0]} is not an option of '{kind}'" in result.output


@pytest.mark.parametrize("kind", EXPORTERS)
def test_every_option_of_an_exporter_is_one_of_the_command(kind):
    known = inspect.signature(export_cli).parameters
    assert all(name in known for name in options_of(EXPORTERS[kind]))


def test_the_help_describes_every_kind_in_a_line():
    lines = [line.split(maxsplit=1) for line in luke("export", "--help").output.splitlines()]
    described = {line[0]: line[1] for line in lines if len(line) == 2 and line[0] in EXPORTERS}
    assert described.keys() == EXPORTERS.keys()
    assert described["doccano"] == "doccano (JSON lines): texts with spans, relations and categories."


@pytest.mark.parametrize(
    ("page", "source", "name", "options"),
    [
        ("label_studio", "label_studio.json", "project.json", []),
        ("doccano", "doccano_relations.jsonl", "admin.jsonl", []),
        ("brat", "brat", "letters", ["--relations"]),
        ("inception", "inception", "letters", ["--suffix", ".json"]),
        ("prodigy", "prodigy.jsonl", "letters.jsonl", []),
    ],
)
def test_the_page_of_a_tool_shows_what_is_printed(tmp_path, monkeypatch, page, source, name, options):
    monkeypatch.chdir(tmp_path)
    copy = shutil.copytree if (DATA / source).is_dir() else shutil.copy
    copy(DATA / source, tmp_path / name)
    text = (Path(__file__).parents[2] / "docs" / f"{page}.md").read_text(encoding="utf8")
    result = luke("convert", page, name, "train.spacy", *options)
    command = " ".join(["python -m spacy luke convert", page, name, "train.spacy", *options])
    assert f"{command}\n```\n\n```text\n{result.output}```" in text
