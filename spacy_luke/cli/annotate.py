"""`luke annotate`: files of texts -> files of results, by several processes."""

from __future__ import annotations

import time
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from . import luke_cli
from .errors import one_line_errors
from .options import Code
from .progress import progress_bar

STOPPED = 130  # as shells say of what Ctrl-C ended
_BAR = "{percentage:3.0f}% |{bar}| {n_fmt} of {total_fmt} [{elapsed}, {remaining} left{postfix}]"


class Format(str, Enum):
    """How results are written."""

    jsonl = "jsonl"
    parquet = "parquet"
    spacy = "spacy"


class Engine(str, Enum):
    """Where the workers are."""

    processes = "processes"
    ray = "ray"


@luke_cli.command("annotate", short_help="Annotate files of texts, by several processes.")
def annotate_cli(
    model: Annotated[str, Argument(help="Folder or name of a pipeline.")],
    inputs: Annotated[
        list[Path],
        Argument(
            metavar="IN",
            help="Files that end in .jsonl, .txt (or these with .gz or .bz2), .parquet or .spacy, and folders of them.",
        ),
    ],
    output: Annotated[Path, Option("--output", "-o", help="Folder for the results, a file for each input.")],
    format: Annotated[Format, Option(help="JSON lines, parquet or DocBins.")] = Format.jsonl,
    text: Annotated[str, Option(help="Column with the text, in JSON lines and parquet.")] = "text",
    ids: Annotated[
        list[str] | None,
        Option("--id", help="Column to keep beside the results; may be repeated. In .txt files: line, its number."),
    ] = None,
    questions: Annotated[str | None, Option(help="Column with a question or a list of questions on the text.")] = None,
    workers: Annotated[int, Option(min=1, help="Processes, of one thread each; each loads the pipeline.")] = 1,
    gpus: Annotated[int, Option(min=0, help="Instead of --workers: so many processes with a GPU each.")] = 0,
    engine: Annotated[
        Engine,
        Option(help="Workers are processes of this machine, or actors of Ray: on the cluster of RAY_ADDRESS or here."),
    ] = Engine.processes,
    shard: Annotated[
        str, Option(metavar="I/N", help="Take every N-th input, from the I-th: for N runs that share the inputs.")
    ] = "1/1",
    code: Code = None,
    quiet: Annotated[bool, Option("--quiet", "-q", help="Show neither progress nor a summary.")] = False,
) -> None:
    """Annotate corpora of any size: one file of results for each input, written whole or not at all.

    Results that are there are not made again: after Ctrl-C, a crash or the end of a job, the same command goes on. A
    text that cannot be annotated goes to NAME.failed with the error, and the rest goes on.

    Example: python -m spacy luke annotate en_luke_mini corpus/*.jsonl.gz --output annotated --id id --workers 8
    """
    with one_line_errors():
        from ..scale import Progress, Shard, annotate

        if engine is Engine.ray:
            from ..ray.pool import RayPool

        started = time.perf_counter()
        with progress_bar(quiet=quiet, unit="B", unit_scale=True, bar_format=_BAR) as bar:

            def show(progress: Progress) -> None:
                bar.total, bar.n = progress.total, progress.size
                bar.set_postfix_str(f"{progress.words / (time.perf_counter() - started):,.0f} words/s")

            try:
                summary = annotate(
                    model,
                    inputs,
                    output,
                    form=format.value,
                    text=text,
                    ids=ids or [],
                    questions=questions,
                    workers=workers,
                    gpus=gpus,
                    shard=Shard.parse(shard),
                    code=code,
                    engine=RayPool if engine is Engine.ray else None,
                    on_progress=show,
                )
            except KeyboardInterrupt:
                bar.close()
                typer.echo("Stopped. The same command goes on where this one was.", err=True)
                raise typer.Exit(STOPPED) from None
    if not quiet:
        typer.echo(summary)
    for error in summary.errors:
        with suppress(typer.Exit), one_line_errors():
            raise error
    if summary.errors:
        raise typer.Exit(1)
