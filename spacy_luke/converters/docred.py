"""DocRED and Re-DocRED: documents with entities of several mentions each, and relations between the entities.

Format: https://github.com/thunlp/DocRED (Yao et al. 2019), data/README; Re-DocRED (Tan et al. 2022,
https://github.com/tonytan48/Re-DocRED) keeps it. `pos` is tokens of the sentence, the end exclusive:

    [{"title": "…", "sents": [["He", "is", …], …],
      "vertexSet": [[{"name": "…", "sent_id": 0, "pos": [3, 5], "type": "PER"}, … mentions] … entities],
      "labels": [{"h": 0, "t": 4, "r": "P27", "evidence": [0]}, …]}]
"""

from __future__ import annotations

from pathlib import Path

from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from ..progress import track
from .records import Record, read_records
from .report import ConversionReport
from .sentences import (
    NamedRange,
    Names,
    check_names,
    pair_mentions,
    read_names,
    read_sentences,
    sentence_numbers,
)
from .texts import Fact, TokenRange, set_entities, write_relations
from .words import Spaces


def read_docred(
    path: str | Path, *, names: str | Path | None = None, spaces: Spaces = "text", vocab: Vocab | None = None
) -> tuple[list[Doc], ConversionReport]:
    """DocRED and Re-DocRED (JSON): documents with coreferent entities and their relations.

    A Doc is a document with sentence starts. Its entities are the mentions, labelled with their types; `ent.ent_id_` is
    the number of the entity in the file, the same for all its mentions, so that results can be scored by entity. Of
    mentions that overlap the longest is kept, of those in the same place the first.

    A relation between two entities is written between all pairs of their mentions that are in the same sentence; if
    there are none, between the two mentions that are nearest to each other. A file without `labels` is not annotated
    with relations. `doc.user_data["title"]` is the title; the evidence is not written.

    The tokens of a mention are compared with its `name`, but for blanks and case. If more names of a document would fit
    were positions counted in another way (from 1, over the document, …), the file is refused (L150).

    names: JSON file with the names of the relations (rel_info.json of DocRED), to write them instead of P27 and so on.
    spaces: "text" = spaces between tokens are guessed as in English text; "all" = there is one after every token.
    vocab: Vocabulary of the Docs, by default a new one.
    """
    path = Path(path)
    vocab = Vocab() if vocab is None else vocab
    named = read_names(names)
    report = ConversionReport(files=[f"{path}: DocRED"])
    docs = [
        make_doc(record, named, spaces, vocab, report) for record in track(read_records(path), path.name, "records")
    ]
    report.count(docs)
    return docs, report


def make_doc(record: Record, names: Names, spaces: Spaces, vocab: Vocab, report: ConversionReport) -> Doc:
    words = read_sents(record)
    entities = [
        read_mentions(record, number, mentions) for number, mentions in enumerate(record.get("vertexSet", list))
    ]
    check_names(record, words, [place for mentions in entities for _, place in mentions], report)
    sentences = read_sentences(record, words, spaces, vocab, report)
    doc = sentences.doc
    doc.user_data["title"] = record.get("title", str, "")
    spans = []
    for number, mentions in enumerate(entities):
        for mention, place in mentions:
            found = sentences.place(mention, f"entity {number}", place.start, place.end, sentence=place.sentence)
            if found is None:
                report.empty_entities.add(record.short)
            else:
                spans.append(Span(doc, *found, label=mention.label("type"), span_id=str(number)))
    set_entities(doc, spans, report, record.short)
    if "labels" not in record.values:
        report.unlabelled.add(record.short)
        return doc
    places: list[list[TokenRange]] = [[] for _ in entities]
    for span in doc.ents:
        places[int(span.id_)].append((span.start, span.end))
    write_facts(doc, record, places, names, report)
    return doc


def read_sents(record: Record) -> list[list[str]]:
    sents = record.get("sents", list)
    if not all(isinstance(sent, list) and all(isinstance(word, str) for word in sent) for sent in sents):
        record.fail("'sents' is not a list of lists of words")
    return sents


def read_mentions(record: Record, number: int, mentions: object) -> list[tuple[Record, NamedRange]]:
    """The mentions of an entity and where they are."""
    found = []
    entity = f"vertexSet[{number}]"
    for mention in Record(record.path, record.place, {entity: mentions}).inner(entity):
        pos = mention.get("pos", list)
        if len(pos) != 2 or not all(type(edge) is int for edge in pos):
            mention.fail("'pos' is not [first token, end]")
        name = mention.values.get("name")
        found.append((mention, NamedRange(name if isinstance(name, str) else "", mention.get("sent_id", int), *pos)))
    return found


def write_facts(
    doc: Doc, record: Record, places: list[list[TokenRange]], names: Names, report: ConversionReport
) -> None:
    """Write the relations of the entities between their mentions. places: those of each entity that were kept."""
    facts: list[Fact] = []
    seen: set[tuple[int, int, str]] = set()
    labels = record.inner("labels")
    numbers = sentence_numbers(doc)
    for item in labels:
        head, tail, label = item.get("h", int), item.get("t", int), names.find(item, item.label("r"))
        if not (0 <= head < len(places) and 0 <= tail < len(places)):
            item.fail(f"there are entities 0 to {len(places) - 1}, not both {head} and {tail}")
        if (head, tail, label) in seen:
            report.repeated_relations.add(item.short)
            continue
        seen.add((head, tail, label))
        found, together = pair_mentions(places[head], places[tail], numbers, label) if head != tail else ([], True)
        if not found:
            report.dropped_relations[label] += 1
            report.lost_relations.add(f"{item.short} {label}")
            continue
        report.entity_relations += 1
        if not together:
            report.nearest_mentions.add(item.short)
        facts += found
    if facts or not labels:
        write_relations(doc, facts, report, record.short)
