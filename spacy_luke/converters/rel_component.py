"""Relations annotated with Prodigy, as spaCy's rel_component tutorial has them.

Format: https://prodi.gy/docs/api-interfaces#relations, and the tutorial's data and its scripts/parse_data.py in
https://github.com/explosion/projects (tutorials/rel_component). `token_end`, `head` and `child` are the last token:

    {"text": "…", "tokens": [{"text": "Ann", "start": 0, "end": 3, "id": 0, "ws": true}, …], "answer": "accept",
     "spans": [{"start": 0, "end": 3, "token_start": 0, "token_end": 0, "label": "GGP"}, …],
     "relations": [{"head": 0, "child": 4, "label": "Pos-Reg",
                    "head_span": {"token_start": 0, "token_end": 0, …}, "child_span": {…}}, …]}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from ..annotations.store import Characters
from ..errors import LukeError
from ..progress import track
from .records import Record, read_records
from .report import ConversionReport
from .texts import Fact, TokenRange, set_entities, shown, write_relations

ACCEPTED = "accept"


def read_rel_component(path: str | Path, *, vocab: Vocab | None = None) -> tuple[list[Doc], ConversionReport]:
    """Prodigy's relations (JSON lines), as of spaCy's rel_component tutorial.

    A Doc is an example, with the tokens of the file and without sentence boundaries. Entities are its spans, relations
    go from head to child. Examples that are not answered with "accept" are left out. `doc.user_data["meta"]` is the
    example's, which says in the tutorial which part of the data it belongs to.

    vocab: Vocabulary of the Docs, by default a new one.
    """
    path = Path(path)
    vocab = Vocab() if vocab is None else vocab
    report = ConversionReport(files=[f"{path}: relations of Prodigy"])
    docs = []
    for record in track(read_records(path), path.name, "records"):
        answer = record.get("answer", str, ACCEPTED)
        if answer == ACCEPTED:
            docs.append(make_doc(record, vocab, report))
        else:
            report.rejected.add(f"{record.short} {answer}")
    if not docs:
        raise LukeError("L060", path=path, line=1, reason=f"no example is answered with {ACCEPTED!r}")
    report.count(docs)
    return docs, report


def make_doc(record: Record, vocab: Vocab, report: ConversionReport) -> Doc:
    doc = read_tokens(record, vocab)
    doc.user_data["meta"] = dict(record.get("meta", dict, {}))
    characters = Characters(doc)
    spans = [
        Span(doc, *read_place(item, characters), label=item.label("label"))
        for item in (record.inner("spans") if "spans" in record.values else [])
    ]
    places = [(span.start, span.end) for span in spans]
    set_entities(doc, spans, report, record.short)
    if "relations" not in record.values:
        report.unlabelled.add(record.short)
        return doc
    facts: list[Fact] = []
    for item in record.inner("relations"):
        head, tail = (read_end(item, role, places, characters) for role in ("head", "child"))
        facts.append((head, tail, item.label("label")))
    write_relations(doc, facts, report, record.short)
    return doc


def read_tokens(record: Record, vocab: Vocab) -> Doc:
    """The tokens as they are; they must be the text. Without `ws`, a space follows where the next one starts later."""
    tokens = record.inner("tokens")
    words = [token.get("text", str) for token in tokens]
    if not words or not all(words):
        record.fail("'tokens' is empty, or one of them is")
    text = record.get("text", str)
    if all("ws" in token.values for token in tokens):
        spaces = [token.get("ws", bool) for token in tokens]
    else:
        starts = [*(token.get("start", int) for token in tokens[1:]), len(text)]
        spaces = [start > token.get("end", int) for token, start in zip(tokens, starts, strict=True)]
    doc = Doc(vocab, words=words, spaces=spaces)
    if doc.text.rstrip() != text.rstrip():
        record.fail(f"'tokens' are not 'text', but {doc.text[:60]!r}")
    return doc


def read_place(record: Record, characters: Characters) -> TokenRange:
    """The tokens of a span; of its characters, where it does not name tokens. Where it has both, they must agree."""
    doc = characters.doc
    found: TokenRange | None = None
    if "token_start" in record.values:
        first, last = record.get("token_start", int), record.get("token_end", int)
        if not 0 <= first <= last < len(doc):
            record.fail(f"there are no tokens {first} to {last} in an example of {len(doc)}")
        found = first, last + 1
        if "start" not in record.values or "end" not in record.values:
            return found
    start, end = record.get("start", int), record.get("end", int)
    span = characters.span(start, end)
    if span is None or (span.start_char, span.end_char) != (start, end):
        record.fail(f"the characters {start} to {end} are not whole tokens of a text of {len(characters.text)}")
    if found is not None and found != (span.start, span.end):
        tokens = shown(doc[slice(*found)].text)
        record.fail(
            f"the tokens {first} to {last} are {tokens!r}, the characters {start} to {end} {shown(span.text)!r}"
        )
    return span.start, span.end


def read_end(record: Record, role: str, places: list[TokenRange], characters: Characters) -> TokenRange:
    """The head or the child of a relation: a span, or else the one span that ends with, or else has, that token."""
    name = f"{role}_span"
    given = record.values.get(name)
    if isinstance(given, Mapping):
        return read_place(Record(record.path, f"{record.place}.{name}", given), characters)
    index = record.get(role, int)
    ending = [place for place in places if place[1] == index + 1]
    found = ending or [place for place in places if place[0] <= index < place[1]]
    if not found:
        record.fail(f"no span has the token {index}, its {role!r}")
    return found[0]
