"""brat: texts beside files of annotations.

Format: https://brat.nlplab.org/standoff.html, a text in `x.txt` and in `x.ann` an annotation a line, with tabs:

    T1      PER 0 3         Ann
    T2      ORG 14 18;19 23 Acme Corp
    R1      works_for Arg1:T1 Arg2:T2
    N1      Reference T2 Wikidata:Q5        Acme
    #1      AnnotatorNotes T1       score 0.93

An entity in several fragments is one mention here if there is only white space between these: that is how brat writes
an entity that goes over the end of a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from spacy.tokens import Doc
from spacy.vocab import Vocab

from ..errors import LukeError
from ..files import write_file
from .annotated_text import AnnotatedText, TextMention, TextRelation, read_annotations, write_annotations
from .columns import read_lines
from .files import read_chunks
from .records import Record
from .report import ConversionReport
from .texts import TextTokenizer, shown
from .tools import ANNOTATED, FileNames

TEXT_BOUND = re.compile(r"(\S+) (\d{1,9} \d{1,9}(?:;\d{1,9} \d{1,9})*)\s*")
RELATION = re.compile(r"(\S+)\s+(\w+):(\S+)\s+(\w+):(\S+)\s*")
EVENT = re.compile(r"(\S+):(\S+)(?:\s.*)?")
REFERENCE = re.compile(r"\S+\s+(\S+)\s+([^\s:]+):(\S+)\s*")
NOTE = re.compile(r"(\S+)\s+(\S+)\s*")
LINE = re.compile(r"[^\r\n]+")
SPACE = re.compile(r"\s+")
SCORE = "score "
# Annotations that a Doc has no place for, by how their lines begin.
OTHER = {"A": "attributes", "M": "attributes", "*": "equivalences"}
# The knowledge base that ids are from, unless it is given.
KB_NAME = "KB"


@dataclass
class TextBound:
    """A line of an entity or a trigger. fragments: half-open ranges of characters, in text order."""

    record: Record
    label: str
    fragments: list[tuple[int, int]]
    text: str


@dataclass
class Standoff:
    """What a file of annotations has, by the ids there."""

    bound: dict[str, TextBound] = field(default_factory=dict)
    relations: dict[str, tuple[str, str, str]] = field(default_factory=dict)  # head, tail, label
    triggers: set[str] = field(default_factory=set)
    references: dict[str, str] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)


def read_brat(
    path: str | Path, *, relations: bool | None = None, spans_key: str | None = None, vocab: Vocab | None = None
) -> tuple[list[Doc], ConversionReport]:
    """brat (.ann beside .txt): texts with entities and relations.

    A Doc is a text, without sentence boundaries. Entities are text-bound annotations that are no trigger of an event,
    `ent.kb_id_` is their first reference, relations go from the first argument to the second. `doc.user_data["id"]` is
    the name of the file without its suffix. Entities of several parts with other text between them are left out.
    Notes such as "score 0.93" are scores.

    relations: Whether the text was annotated with relations, so that without them it has none; None = if it has any.
    spans_key: Key of `doc.spans`, where entities may overlap; None = `doc.ents`.
    vocab: Vocabulary of the Docs, by default a new one.
    """
    path = Path(path)
    report = ConversionReport(files=[f"{path}: brat"])
    content = AnnotatedText(read_text(path), name=path.stem)
    standoff = read_standoff(path, report)
    content.mentions = list(find_mentions(standoff, content.text, report))
    if standoff.relations or relations:
        content.relations = [
            TextRelation(head, tail, label, standoff.scores.get(name))
            for name, (head, tail, label) in standoff.relations.items()
        ]
    doc = TextTokenizer(vocab)(content.text)
    write_annotations(doc, content, report, path.name, spans_key=spans_key)
    report.count([doc])
    return [doc], report


def read_text(path: Path) -> str:
    """The text beside a file of annotations as it is: brat counts each character of its line breaks."""
    text_path = path.with_suffix(".txt")
    if path.suffix != ".ann" or not text_path.is_file():
        reason = "it is no .ann file with a .txt file of the same name beside it"
        raise LukeError("L060", path=path, line=1, reason=reason)
    data = b"".join(read_chunks(text_path))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        reason = f"not UTF-8 ({error.reason}); save it as UTF-8"
        raise LukeError("L060", path=text_path, line=line, reason=reason) from None


def read_standoff(path: Path, report: ConversionReport) -> Standoff:
    found = Standoff()
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        record = Record(path, f"line {number}", {})
        name, *cells = line.split("\t")
        kind = name[:1]
        if kind in OTHER:
            report.not_carried[OTHER[kind]] += 1
        elif kind == "#":
            read_note(cells, found, report)
        elif kind == "T":
            read_text_bound(record, name, cells, found)
        elif kind == "R":
            if name in found.relations:
                record.fail(f"there are two annotations {name}")
            found.relations[name] = read_relation(record, cells)
        elif kind == "E":
            event = match(record, EVENT, cells, "an event with its trigger")
            found.triggers.add(event[2])
            report.not_carried["events"] += 1
        elif kind == "N":
            read_reference(record, cells, found, report)
        else:
            record.fail(f"{shown(line)!r} is no annotation, which begins with T, R, E, A, M, N, # or *")
    return found


def match(record: Record, form: re.Pattern[str], cells: list[str], what: str) -> re.Match[str]:
    found = form.fullmatch(cells[0]) if cells else None
    if found is None:
        record.fail(f"it is not {what}, after an id and a tab")
    return found


def read_text_bound(record: Record, name: str, cells: list[str], found: Standoff) -> None:
    label, places = match(record, TEXT_BOUND, cells, "a type with first character and end").groups()
    if name in found.bound:
        record.fail(f"there are two annotations {name}")
    fragments = sorted((int(start), int(end)) for start, end in (place.split(" ") for place in places.split(";")))
    found.bound[name] = TextBound(record, label, fragments, "\t".join(cells[1:]))


def read_relation(record: Record, cells: list[str]) -> tuple[str, str, str]:
    label, role, first, other_role, second = match(record, RELATION, cells, "a relation with two arguments").groups()
    return (second, first, label) if (role, other_role) == ("Arg2", "Arg1") else (first, second, label)


def read_reference(record: Record, cells: list[str], found: Standoff, report: ConversionReport) -> None:
    target, _, kb_id = match(record, REFERENCE, cells, "a reference to an entry of a knowledge base").groups()
    if target in found.references:
        report.ambiguous_ids.add(f"{record.short} {target}")
    found.references.setdefault(target, kb_id)


def read_note(cells: list[str], found: Standoff, report: ConversionReport) -> None:
    note = NOTE.fullmatch(cells[0]) if cells else None
    text = cells[1].strip() if len(cells) > 1 else ""
    try:
        score = float(text.removeprefix(SCORE)) if text.startswith(SCORE) else -1.0
    except ValueError:
        score = -1.0
    if note is None or not 0 <= score <= 1:
        report.not_carried["notes"] += 1
    else:
        found.scores[note[2]] = score


def find_mentions(standoff: Standoff, text: str, report: ConversionReport) -> Iterator[TextMention]:
    for name, item in standoff.bound.items():
        if name in standoff.triggers:
            report.not_carried["triggers of events"] += 1
            continue
        for start, end in item.fragments:
            if not 0 <= start < end <= len(text):
                item.record.fail(f"there are no characters {start} to {end} in a text of {len(text)}")
        written = " ".join(text[start:end] for start, end in item.fragments)
        if item.text and item.text.split() != written.split():
            report.other_names.add(f"{item.record.short} {shown(item.text)!r} at {shown(written)!r}")
        gaps = [text[end:start] for (_, end), (start, _) in pairwise(item.fragments)]
        if any(gap.strip() for gap in gaps):
            report.discontinuous.add(f"{item.record.short} {shown(written)!r}")
            continue
        edges = item.fragments[0][0], max(end for _, end in item.fragments)
        yield TextMention(
            name, *edges, item.label, kb_id=standoff.references.get(name, ""), score=standoff.scores.get(name)
        )


def write_brat(
    docs: Iterable[Doc], path: str | Path, *, kb_name: str = KB_NAME, spans_key: str | None = None
) -> ConversionReport:
    """brat (a folder of .txt and .ann): texts with entities, relations and links.

    The files of a Doc are named after `doc.user_data["id"]`, else numbered. A score is a note, such as "score 0.93".
    White space in labels and ids, which brat does not allow, becomes "_".

    kb_name: Name of the knowledge base that `ent.kb_id_` is from, as in brat's tools.conf.
    spans_key: Key of `doc.spans`, whose spans are the entities; None = `doc.ents`.
    """
    path = Path(path)
    report = ConversionReport(files=[f"{path}: brat"])
    names = FileNames()
    for number, doc in enumerate(docs, start=1):
        place = f"Doc {number}"
        content = read_annotations(doc, report, place, spans_key=spans_key, holds=frozenset({"links", "scores"}))
        if content.relations == []:
            report.not_carried[ANNOTATED] += 1
        name = names.add(content.name, number)
        write_file(path / f"{name}.txt", content.text)
        write_file(path / f"{name}.ann", "".join(make_lines(content, kb_name, place, report)))
    return report


def make_lines(content: AnnotatedText, kb_name: str, place: str, report: ConversionReport) -> Iterator[str]:
    notes = references = 0
    ids: dict[str, str] = {}

    def plain(label: str) -> str:
        changed = SPACE.sub("_", label)
        if changed != label:
            report.renamed_labels.add(f"{place} {shown(label)!r}")
        return changed

    for number, mention in enumerate(content.mentions, start=1):
        ids[mention.id] = f"T{number}"
        lines = LINE.finditer(content.text, mention.start, mention.end)
        fragments = [line.span() for line in lines if line[0].strip()]
        places = ";".join(f"{start} {end}" for start, end in fragments)
        text = " ".join(content.text[start:end] for start, end in fragments)
        yield f"T{number}\t{plain(mention.label)} {places}\t{text}\n"
        if mention.kb_id:
            references += 1
            yield f"N{references}\tReference T{number} {kb_name}:{plain(mention.kb_id)}\t{text}\n"
        if mention.score is not None:
            notes += 1
            yield f"#{notes}\tAnnotatorNotes T{number}\t{SCORE}{mention.score}\n"
    for number, relation in enumerate(content.relations or (), start=1):
        yield f"R{number}\t{plain(relation.label)} Arg1:{ids[relation.head]} Arg2:{ids[relation.tail]}\n"
        if relation.score is not None:
            notes += 1
            yield f"#{notes}\tAnnotatorNotes R{number}\t{SCORE}{relation.score}\n"
