"""`luke plot`: the log of a training as curves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from . import luke_cli
from .errors import one_line_errors


@luke_cli.command("plot", short_help="Draw the scores and losses of a training.")
def plot_cli(
    log: Annotated[
        Path,
        Argument(help="output_file of spaCy's ConsoleLogger.v3, or log.jsonl of luke pretrain."),
    ],
    output: Annotated[
        Path | None, Option("--output", "-o", help="SVG file to write; default: beside the log, with its name.")
    ] = None,
) -> None:
    """Draw the curves of a training: scores and losses by step. Needs pip install 'spacy-luke[plots]'.

    For spacy train, the config names the log:

    [training.logger]
    @loggers = "spacy.ConsoleLogger.v3"
    output_file = "training/log.jsonl"

    Example: python -m spacy luke plot training/log.jsonl --output curves.svg
    """
    with one_line_errors():
        from ..files import write_file
        from ..plots import draw_log

        target = output or log.with_suffix(".svg")
        if target.suffix != ".svg":
            raise typer.BadParameter(f"{target} is no .svg file, and no other is written.", param_hint="--output")
        write_file(target, draw_log(log))
        typer.echo(f"Wrote {target}.")
