"""IOB1, IOB2 and BILUO column files -> Docs with entities and sentence boundaries."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spacy.tokens import Doc, Span, SpanGroup
from spacy.vocab import Vocab

from ..progress import track
from ..tags import find_scheme, is_tag, read_entities
from .columns import NO_TOKEN, Row, Sentence, Table, find_columns, find_tag_columns, is_index_column, read_table
from .report import ConversionReport
from .texts import Mention, set_entities


@dataclass(kw_only=True)
class Tokens:
    """The words of one sentence with their tags; a word that is left out of the Doc is not here."""

    place: str
    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    spaces: list[bool] = field(default_factory=list)
    entities: list[Mention] = field(default_factory=list)


def read_iob(
    path: str | Path,
    *,
    types: Mapping[str, str] | None = None,
    only: Collection[str] | None = None,
    n_sents: int | None = None,
    token_column: int | None = None,
    tag_column: int | None = None,
    vocab: Vocab | None = None,
) -> tuple[list[Doc], ConversionReport]:
    """IOB1, IOB2 or BILUO tags in columns: a token a line, an empty line after each sentence.

    Lines that start with '#' are comments.

    types: New name of an entity type; an empty name leaves its entities out. Other types stay as they are.
    only: The types to keep, by their new names; None keeps all.
    n_sents: Sentences a Doc, within the documents of the file; 0 for no limit. None: a Doc is a document where the
        file marks documents ('-DOCSTART-', '# newdoc'), else a sentence.
    token_column, tag_column: Column numbers from 1, or from -1 at the right. None: found from what the cells hold.
    vocab: Vocabulary of the Docs, by default a new one.

    Spaces between tokens are those of the '# text' line, where the file has one that consists of the tokens; otherwise
    there is one after every token.
    """
    path = Path(path)
    return read_columns(
        path,
        read_table(path),
        types=types,
        only=only,
        n_sents=n_sents,
        token_column=token_column,
        tag_column=tag_column,
        vocab=vocab,
    )


def read_columns(
    path: Path,
    table: Table,
    *,
    types: Mapping[str, str] | None,
    only: Collection[str] | None,
    n_sents: int | None,
    token_column: int | None = None,
    tag_column: int | None = None,
    spans_key: str | None = None,
    vocab: Vocab | None,
) -> tuple[list[Doc], ConversionReport]:
    """`read_iob` of a table that has been read."""
    token, tag = find_columns(path, table, token=token_column, tag=tag_column)
    has_index = token > 0 and is_index_column(table.sentences, 0)
    report = table.start_report(path)
    groups = [
        [
            tokens
            for sentence in document
            if (tokens := read_tokens(path, sentence, token, tag, has_index, report)).words
        ]
        for document in table.documents
    ]
    scheme = read_tags(path, groups, report)
    others = [str(column + 1) for column in find_tag_columns(table) if column not in (token, tag)]
    unread = f" (there are tags, too, in {', '.join(others)}, not read)" if others and tag_column is None else ""
    report.files.append(f"{path}: {scheme}, tokens in column {token + 1}, tags in column {tag + 1}{unread}")
    size = table.sentences_per_doc(n_sents)
    docs = make_docs(groups, types, only, size, vocab, report, spans_key=spans_key)
    return docs, report


def read_tags(path: Path, groups: Sequence[Sequence[Tokens]], report: ConversionReport) -> str:
    """Find the entities of all tags, and the scheme that these are written in."""
    scheme = find_scheme(tokens.tags for group in groups for tokens in group)
    for group in groups:
        for tokens in group:
            entities, repaired = read_entities(tokens.tags, scheme)
            tokens.entities = [Mention(*entity) for entity in entities]
            for index in repaired:
                report.repaired_tags.add(f"{path.name}:{tokens.lines[index]}")
    return scheme


def make_docs(
    groups: Sequence[Sequence[Tokens]],
    types: Mapping[str, str] | None,
    only: Collection[str] | None,
    size: int,
    vocab: Vocab | None,
    report: ConversionReport,
    *,
    spans_key: str | None = None,
) -> list[Doc]:
    """Docs of `size` sentences within each group (0: all of it), with the entities of the chosen types.

    spans_key: Write them to these `doc.spans`, all of them, and not to `doc.ents`.
    """
    vocab = Vocab() if vocab is None else vocab
    for group in groups:
        for tokens in group:
            tokens.entities = choose_types(tokens.entities, types or {}, only, report)
    parts = [
        group[start : start + (size or len(group))]
        for group in groups
        for start in range(0, len(group), size or len(group) or 1)
    ]
    docs = [make_doc(part, vocab, report, spans_key) for part in track(parts, "Making Docs", "Docs")]
    report.check_types(types, only)
    report.count(docs)
    return docs


def read_tokens(
    path: Path, sentence: Sentence, token: int, tag: int, has_index: bool, report: ConversionReport
) -> Tokens:
    tokens = Tokens(place=f"{path.name}:{sentence.rows[0].line}")
    for row in sentence.rows:
        place = f"{path.name}:{row.line}"
        if has_index and NO_TOKEN.fullmatch(row.cells[0]):
            report.bad_lines.add(place)
            continue
        word = cell(row, token)
        if not word:
            report.empty_tokens.add(place)
            continue
        value = cell(row, tag)
        if not value:
            report.bad_lines.add(place)
        elif not is_tag(value):
            report.bad_tags.add(f"{place} {value!r}")
        tokens.words.append(word)
        tokens.tags.append(value if is_tag(value) else "O")
        tokens.lines.append(row.line)
    spaces = align(tokens.words, sentence.text)
    if sentence.text and spaces is None:
        report.unaligned_texts.add(f"{path.name}:{sentence.text_line}")
    tokens.spaces = [True] * len(tokens.words) if spaces is None else spaces
    return tokens


def cell(row: Row, index: int) -> str:
    return row.cells[index].strip() if index < len(row.cells) else ""


def align(words: Sequence[str], text: str) -> list[bool] | None:
    """Whether whitespace follows each word in `text`; None if `text` is not these words in this order."""
    spaces: list[bool] = []
    place = 0
    for word in words:
        if not text.startswith(word, place):
            return None
        end = place = place + len(word)
        while place < len(text) and text[place].isspace():
            place += 1
        spaces.append(place > end or place == len(text))
    return None if place < len(text) or not spaces else spaces


def choose_types(
    entities: Sequence[Mention], types: Mapping[str, str], only: Collection[str] | None, report: ConversionReport
) -> list[Mention]:
    chosen: list[Mention] = []
    for entity in entities:
        old = entity.label
        new = types.get(old, old)
        report.renamed[old, new] += 1
        if not new or (only is not None and new not in only):
            report.dropped[old] += 1
        else:
            chosen.append(entity._replace(label=new))
    return chosen


def make_doc(sentences: Sequence[Tokens], vocab: Vocab, report: ConversionReport, spans_key: str | None = None) -> Doc:
    words = [word for tokens in sentences for word in tokens.words]
    spaces = [space for tokens in sentences for space in tokens.spaces]
    starts: list[bool | int | None] = [index == 0 for tokens in sentences for index in range(len(tokens.words))]
    spaces[-1] = False
    doc = Doc(vocab, words=words, spaces=spaces, sent_starts=starts)
    spans: list[Span] = []
    offset = 0
    for tokens in sentences:
        spans.extend(
            Span(doc, offset + start, offset + end, label=label, kb_id=kb_id, span_id=number)
            for start, end, label, kb_id, number in tokens.entities
        )
        offset += len(tokens.words)
    if spans_key is None:
        set_entities(doc, spans, report, sentences[0].place)
    else:
        doc.spans[spans_key] = SpanGroup(doc, name=spans_key, spans=spans)
    return doc
