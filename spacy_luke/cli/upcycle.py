"""`luke upcycle`: a plain encoder's checkpoint -> a LUKE or Longformer checkpoint to fine-tune."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from ..errors import LukeError
from . import luke_cli
from .errors import one_line_errors
from .progress import Quiet, shown_progress


class Target(str, Enum):
    """Kinds of checkpoint that can be made."""

    luke = "luke"
    longformer = "longformer"


@luke_cli.command("upcycle", short_help="Make a LUKE or Longformer of a plain encoder.")
def upcycle_cli(
    name: Annotated[
        str,
        Argument(
            help="Folder of a BERT, RoBERTa or XLM-R checkpoint, or its id on the Hub. For a Longformer also LUKE."
        ),
    ],
    target: Annotated[Path, Argument(metavar="OUT", help="Folder for the checkpoint that is made.")],
    to: Annotated[Target, Option(help="Kind of checkpoint to make.")] = Target.luke,
    revision: Annotated[str | None, Option(help="Branch, tag or commit on the Hub.")] = None,
    case_types: Annotated[
        bool | None,
        Option(
            "--case-types/--no-case-types",
            help="Tell the encoder how words are written (Title, UPPER, lower). Default: if the tokenizer lower-cases, "
            "or as the LUKE has it.",
        ),
    ] = None,
    max_pieces: Annotated[
        int | None, Option(help="Longest input of a Longformer, in pieces. Default: 4096.", show_default=False)
    ] = None,
    attention_window: Annotated[
        str | None,
        Option(
            help="Width of a Longformer's window in pieces; or one for each layer, with commas between. Default: 512.",
            show_default=False,
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Make a LUKE or Longformer checkpoint from a plain encoder, to train.

    Example: python -m spacy luke upcycle FacebookAI/roberta-base luke_from_roberta

    Example: python -m spacy luke upcycle FacebookAI/roberta-base longformer_from_roberta --to longformer
    """
    with one_line_errors(), shown_progress(quiet):
        from ..checkpoints.source import locate
        from ..checkpoints.upcycle_folder import upcycle_folder

        longformer_settings: dict[str, Any] = {}
        if max_pieces is not None:
            longformer_settings["max_pieces"] = max_pieces
        if attention_window is not None:
            longformer_settings["attention_window"] = _windows(attention_window)
        if longformer_settings and to is not Target.longformer:
            [(argument, value), *_] = longformer_settings.items()
            raise LukeError("L080", argument=argument, value=value, wanted="left out without --to longformer")
        upcycle_folder(
            locate(name, revision=revision), target, to=to.value, case_types=case_types, **longformer_settings
        )
    kind, configs = ("LUKE", "ner.cfg") if to is Target.luke else ("Longformer", "ner_longformer.cfg")
    typer.echo(
        f"Saved a {kind} checkpoint to {target}. Train with it: --paths.checkpoint {target} with a config such as "
        f"configs/{configs}."
    )


def _windows(value: str) -> int | tuple[int, ...]:
    try:
        windows = tuple(int(width) for width in value.split(","))
    except ValueError:
        wanted = "a number, or a list of numbers with commas, one for each layer"
        raise LukeError("L080", argument="attention_window", value=value, wanted=wanted) from None
    return windows if len(windows) > 1 else windows[0]
