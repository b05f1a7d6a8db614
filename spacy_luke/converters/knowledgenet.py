"""KnowledgeNet: facts of single sentences, with Wikidata ids.

Corpus: https://github.com/diffbot/knowledge-net (Mesquita et al. 2019). Read here as one fact a line:

    {"fold": 2, "doc": "293", "text": "…", "subject": [0, 29, "Q5690594"], "object": [53, 73, null], "relation": "CEO"}

where subject and object are first character, end, and Wikidata id or null.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from ..progress import track
from .records import Record, read_records
from .report import ConversionReport
from .texts import Fact, TextTokenizer, TokenRange, char_span, mark_one_sentence, set_entities, write_relations


def read_knowledgenet(path: str | Path, *, vocab: Vocab | None = None) -> tuple[list[Doc], ConversionReport]:
    """KnowledgeNet: one fact a line (JSON), with characters and Wikidata ids.

    A Doc is a sentence with all its facts. Entities are labelled "ENTITY"; `ent.kb_id_` is the Wikidata id.
    `doc.user_data["fold"]` and `["doc"]` are the fold and the document of the sentence.

    Each sentence of KnowledgeNet was annotated for some of the 15 relations only, and the facts do not say for which.

    vocab: Vocabulary of the Docs, by default a new one.
    """
    path = Path(path)
    tokenizer = TextTokenizer(vocab)
    report = ConversionReport(files=[f"{path}: KnowledgeNet"])
    sentences: dict[tuple[str, str], list[Record]] = {}
    for record in read_records(path):
        sentences.setdefault((str(record.get("doc", str | int)), record.get("text", str)), []).append(record)
    docs = [
        make_doc(name, text, facts, tokenizer, report)
        for (name, text), facts in track(sentences.items(), path.name, "Docs")
    ]
    report.count(docs)
    return docs, report


def make_doc(
    name: str, text: str, records: Iterable[Record], tokenizer: TextTokenizer, report: ConversionReport
) -> Doc:
    doc = mark_one_sentence(tokenizer(text))
    spans: dict[TokenRange, Span] = {}
    facts: list[Fact] = []
    place = ""
    seen: set[tuple[int, int]] = set()  # characters that were looked at, so that each is reported once

    def find(record: Record, role: str) -> TokenRange:
        value = record.get(role, list)
        edges = [type(edge) is int for edge in value[:2]]
        if len(value) != 3 or not all(edges) or not isinstance(value[2], str | None):
            record.fail(f"{role!r} is not [first character, end, id or null]")
        start, end, kb_id = value
        counted = ConversionReport() if (start, end) in seen else report
        seen.add((start, end))
        span = char_span(doc, start, end, counted, record.short, kb_id=kb_id or "")
        if span is None:
            record.fail(f"{role!r} is not in the text of {len(text)} characters")
        known = spans.get((span.start, span.end))
        if known is None or not known.kb_id_:
            spans[span.start, span.end] = span
        elif span.kb_id_ and span.kb_id_ != known.kb_id_:
            report.ambiguous_ids.add(f"{record.short} {span.text!r}")
        return span.start, span.end

    for record in records:
        place = place or record.short
        doc.user_data["fold"], doc.user_data["doc"] = record.get("fold", int), name
        facts.append((find(record, "subject"), find(record, "object"), record.label("relation")))
    set_entities(doc, spans.values(), report, place)
    write_relations(doc, facts, report, place)
    return doc
