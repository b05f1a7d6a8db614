"""`luke import`: a Hugging Face checkpoint -> a saved spaCy pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from . import luke_cli
from .errors import one_line_errors
from .progress import Quiet, shown_progress


@luke_cli.command("import")
def import_cli(
    name: Annotated[str, Argument(help="Folder of a Hugging Face checkpoint, or its id on the Hub.")],
    target: Annotated[Path, Argument(metavar="OUT", help="Folder for the pipeline.")],
    revision: Annotated[str | None, Option(help="Branch, tag or commit on the Hub.")] = None,
    sentences: Annotated[
        str, Option(help="Component that finds sentences, as in nlp.add_pipe(…); '' for none.")
    ] = "sentencizer",
    lang: Annotated[str, Option(help="Language whose spaCy tokenizer splits the text, e.g. en or de.")] = "en",
    quiet: Quiet = False,
) -> None:
    """Turn a fine-tuned checkpoint into a spaCy pipeline.

    The checkpoint is a LUKE or Longformer model in the format of Hugging Face; spacy.load() opens the result.

    Example: python -m spacy luke import studio-ousia/luke-large-finetuned-conll-2003 en_luke_conll03
    """
    with one_line_errors(), shown_progress(quiet):
        from .. import from_checkpoint
        from .saving import save_pipeline

        nlp = from_checkpoint(name, revision=revision, sentences=sentences or None, lang=lang)
        save_pipeline(nlp, target)
    typer.echo(f"Saved {' + '.join(nlp.pipe_names)} to {target}. Open it with spacy.load({str(target)!r}).")
