"""Linked text: texts with links by their characters.

Format: one text a line, or a JSON list of texts:

    {"title": "Ada Lovelace", "text": "…", "links": [[40, 47, "London"], …]}

where a link is first character, end, and what it links to: the title of an article, or an id such as Wikidata's.
"""

from __future__ import annotations

from pathlib import Path

from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from ..annotations.store import Characters
from ..progress import track
from .records import Record, read_records
from .report import ConversionReport
from .texts import TextTokenizer, char_span, set_entities


def read_linked_text(path: str | Path, *, vocab: Vocab | None = None) -> tuple[list[Doc], ConversionReport]:
    """Linked text: a text with links a line (JSON), by their characters; also .gz.

    A Doc is a text, without sentence boundaries. Entities are labelled "ENTITY"; `ent.kb_id_` is what they link to.
    `doc.user_data["title"]` is the title.

    vocab: Vocabulary of the Docs, by default a new one.
    """
    path = Path(path)
    tokenizer = TextTokenizer(vocab)
    report = ConversionReport(files=[f"{path}: linked text"])
    docs = [make_doc(record, tokenizer, report) for record in track(read_records(path), path.name, "records")]
    report.count(docs)
    return docs, report


def make_doc(record: Record, tokenizer: TextTokenizer, report: ConversionReport) -> Doc:
    doc = tokenizer(record.get("text", str))
    doc.user_data["title"] = record.get("title", str, "")
    characters = Characters(doc)
    spans: list[Span] = []
    for link in record.get("links", list):
        if not isinstance(link, list) or [type(part) for part in link] != [int, int, str] or not link[2]:
            record.fail(f"the link {link!r} is not [first character, end, title or id]")
        start, end, target = link
        span = char_span(characters, start, end, report, record.short, kb_id=target)
        if span is None:
            record.fail(f"the link {link!r} has no token of the text of {len(characters.text)} characters")
        spans.append(span)
    set_entities(doc, spans, report, record.short)
    return doc
