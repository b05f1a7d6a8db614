"""Measure spacy-luke beside other libraries: `python -m benchmarks --help`.

Writes benchmark.json and benchmark.md. `--update-docs` keeps these results in the repository and shows them in
docs/benchmarks.md.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import torch

from . import machine, report
from .options import Options, make_parser
from .parts import ESTIMATES, PARTS
from .rows import Refused, Skipped


def main(arguments: list[str] | None = None) -> int:
    """The command; RETURNS: 1 if a part was refused, because the sides differ."""
    given = vars(make_parser(list(PARTS), torch.get_num_threads()).parse_args(arguments))
    chosen, output = given.pop("only") or list(PARTS), given.pop("output")
    if given.pop("update_docs"):
        report.update_docs(output / "benchmark.json")
        return 0
    if given.pop("tuned_malloc") and not machine.TUNED.items() <= os.environ.items():
        command = [sys.executable, "-m", "benchmarks", *(sys.argv[1:] if arguments is None else arguments)]
        os.execve(sys.executable, command, {**os.environ, **machine.TUNED})
    warnings.simplefilter("ignore")
    os.environ["HF_HUB_OFFLINE"] = "1"
    torch.set_num_threads(given["threads"])
    if given["device"] == "cuda":
        import spacy

        spacy.require_gpu()
    with tempfile.TemporaryDirectory() as folder:
        return measure(chosen, Options(**given, folder=Path(folder)), output)


def measure(chosen: list[str], options: Options, output: Path) -> int:
    """Run some parts. The files are written after each, so that a run that is cut short has its first parts."""
    about = machine.describe(options)
    rows, failures = report.kept(output, about, chosen)
    order = {name: i for i, name in enumerate(PARTS)}
    refused = 0
    print(plan(chosen, options), file=sys.stderr, flush=True)
    for name in chosen:
        print(f"{name} …", file=sys.stderr, flush=True)
        folder = options.folder / name
        folder.mkdir()
        try:
            rows += PARTS[name](replace(options, folder=folder))
        except (Refused, Skipped) as error:
            failures[name] = str(error)
            refused += isinstance(error, Refused)
            print(error, file=sys.stderr, flush=True)
        rows.sort(key=lambda row: order.get(row.part, len(order)))
        report.write(output, report.make_results(about, rows, failures))
    print((output / "benchmark.md").read_text(encoding="utf8"))
    return int(refused > 0)


def plan(chosen: list[str], options: Options) -> str:
    """A table of what will be measured and about how long each part takes."""
    seconds = {name: ESTIMATES[name].seconds(options) for name in chosen}
    width = max(map(len, [*seconds, "altogether"]))
    lines = [f"{name:<{width}}  {_duration(spent):>9}" for name, spent in seconds.items()]
    total = f"{'altogether':<{width}}  {_duration(sum(seconds.values())):>9}"
    return "\n".join(["About how long each part takes on an idle machine:", "", *lines, total, ""])


def _duration(seconds: float) -> str:
    return f"{max(seconds, 1):.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


if __name__ == "__main__":
    sys.exit(main())
