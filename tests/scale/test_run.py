"""Files become files of results: whole, in order, once."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import pytest
import spacy
from spacy.tokens import DocBin

from spacy_luke import LukeError, to_dict
from spacy_luke.scale import Progress, Shard
from spacy_luke.scale.folder import Folder
from spacy_luke.scale.inputs import Input
from spacy_luke.scale.lock import locked
from spacy_luke.scale.rows import Columns, Part
from spacy_luke.scale.worker import AnnotatePart, Annotator, annotate_part
from tests.cli.test_saving import longest_file

from .corpus import SMALL, found, in_one_process, leftovers, make_rows, read_lines, rounded, run, write_rows

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def source(tmp_path) -> Path:
    return write_rows(tmp_path / "in" / "a.jsonl", make_rows(7))


def results(path: Path) -> list[dict]:
    return [rounded(line) for line in read_lines(path)]


def test_each_row_has_its_results_beside_its_id_in_order(pipeline, nlp, source, tmp_path):
    summary = run(pipeline, source, tmp_path / "out", ids=["id"])
    rows = make_rows(7)
    expected = in_one_process(nlp, [row["text"] for row in rows])
    assert results(tmp_path / "out" / "a.jsonl") == [{"id": i, **record} for i, record in enumerate(expected)]
    assert any(record["entities"] for record in expected)
    assert found(tmp_path / "out") == ["a.jsonl"]
    assert not leftovers(tmp_path / "out")
    assert (summary.inputs, summary.written, summary.present, summary.texts) == (1, 1, 0, 7)
    assert summary.words == sum(len(nlp.make_doc(row["text"])) for row in rows)
    assert "1 of 1 inputs written" in str(summary)


def test_every_kind_of_file_gives_the_same(pipeline, nlp, source, tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows, folder = make_rows(7), tmp_path / "in"
    texts = [row["text"] for row in rows]
    with gzip.open(folder / "b.jsonl.gz", "wb") as file:
        file.write(source.read_bytes())
    (folder / "c.txt").write_text("\r\n".join(texts), encoding="utf-8-sig", newline="")
    pq.write_table(pa.table({"other": texts, "text": texts, "id": range(7)}), folder / "d.parquet", row_group_size=3)
    DocBin(docs=[nlp.make_doc(text) for text in texts]).to_disk(folder / "e.spacy")
    names = ["a.jsonl", "b.jsonl.gz.jsonl", "c.txt.jsonl", "d.parquet.jsonl", "e.spacy.jsonl"]
    for part_size in (1, SMALL, 10**6):
        out = tmp_path / f"out{part_size}"
        summary = run(pipeline, folder, out, part_size=part_size)
        assert found(out) == names
        assert [results(out / name) for name in names] == [in_one_process(nlp, texts)] * 5
        assert (summary.texts, summary.failed) == (35, 0)


@pytest.mark.parametrize("part_size", [SMALL, 10**6])
def test_docbins_out_have_everything(pipeline, nlp, source, tmp_path, part_size):
    run(pipeline, source, tmp_path / "out", form="spacy", ids=["id"], part_size=part_size)
    docs = list(DocBin().from_disk(tmp_path / "out" / "a.jsonl.spacy").get_docs(nlp.vocab))
    assert [rounded(to_dict(doc)) for doc in docs] == in_one_process(nlp, [row["text"] for row in make_rows(7)])
    assert [doc.user_data["id"] for doc in docs] == list(range(7))


def test_questions_are_asked(pipeline, tmp_path):
    rows = make_rows(4)
    for row, asked in zip(rows, ["Who?", ["Where?", "When?"], None, []], strict=True):
        row["ask"] = asked
    source = write_rows(tmp_path / "a.jsonl", [*rows, {"text": "a", "ask": 3}])
    summary = run(pipeline, source, tmp_path / "out", questions="ask")
    assert [line["questions"] for line in results(tmp_path / "out" / "a.jsonl")] == [
        ["Who?"],
        ["Where?", "When?"],
        [],
        [],
    ]
    assert summary.failed == 1
    [failed] = read_lines(tmp_path / "out" / "a.jsonl.failed")
    assert "neither a question" in failed["error"]


def test_what_is_there_is_skipped(pipeline, source, tmp_path):
    write_rows(tmp_path / "in" / "b.jsonl", make_rows(2))
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.jsonl").write_text("as it was")
    summary = run(pipeline, source.parent, out)
    assert (out / "a.jsonl").read_text() == "as it was"
    assert (summary.inputs, summary.written, summary.present, summary.texts) == (2, 1, 1, 2)


def test_folders_keep_their_shape_and_hidden_files_are_left(pipeline, tmp_path):
    for name in ("a.jsonl", "b/a.jsonl", "b/c.jsonl", ".hidden/d.jsonl", "b/.e.jsonl"):
        write_rows(tmp_path / "in" / name, make_rows(1))
    (tmp_path / "in" / "README").write_text("what this is")
    run(pipeline, tmp_path / "in", tmp_path / "out")
    assert found(tmp_path / "out") == ["a.jsonl", "b/a.jsonl", "b/c.jsonl"]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shards_have_each_input_once(pipeline, tmp_path, count):
    names = [f"{i}.jsonl" for i in range(5)]
    for name in names:
        write_rows(tmp_path / "in" / name, [])
    written = []
    for number in range(1, count + 1):
        before = found(tmp_path / "out")
        summary = run(pipeline, tmp_path / "in", tmp_path / "out", shard=Shard(number, count))
        new = sorted(set(found(tmp_path / "out")) - set(before))
        assert summary.inputs == summary.written == len(new)
        written += new
    assert sorted(written) == names


def test_progress_counts_the_bytes_that_are_to_be_done(pipeline, tmp_path):
    sizes = {}
    for name, count in (("a.jsonl", 6), ("b.jsonl", 3)):
        sizes[name] = write_rows(tmp_path / "in" / name, make_rows(count)).stat().st_size
    seen: list[tuple[int, int, int]] = []

    def note(progress: Progress) -> None:
        seen.append((progress.total, progress.size, progress.words))

    summary = run(pipeline, tmp_path / "in", tmp_path / "out", on_progress=note)
    assert seen[0] == (sum(sizes.values()), 0, 0)
    assert seen[-1] == (sum(sizes.values()), sum(sizes.values()), summary.words)
    assert len(seen) > 3
    (tmp_path / "out" / "b.jsonl").unlink()
    run(pipeline, tmp_path / "in", tmp_path / "out", on_progress=note)
    assert seen[-1][:2] == (sizes["b.jsonl"], sizes["b.jsonl"])


# A stop


def test_a_run_goes_on_with_the_parts_that_are_there(pipeline, nlp, source, tmp_path):
    out = tmp_path / "out"

    class StopHere(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.size:
            raise StopHere

    with pytest.raises(StopHere):
        run(pipeline, source, out, on_progress=stop)
    assert found(out) == []
    summary = run(pipeline, source, out)
    assert 0 < summary.texts < 7, "the first part is not annotated again"
    assert results(out / "a.jsonl") == in_one_process(nlp, [row["text"] for row in make_rows(7)])
    assert not leftovers(out)


def test_parts_of_an_input_that_has_changed_are_not_used(pipeline, source, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ZeroDivisionError):
        run(pipeline, source, out, on_progress=lambda progress: 1 // (progress.size == 0))
    rows = make_rows(9)[::-1]
    write_rows(source, rows)
    assert run(pipeline, source, out).texts == 9
    assert [line["text"] for line in results(out / "a.jsonl")] == [row["text"] for row in rows]


# Rows that cannot be annotated


def test_a_text_that_raises_is_put_aside(pipeline, tmp_path):
    source = write_rows(tmp_path / "a.jsonl", make_rows(6, r2="RAISE", r5="RAISE"))
    summary = run(pipeline, source, tmp_path / "out", ids=["id"], part_size=10**6)
    assert [line["id"] for line in results(tmp_path / "out" / "a.jsonl")] == [0, 1, 3, 4]
    failed = read_lines(tmp_path / "out" / "a.jsonl.failed")
    assert [(line["row"], line["id"], line["error"]) for line in failed] == [
        (3, 2, "RuntimeError: what the text says"),
        (6, 5, "RuntimeError: what the text says"),
    ]
    assert failed[0]["text"] == make_rows(6, r2="RAISE")[2]["text"]
    assert (summary.texts, summary.failed) == (4, 2)
    assert "2 rows have no results" in str(summary)


def test_rows_that_cannot_be_read_are_put_aside(pipeline, tmp_path):
    good = json.dumps({"text": "a b"}).encode()
    lines = [good, b'{"text": 3}', b'{"body": "a"}', b"[1]", b'{"text": "\xff"}', b"", b'{"text": "\\ud800"}', good]
    source = tmp_path / "a.jsonl"
    source.write_bytes(b"\n".join([*lines, good[:-3]]))  # cut in its last line
    summary = run(pipeline, source, tmp_path / "out")
    assert [line["text"] for line in results(tmp_path / "out" / "a.jsonl")] == ["a b"] * 2
    failed = read_lines(tmp_path / "out" / "a.jsonl.failed")
    assert [line["row"] for line in failed] == [2, 3, 4, 5, 7, 9]
    assert [line["error"][1:5] for line in failed] == ["L064", "L064", "L064", "L060", "L060", "L060"]
    assert (summary.texts, summary.failed) == (2, 6)


def test_a_text_of_10_mb_is_put_aside(pipeline, tmp_path):
    rows = [{"text": "a b"}, {"text": "many words " * 10**6}, {"text": "c d"}]
    run(pipeline, write_rows(tmp_path / "a.jsonl", rows), tmp_path / "out")
    assert [line["text"] for line in results(tmp_path / "out" / "a.jsonl")] == ["a b", "c d"]
    [failed] = read_lines(tmp_path / "out" / "a.jsonl.failed")
    assert failed["row"] == 2
    assert "E088" in failed["error"]


def test_a_failed_file_of_an_earlier_run_goes(pipeline, source, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.jsonl.failed").write_text("old")
    run(pipeline, source, out)
    assert found(out) == ["a.jsonl"]


def test_ids_that_repeat_are_kept_as_they_are(pipeline, tmp_path):
    rows = [{"id": "x", "text": "a"}, {"id": "x", "text": "b"}, {"text": "c"}]
    run(pipeline, write_rows(tmp_path / "a.jsonl", rows), tmp_path / "out", ids=["id"])
    lines = results(tmp_path / "out" / "a.jsonl")
    assert [(line["id"], line["text"]) for line in lines] == [("x", "a"), ("x", "b"), (None, "c")]


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt"])
@pytest.mark.parametrize("form", ["jsonl", "parquet", "spacy"])
def test_an_empty_file_gives_an_empty_one(pipeline, nlp, tmp_path, name, form):
    source = tmp_path / name
    source.touch()
    summary = run(pipeline, source, tmp_path / "out", form=form, ids=["line"] if name == "a.txt" else ["id"])
    [written] = found(tmp_path / "out")
    if form == "parquet":
        assert pytest.importorskip("pyarrow.parquet").read_table(tmp_path / "out" / written).num_rows == 0
    elif form == "spacy":
        assert list(DocBin().from_disk(tmp_path / "out" / written).get_docs(nlp.vocab)) == []
    else:
        assert (tmp_path / "out" / written).read_bytes() == b""
    assert (summary.written, summary.texts) == (1, 0)


def test_a_file_of_empty_texts(pipeline, tmp_path):
    source = write_rows(tmp_path / "a.jsonl", [{"text": ""}, {"text": " "}])
    run(pipeline, source, tmp_path / "out")
    assert [line["text"] for line in results(tmp_path / "out" / "a.jsonl")] == ["", " "]


# Inputs that cannot be annotated: the others are


def bad(code: str, *, name: str = "b.jsonl", content: bytes = b'{"text": "a"}\n', **options):
    return pytest.param(code, name, content, options, id=f"{code}-{name}-{len(content)}")


@pytest.mark.parametrize(
    ("code", "name", "content", "options"),
    [
        bad("L167", content=b'{"body": "a"}\n'),
        bad("L167", name="b.txt", content=b"a", ids=["id"]),
        bad("L167", ids=["id"]),
        bad("L167", questions="ask"),
        bad("L060", content=b"a text\n"),
        bad("L060", content=b"[1]\n"),
        bad("L060", content=b"\xff\n"),
        bad("L060", name="b.jsonl.gz", content=b"no gzip"),
        bad("L060", name="b.jsonl.gz", content=gzip.compress(b'{"text": "a"}\n' * 1000)[:-20]),
        bad("L106", name="b.spacy", content=b"no DocBin"),
        bad("L106", name="b.spacy", content=b""),
        bad("L167", name="b.spacy", content=DocBin().to_bytes(), ids=["id"]),
        bad("L174", name="b.parquet", content=b"no parquet"),
        bad("L174", name="b.parquet", content=b""),
    ],
)
def test_what_is_wrong_with_an_input_is_said_and_the_others_go_on(pipeline, tmp_path, code, name, content, options):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    folder = tmp_path / "in"
    write_rows(folder / "a.jsonl", [{"text": "a", "id": 1, "ask": []}])
    (folder / name).write_bytes(content)
    write_rows(folder / "c.jsonl", [{"text": "c", "id": 2, "ask": []}])
    summary = run(pipeline, folder, tmp_path / "out", **options)
    assert found(tmp_path / "out") == ["a.jsonl", "c.jsonl"]
    [error] = summary.errors
    assert error.code == code
    assert str(folder / name) in str(error)
    assert "1 inputs could not be annotated" in str(summary)


def test_a_parquet_file_without_the_column(pipeline, tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"body": ["a"]}), tmp_path / "a.parquet")
    [error] = run(pipeline, tmp_path / "a.parquet", tmp_path / "out").errors
    assert error.code == "L167"
    assert "'body'" in str(error)


# Mistakes that end the run


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"ids": ["entities"]}, "L080"),
        ({"ids": ["id", "id"]}, "L080"),
        ({"form": "xml"}, "L047"),
        ({"workers": 0}, "L047"),
        ({"gpus": -1}, "L047"),
        ({"gpus": 1000}, "L047"),
    ],
)
def test_a_setting_that_cannot_be(pipeline, source, tmp_path, options, code):
    with pytest.raises(LukeError, match=code):
        run(pipeline, source, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_pipeline_that_cannot_be_loaded(source, tmp_path):
    with pytest.raises(LukeError, match="L170"):
        run(tmp_path / "nowhere", source, tmp_path / "out")
    with pytest.raises(LukeError, match="L170"):
        run(tmp_path / "nowhere", source, tmp_path / "out2", code=tmp_path / "nowhere.py")
    assert found(tmp_path / "out") == []


def test_other_settings_in_the_same_folder(pipeline, source, tmp_path):
    run(pipeline, source, tmp_path / "out")
    for options in ({"ids": ["id"]}, {"form": "spacy"}, {"questions": "ask"}):
        with pytest.raises(LukeError, match="L169"):
            run(pipeline, source, tmp_path / "out", **options)
    assert run(pipeline, source, tmp_path / "out").present == 1


def test_a_folder_that_another_run_writes_to(pipeline, source, tmp_path):
    run(pipeline, source, tmp_path / "out")
    with locked(tmp_path / "out" / ".annotate", Shard(1, 1)), pytest.raises(LukeError, match="L168"):
        run(pipeline, source, tmp_path / "out")


def test_an_output_that_is_no_folder(pipeline, source, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(LukeError, match="L029"):
        run(pipeline, source, tmp_path / "out")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the size of files")
@pytest.mark.parametrize("form", ["jsonl", "parquet", "spacy"])
def test_a_full_disk(pipeline, source, tmp_path, form):
    if form == "parquet":
        pytest.importorskip("pyarrow")
    for size in (0, 300):  # not even the settings can be written; the parts cannot
        with longest_file(size), pytest.raises(LukeError, match="L029"):
            run(pipeline, source, tmp_path / "out", form=form)
        assert found(tmp_path / "out") == []
    assert run(pipeline, source, tmp_path / "out", form=form).written == 1


def test_memory_zones_end_with_their_part(pipeline, nlp, tmp_path):
    """Many parts with words of their own: results are right in each, and the vocabulary of the worker stays small."""
    own = spacy.load(pipeline)
    before = len(own.vocab.strings)
    settings = Annotator(str(pipeline), Folder(tmp_path, "jsonl"), Columns())
    texts = [" ".join(f"Ada{part}x{i} met London." for i in range(30)) for part in range(4)]
    source = Input(tmp_path / "a.txt", "a.txt.jsonl", "txt", 0)
    for number, text in enumerate(texts):
        annotate_part(AnnotatePart(source, Part(number, 1, 0, [text.encode()])), own, settings)
    lines = [line for n in range(4) for line in results(settings.folder.part(source, n))]
    assert lines == in_one_process(nlp, texts)
    assert len(own.vocab.strings) < before + 60
