"""`luke convert`: public corpora and annotation tools -> spaCy's training format."""

from __future__ import annotations

import inspect
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer
from spacy.tokens import Doc
from spacy.vocab import Vocab
from typer import Argument, Option

from ..converters import CONVERTERS, ConversionReport, get_converter, write_docbin
from ..errors import LukeError, LukeWarning
from ..progress import track
from . import luke_cli
from .errors import one_line_errors
from .progress import Quiet, shown_progress

# What ends like this is a file; "corpus-v1.0" may be a folder.
FILE_SUFFIX = re.compile(r"\.[A-Za-z]{3,}|\.(?:iob2|gz|xz|7z|bz2)")


# Which files of a folder are read, where a kind has others beside them.
SUFFIXES = {"brat": (".ann",), "inception": (".json", ".xmi")}
# Converters or exporters by their kind.
Kinds: TypeAlias = Mapping[str, Callable[..., Any]]


def list_kinds(kinds: Kinds) -> str:
    """One line for each kind of file; the backspace tells click not to join the lines."""
    width = max(map(len, kinds))
    lines = [f"  {kind:{width}}  {describe(kinds[kind])}" for kind in sorted(kinds)]
    return "\n".join(["\b", "Kinds of files:", *lines])


def describe(function: Callable[..., Any]) -> str:
    """The first line of the docstring of a converter or an exporter."""
    return (inspect.getdoc(function) or "").partition("\n")[0]


def help_of(option: str, text: str, kinds: Kinds = CONVERTERS) -> str:
    """The help of an option, after the kinds that have it."""
    return f"[{', '.join(kind for kind in sorted(kinds) if option in options_of(kinds[kind]))}] {text}"


def options_of(function: Callable[..., Any]) -> list[str]:
    """Names of the options that a kind has."""
    return [name for name in inspect.signature(function).parameters if name not in ("path", "vocab", "docs")]


