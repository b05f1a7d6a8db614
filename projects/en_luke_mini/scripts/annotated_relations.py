"""Relations that were annotated for this model, as Docs.

`annotations/relations.jsonl` has a line for each sentence, without its text, which is that of a corpus in assets/:

    {"file": "qa/squad2_half/train.json", "record": 12, "text": [0, 642], "sha1": "5c6f…", "sentence": [101, 187],
     "entities": [[101, 112, "PER"], [131, 138, "LOC"]], "relations": [[0, "NATIONALITY", 1]]}

record    number of the paragraph, row or line in that file, from 0
text      characters of it that were shown, with their checksum; all other numbers count from its beginning
entities  what a pipeline found in the sentence, with its errors
relations all that the sentence says of these with a label of PROPERTIES or ROLES

They are sentences in which a pipeline found relations, many of them wrong. A large language model read them.
"""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup

from spacy_luke.annotations import Relation, set_entity_labels, set_relations
from spacy_luke.converters.records import read_records

from .prepare_tasks import MENTIONS

ANNOTATIONS = Path(__file__).parents[1] / "annotations" / "relations.jsonl"
# One of so many texts is for dev.
DEV_PART = 4


def texts(path: Path) -> list[str]:
    """Texts of a file: SQuAD's paragraphs, the sentences of a table, or the texts of JSON lines."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return [row["sentence"] for row in csv.DictReader(file)]
    records = read_records(path, whole=True)
    if path.suffix == ".json":
        return [part.values["context"] for article in records[0].inner("data") for part in article.inner("paragraphs")]
    return [record.values["text"] for record in records]


def sha1(text: str) -> str:
    return hashlib.sha1(text.encode("utf-8"), usedforsecurity=False).hexdigest()


def annotated(assets: Path, nlp: Language, path: Path = ANNOTATIONS) -> tuple[list[Doc], list[Doc]]:
    """Docs to train and for dev, with sentences of the pipeline and the entities of the annotated ones as mentions.

    Raises ValueError for a text that is not that which was annotated.
    """
    by_text: dict[tuple[str, int, int, int], list[Mapping[str, Any]]] = defaultdict(list)
    for record in read_records(path):
        values = record.values
        start, end = values["text"]
        by_text[values["file"], values["record"], start, end].append(values)
    files = {name: texts(assets / name) for name in sorted({key[0] for key in by_text})}
    train, dev = [], []
    for (name, number, start, end), sentences in by_text.items():
        text = files[name][number][start:end]
        if any(sha1(text) != values["sha1"] for values in sentences):
            raise ValueError(f"{name}, record {number}: not the text that was annotated")
        doc = _doc(text, sentences, nlp)
        (dev if int(sha1(text), 16) % DEV_PART == 0 else train).append(doc)
    return train, dev


def _doc(text: str, sentences: Iterable[Mapping[str, Any]], nlp: Language) -> Doc:
    """Mentions that start or end inside a token are left out, with their relations."""
    with nlp.select_pipes(enable=["sentencizer"]):
        doc = nlp(text)
    mentions: list[Span] = []
    relations = []
    for values in sentences:
        spans = [doc.char_span(start, end, label=label) for start, end, label in values["entities"]]
        mentions += [span for span in spans if span is not None]
        pairs = [(spans[head], spans[tail], label) for head, label, tail in values["relations"]]
        relations += [Relation(h, t, label) for h, t, label in pairs if h is not None and t is not None]
    doc.spans[MENTIONS] = SpanGroup(doc, name=MENTIONS, spans=mentions)
    set_relations(doc, relations)
    doc.set_ents([], default="missing")
    set_entity_labels(doc, ())
    return doc
