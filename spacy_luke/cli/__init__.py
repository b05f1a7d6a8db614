"""`python -m spacy luke …`: spaCy loads this module through the entry point and finds the commands in its own app."""

from __future__ import annotations

import typer
from spacy.cli._util import app

luke_cli = typer.Typer(
    name="luke",
    help="LUKE and Longformer for spaCy: import, convert, pretrain, tune, evaluate, plot, annotate, serve, export.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

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
