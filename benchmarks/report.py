"""Results as JSON and as a Markdown table, which docs/benchmarks.md shows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import plot
from .machine import LOAD
from .options import ROOT
from .rows import Row

PAGE = ROOT / "docs" / "benchmarks.md"
KEPT = ROOT / "docs" / "benchmark.json"
PLOT = ROOT / "docs" / "list_cost.svg"
CHART = ROOT / "docs" / "benchmark.svg"
BEGIN, END = "<!-- benchmark table: begin -->", "<!-- benchmark table: end -->"
_HEAD = "| part | what | ours | other | result | target | | padding |\n|---|---|---:|---:|---:|---:|---|---:|"


def write(folder: Path, results: dict[str, Any]) -> None:
    """Write both files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "benchmark.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf8")
    (folder / "benchmark.md").write_text(table(results), encoding="utf8")


def kept(folder: Path, about: dict[str, str], chosen: Sequence[str]) -> tuple[list[Row], dict[str, str]]:
    """Read the results of the parts that were not chosen, if they were measured in the same way; else nothing.

    RETURNS: rows, and part -> why it has none.
    """
    try:
        found = json.loads((folder / "benchmark.json").read_text(encoding="utf8"))
    except FileNotFoundError:
        return [], {}
    if any(found["about"].get(name) != text for name, text in about.items() if name != LOAD):
        return [], {}
    rows = [Row(**values) for values in found["rows"] if values["part"] not in chosen]
    return rows, {part: reason for part, reason in found["not_measured"].items() if part not in chosen}


def update_docs(source: Path, kept: Path = KEPT, page: Path = PAGE, figure: Path = PLOT, chart: Path = CHART) -> None:
    """Keep the results in `source` in the repository, and show them between the two markers of the page of the
    benchmarks; those beside transformers in a chart and those that have sizes in a plot, too."""
    results = json.loads(source.read_text(encoding="utf8"))
    text = with_block(page.read_text(encoding="utf8"), table(results))
    kept.write_text(json.dumps(results, indent=1) + "\n", encoding="utf8")
    page.write_text(text, encoding="utf8")
    plot.write(plot.draw(results), figure)
    plot.write(plot.draw_ratios(results), chart)


def block(text: str) -> str:
    """Text between the markers."""
    return text.split(BEGIN)[1].split(END)[0].strip("\n") + "\n"


def with_block(text: str, content: str) -> str:
    """The text with another content between the markers."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{content}{END}{after}"


def make_results(about: dict[str, str], rows: Sequence[Row], failures: dict[str, str]) -> dict[str, Any]:
    """Content of the JSON file. failures: part -> why it has no rows."""
    return {"about": about, "rows": [asdict(row) for row in rows], "not_measured": failures}


def table(results: dict[str, Any]) -> str:
    """The results as Markdown; nothing in it comes from elsewhere."""
    return "\n".join([*_lines(results), ""])


def _lines(results: dict[str, Any]) -> Iterator[str]:
    yield from (f"- {name}: {text}" for name, text in results["about"].items())
    yield ""
    yield _HEAD
    for values in results["rows"]:
        yield _line(Row(**values))
    if results["not_measured"]:
        yield ""
    yield from (f"- {part}: not measured. {reason}" for part, reason in results["not_measured"].items())


def _line(row: Row) -> str:
    sign = "≤" if row.at_most else "≥"
    other = _figure(row.other, row.unit)
    cells = [
        row.part,
        row.case,
        _figure(row.ours, row.unit),
        other if row.against == "transformers" or not other else f"{other} ({row.against})",
        _figure(row.result, row.result_unit),
        f"{sign} {_figure(row.target, row.result_unit)}" if row.target is not None else "",
        {True: "met", False: "**missed**", None: ""}[row.met],
        _figure(row.padding, "×"),
    ]
    return f"| {' | '.join(cells)} |"


def _figure(value: float | None, unit: str) -> str:
    """Three digits that mean something, thousands with a comma."""
    if value is None:
        return ""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}"
