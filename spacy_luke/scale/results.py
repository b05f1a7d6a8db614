"""Results of rows -> files: one of each part, and all of these -> that of the input."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from spacy.tokens import Doc, DocBin

from ..annotations.results import to_dict
from ..annotations.store import plain_number
from ..converters.docbin import open_docbin
from .inputs import DOCBIN, JSON_LINES, PARQUET
from .rows import BadRow, Columns, Part, Row

Annotated = tuple[Row, Doc]


@dataclass(frozen=True)
class Format:
    """How results are written.

    write: the Docs of a part to a file. join: the files of all parts to one.
    """

    write: Callable[[BinaryIO, Sequence[Annotated], Part, Columns], None]
    join: Callable[[BinaryIO, Sequence[Path], Columns], None]


def json_line(values: Mapping[str, Any]) -> bytes:
    """An object in a line. Of the values that JSON lacks, NaN becomes null, and dates and the like strings."""
    plain = {key: plain_number(value) if isinstance(value, float) else value for key, value in values.items()}
    return json.dumps(plain, ensure_ascii=False, default=str).encode("utf8") + b"\n"


def write_failed(file: BinaryIO, failed: Sequence[BadRow]) -> None:
    """Write rows without results, as JSON lines: where they are, why, and what is there."""
    for row in failed:
        place = {"row": row.number, "error": row.error}
        file.write(json_line({**place, **{k: v for k, v in row.ids.items() if k not in place}, "text": row.text}))


def _write_lines(file: BinaryIO, annotated: Sequence[Annotated], part: Part, columns: Columns) -> None:
    file.writelines(json_line({**row.ids, **to_dict(doc)}) for row, doc in annotated)


def join_lines(file: BinaryIO, parts: Sequence[Path], columns: Columns) -> None:
    """Write files one after the other to another."""
    for part in parts:
        with part.open("rb") as one:
            shutil.copyfileobj(one, file)


def _write_parquet(file: BinaryIO, annotated: Sequence[Annotated], part: Part, columns: Columns) -> None:
    from .parquet import write_table

    ids = {name: [row.ids[name] for row, _ in annotated] for name in columns.ids}
    write_table(file, ids, [to_dict(doc) for _, doc in annotated], getattr(part.rows, "schema", None))


def _join_parquet(file: BinaryIO, parts: Sequence[Path], columns: Columns) -> None:
    from .parquet import join_tables

    join_tables(file, parts, columns.ids)


def _write_docbin(file: BinaryIO, annotated: Sequence[Annotated], part: Part, columns: Columns) -> None:
    for row, doc in annotated:
        doc.user_data.update(json.loads(json_line(row.ids)))  # what is no JSON cannot be stored either
    file.write(DocBin(docs=[doc for _, doc in annotated], store_user_data=True).to_bytes())


def _join_docbins(file: BinaryIO, parts: Sequence[Path], columns: Columns) -> None:
    whole = DocBin(store_user_data=True)
    for part in parts:
        whole.merge(open_docbin(part))
    file.write(whole.to_bytes())


WRITERS: Mapping[str, Format] = {
    JSON_LINES: Format(_write_lines, join_lines),
    PARQUET: Format(_write_parquet, _join_parquet),
    DOCBIN: Format(_write_docbin, _join_docbins),
}
