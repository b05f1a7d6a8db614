"""Parquet in and out. Of this package, only this module needs pyarrow: the extra `parquet`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ..annotations.results import Record
from ..errors import LukeError

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as error:
    raise LukeError("L173", reason=error) from error

# Rows that are read at once, to see how long their texts are: of long ones, a few are a part.
_BATCH = 32

_PLACE = [("start", pa.int64()), ("end", pa.int64()), ("text", pa.string())]
_SPANS = pa.list_(
    pa.struct([*_PLACE, ("label", pa.string()), ("kb_id", pa.string()), ("score", pa.float64())]),
)
_END = pa.struct([*_PLACE, ("label", pa.string())])
_SCORES = pa.map_(pa.string(), pa.float64())
_CANDIDATES = pa.list_(pa.struct([("id", pa.string()), ("score", pa.float64())]))
_OF_CHOICE = [("number", pa.int64()), ("index", pa.int64()), ("text", pa.string())]
_MEASURES = [("score", pa.float64()), ("logit", pa.float64())]
# Of `to_dict`: a column for each of its keys; null where a Doc is not annotated so.
SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("entities", _SPANS),
        ("spans", pa.map_(pa.string(), _SPANS)),
        ("tags", pa.list_(pa.struct([*_PLACE, ("tag", pa.string())]))),
        ("types", pa.list_(pa.struct([*_PLACE, ("types", pa.list_(pa.string())), ("scores", _SCORES)]))),
        ("links", pa.list_(pa.struct([*_PLACE, ("candidates", _CANDIDATES)]))),
        (
            "relations",
            pa.list_(pa.struct([("head", _END), ("tail", _END), ("label", pa.string()), ("score", pa.float64())])),
        ),
        ("questions", pa.list_(pa.string())),
        ("answers", pa.list_(pa.struct([("question", pa.string()), *_PLACE, *_MEASURES]))),
        ("choices", pa.list_(pa.struct([("question", pa.string()), ("options", pa.list_(pa.string()))]))),
        ("chosen", pa.list_(pa.struct([("question", pa.string()), *_OF_CHOICE, *_MEASURES]))),
        ("cats", _SCORES),
    ]
)


def read_tables(
    path: Path, names: Sequence[str], text: str, size: int, check: Callable[[Sequence[str]], None]
) -> Iterator[tuple[pa.Table, int]]:
    """Tables with some columns of a file, with bytes of text of at least `size`, but for the last; and the bytes of the
    file that each is of.

    check: raises what is wrong with the columns that there are. L174 if the file cannot be read.
    """
    try:
        with pq.ParquetFile(path) as file:
            check(file.schema_arrow.names)
            share = path.stat().st_size / max(file.metadata.num_rows, 1)
            held: list[pa.RecordBatch] = []
            rows = length = 0
            for batch in file.iter_batches(batch_size=_BATCH, columns=list(names)):
                held.append(batch)
                length += batch.column(text).nbytes
                rows += len(batch)
                if length >= size or rows == file.metadata.num_rows:
                    table = pa.Table.from_batches(held)
                    yield table, round(share * rows) - round(share * (rows - len(table)))
                    held, length = [], 0
    except LukeError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise LukeError("L174", path=path, reason=" ".join(str(error).split())) from error


def write_table(file: BinaryIO, ids: Mapping[str, Sequence[Any]], records: Sequence[Record], types: Any = None) -> None:
    """Write rows to a file.

    ids: column -> value of each row. types: schema with the types of these columns; None = found from the values.
    records: of `to_dict`.
    """
    kept = {name: _id_array(values, types.field(name).type if types else None) for name, values in ids.items()}
    columns = [*kept.values(), *make_table(records).columns]
    pq.write_table(pa.table(columns, names=[*kept, *SCHEMA.names]), file)


def make_table(records: Sequence[Record]) -> pa.Table:
    """A table with `SCHEMA`. records: of `to_dict`."""
    return pa.Table.from_pylist([_with_pairs(record) for record in records], SCHEMA)


def _with_pairs(record: Record) -> Record:
    """The record with lists of pairs, as Arrow wants its maps, for dicts whose keys are no part of the schema."""
    changed: Record = {key: list(record[key].items()) for key in ("spans", "cats") if key in record}
    if "types" in record:
        changed["types"] = [{**entry, "scores": list(entry["scores"].items())} for entry in record["types"]]
    return {**record, **changed}


def _id_array(values: Sequence[Any], kind: Any) -> Any:
    """Values of JSON that are not all of one simple type become strings."""
    if kind is not None:
        return pa.array(values, kind)
    try:
        found = pa.array(values)
    except (pa.ArrowException, OverflowError):
        found = None
    if found is None or pa.types.is_nested(found.type):
        texts = [value if isinstance(value, str | None) else json.dumps(value, ensure_ascii=False) for value in values]
        return pa.array(texts, pa.string())
    return found


def join_tables(file: BinaryIO, parts: Sequence[Path], ids: Sequence[str]) -> None:
    """Write the rows of several files to one, a row group for each. No files: no rows.

    ids: columns whose type may differ from part to part; then they become strings.
    """
    schemas = [pq.read_schema(part) for part in parts]
    kept = [pa.field(name, _common([schema.field(name).type for schema in schemas])) for name in ids]
    schema = pa.schema([*kept, *SCHEMA])
    with pq.ParquetWriter(file, schema) as writer:
        for part in parts:
            writer.write_table(pq.read_table(part, partitioning=None).cast(schema))


def _common(types: Sequence[Any]) -> Any:
    """The type of a column whose parts have these types; those without any value have none."""
    found = {kind for kind in types if not pa.types.is_null(kind)}
    return found.pop() if len(found) == 1 else pa.string()
