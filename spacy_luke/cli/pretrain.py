"""`luke pretrain`: linked text -> a pretrained LUKE."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from . import luke_cli
from .errors import one_line_errors
from .options import Code
from .progress import Quiet, shown_progress

if TYPE_CHECKING:
    from ..training.pretraining.run import Report
    from ..training.pretraining.scores import Scores

COLUMNS = ("STAGE", "STEP", "EPOCH", "WORDS", "RATE")
_OF_SCORES = ("LOSS W", "ACC W", "LOSS E", "ACC E")
_WIDTHS = (14, 7, 7, 12, 9, *[7] * 8, 8)


@luke_cli.command(
    "pretrain",
    short_help="Pretrain LUKE on Docs with linked entities.",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def pretrain_cli(
    ctx: typer.Context,
    config_path: Annotated[Path, Argument(metavar="CONFIG", help="Config file, such as configs/pretrain.cfg.")],
    output: Annotated[Path, Option("--output", "-o", help="Folder for the checkpoints and the state of the run.")],
    resume: Annotated[
        bool, Option("--resume", "-r", help="Go on with the run in the folder, from its last evaluation.")
    ] = False,
    resume_or_start: Annotated[
        bool, Option("--resume-or-start", help="Go on with the run in the folder if there is one; start one if not.")
    ] = False,
    gpu_id: Annotated[int, Option("--gpu-id", "-g", help="Number of the (first) GPU; -1 for the CPU.")] = -1,
    code: Code = None,
    quiet: Quiet = False,
) -> None:
    """Pretrain LUKE on Docs with linked entities: masked words and masked entities.

    Settings of the config can be given as options: --paths.train corpus/train.spacy --pretraining.batch_size 8192.
    Saves model-last at each evaluation, and model-best, that with the lowest loss on the dev corpus.

    W is for words and E for entities; the first four scores are of training since the last line, the others of dev.

    Example: python -m spacy luke pretrain configs/pretrain.cfg --output training/pretrained
    --paths.train corpus/train.spacy --paths.checkpoint FacebookAI/roberta-base

    By several processes, each on a GPU of its own: torchrun --standalone --nproc-per-node 8 -m spacy luke pretrain …
    """
    from spacy.cli._util import import_code, parse_config_overrides, show_validation_error
    from spacy.util import load_config

    overrides = parse_config_overrides(ctx.args)
    import_code(code)
    from ..training.pretraining.ranks import torchrun_ranks
    from ..training.pretraining.run import Run
    from ..training.pretraining.state import has_run

    with one_line_errors(), torchrun_ranks() as ranks, show_validation_error(config_path, hint_fill=False):
        config = load_config(config_path, overrides=overrides, interpolate=True)
        output.mkdir(parents=True, exist_ok=True)
        resume = resume or (resume_or_start and has_run(output))
        with shown_progress(quiet):
            run = Run(config, output, resume=resume, gpu_id=gpu_id, ranks=ranks)
        typer.echo(run.summary())
        typer.echo(_line([*COLUMNS, *_OF_SCORES, *_OF_SCORES, "WORDS/S"]))
        for report in run.steps():
            typer.echo(_line(_cells(report)))
        typer.echo(f"Saved {output / 'model-last'}. Fine-tune with --paths.checkpoint {output / 'model-last'}.")


def _cells(report: Report) -> list[str]:
    rate = f"{report.learn_rate:.1e}"
    progress = [report.stage, str(report.step), f"{report.epoch:.2f}", str(report.words), rate]
    scores = [*_score_cells(report.train), *_score_cells(report.dev)]
    return [*progress, *scores, f"{report.words_per_second:.0f}", *(["best"] if report.best else [])]


def _score_cells(scores: Scores | None) -> list[str]:
    if scores is None:
        return ["-"] * 4
    losses = [f"{x:.3f}" if x is not None else "-" for x in (scores.piece_loss, scores.entity_loss)]
    shares = [f"{x:.1%}" if x is not None else "-" for x in (scores.piece_acc, scores.entity_acc)]
    return [losses[0], shares[0], losses[1], shares[1]]


def _line(cells: list[str]) -> str:
    widths = [*_WIDTHS, *[4] * (len(cells) - len(_WIDTHS))]
    return "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=False))