@luke_cli.command("convert", short_help="Convert a corpus to .spacy training files.", epilog=list_kinds(CONVERTERS))
def convert_cli(
    kind: Annotated[str, Argument(help="Format of the files; see the kinds below.")],
    source: Annotated[Path, Argument(metavar="IN", help="A file, or a folder whose files are all read.")],
    target: Annotated[Path, Argument(metavar="OUT", help="A .spacy file, or a folder for one .spacy file per file.")],
    types: Annotated[
        list[str] | None,
        Option(
            metavar="OLD=NEW",
            help=help_of("types", "Rename an entity type; 'OLD=' leaves it out. May be repeated."),
        ),
    ] = None,
    only: Annotated[
        str | None,
        Option(metavar="A,B,…", help=help_of("only", "Keep only these entity types (by their new names).")),
    ] = None,
    suffix: Annotated[
        str,
        Option(
            help="In a folder, read only the files whose names end so, e.g. '.conll'. Default: all; for brat .ann, for "
            "inception .json and .xmi."
        ),
    ] = "",
    n_sents: Annotated[
        int | None,
        Option(
            "--n-sents",
            "-n",
            min=0,
            help=help_of(
                "n_sents",
                "Sentences per Doc; 0 for no limit. Default: whole documents where the file marks them, else 1.",
            ),
        ),
    ] = None,
    token_column: Annotated[
        int | None,
        Option(
            help=help_of(
                "token_column", "Number of the column with the tokens, from 1, or from -1 at the right. Default: found."
            )
        ),
    ] = None,
    tag_column: Annotated[
        int | None,
        Option(
            help=help_of("tag_column", "Number of the column with the tags. Default: the first column of entity tags.")
        ),
    ] = None,
    spans_key: Annotated[
        str | None,
        Option(
            help=help_of(
                "spans_key", "Key of doc.spans for the mentions. Default for nested_iob: luke_ner; else none: doc.ents."
            )
        ),
    ] = None,
    key: Annotated[
        str | None,
        Option(help=help_of("key", "Name of the entities in the MISC column. Default: Entity, NER, NE or name.")),
    ] = None,
    names: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help=help_of("names", "JSON file with the names of the relations, to write them, not ids."),
        ),
    ] = None,
    sentences: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help=help_of("sentences", "File with the sentences. Default: wiki-sentences.tsv beside IN."),
        ),
    ] = None,
    spaces: Annotated[
        str | None,
        Option(
            help=help_of(
                "spaces",
                "Spaces between tokens: 'text' (the default), guessed as in English text, or 'all', after each.",
            )
        ),
    ] = None,
    results: Annotated[
        str | None,
        Option(help=help_of("results", "'annotations' (the default), or 'predictions', with their scores.")),
    ] = None,
    annotator: Annotated[
        str | None,
        Option(
            help=help_of(
                "annotator",
                "Whose annotations are read, by id or address. Default: anybody's; of several annotations of a text "
                "the ground truth, if there is one, else the last.",
            )
        ),
    ] = None,
    text_key: Annotated[
        str | None,
        Option(help=help_of("text_key", "Name of the text in the data of a task. Default: text, or the only string.")),
    ] = None,
    choices: Annotated[
        str | None, Option(help=help_of("choices", "Name of the choices to read. Default: the only one."))
    ] = None,
    offsets: Annotated[
        str | None,
        Option(
            help=help_of(
                "offsets",
                "What start and end count: 'characters' (code points), 'utf16' code units or 'graphemes'. Default for "
                "label_studio: found by the texts of regions; for doccano: utf16.",
            )
        ),
    ] = None,
    relations: Annotated[
        bool | None,
        Option(
            help=help_of(
                "relations",
                "Whether relations were annotated, so that a text without any has none. Default: if the file has any; "
                "for inception, if it knows a layer of them.",
            )
        ),
    ] = None,
    layers: Annotated[
        list[str] | None,
        Option(
            metavar="LAYER", help=help_of("layers", "A layer to read. May be repeated. Default: all of the project.")
        ),
    ] = None,
    features: Annotated[
        list[str] | None,
        Option(
            metavar="LAYER=FEATURE",
            help=help_of("features", "Feature of a layer with its label. May be repeated. Default: value or label."),
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Convert a corpus, or the export of an annotation tool, to .spacy training files.

    Reports what was read, repaired and left out. Nothing is written if a file cannot be read. Each kind of file has
    options of its own, as said in brackets.

    Example: python -m spacy luke convert iob train.conll train.spacy --types person=PER --types product=
    """
    with one_line_errors(), shown_progress(quiet):
        given = {
            "types": read_types(types) if types else None,
            "only": [name.strip() for name in only.split(",") if name.strip()] if only is not None else None,
            "n_sents": n_sents,
            "token_column": token_column,
            "tag_column": tag_column,
            "spans_key": spans_key,
            "key": key,
            "names": names,
            "sentences": sentences,
            "spaces": spaces,
            "results": results,
            "annotator": annotator,
            "text_key": text_key,
            "choices": choices,
            "offsets": offsets,
            "relations": relations,
            "layers": layers or None,
            "features": read_features(features) if features else None,
        }
        options = {name: value for name, value in given.items() if value is not None}
        check_target(target)
        report = convert(
            kind, find_files(source, (suffix,) if suffix else SUFFIXES.get(kind, ("",))), source, target, **options
        )
    typer.echo(report)


def convert(kind: str, files: Sequence[Path], source: Path, target: Path, **options: Any) -> ConversionReport:
    """Convert `files`, which are `source` or below it; nothing is written if one of them cannot be read."""
    read = get_converter(kind)
    for name in options:
        if name not in options_of(read):
            raise typer.BadParameter(f"--{name.replace('_', '-')} is not an option of {kind!r}.")
    vocab = Vocab()
    report = ConversionReport()
    converted: list[tuple[Path, list[Doc]]] = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"\[W046\]", LukeWarning)  # of a type that one of the files lacks
        for file in track(files, "Converting", "files"):
            docs, counts = read(file, vocab=vocab, **options)
            converted.append((file, docs))
            report.extend(counts)
    report.check_types(options.get("types"), options.get("only"))
    for path, placed in target_files(converted, source, target):
        write_docbin(track(placed, f"Writing {path.name}", "Docs"), path)
    return report


def read_types(entries: Iterable[str]) -> dict[str, str]:
    """`["person=PER", "product="]` -> `{"person": "PER", "product": ""}`"""
    types: dict[str, str] = {}
    for entry in entries:
        old, equals, new = (part.strip() for part in entry.partition("="))
        if not old or not equals:
            raise LukeError("L062", entry=entry)
        types[old] = new
    return types


def read_features(entries: Iterable[str]) -> dict[str, str]:
    """`["Span=role"]` -> `{"Span": "role"}`"""
    features: dict[str, str] = {}
    for entry in entries:
        layer, _, feature = (part.strip() for part in entry.partition("="))
        if not layer or not feature:
            raise LukeError("L180", entry=entry)
        features[layer] = feature
    return features


def find_files(source: Path, suffixes: tuple[str, ...], *, converted: bool = False) -> list[Path]:
    """The file, or all files below the folder but hidden ones, in the order of their names.

    converted: whether .spacy files are among them.
    """
    if source.is_file():
        return [source]
    files = sorted(
        path
        for path in source.rglob("*")
        if path.is_file()
        and path.name.endswith(suffixes)
        and (converted or path.suffix != ".spacy")
        and not any(part.startswith(".") for part in path.relative_to(source).parts)
    )
    if not files:
        raise LukeError("L061", path=source)
    return files


def check_target(target: Path) -> None:
    """L153 for what is neither a .spacy file nor a folder, nor the name of one, before any work is done."""
    if target.is_dir() or target.suffix == ".spacy":
        return
    if target.exists():
        raise LukeError(
            "L153", path=target, found="a file that no Docs are written to", example=target.with_suffix(".spacy")
        )
    if FILE_SUFFIX.fullmatch(target.suffix):
        found = f"the name of a file that ends in {target.suffix!r}"
        raise LukeError("L153", path=target, found=found, example=target.with_suffix(".spacy"))


def target_files(
    converted: Sequence[tuple[Path, list[Doc]]], source: Path, target: Path
) -> Iterable[tuple[Path, list[Doc]]]:
    """Target files with their Docs: all into one .spacy file, or one file each with the folders of the source."""
    if target.suffix == ".spacy" and not target.is_dir():
        yield target, [doc for _, docs in converted for doc in docs]
        return
    root = source if source.is_dir() else source.parent
    stems = Counter(file.with_suffix("") for file, _ in converted)
    for file, docs in converted:
        # train.conll and train.iob side by side both keep their suffix
        name = f"{file.stem}.spacy" if stems[file.with_suffix("")] == 1 else f"{file.name}.spacy"
        yield target / file.parent.relative_to(root) / name, docs
