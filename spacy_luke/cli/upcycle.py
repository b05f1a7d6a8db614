"""`luke upcycle`: a plain encoder's checkpoint -> a LUKE checkpoint to fine-tune."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from . import luke_cli
from .errors import one_line_errors


@luke_cli.command("upcycle")
def upcycle_cli(
    name: Annotated[str, Argument(help="Folder of a BERT, RoBERTa or XLM-R checkpoint, or its id on the Hub.")],
    target: Annotated[Path, Argument(metavar="OUT", help="Folder for the LUKE checkpoint.")],
    revision: Annotated[str | None, Option(help="Branch, tag or commit on the Hub.")] = None,
    case_types: Annotated[
        bool | None,
        Option(
            "--case-types/--no-case-types",
            help="Tell the encoder how words are written (Title, UPPER, lower). Default: if the tokenizer lower-cases.",
        ),
    ] = None,
) -> None:
    """Make a LUKE checkpoint from a plain encoder, to train.

    Example: python -m spacy luke upcycle FacebookAI/roberta-base luke_from_roberta
    """
    with one_line_errors():
        from ..checkpoints.source import locate
        from ..checkpoints.upcycle import upcycle_folder

        upcycle_folder(locate(name, revision=revision), target, case_types=case_types)
    typer.echo(f"Saved a LUKE checkpoint to {target}. Train with it: [initialize.components.luke_ner] checkpoint.")
