"""Columns of IOB tags, one for each layer of nested mentions -> Docs with spans and sentence boundaries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

from spacy.tokens import Doc, Span, SpanGroup
from spacy.vocab import Vocab

from ..errors import LukeError
from .columns import Sentence, find_tag_columns, is_index_column, read_table
from .iob import Tokens, choose_types, read_tags, read_tokens
from .report import ConversionReport

SPANS_KEY = "luke_ner"  # where luke_ner with `overlap = true` reads and writes


def read_nested_iob(
    path: str | Path,
    *,
    types: Mapping[str, str] | None = None,
    only: Collection[str] | None = None,
    spans_key: str = SPANS_KEY,
    vocab: Vocab | None = None,
) -> tuple[list[Doc], ConversionReport]:
    """Nested mentions in columns (LitBank): a token a line, a column of IOB tags for each layer.

    An empty line ends a sentence. The first column, after one that counts the tokens, is the token; every other column
    that holds tags is a layer. A Doc is a document where the file marks documents ('-DOCSTART-', '# newdoc'), else the
    file. Its mentions are in `doc.spans[spans_key]`, each span with its label once; there are no entities.

    Format: https://github.com/dbamman/litbank, entities/tsv (Bamman et al. 2019).

    types: New name of a type; an empty name leaves its mentions out. Other types stay as they are.
    only: The types to keep, by their new names; None keeps all.
    spans_key: Key of `doc.spans`.
    vocab: Vocabulary of the Docs, by default a new one.
    """
    path = Path(path)
    vocab = Vocab() if vocab is None else vocab
    table = read_table(path)
    layers = [column for column in find_tag_columns(table) if column]
    if not layers:
        reason = "no column after the first holds tags such as O, B-PER and I-PER"
        raise LukeError("L060", path=path, line=1, reason=reason)
    token = int(1 not in layers and is_index_column(table.sentences, 0))
    report = table.start_report(path)
    docs = []
    for document in table.documents:
        by_layer = [read_layer(path, document, token, layer, report) for layer in layers]
        docs.append(make_doc(by_layer, types or {}, only, spans_key, vocab, report))
    columns = ", ".join(str(layer + 1) for layer in layers)
    report.files.append(f"{path}: nested IOB, tokens in column {token + 1}, tags in columns {columns}")
    report.check_types(types, only)
    report.count(docs)
    return docs, report


def read_layer(path: Path, document: list[Sentence], token: int, layer: int, report: ConversionReport) -> list[Tokens]:
    sentences = [read_tokens(path, sentence, token, layer, token > 0, report) for sentence in document]
    sentences = [tokens for tokens in sentences if tokens.words]
    read_tags(path, [sentences], report)
    return sentences


def make_doc(
    by_layer: list[list[Tokens]],
    types: Mapping[str, str],
    only: Collection[str] | None,
    spans_key: str,
    vocab: Vocab,
    report: ConversionReport,
) -> Doc:
    sentences = by_layer[0]
    words = [word for tokens in sentences for word in tokens.words]
    spaces = [space for tokens in sentences for space in tokens.spaces]
    starts: list[bool | int | None] = [index == 0 for tokens in sentences for index in range(len(tokens.words))]
    doc = Doc(vocab, words=words, spaces=spaces, sent_starts=starts)
    mentions: Counter[tuple[int, int, str]] = Counter()
    for layer in by_layer:
        offset = 0
        for tokens in layer:
            chosen = choose_types(tokens.entities, types, only, report)
            mentions.update((offset + start, offset + end, label) for start, end, label, *_ in chosen)
            offset += len(tokens.words)
    for (start, end, label), count in mentions.items():
        if count > 1:
            report.repeated_mentions.add(f"{sentences[0].place} {doc[start:end].text!r} {label}")
    spans = [Span(doc, start, end, label=label) for start, end, label in sorted(mentions)]
    doc.spans[spans_key] = SpanGroup(doc, name=spans_key, spans=spans)
    return doc
