"""`python -m spacy luke …`: spaCy loads this module through the entry point and finds the commands in its own app."""

from __future__ import annotations

import platform
from typing import Annotated

import typer
from spacy.cli._util import app

from .errors import TRACEBACK, shorten_errors_of_spacy

luke_cli = typer.Typer(
    name="luke",
    help="LUKE and Longformer for spaCy: import, convert, pretrain, tune, evaluate, plot, annotate, serve, export.",
    epilog="Training is spaCy's own: python -m spacy train configs/ner_small.cfg … (docs/training.md).\n\n"
    f"Errors of this package are shown as a line; with {TRACEBACK}=1 in the environment, with the traceback.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def show_version(value: bool) -> None:
    """End the command with the versions that a report of a bug needs."""
    if not value:
        return
    import spacy
    import torch

    from .. import __version__

    typer.echo(
        f"spacy-luke {__version__} (spaCy {spacy.__version__}, PyTorch {torch.__version__}, "
        f"Python {platform.python_version()}, {platform.platform()})"
    )
    raise typer.Exit


@luke_cli.callback()
def luke(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take the options of no command."""


# The modules add their commands to luke_cli, which therefore exists before them.
from . import (  # noqa: E402
    annotate,
    build_kb,
    card,
    convert,
    evaluate,
    export,
    import_,
    plot,
    pretrain,
    serve,
    tune,
    tune_filter,
    upcycle,
)

app.add_typer(luke_cli, name="luke")
shorten_errors_of_spacy(app)

__all__ = [
    "annotate",
    "build_kb",
    "card",
    "convert",
    "evaluate",
    "export",
    "import_",
    "luke_cli",
    "plot",
    "pretrain",
    "serve",
    "tune",
    "tune_filter",
    "upcycle",
]
