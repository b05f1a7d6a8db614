"""`luke tune-filter`: the threshold of a span filter, chosen on annotated Docs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from . import luke_cli
from .errors import one_line_errors
from .options import Limit
from .progress import Quiet, shown_progress


@luke_cli.command("tune-filter", short_help="Choose the threshold of a span filter.")
def tune_filter_cli(
    model: Annotated[str, Argument(help="Folder or name of a pipeline with a luke_ner that has a span filter.")],
    data: Annotated[Path, Argument(help="A .spacy file with gold entities, apart from the training data.")],
    recall: Annotated[float, Option(help="Share of the gold entities that the filter must keep.")] = 0.99,
    f1_loss: Annotated[
        float | None, Option(help="Instead of recall: loss of F1 (0 to 1) that is accepted; 0.002 is 0.2 points.")
    ] = None,
    component: Annotated[str, Option(help="Name of the component.")] = "luke_ner",
    output: Annotated[
        Path | None, Option(help="Folder to save the pipeline to, with the threshold that was chosen.")
    ] = None,
    limit: Limit = 0,
    quiet: Quiet = False,
) -> None:
    """Show what a span filter keeps at each threshold, and choose the highest one with the recall that is asked for.

    Most entities that a high threshold loses would not be found anyway: with --f1-loss, F1 decides.

    Example: python -m spacy luke tune-filter training/ner/model-best corpus/dev.spacy --output my_model
    """
    with one_line_errors(), shown_progress(quiet):
        import spacy

        from ..errors import LukeError
        from ..pipeline.ner.component import LukeNER
        from ..pipeline.ner.tune_filter import choose_threshold, measure_filter
        from ..progress import track
        from ..training.corpus import build_gold_mentions_corpus
        from .saving import save_pipeline

        nlp = spacy.load(model)
        pipe = nlp.get_pipe(component) if component in nlp.pipe_names else None
        if not isinstance(pipe, LukeNER):
            raise LukeError("L080", argument="component", value=component, wanted="the name of a luke_ner")
        read = build_gold_mentions_corpus(data, mentions=False, limit=limit)
        examples = list(track(read(nlp), f"Reading {data.name}", "Docs"))
        before = nlp.pipe_names[: nlp.pipe_names.index(component)]
        for example in track(examples, ", ".join(before), "Docs"):
            for name in before:
                example.predicted = nlp.get_pipe(name)(example.predicted)
        points = measure_filter(pipe, examples)
        chosen = choose_threshold(points, recall, f1_loss)
        typer.echo("threshold  recall  candidates kept      F1")
        for point in points:
            mark = "  <- chosen" if point is chosen else ""
            typer.echo(f"{point.threshold:9g}  {point.recall:6.2%}  {point.kept:15.2%}  {point.f:6.2%}{mark}")
        if f1_loss is None and chosen.recall < recall:
            typer.echo(f"No threshold keeps {recall:.2%}; train longer, or raise the filter's floor.", err=True)
        if output is not None:
            changed = {"components": {component: {"span_filter": {"threshold": chosen.threshold}}}}
            save_pipeline(spacy.load(model, config=changed), output)
            typer.echo(f"Saved the pipeline with threshold = {chosen.threshold} to {output}.")
