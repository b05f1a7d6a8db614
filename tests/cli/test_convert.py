from __future__ import annotations

import inspect
import json
import warnings
from pathlib import Path

import pytest
import spacy
from spacy.cli._util import app
from spacy.tokens import Doc, DocBin
from typer.testing import CliRunner, Result

from spacy_luke.annotations import get_relations
from spacy_luke.cli import luke_cli
from spacy_luke.cli.convert import convert_cli, options_of
from spacy_luke.converters import CONVERTERS
from spacy_luke.errors import LukeWarning

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
    assert all(command in result.output for command in ("convert", "import", "pretrain", "upcycle"))


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
    options = ["--types", "PER=person", "--types", "LOC=place", "--only", "person"]
    result = luke("convert", "iob", corpus / "train.iob", tmp_path / "out.spacy", *options)
    assert result.exit_code == 0
    assert "Entities left out: 1 (LOC 1)" in result.output
    assert [span.label_ for span in load(tmp_path / "out.spacy")[0].ents] == ["person"]


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        ("squad", ["--tag-column", "2"]),
        ("squad", ["--types", "A=B"]),
        ("iob", ["--names", "names.json"]),
        ("iob", ["--key", "NER"]),
        ("fewrel", ["--sentences", "sentences.tsv"]),
        ("knowledgenet", ["--spaces", "all"]),
    ],
)
def test_an_option_that_a_kind_does_not_have_is_refused(corpus, tmp_path, kind, option):
    result = luke("convert", kind, corpus, tmp_path / "out", *option)
    assert result.exit_code == 2
    assert f"{option[0]} is not an option of '{kind}'" in result.output
    assert not (tmp_path / "out").exists()


def test_the_help_describes_every_kind_in_a_line():
    result = luke("convert", "--help")
    lines = [line.split(maxsplit=1) for line in result.output.splitlines()]
    described = {line[0]: line[1] for line in lines if len(line) == 2 and line[0] in CONVERTERS}
    assert described.keys() == CONVERTERS.keys()
    assert "[qamr] File with the sentences" in " ".join(result.output.split())
    assert described["squad"] == "SQuAD 1.1 and 2.0 (JSON or JSON lines): paragraphs with questions and their answers."


@pytest.mark.parametrize("kind", CONVERTERS)
def test_every_option_of_a_converter_is_one_of_the_command(kind):
    known = inspect.signature(convert_cli).parameters
    assert all(name in known for name in options_of(CONVERTERS[kind]))


@pytest.mark.parametrize("kind", CONVERTERS)
@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\xff\xfe", b"{", b"[[", b"prose"])
def test_what_is_no_such_file_is_one_coded_line_and_nothing_is_written(tmp_path, kind, content):
    (tmp_path / "in").write_bytes(content)
    result = luke("convert", kind, tmp_path / "in", tmp_path / "out.spacy")
    assert result.exit_code == 1
    assert result.stderr.startswith("[L06")
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out.spacy").exists()


def test_names_are_written(tmp_path):
    sentence = {"tokens": ["Ann", "met", "Bo"], "h": ["ann", "Q1", [[0]]], "t": ["bo", "Q2", [[2]]]}
    (tmp_path / "in.json").write_text(json.dumps({"P1": [sentence]}))
    (tmp_path / "names.json").write_text(json.dumps({"P1": ["meets", "…"]}))
    options = ["--names", tmp_path / "names.json", "--spaces", "all"]
    result = luke("convert", "fewrel", tmp_path / "in.json", tmp_path / "out.spacy", *options)
    assert result.exit_code == 0
    assert "Relations: 1 (meets 1)" in result.output
    assert get_relations(load(tmp_path / "out.spacy")[0])[0].label == "meets"


def test_sentences_may_be_elsewhere(tmp_path):
    (tmp_path / "sentences.tsv").write_text("s:1\tAnn met Bo\n")
    (tmp_path / "in.tsv").write_text("s:1\t0\tw\t0\t0\tWho?\t0\tv:0\tw:0\n")
    result = luke("convert", "qamr", tmp_path / "in.tsv", tmp_path / "out.spacy")
    assert result.stderr.startswith("[L065]")
    options = ["--sentences", tmp_path / "sentences.tsv"]
    assert luke("convert", "qamr", tmp_path / "in.tsv", tmp_path / "out.spacy", *options).exit_code == 0
    assert load(tmp_path / "out.spacy")[0].text == "Ann met Bo"


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["nope", "train.iob"], "L063"),
        (["iob", "missing.iob"], "L061"),
        (["iob", "train.iob", "--types", "PER"], "L062"),
        (["iob", "train.iob", "--types", "=PER"], "L062"),
        (["iob", "train.iob", "--tag-column", "9"], "L060"),
        (["tacred", "train.iob", "--spaces", "some"], "L060"),
        (["docred", "train.iob", "--names", "missing.json"], "L061"),
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


@pytest.mark.parametrize(
    "name", ["out.json", "out.jsonl", "out.conll", "out.iob2", "out.spacy.gz", "out.SPACY", "v1.txt"]
)
def test_an_output_that_is_neither_a_spacy_file_nor_a_folder_is_refused(corpus, tmp_path, name):
    result = luke("convert", "iob", corpus / "train.iob", tmp_path / name)
    assert result.exit_code == 1
    assert result.stderr.startswith("[L153]")
    assert str(Path(name).with_suffix(".spacy")) in result.stderr
    assert not (tmp_path / name).exists()


def test_an_output_that_is_another_file_is_refused(corpus, tmp_path):
    (tmp_path / "notes").write_text("mine")
    assert luke("convert", "iob", corpus / "train.iob", tmp_path / "notes").stderr.startswith("[L153]")
    assert (tmp_path / "notes").read_text() == "mine"


@pytest.mark.parametrize("name", ["out", "corpus-v1.0", "wnut.17", "en.v2"])
def test_a_folder_may_have_a_dot(corpus, tmp_path, name):
    assert luke("convert", "iob", corpus / "train.iob", tmp_path / name).exit_code == 0
    assert (tmp_path / name / "train.spacy").is_file()


def test_a_folder_that_is_there_may_have_any_name(corpus, tmp_path):
    (tmp_path / "out.json").mkdir()
    assert luke("convert", "iob", corpus / "train.iob", tmp_path / "out.json").exit_code == 0
    assert (tmp_path / "out.json" / "train.spacy").is_file()


def test_types_are_only_warned_of_if_no_file_has_them(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "a.iob").write_text("Ann\tB-PER\n")
    (folder / "b.iob").write_text("Rome\tB-LOC\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error", LukeWarning)
        assert luke("convert", "iob", folder, tmp_path / "out.spacy", "--only", "PER,LOC").exit_code == 0
    with pytest.warns(LukeWarning, match=r"W046\] No entity .* 'ORG', .* only .* occur: LOC, PER\.") as caught:
        assert luke("convert", "iob", folder, tmp_path / "out.spacy", "--only", "PER,ORG").exit_code == 0
    assert len(caught) == 1


def test_nested_entities_go_to_spans(tmp_path):
    rows = [("Ann", "(1-x(2-y)"), ("ran", "1)")]
    text = "".join(f"{n}\t{form}" + "\t_" * 7 + f"\tEntity={misc}\n" for n, (form, misc) in enumerate(rows, start=1))
    (tmp_path / "a.conllu").write_text(text)
    result = luke("convert", "conllu", tmp_path / "a.conllu", tmp_path / "a.spacy", "--spans-key", "all")
    assert "Spans: 2 (y 1, x 1)" in result.output
    assert len(load(tmp_path / "a.spacy")[0].spans["all"]) == 2
