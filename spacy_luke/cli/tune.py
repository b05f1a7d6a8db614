"""`luke tune`: calibration and thresholds of a component, chosen on annotated Docs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from . import luke_cli
from .errors import one_line_errors
from .options import Limit
from .progress import Quiet, shown_progress


@luke_cli.command("tune", short_help="Choose thresholds, and calibrate the scores.")
def tune_cli(
    model: Annotated[str, Argument(help="Folder or name of a pipeline.")],
    data: Annotated[Path, Argument(help="A .spacy file with gold annotation, apart from the training data.")],
    component: Annotated[
        str | None,
        Option(help="Name of a luke_ner, luke_relations, luke_entity_typer or luke_qa; default: the only one."),
    ] = None,
    output: Annotated[Path | None, Option(help="Folder to save the tuned pipeline to.")] = None,
    spans_key: Annotated[
        str | None, Option(help="Give the gold spans under this key of doc.spans, for a luke_entity_typer of spans.")
    ] = None,
    f1_loss: Annotated[
        float, Option(help="Loss of F1 (0 to 1) accepted for a higher threshold of the span filter.")
    ] = 0.001,
    per_label: Annotated[
        bool, Option("--per-label", help="Choose a threshold for each label, too: luke_relations, luke_entity_typer.")
    ] = False,
    min_precision: Annotated[
        float | None,
        Option(help="Precision (0 to 1) that a threshold must give; with --per-label, that of each label."),
    ] = None,
    limit: Limit = 0,
    quiet: Quiet = False,
) -> None:
    """Choose what decides which scores are predictions, and calibrate the scores.

    luke_ner finds entities in what the components before it give; the others get gold entities or questions.

    Example: python -m spacy luke tune training/model-best corpus/dev.spacy --output my_model
    """
    with one_line_errors(), shown_progress(quiet):
        import spacy

        from ..errors import LukeError
        from ..pipeline.ner.component import LukeNER
        from ..pipeline.tuning import TUNABLE, tune, wanted
        from ..progress import track
        from ..training.corpus import build_gold_mentions_corpus
        from .saving import save_pipeline

        nlp = spacy.load(model)
        known = [name for name, pipe in nlp.pipeline if isinstance(pipe, TUNABLE)]
        if component is None and len(known) == 1:
            component = known[0]
        if component is None or component not in known:
            found = f"{wanted()}; the pipeline has {', '.join(known) or 'none'}"
            raise LukeError("L080", argument="component", value=component, wanted=found)
        finds_entities = isinstance(nlp.get_pipe(component), LukeNER)
        read = build_gold_mentions_corpus(
            data, mentions=not finds_entities, spans_key=spans_key, questions=True, limit=limit
        )
        examples = list(track(read(nlp), f"Reading {data.name}", "Docs"))
        if finds_entities:
            for name in nlp.pipe_names[: nlp.pipe_names.index(component)]:
                for example in track(examples, name, "Docs"):
                    example.predicted = nlp.get_pipe(name)(example.predicted)
        tuning = tune(
            nlp.get_pipe(component), [examples], f1_loss=f1_loss, per_label=per_label, min_precision=min_precision
        )
        made = tuning.calibration
        before, after = (
            f"{error:.2%}" if error is not None else "-" for error in (made.error_before, made.error_after)
        )
        typer.echo(f"temperature {made.temperature:g}, bias {made.bias:+g}: calibration error {before} -> {after}")
        for setting, value in tuning.settings.items():
            if isinstance(value, dict):
                typer.echo(f"{setting}.threshold = {value['threshold']}")
            elif isinstance(value, list):
                for label, threshold in value:
                    typer.echo(f"{setting}: {label} = {threshold}")
            else:
                typer.echo(f"{setting} = {value}")
        typer.echo(f"F1 {tuning.f1:.2%}")
        if output is not None:
            changed = spacy.load(model, config={"components": {component: tuning.settings}})
            calibrated: Any = changed.get_pipe(component)
            calibrated.apply_calibration(made)
            save_pipeline(changed, output)
            typer.echo(f"Saved the tuned pipeline to {output}.")
