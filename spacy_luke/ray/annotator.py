"""Batches of texts -> batches of results, for `map_batches` of Ray Data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc

from ..annotations.results import Record as Results
from ..annotations.results import to_dict
from ..converters.records import Record
from ..errors import LukeError
from ..scale.rows import Columns, record_row
from ..scale.worker import annotate_rows, load_pipeline

# The column with what is wrong with a row.
ERROR = "error"
_BATCH = Path("batch")


@dataclass(frozen=True)
class Annotator:
    """A pipeline as a function of batches, which `Dataset.map_batches` takes as it is or as a class for actors.

    model: folder or name of a pipeline. Each process loads it once, with its first batch, and has one thread from then
        on; L170 if that cannot be done.
    text, ids, questions: columns with the text, with what is kept beside the results, and with a question or a list of
        them. L080 for ids that are the name of a column of results.
    code: a Python file to import before the pipeline is loaded.
    gpu: compute on the GPU that Ray gives the process (`num_gpus=1`).
    """

    model: str | Path
    text: str = "text"
    ids: Sequence[str] = ()
    questions: str | None = None
    code: str | Path | None = None
    gpu: bool = False

    def __post_init__(self) -> None:
        if ERROR in self._columns.ids:
            wanted = "a column that is not called so: that of the results is"
            raise LukeError("L080", argument="id", value=ERROR, wanted=wanted)

    @property
    def _columns(self) -> Columns:
        return Columns(self.text, tuple(self.ids), self.questions)

    def __call__(self, batch: Any) -> Any:
        """Annotate the rows of a batch.

        batch: a table of Arrow, which keeps the types of `ids`, arrays by column, or a DataFrame.

        Returns: a table of Arrow with `ids`, the columns of `luke annotate --format parquet`, and `error`: null, or why
        the row has no results. L167 if there is no such column; L173 if pyarrow is not there.
        """
        from ..scale.parquet import SCHEMA, make_table, pa

        table = batch if isinstance(batch, pa.Table) else pa.table(batch)
        columns = self._columns
        self._check(columns, table.column_names)
        names = list(dict.fromkeys(name for name, _ in columns.options()))
        nlp = _pipeline(self.model, self.code, self.gpu)
        values = enumerate(table.select(names).to_pylist(), start=1)
        rows = [record_row(Record(_BATCH, f"row {number}", row), number, columns) for number, row in values]
        records: list[Results] = []
        errors: list[str | None] = []
        with nlp.memory_zone():
            for row, result in annotate_rows(nlp, rows):
                records.append(to_dict(result) if isinstance(result, Doc) else {"text": row.text})
                errors.append(None if isinstance(result, Doc) else result)
        kept = [table.column(name) for name in columns.ids]
        made = [*kept, *make_table(records).columns, pa.array(errors, pa.string())]
        return pa.table(made, names=[*columns.ids, *SCHEMA.names, ERROR])

    @staticmethod
    def _check(columns: Columns, known: Sequence[str]) -> None:
        for name, option in columns.options():
            if name not in known:
                argument = {"--id": "ids"}.get(option, option.removeprefix("--"))
                there = ", ".join(map(repr, known)) or "none"
                raise LukeError("L167", path="The batch", column=name, option=f"{argument} of Annotator", known=there)


@cache
def _pipeline(model: str | Path, code: str | Path | None, gpu: bool) -> Language:
    """The pipeline of this process. Ray sends an `Annotator` with every task: what it held would be loaded again."""
    return load_pipeline(str(model), Path(code) if code else None, 0 if gpu else None)
