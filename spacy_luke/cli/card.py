"""`luke card`: the model card of a pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from . import luke_cli
from .errors import one_line_errors


@luke_cli.command("card", short_help="Write the model card of a pipeline.")
def card_cli(
    model: Annotated[Path, Argument(help="Folder of a pipeline, with its meta.json.")],
    evaluation: Annotated[
        Path,
        Argument(help="JSON file of spacy evaluate --output, or with more that was measured: docs/model_cards.md."),
    ],
    about: Annotated[Path | None, Option(help="Markdown file with sections on use, training and limits.")] = None,
    dataset: Annotated[
        str, Option(help="Name of the dataset of spacy evaluate; other files have it.")
    ] = "evaluation data",
    output: Annotated[Path | None, Option(help="File to write; default: README.md in the pipeline's folder.")] = None,
    pictures: Annotated[
        bool, Option("--pictures", help="Draw F1 by label and reliability diagrams. Needs the extra plots.")
    ] = False,
) -> None:
    """Write the model card of a pipeline, in the format of the Hugging Face Hub, from its evaluation.

    It has the labels, the scores of each task on each dataset beside baselines and by label, size and speed, and the
    sources and licences of meta.json.

    Example: python -m spacy luke card training/model-best metrics/evaluation.json --about about.md
    """
    with one_line_errors():
        from ..errors import LukeError
        from ..files import parse_json, parse_json_object, write_file
        from ..model_card import model_card, read_results

        if not (model / "meta.json").is_file():
            raise LukeError("L096", path=model)
        try:
            measured = parse_json(evaluation.read_bytes(), evaluation)
        except LukeError as error:
            raise LukeError("L083", reason=f"it is no JSON ({error})") from None
        text = about.read_text(encoding="utf8") if about is not None else ""
        target = output or model / "README.md"
        meta = parse_json_object((model / "meta.json").read_bytes(), model / "meta.json")
        drawn: dict[str, str] = {}
        if pictures:
            from ..plots import draw_card

            drawn = draw_card(read_results(measured, dataset))
        written = {target, *(target.parent / name for name in drawn)}
        size = sum(f.stat().st_size for f in model.rglob("*") if f.is_file() and f not in written)
        card = model_card(meta, measured, text, size, dataset=dataset, pictures=pictures)
        for name, picture in drawn.items():
            write_file(target.parent / name, picture)
        write_file(target, card)
        typer.echo(f"Wrote {', '.join(str(file) for file in sorted(written))}.")
