"""doccano: texts with spans and relations between them.

Format: what doccano's sequence labelling exports as JSONL; it imports the same (https://doccano.github.io/doccano/):

    {"id": 1, "text": "…", "label": [[0, 3, "PER"], …], "Comments": []}

and with relations:

    {"id": 1, "text": "…", "entities": [{"id": 7, "label": "PER", "start_offset": 0, "end_offset": 3}, …],
     "relations": [{"id": 2, "from_id": 7, "to_id": 8, "type": "works_for"}, …], "Comments": []}

Its text classification has a list of categories as `label`, its intent detection as `cats`, beside `entities` as lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from spacy.tokens import Doc
from spacy.vocab import Vocab

from ..files import write_file
from ..progress import track
from .annotated_text import AnnotatedText, TextMention, TextRelation, read_annotations, write_annotations
from .offsets import Offsets, Unit
from .records import Record, read_records
from .report import CHOSEN_FROM, ConversionReport
from .texts import TextTokenizer
from .tools import Kept, dump_json, number_or_name

# Fields of an export; all others are the text's own, which doccano calls its meta data.
TEXTS = ("text", "data")
SPANS = ("label", "labels", "entities")
KNOWN = {*TEXTS, *SPANS, "id", "relations", "cats", "Comments", "comments", "annotations", "meta"}


def read_doccano(
    path: str | Path, *, offsets: Unit = "utf16", spans_key: str | None = None, vocab: Vocab | None = None
) -> tuple[list[Doc], ConversionReport]:
    """doccano (JSON lines): texts with spans and relations, or with categories.

    A Doc is a text, without sentence boundaries. It is annotated with relations where the file has a list of them,
    empty or not. Categories: 1 for those of the text, 0 for all others in the file. `doc.user_data["id"]` is the id of
    the text, `["meta"]` all fields that are not doccano's own.

    offsets: What offsets count: "utf16" code units, as doccano does; "graphemes" where the project counts grapheme
        clusters as one character; "characters" for files made by Python.
    spans_key: Key of `doc.spans`, where spans may overlap; None = `doc.ents`.
    vocab: Vocabulary of the Docs, by default a new one.
    """
    path = Path(path)
    tokenizer = TextTokenizer(vocab)
    report = ConversionReport(files=[f"{path}: doccano"])
    found = [(read_text(record, offsets, report), record.short) for record in read_records(path)]
    categories = sorted({label for content, _ in found for label in content.cats or ()})
    docs = []
    for content, place in track(found, path.name, "Docs"):
        if content.cats is not None:
            content.cats = {label: content.cats.get(label, 0.0) for label in categories}
        docs.append(write_annotations(tokenizer(content.text), content, report, place, spans_key=spans_key))
    report.count(docs)
    return docs, report


def read_text(record: Record, unit: Unit, report: ConversionReport) -> AnnotatedText:
    content = AnnotatedText(record.get("text" if "text" in record.values else "data", str))
    content.name = str(record.get("id", str | int, ""))
    content.meta = {name: value for name, value in record.values.items() if name not in KNOWN}
    content.meta.update(record.get("meta", dict, {}))
    if record.values.get("annotations"):
        record.fail("'annotations' have numbers of labels, not labels; export it from a newer doccano, as JSONL")
    comments = record.values.get("Comments") or record.values.get("comments") or ()
    if isinstance(comments, list) and comments:
        report.not_carried["comments"] += len(comments)
    offsets = Offsets(content.text, unit)
    for field in SPANS:
        if not (items := record.get(field, list, [])):
            continue
        if field != "entities" and all(isinstance(item, str) for item in items):
            content.cats = {**(content.cats or {}), **dict.fromkeys(items, 1.0)}
        elif all(isinstance(item, dict) for item in items):
            content.mentions += [read_span(item, offsets) for item in record.inner(field)]
        else:
            content.mentions += [read_triple(record, field, number, offsets) for number in range(len(items))]
    if "cats" in record.values:
        cats = record.words("cats") if record.get("cats", list) else []
        content.cats = {**(content.cats or {}), **dict.fromkeys(cats, 1.0)}
    if "relations" in record.values:
        content.relations = [
            TextRelation(str(item.get("from_id", str | int)), str(item.get("to_id", str | int)), item.label("type"))
            for item in record.inner("relations")
        ]
    return content


def read_span(item: Record, offsets: Offsets) -> TextMention:
    start, end = item.get("start_offset", int), item.get("end_offset", int)
    return TextMention(str(item.get("id", str | int)), *to_characters(item, start, end, offsets), item.label("label"))


def read_triple(record: Record, field: str, number: int, offsets: Offsets) -> TextMention:
    item = Record(record.path, f"{record.place}.{field}[{number}]", {})
    value = record.values[field][number]
    if not isinstance(value, list) or [type(part) for part in value] != [int, int, str] or not value[2]:
        item.fail("it is not [start, end, label]")
    start, end, label = value
    return TextMention(f"{field}{number}", *to_characters(item, start, end, offsets), label)


def to_characters(item: Record, start: int, end: int, offsets: Offsets) -> tuple[int, int]:
    place = offsets.to_characters(start, end)
    if place is None:
        item.fail(f"there are no characters {start} to {end} in a text of {len(offsets)}")
    return place


def write_doccano(
    docs: Iterable[Doc], path: str | Path, *, offsets: Unit = "utf16", spans_key: str | None = None
) -> ConversionReport:
    """doccano (JSON lines): texts with spans, relations and categories.

    A text whose Doc is annotated with relations has `entities` and `relations`, any other a `label` of spans, and where
    no Doc has spans a `label` of categories, each as doccano imports it. There is no place for scores.

    offsets: What offsets count: "utf16" code units, as doccano does; "graphemes" where the project counts grapheme
        clusters as one character; "characters" for Python.
    spans_key: Key of `doc.spans`, whose spans are written; None = `doc.ents`.
    """
    path = Path(path)
    report = ConversionReport(files=[f"{path}: doccano"])
    kept = Kept(report)
    contents = []
    for number, doc in enumerate(docs, start=1):
        contents.append(
            read_annotations(doc, report, f"Doc {number}", spans_key=spans_key, holds=frozenset({"cats", "meta"}))
        )
        kept.add(contents[-1], scores=False)
    classified = bool(kept.cats) and not any(content.mentions or content.relations for content in contents)
    lines = []
    ids = iter(range(1, 2**63))  # each once in the file
    for number, content in enumerate(contents, start=1):
        meta = {name: value for name, value in content.meta.items() if name not in KNOWN}
        if len(meta) < len(content.meta):
            report.not_carried["meta"] += 1
        made: dict[str, Any] = {"text": content.text}
        if content.name:
            made["id"] = number_or_name(content.name)
        if not classified:
            made.update(make_spans(content, Offsets(content.text, offsets), ids))
        if content.cats is not None:
            chosen = [label for label, value in content.cats.items() if value >= CHOSEN_FROM]
            made["label" if classified else "cats"] = chosen
        lines.append(dump_json({**made, **meta}, f"Doc {number}") + "\n")
    write_file(path, "".join(lines))
    kept.check_cats()
    return report


def make_spans(content: AnnotatedText, offsets: Offsets, ids: Iterator[int]) -> dict[str, Any]:
    places = [offsets.from_characters(mention.start, mention.end) for mention in content.mentions]
    if content.relations is None:
        return {"label": [[*place, m.label] for place, m in zip(places, content.mentions, strict=True)]}
    by_mention = {mention.id: next(ids) for mention in content.mentions}
    return {
        "entities": [
            {"id": by_mention[mention.id], "label": mention.label, "start_offset": start, "end_offset": end}
            for (start, end), mention in zip(places, content.mentions, strict=True)
        ],
        "relations": [
            {"id": next(ids), "from_id": by_mention[item.head], "to_id": by_mention[item.tail], "type": item.label}
            for item in content.relations
        ],
    }
