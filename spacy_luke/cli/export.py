"""`luke export`: Docs -> the files of annotation tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from spacy.vocab import Vocab
from typer import Argument, Option

from ..converters import EXPORTERS, ConversionReport, get_exporter, read_docbin
from . import luke_cli
from .convert import find_files, help_of, list_kinds, options_of
from .errors import one_line_errors

SUFFIX = ".spacy"


def help_for(option: str, text: str) -> str:
    return help_of(option, text, EXPORTERS)


@luke_cli.command("export", short_help="Export .spacy files to an annotation tool.", epilog=list_kinds(EXPORTERS))
def export_cli(
    kind: Annotated[str, Argument(help="What is to be written; see the kinds below.")],
    source: Annotated[Path, Argument(metavar="IN", help="A .spacy file, or a folder whose .spacy files are all read.")],
    target: Annotated[
        Path,
        Argument(metavar="OUT", help="The file to write; for brat and inception a folder, with files for each Doc."),
    ],
    results: Annotated[
        str | None,
        Option(
            help=help_for("results", "'annotations' (the default), or 'predictions', with scores, to be corrected.")
        ),
    ] = None,
    spans_key: Annotated[
        str | None,
        Option(help=help_for("spans_key", "Key of doc.spans whose spans are the mentions. Default: none: doc.ents.")),
    ] = None,
    offsets: Annotated[
        str | None,
        Option(
            help=help_for(
                "offsets",
                "What start and end count: 'characters' (code points; the default for label_studio), 'utf16' code "
                "units (the default for doccano) or 'graphemes'.",
            )
        ),
    ] = None,
    model_version: Annotated[
        str | None, Option(help=help_for("model_version", "Version of the predictions. Default: spacy-luke."))
    ] = None,
    text_key: Annotated[
        str | None, Option(help=help_for("text_key", "Name of the text in the data of a task. Default: text."))
    ] = None,
    label_name: Annotated[
        str | None, Option(help=help_for("label_name", "Name of the control Labels. Default: label."))
    ] = None,
    text_name: Annotated[
        str | None, Option(help=help_for("text_name", "Name of the object Text. Default: text."))
    ] = None,
    choices_name: Annotated[
        str | None, Option(help=help_for("choices_name", "Name of the control Choices. Default: choices."))
    ] = None,
    interface: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help=help_for("interface", "File for a labelling interface (XML) with all labels, to paste."),
        ),
    ] = None,
    kb_name: Annotated[
        str | None, Option(help=help_for("kb_name", "Name of the knowledge base of links. Default: KB."))
    ] = None,
    xmi: Annotated[
        bool | None, Option("--xmi", help=help_for("xmi", "Write XMI and TypeSystem.xml instead of JSON."))
    ] = None,
    layer: Annotated[
        str | None, Option(help=help_for("layer", "Full name of the layer of spans. Default: custom.Span."))
    ] = None,
    relation_layer: Annotated[
        str | None, Option(help=help_for("relation_layer", "Full name of the layer. Default: custom.Relation."))
    ] = None,
    feature: Annotated[
        str | None, Option(help=help_for("feature", "Feature of both layers with the label. Default: label."))
    ] = None,
) -> None:
    """Export .spacy files, gold or predicted, to an annotation tool.

    Reports what was written, and what the tool's format has no place for. Each kind has options of its own, as said in
    brackets. Predictions for texts are made by python -m spacy apply, which keeps their scores.

    Example: python -m spacy luke export label_studio predicted.spacy tasks.json --results predictions
    """
    with one_line_errors():
        given = {
            "results": results,
            "spans_key": spans_key,
            "offsets": offsets,
            "model_version": model_version,
            "text_key": text_key,
            "label_name": label_name,
            "text_name": text_name,
            "choices_name": choices_name,
            "interface": interface,
            "kb_name": kb_name,
            "xmi": xmi,
            "layer": layer,
            "relation_layer": relation_layer,
            "feature": feature,
        }
        report = export(kind, source, target, **{name: value for name, value in given.items() if value is not None})
    typer.echo(report)


def export(kind: str, source: Path, target: Path, **options: Any) -> ConversionReport:
    """Write the Docs of a .spacy file, or of all those below a folder, as the files of a tool."""
    write = get_exporter(kind)
    for name in options:
        if name not in options_of(write):
            raise typer.BadParameter(f"--{name.replace('_', '-')} is not an option of {kind!r}.")
    vocab = Vocab()
    files = [source] if source.is_file() else find_files(source, (SUFFIX,), converted=True)
    return write((doc for file in files for doc in read_docbin(file, vocab)), target, **options)
