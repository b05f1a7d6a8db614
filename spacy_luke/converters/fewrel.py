"""FewRel: sentences grouped by the relation between a head and a tail, which are items of Wikidata.

Format: https://github.com/thunlp/FewRel (Han et al. 2018), data/README. A mention is the indices of its tokens:

    {"P177": [{"tokens": ["The", …], "h": ["golden gate bridge", "Q44440", [[1, 2, 3]]], "t": ["…", "Q…", [[6]]]}, …]}
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from spacy.tokens import Doc
from spacy.vocab import Vocab

from ..errors import LukeError
from ..progress import track
from .records import Record, read_object
from .report import ConversionReport
from .sentences import (
    NamedRange,
    Names,
    Sentences,
    check_names,
    label_spans,
    pair_mentions,
    read_names,
    read_sentences,
    sentence_numbers,
)
from .texts import ENTITY, TokenRange, set_entities, write_relations
from .words import Spaces


def read_fewrel(
    path: str | Path, *, names: str | Path | None = None, spaces: Spaces = "text", vocab: Vocab | None = None
) -> tuple[list[Doc], ConversionReport]:
    """FewRel (JSON): sentences by relation, with a head and a tail from Wikidata.

    A Doc is a sentence with the mentions of head and tail, labelled "ENTITY"; `ent.kb_id_` is the Wikidata id. Where
    one of them is mentioned several times, the relation is written between all pairs.

    The tokens are compared with the name of head or tail, but for blanks and case. If more names of a sentence would
    fit were positions counted in another way (from 1, …), the file is refused (L150).

    names: JSON file with the names of the relations (pid2name.json of FewRel), to write them instead of P177 and so on.
    spaces: "text" = spaces between tokens are guessed as in English text; "all" = there is one after every token.
    vocab: Vocabulary of the Docs, by default a new one.
    """
    path = Path(path)
    vocab = Vocab() if vocab is None else vocab
    named = read_names(names)
    report = ConversionReport(files=[f"{path}: FewRel"])
    content = read_object(path)
    docs = [
        make_doc(record, relation, named, spaces, vocab, report)
        for relation in track(content.values, path.name, "relations")
        for record in content.inner(relation)
    ]
    if not docs:
        raise LukeError("L060", path=path, line=1, reason="there is no sentence in it")
    report.count(docs)
    return docs, report


def make_doc(
    record: Record, relation: str, names: Names, spaces: Spaces, vocab: Vocab, report: ConversionReport
) -> Doc:
    words = record.words("tokens")
    named = {role: read_mentions(record, role) for role in ("h", "t")}
    check_names(record, [words], [place for found in named.values() for place in found], report)
    sentences = read_sentences(record, [words], spaces, vocab, report)
    doc = sentences.doc
    mentions: list[list[TokenRange]] = []
    places: dict[TokenRange, tuple[str, str, str]] = {}
    for role, found in named.items():
        value = record.get(role, list)
        mentions.append([find_mention(record, role, place, sentences) for place in found])
        for place in mentions[-1]:
            if place in places:
                report.overlapping_entities.add(f"{record.short} {doc[slice(*place)].text!r}")
            places.setdefault(place, (ENTITY, value[1], ""))
    set_entities(doc, label_spans(doc, places), report, record.short)
    kept = {(span.start, span.end) for span in doc.ents}
    heads, tails = ([place for place in found if place in kept] for found in mentions)
    facts, _ = pair_mentions(heads, tails, sentence_numbers(doc), names.find(record, relation))
    # Without a pair, write_relations reports the one that is lost.
    write_relations(doc, facts or [(mentions[0][0], mentions[1][0], relation)], report, record.short)
    return doc


def read_mentions(record: Record, role: str) -> list[NamedRange]:
    """The mentions of the head or tail, as the file has them."""
    value = record.get(role, list)
    wanted = f"{role!r} is not [name, id, lists of token indices]"
    if len(value) != 3 or not isinstance(value[1], str) or not isinstance(value[2], list) or not value[2]:
        record.fail(wanted)
    found = []
    for indices in value[2]:
        if not isinstance(indices, list) or not indices or not all(type(index) is int for index in indices):
            record.fail(wanted)
        if any(after != before + 1 for before, after in pairwise(indices)):
            record.fail(f"the tokens {indices} of {role!r} are not next to each other")
        name = value[0] if isinstance(value[0], str) else ""
        found.append(NamedRange(name, 0, indices[0], indices[-1] + 1))
    return found


def find_mention(record: Record, role: str, place: NamedRange, sentences: Sentences) -> TokenRange:
    found = sentences.place(record, f"{role!r}", place.start, place.end)
    if found is None:
        record.fail(f"all tokens of {role!r} are empty")
    return found
