"""`luke evaluate`: all scores of our components, on gold entities or end to end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from . import luke_cli
from .errors import one_line_errors
from .options import Code, Limit
from .progress import Quiet, shown_progress

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.training import Example
    from wasabi import Printer

    from ..pipeline.evaluation import ComponentScores, Evaluation

END_TO_END, GOLD_ENTITIES = "end to end", "gold entities"


@luke_cli.command(
    "evaluate",
    short_help="Score all that a pipeline predicts.",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def evaluate_cli(
    ctx: typer.Context,
    model: Annotated[str, Argument(help="Folder or name of a pipeline.")],
    data: Annotated[Path, Argument(help="A .spacy file with gold annotation, or a folder of them.", exists=True)],
    output: Annotated[Path | None, Option("--output", "-o", help="JSON file to write; luke card reads it.")] = None,
    component: Annotated[
        list[str] | None,
        Option(help="Score this component alone; may be repeated. Default: all of spacy-luke."),
    ] = None,
    gold_entities: Annotated[
        bool, Option("--gold-entities", help="Give the gold entities; components that find entities do not run.")
    ] = False,
    gold_sentences: Annotated[
        bool, Option("--gold-sentences", help="Give the gold sentence boundaries, as corpus readers in training do.")
    ] = False,
    ents_key: Annotated[
        str | None,
        Option(help="With --gold-entities: those are the spans under this key of doc.spans, and not doc.ents."),
    ] = None,
    spans_key: Annotated[
        str | None,
        Option(
            help="With --gold-entities: give the gold spans under this key of doc.spans, too; default: the key that "
            "luke_entity_typer or luke_relations reads."
        ),
    ] = None,
    per_label: Annotated[
        bool, Option("--per-label", help="Show scores by label; the JSON file has them anyway.")
    ] = False,
    dataset: Annotated[str | None, Option(help="What a model card is to call the data; default: its path.")] = None,
    limit: Limit = 0,
    gpu_id: Annotated[int, Option("--gpu-id", "-g", help="Number of the GPU; -1 for the CPU.")] = -1,
    code: Code = None,
    quiet: Quiet = False,
) -> None:
    """Score relations, entity types, links, answers and all else that the components of spacy-luke predict.

    End to end by default: the pipeline gets plain text, and each component what those before it found. Questions and
    options are given, as they are no prediction. With --gold-entities, the components that classify entities get the
    gold ones. Settings of the pipeline's config can be given as options: --components.luke_qa.n_best 3.

    Example: python -m spacy luke evaluate training/model-best corpus/dev.spacy --gold-entities --output metrics.json
    """
    from spacy.cli._util import import_code, parse_config_overrides

    overrides = parse_config_overrides(ctx.args)
    import_code(code)
    with one_line_errors(), shown_progress(quiet):
        import spacy
        from wasabi import Printer

        from ..errors import LukeError
        from ..files import write_file
        from ..pipeline.evaluation import evaluate

        if gpu_id >= 0:
            _use_gpu(gpu_id)
        nlp = spacy.load(model, config=overrides)
        settings = {"sentences": gold_sentences, "questions": True, "limit": limit}
        if gold_entities:
            settings |= _given_entities(nlp, ents_key, spans_key)
        examples = _read(data, nlp, settings)
        if gold_entities and not any(example.predicted.ents or example.predicted.spans for example in examples):
            raise LukeError("L164", path=data, what=f"spans under {ents_key!r}" if ents_key else "gold entities")
        evaluation = evaluate(nlp, examples, component or (), gold_entities=gold_entities)
        if not any(scored.has_gold for scored in evaluation.components):
            raise LukeError("L163", path=data, missing=", no ".join(one.gold for one in evaluation.components))
        mode = GOLD_ENTITIES if gold_entities else END_TO_END
        given = _given(examples, settings)
        _show(Printer(), evaluation, mode, given, data, per_label)
        if output is not None:
            head = {"model": model, "data": str(data), "mode": mode, "given": given}
            record = {**head, **to_record(evaluation, mode, dataset or str(data))}
            write_file(output, json.dumps(record, indent=2) + "\n")
            typer.echo(f"Wrote {output}.")


def to_record(evaluation: Evaluation, mode: str, dataset: str) -> dict[str, Any]:
    """What is written as JSON: an evaluation as `model_card` reads it, with more beside."""
    from ..model_card import results_of

    results = []
    for scored in evaluation.components:
        if scored.has_gold:
            found = results_of(scored.scores, dataset) or [_unknown_task(scored, dataset)]
            more = {"component": scored.name, "docs": scored.gold_docs, "note": mode}
            # All scores: some tasks have more than their tables show.
            results += [{**result, **more, "scores": scored.scores} for result in found]
    return {
        "docs": evaluation.docs,
        "words": evaluation.words,
        "not_run": list(evaluation.not_run),
        "without_gold": {one.name: one.gold for one in evaluation.components if not one.has_gold},
        "results": results,
        "speed": [{"what": f"evaluation, {mode}", "value": round(evaluation.speed), "unit": "words/s"}],
    }


def _unknown_task(scored: ComponentScores, dataset: str) -> dict[str, Any]:
    metrics = [name for name, value in scored.scores.items() if value is None or isinstance(value, int | float)]
    return {"task": scored.name, "dataset": dataset, "metrics": metrics}


def _use_gpu(gpu_id: int) -> None:
    """L047 if there is no such GPU."""
    import spacy

    from ..errors import LukeError

    try:
        spacy.require_gpu(gpu_id)
    except Exception as error:  # whatever CuPy and PyTorch say of GPUs that are not there
        raise LukeError("L047", setting="gpu_id", value=gpu_id, reason=error) from error


def _given_entities(nlp: Language, ents_key: str | None, spans_key: str | None) -> dict[str, Any]:
    """Settings of the corpus reader by which the components get gold entities and spans. L080 for several keys."""
    from ..errors import LukeError
    from ..pipeline.evaluation import keys_of_given_spans

    keys = [spans_key] if spans_key else keys_of_given_spans(nlp)
    if len(keys) > 1:
        wanted = f"one of {', '.join(keys)}, whose spans components of this pipeline classify"
        raise LukeError("L080", argument="spans_key", value=spans_key, wanted=wanted)
    found: dict[str, Any] = {"spans_key": keys[0] if keys else None, "links": False}
    return found | ({"ents_key": ents_key} if ents_key else {"mentions": True})


def _read(data: Path, nlp: Language, settings: Mapping[str, Any]) -> list[Example]:
    """L106 for a damaged file, L162 if there are no Docs."""
    from spacy.training.corpus import FILE_TYPE, walk_corpus

    from ..converters import read_docbin
    from ..errors import LukeError
    from ..progress import track
    from ..training.corpus import build_gold_mentions_corpus

    try:
        examples = list(track(build_gold_mentions_corpus(data, **settings)(nlp), f"Reading {data.name}", "Docs"))
    except (ValueError, LookupError, TypeError):
        for file in walk_corpus(data, FILE_TYPE):
            read_docbin(file, nlp.vocab)
        raise
    if not examples:
        raise LukeError("L162", path=data)
    return examples


def _given(examples: Sequence[Example], settings: Mapping[str, Any]) -> list[str]:
    """What the predicted Docs have before the components run, in words."""
    from ..annotations import CHOICES, QUESTIONS, has_annotation

    asked = any(has_annotation(example.predicted, name) for example in examples for name in (QUESTIONS, CHOICES))
    keys = [settings[name] for name in ("ents_key", "spans_key") if settings.get(name)]
    return [
        *(["questions"] if asked else []),
        *(["sentences"] if settings["sentences"] else []),
        *(["entities"] if settings.get("mentions") else []),
        *(f"spans under {key!r}" for key in dict.fromkeys(keys)),
    ]


def _show(msg: Printer, evaluation: Evaluation, mode: str, given: Sequence[str], data: Path, per_label: bool) -> None:
    msg.divider(f"Scores, {mode}")
    if mode == END_TO_END:
        msg.info(f"End to end: components get what those before them found. Given: {', '.join(given) or 'text alone'}.")
    else:
        rested = f" Not run: {', '.join(evaluation.not_run)}." if evaluation.not_run else ""
        msg.info(f"Gold entities: components get those of {data}. Given: {', '.join(given)}.{rested}")
    msg.text(f"{evaluation.docs:,} Docs, {evaluation.words:,} words, {evaluation.speed:,.0f} words/s")
    for scored in evaluation.components:
        if not scored.has_gold:
            msg.warn(f"{scored.name}: no gold {scored.gold} in {data}")
            continue
        docs = (
            ""
            if scored.gold_docs is None
            else f", gold {scored.gold} in {scored.gold_docs:,} of {evaluation.docs:,} Docs"
        )
        rows = [(name, _percent(value)) for name, value in scored.scores.items() if _is_score(value)]
        msg.table(rows, title=f"{scored.name}{docs}", header=("score", "%"), aligns=("l", "r"), divider=True)
        if per_label:
            for name, labels in scored.scores.items():
                if isinstance(labels, Mapping) and labels:
                    _show_labels(msg, f"{scored.name}, {name}", labels)


def _show_labels(msg: Printer, title: str, labels: Mapping[str, Any]) -> None:
    """A table of P, R and F1, or of one score, by label."""
    rows = [(label, *_columns(value)) for label, value in labels.items()]
    header = ("label", "P", "R", "F1") if len(rows[0]) == 4 else ("label", "%")
    msg.table(rows, title=title, header=header, aligns=["l", *"r" * (len(header) - 1)], divider=True)


def _columns(value: Any) -> Iterator[str]:
    yield from (_percent(value[part]) for part in "prf") if isinstance(value, Mapping) else (_percent(value),)


def _is_score(value: Any) -> bool:
    return value is None or isinstance(value, int | float)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"
