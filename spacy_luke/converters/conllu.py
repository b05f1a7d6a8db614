"""CoNLL-U -> Docs with the entities of the MISC column and the characters of the text.

Formats: CoNLL-U, https://universaldependencies.org/format.html (ten columns; `# text`, `# newdoc`, SpaceAfter=No,
multi-word tokens "3-4", empty nodes "3.1"). Entities in MISC are tags (`NER=B-PER`, as Stanza writes them), or brackets
(`Entity=(e1-person-1` … `Entity=e1)`) as in https://universaldependencies.org/misc.html#entity, GUM and CorefUD; their
fields are those of the `# global.Entity` line. Universal NER, https://github.com/UniversalNER, has columns of its own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spacy.tokens import Doc
from spacy.vocab import Vocab

from ..errors import LukeError
from ..tags import is_tag, split_tag
from .brackets import find_fields, has_brackets, read_brackets, split_edges
from .columns import CONLLU_COLUMNS, Row, Sentence, Table, read_number, read_table
from .iob import Tokens, align, cell, make_docs, read_columns, read_tags
from .report import ConversionReport

ID, FORM, MISC = 0, 1, 9
# Names of the entities in MISC, in lower case: of Universal Dependencies, Stanza, other tools, and DaNE.
KEYS = ("entity", "ner", "ne", "name")
# Between the parts of MISC, which may have blanks of their own ("Gloss=the house"). Not to try again from each of many
# blanks, they are only looked at from the first.
BAR = re.compile(r"\||(?:[;,]|(?<![;, \t]))[ \t]+(?=[A-Za-z]\w*=)|;(?=[A-Za-z]\w*=)")


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
    spans_key: str | None = None,
    types: Mapping[str, str] | None = None,
    only: Collection[str] | None = None,
    n_sents: int | None = None,
    vocab: Vocab | None = None,
) -> tuple[list[Doc], ConversionReport]:
    """CoNLL-U: entities in the MISC column, or Universal NER's tag columns.

    The tokens are the words of the file. Where the words of a multi-word token are not what is written (du = de + le),
    the multi-word token is one token, with the entities of its words. Nested entities: the longest is kept.

    Entities in brackets, whose fields a `# global.Entity` line names, have their `eid` or `GRP`, the same for all
    mentions of an entity, as `ent.ent_id_`, and the title of their `identity` as `ent.kb_id_`.

    key: Name of the entities in the MISC column. None: Entity, NER, NE or name, whichever the file has; a file without
        is read as columns of tokens and tags, as the kind "iob".
    spans_key: Write all entities, nested ones too, to these `doc.spans`, and none to `doc.ents`.
    types: New name of an entity type; an empty name leaves its entities out. Other types stay as they are.
    only: The types to keep, by their new names; None keeps all.
    n_sents: Sentences a Doc, within the documents of the file; 0 for no limit. None: a Doc is a document where the
        file marks documents (`# newdoc`), else a sentence.
    vocab: Vocabulary of the Docs, by default a new one.

    Spaces between tokens are those of the `# text` line, where it consists of the tokens, else those of SpaceAfter=No.
    """
    path = Path(path)
    table = read_table(path)
    names = find_keys(table)
    name = next(iter(names), None) if key is None else key
    if name is None:
        if not any(is_tag(value) for sentence in table.sentences for row in sentence.rows for value in row.cells[1:]):
            found = "no MISC column has entities, and no other column tags" if table.sentences else "the file is empty"
            raise LukeError("L060", path=path, line=1, reason=found)
        return read_columns(path, table, types=types, only=only, n_sents=n_sents, vocab=vocab, spans_key=spans_key)
    report = table.start_report(path)
    documents = [
        [(sentence, words) for sentence in document if (words := list(read_words(path, sentence, name, report)))]
        for document in table.documents
    ]
    groups = [[read_tokens(path, sentence, words, report) for sentence, words in document] for document in documents]
    scheme = read_entities(path, name, documents, groups, table.entity_fields, report)
    others = ", ".join(other for other in names if other.lower() != name.lower())
    unread = f" ({others}, which is there, too, is not read)" if others else ""
    report.files.append(f"{path}: CoNLL-U, {name} of the MISC column: {scheme}{unread}")
    size = table.sentences_per_doc(n_sents)
    return make_docs(groups, types, only, size, vocab, report, spans_key=spans_key), report


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
    places_of = find_fields(values, fields)
    for words, tokens in zip(words_of, tokens_of, strict=True):
        places = [f"{path.name}:{word.line}" for word in words]
        tokens.entities = read_brackets([word.values for word in words], places, places_of, report)
    return "brackets"


def find_keys(table: Table) -> list[str]:
    """Find those of `KEYS` that MISC has with a tag or a bracket."""
    found: dict[str, str] = {}
    for sentence in table.sentences:
        for row in sentence.rows:
            for part in split_misc(row):
                name, _, value = part.partition("=")
                name = name.strip()
                if name.lower() in KEYS and (is_tag(value.strip()) or has_brackets([value.strip()])):
                    found.setdefault(name.lower(), name)
    return [found[name] for name in KEYS if name in found]


def split_misc(row: Row) -> list[str]:
    """`"SpaceAfter=No|NER=B-PER"` -> `["SpaceAfter=No", "NER=B-PER"]`, also where the bar is missing."""
    return [part for cell in row.cells[MISC:] for part in BAR.split(cell)]


def read_misc(row: Row, key: str, place: str, report: ConversionReport) -> dict[str, str]:
    """`"SpaceAfter=No|NER=B-PER"` -> `{"spaceafter": "No", "ner": "B-PER"}`; what is not written like this is reported.

    key: Name of the entities.
    """
    misc: dict[str, str] = {}
    for part in split_misc(row):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals and (name.lower().startswith(key.lower()) or (is_tag(name) and name != "O")):
            report.bad_misc.add(f"{place} {name!r}")
        if value not in ("", "_"):
            misc.setdefault(name.lower(), value)
    by_bar = {part.partition("=")[0].strip().lower() for cell in row.cells[MISC : MISC + 1] for part in cell.split("|")}
    if any(name in misc and name not in by_bar for name in (key.lower(), "spaceafter")):
        report.split_misc.add(place)
    return misc


def read_words(path: Path, sentence: Sentence, key: str, report: ConversionReport) -> Iterator[Word]:
    """The tokens of the text; see `read_conllu`. Entities start at, or end before, the empty nodes that they have."""
    words: list[Word] = []
    opening = ""  # brackets of empty nodes, which the next word takes
    rows = sentence.rows
    index = 0
    while index < len(rows):
        row = rows[index]
        index += 1
        place = f"{path.name}:{row.line}"
        first, hyphen, last = row.cells[ID].partition("-")
        if "." in row.cells[ID]:
            report.empty_nodes.add(place)
            closing, opened, within = split_edges(read_misc(row, key, place, report).get(key.lower(), ""))
            opening += opened
            if closing and words:
                words[-1].values.append(closing)
            elif closing:
                within.append(closing)
            for value in within:
                report.empty_entities.add(f"{place} {value!r}")
            continue
        if hyphen and first.isdecimal() and last.isdecimal():
            end = read_number(last) or 0
            members = []
            while index < len(rows) and (number := read_number(rows[index].cells[ID].partition(".")[0])) is not None:
                if number > end:
                    break
                members.append(rows[index])
                index += 1
            found = list(read_multiword(path, row, members, key, report))
        else:
            found = [word] if (word := read_word(path, row, key, report)) else []
        if found and opening:
            found[0].values.insert(0, opening)
            opening = ""
        words += found
    if opening:
        report.broken_entities.add(f"{path.name}:{rows[-1].line} {opening!r}")
    yield from words


def read_word(path: Path, row: Row, key: str, report: ConversionReport) -> Word | None:
    place = f"{path.name}:{row.line}"
    if len(row.cells) < CONLLU_COLUMNS:
        report.bad_lines.add(place)
    form = cell(row, FORM)
    misc = read_misc(row, key, place, report)
    value = misc.get(key.lower(), "")
    if not form:
        report.empty_tokens.add(place)
        if value and value != "O":
            report.broken_entities.add(f"{place} {value!r}")
        return None
    return Word(form, row.line, misc.get("spaceafter") != "No", [value])


def read_multiword(path: Path, row: Row, members: list[Row], key: str, report: ConversionReport) -> Iterator[Word]:
    """Its words if they are what is written, else one token. Entities may be those of either line."""
    place = f"{path.name}:{row.line}"
    inner = [member for member in members if "." not in member.cells[ID]]
    for member in members:
        if member not in inner:
            report.empty_nodes.add(f"{path.name}:{member.line}")
    words = [word for member in inner if (word := read_word(path, member, key, report))]
    misc, form = read_misc(row, key, place, report), cell(row, FORM)
    given = misc.get(key.lower())
    space = misc.get("spaceafter") != "No"
    if not members:
        report.bad_lines.add(place)
    elif not words or ("".join(word.form for word in words) == form and given is None):
        for number, word in enumerate(words, start=1):
            yield Word(word.form, word.line, space and number == len(words), word.values)
    elif not form:
        report.empty_tokens.add(place)
    else:
        report.merged_words.add(place)
        values = [value for word in words for value in word.values]
        if given is not None and any(value not in ("", "O") for value in values):
            report.broken_entities.add(f"{place} {' '.join(filter(None, values))!r} of its words")
        yield Word(form, row.line, space, [given] if given is not None else values)


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
