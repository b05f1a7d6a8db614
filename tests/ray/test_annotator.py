"""Batches become batches of results; for this, Ray is not needed."""

from __future__ import annotations

import pickle

import pytest

from spacy_luke.annotations.results import KEYS
from spacy_luke.errors import LukeError
from spacy_luke.ray import Annotator, annotator
from tests.scale.corpus import CODE, in_one_process, make_rows, rounded

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")


def results(table) -> list[dict]:
    return [rounded(row) for row in table.to_pylist(maps_as_pydicts="strict")]


def expected(nlp, rows: list[dict]) -> list[dict]:
    records = in_one_process(nlp, [row["text"] for row in rows])
    missing = dict.fromkeys(KEYS)
    return [{"id": row["id"], **missing, **one, "error": None} for row, one in zip(rows, records, strict=True)]


@pytest.fixture
def annotate(pipeline) -> Annotator:
    return Annotator(pipeline, ids=["id"], code=CODE)


def test_a_table_of_arrow(annotate, nlp):
    rows = make_rows(6)
    assert results(annotate(pa.Table.from_pylist(rows))) == expected(nlp, rows)


def test_arrays_by_column_as_ray_gives_them(annotate, nlp):
    rows = make_rows(6)
    arrays = {"text": np.array([row["text"] for row in rows], dtype=object), "id": np.arange(6), "other": np.ones(6)}
    assert results(annotate(arrays)) == expected(nlp, rows)


def test_every_batch_has_the_columns_of_parquet_files(annotate):
    from spacy_luke.scale.parquet import SCHEMA

    kind = pa.field("id", pa.int16())
    batch = pa.table({"text": pa.array([], pa.string()), "id": pa.array([], pa.int16())})
    schema = pa.schema([kind, *SCHEMA, pa.field("error", pa.string())])
    assert annotate(batch).schema == schema
    assert annotate(pa.table({"text": ["a", None], "id": pa.array([1, 2], pa.int16())})).schema == schema


def test_a_row_that_cannot_be_annotated_says_why(annotate, nlp):
    rows = make_rows(5, r1="RAISE")
    rows[2]["text"] = None
    rows[3]["text"] = "many words " * 10**5 + "many words " * 10**6
    table = results(annotate(pa.Table.from_pylist(rows)))
    good = [0, 4]
    assert [table[i] for i in good] == expected(nlp, [rows[i] for i in good])
    assert [row["id"] for row in table] == list(range(5))
    assert table[1]["error"] == "RuntimeError: what the text says"
    assert table[1]["text"] == rows[1]["text"]
    assert table[1]["entities"] is None
    assert "L064" in table[2]["error"]
    assert "row 3: 'text' is not a string" in table[2]["error"]
    assert "E088" in table[3]["error"]


def test_questions_are_asked(pipeline):
    ask = Annotator(pipeline, text="body", questions="ask", code=CODE)
    rows = [{"body": "a b", "ask": ["Who?", "Where?"]}, {"body": "c", "ask": None}]
    table = results(ask(pa.Table.from_pylist(rows)))
    assert [(row["text"], row["questions"]) for row in table] == [("a b", ["Who?", "Where?"]), ("c", [])]
    [row] = results(ask(pa.table({"body": ["a b"], "ask": ["Who?"]})))
    assert row["questions"] == ["Who?"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"text": "body"}, r"'body', which text of Annotator names. It has: 'id', 'text'"),
        ({"ids": ["id", "number"]}, r"'number', which ids of Annotator names"),
        ({"questions": "ask"}, r"'ask', which questions of Annotator names"),
    ],
)
def test_a_column_that_is_not_there(pipeline, options, said):
    with pytest.raises(LukeError, match=rf"L167.*{said}"):
        Annotator(pipeline, code=CODE, **options)(pa.table({"id": [1], "text": ["a"]}))


@pytest.mark.parametrize("ids", [["entities"], ["id", "id"], ["error"]])
def test_ids_that_would_be_there_twice(pipeline, ids):
    with pytest.raises(LukeError, match="L080"):
        Annotator(pipeline, ids=ids)


def test_a_pipeline_that_cannot_be_loaded(tmp_path):
    with pytest.raises(LukeError, match="L170"):
        Annotator(tmp_path / "nowhere")(pa.table({"text": ["a"]}))


def test_a_process_loads_the_pipeline_once(annotate, monkeypatch):
    """Ray gives a process another copy of the function with each task."""
    loaded = []
    load = annotator.load_pipeline
    monkeypatch.setattr(annotator, "load_pipeline", lambda *args: loaded.append(args) or load(*args))
    annotator._pipeline.cache_clear()
    for _ in range(3):
        pickle.loads(pickle.dumps(annotate))(pa.table({"id": [1], "text": ["a"]}))
    assert len(loaded) == 1
