"""CoNLL-U -> Docs with the entities of the MISC column and the characters of the text.

Formats: CoNLL-U, https://universaldependencies.org/format.html (ten columns; `# text`, `# newdoc`, SpaceAfter=No,
multi-word tokens "3-4", empty nodes "3.1"). Entities in MISC are tags (`NER=B-PER`, as Stanza writes them), or brackets
(`Entity=(e1-person-1` … `Entity=e1)`) as in https://universaldependencies.org/misc.html#entity, GUM and CorefUD; their
fields are those of the `# global.Entity` line. Universal NER, https://github.com/UniversalNER, has columns of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spacy.tokens import Doc
from spacy.vocab import Vocab

from ..errors import LukeError
from ..training.tags import is_tag, split_tag
from .brackets import find_label_field, has_brackets, read_brackets
from .columns import Row, Sentence, Table, read_table
from .iob import Tokens, align, cell, make_docs, read_columns, read_tags
from .report import ConversionReport

ID, FORM, MISC = 0, 1, 9
COLUMNS = 10
# Names of the entities in MISC, in lower case: of Universal Dependencies, Stanza, other tools, and DaNE.
KEYS = ("entity", "ner", "ne", "name")


@dataclass(frozen=True)
class Word:
    """A token of the text.

    values: what MISC says of the entities of each of its syntactic words; "" for nothing.
    """

    form: str
    line: int
    space: bool
    values: list[str]


def read_conllu(
    path: str | Path,
    *,
    key: str | None = None,
    types: Mapping[str, str] | None = None,
    only: Collection[str] | None = None,
    n_sents: int | None = None,
    vocab: Vocab | None = None,
) -> tuple[list[Doc], ConversionReport]:
    """CoNLL-U: entities in the MISC column, or Universal NER's tag columns.

    The tokens are the words of the file. Where the words of a multi-word token are not what is written (du = de + le),
    the multi-word token is one token, with the entities of its words. Nested entities: the longest is kept.

    key: Name of the entities in the MISC column. None: Entity, NER, NE or name, whichever the file has; a file without
        is read as columns of tokens and tags, as the kind "iob".
    types: New name of an entity type; an empty name leaves its entities out. Other types stay as they are.
    only: The types to keep, by their new names; None keeps all.
    n_sents: Sentences a Doc, within the documents of the file; 0 for no limit. None: a Doc is a document where the
        file marks documents (`# newdoc`), else a sentence.
    vocab: Vocabulary of the Docs, by default a new one.

    Spaces between tokens are those of the `# text` line, where it consists of the tokens, else those of SpaceAfter=No.
    """
    path = Path(path)
    table = read_table(path)
    name = find_key(table) if key is None else key
    if name is None:
        if not any(is_tag(value) for sentence in table.sentences for row in sentence.rows for value in row.cells[1:]):
            found = "no MISC column has entities, and no other column tags" if table.sentences else "the file is empty"
            raise LukeError("L060", path=path, line=1, reason=found)
        return read_columns(path, table, types=types, only=only, n_sents=n_sents, vocab=vocab)
    report = ConversionReport(comments=table.comments)
    documents = [
        [(sentence, words) for sentence in document if (words := list(read_words(path, sentence, name, report)))]
        for document in table.documents
    ]
    groups = [[read_tokens(path, sentence, words, report) for sentence, words in document] for document in documents]
    scheme = read_entities(path, name, documents, groups, table.entity_fields, report)
    report.files.append(f"{path}: CoNLL-U, {name} of the MISC column: {scheme}")
    return make_docs(groups, types, only, table.sentences_per_doc(n_sents), vocab, report), report


def read_entities(
    path: Path,
    key: str,
    documents: Sequence[Sequence[tuple[Sentence, list[Word]]]],
    groups: Sequence[Sequence[Tokens]],
    fields: Sequence[str],
    report: ConversionReport,
) -> str:
    """Write the entities of the words to the tokens, and name the way in which the file has them."""
    words_of = [words for document in documents for _, words in document]
    tokens_of = [tokens for group in groups for tokens in group]
    values = [value for words in words_of for word in words for value in word.values if value]
    if not values:
        raise LukeError("L060", path=path, line=1, reason=f"no MISC column has {key!r}; name another one with --key")
    if not has_brackets(values):
        for words, tokens in zip(words_of, tokens_of, strict=True):
            tokens.tags = [choose_tag(path, word, report) for word in words]
        return read_tags(path, groups, report)
    field = find_label_field(values, fields)
    for words, tokens in zip(words_of, tokens_of, strict=True):
        places = [f"{path.name}:{word.line}" for word in words]
        tokens.entities = read_brackets([word.values for word in words], places, field, report)
    return "brackets"


def find_key(table: Table) -> str | None:
    """The first of `KEYS` that MISC has with a tag or a bracket."""
    found: dict[str, str] = {}
    for sentence in table.sentences:
        for row in sentence.rows:
            for name, value in read_misc(row).items():
                if name.lower() in KEYS and (is_tag(value) or has_brackets([value])):
                    found.setdefault(name.lower(), name)
    return next((found[name] for name in KEYS if name in found), None)


def read_misc(row: Row) -> dict[str, str]:
    """`"SpaceAfter=No|NER=B-PER"` -> `{"SpaceAfter": "No", "NER": "B-PER"}`"""
    if len(row.cells) < COLUMNS:
        return {}
    return {
        name: value
        for name, _, value in (part.partition("=") for part in row.cells[MISC].split("|"))
        if value not in ("", "_")
    }


def read_words(path: Path, sentence: Sentence, key: str, report: ConversionReport) -> Iterator[Word]:
    """The tokens of the text; see `read_conllu`."""
    rows = iter(sentence.rows)
    for row in rows:
        first, hyphen, last = row.cells[ID].partition("-")
        if hyphen and first.isdecimal() and last.isdecimal():
            members = [inner for _, inner in zip(range(int(first), int(last) + 1), rows, strict=False)]
            yield from read_multiword(path, row, members, key, report)
        elif word := read_word(path, row, key, report):
            yield word


def read_word(path: Path, row: Row, key: str, report: ConversionReport) -> Word | None:
    place = f"{path.name}:{row.line}"
    if "." in row.cells[ID]:
        report.empty_nodes.add(place)
        return None
    if len(row.cells) < COLUMNS:
        report.bad_lines.add(place)
    form = cell(row, FORM)
    if not form:
        report.empty_tokens.add(place)
        return None
    misc = read_misc(row)
    return Word(form, row.line, misc.get("SpaceAfter") != "No", [misc.get(key, "")])


def read_multiword(path: Path, row: Row, members: list[Row], key: str, report: ConversionReport) -> Iterator[Word]:
    """Its words if they are what is written, else one token. Entities may be those of either line."""
    words = [word for member in members if (word := read_word(path, member, key, report))]
    misc, form = read_misc(row), cell(row, FORM)
    space = misc.get("SpaceAfter") != "No"
    if not words or ("".join(word.form for word in words) == form and key not in misc):
        for number, word in enumerate(words, start=1):
            yield Word(word.form, word.line, space and number == len(words), word.values)
    elif not form:
        report.empty_tokens.add(f"{path.name}:{row.line}")
    else:
        report.merged_words.add(f"{path.name}:{row.line}")
        inner = [value for word in words for value in word.values]
        yield Word(form, row.line, space, [misc[key]] if key in misc else inner)


def choose_tag(path: Path, word: Word, report: ConversionReport) -> str:
    """The one tag of a token, the first of its words that is in an entity; what gets lost by that is reported."""
    place = f"{path.name}:{word.line}"
    tags = [value or "O" for value in word.values]
    for tag in tags:
        if not is_tag(tag):
            report.bad_tags.add(f"{place} {tag!r}")
    tags = [tag for tag in tags if is_tag(tag)] or ["O"]
    named = [tag for tag in tags if tag != "O"]
    if not named:
        return "O"
    if len(named) < len(tags):
        report.expanded_spans.add(f"{place} {word.form!r}")
    for tag in named[1:]:
        if split_tag(tag)[0] in ("B", "U") or split_tag(tag)[1] != split_tag(named[0])[1]:
            report.broken_entities.add(f"{place} {tag!r} within {word.form!r}")
    return named[0]


def read_tokens(path: Path, sentence: Sentence, words: list[Word], report: ConversionReport) -> Tokens:
    """The tokens of a sentence without their entities."""
    forms = [word.form for word in words]
    spaces = [word.space for word in words]
    if sentence.text and (aligned := align(forms, sentence.text)):
        spaces = [*aligned[:-1], spaces[-1]]
    elif sentence.text:
        report.unaligned_texts.add(f"{path.name}:{sentence.text_line}")
    return Tokens(place=f"{path.name}:{words[0].line}", words=forms, lines=[word.line for word in words], spaces=spaces)
