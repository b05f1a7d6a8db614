from __future__ import annotations

import json
from pathlib import Path

import spacy
from spacy.tokens import Doc, DocBin

from spacy_luke.annotations import get_relations
from spacy_luke.converters import write_docbin


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def write_json(path: Path, content: object) -> Path:
    return write(path, json.dumps(content))


def write_lines(path: Path, *records: object) -> Path:
    return write(path, "".join(json.dumps(record) + "\n" for record in records))


def entities(doc: Doc) -> list[tuple[str, str]]:
    return [(span.text, span.label_) for span in doc.ents]


def relations(doc: Doc) -> list[tuple[str, str, str]]:
    return [(relation.head.text, relation.label, relation.tail.text) for relation in get_relations(doc)]


def through_docbin(docs: list[Doc], folder: Path) -> list[Doc]:
    """The Docs as training reads them."""
    write_docbin(docs, folder / "docs.spacy")
    return list(DocBin().from_disk(folder / "docs.spacy").get_docs(spacy.blank("en").vocab))
