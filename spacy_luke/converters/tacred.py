"""TACRED and Re-TACRED: sentences with a subject, an object and the relation between them.

Format: https://nlp.stanford.edu/projects/tacred/ (Zhang et al. 2017), section "Data format"; Re-TACRED (Stoica et al.
2021, https://github.com/gstoica27/Re-TACRED) keeps it. Edges are tokens, both inclusive:

    [{"id": "…", "docid": "…", "relation": "per:title", "token": ["He", "is", …], "subj_start": 0, "subj_end": 0,
      "obj_start": 3, "obj_end": 4, "subj_type": "PERSON", "obj_type": "TITLE", "stanford_pos": […], …}]
"""

from __future__ import annotations

from pathlib import Path

from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from ..progress import track
from .records import Record, read_records
from .report import ConversionReport
from .sentences import read_sentences
from .texts import TokenRange, set_entities, write_relations
from .words import Spaces

UNRELATED = "no_relation"


def read_tacred(
    path: str | Path, *, spaces: Spaces = "text", vocab: Vocab | None = None
) -> tuple[list[Doc], ConversionReport]:
    """TACRED and Re-TACRED (JSON): sentences with a subject, an object and their relation.

    A Doc is a sentence with two entities labelled with their types. The relation goes from the subject to the object;
    `no_relation` is none. Escapes such as `-LRB-` are written as what they stand for. `doc.user_data["id"]` and
    `["docid"]` are those of the corpus; its parts of speech, dependencies and names are not written.

    spaces: "text" = spaces between tokens are guessed as in English text; "all" = there is one after every token.
    vocab: Vocabulary of the Docs, by default a new one.
    """
    path = Path(path)
    vocab = Vocab() if vocab is None else vocab
    report = ConversionReport(files=[f"{path}: TACRED"])
    docs = [make_doc(record, spaces, vocab, report) for record in track(read_records(path), path.name, "records")]
    report.count(docs)
    return docs, report


def make_doc(record: Record, spaces: Spaces, vocab: Vocab, report: ConversionReport) -> Doc:
    sentences = read_sentences(record, [record.words("token")], spaces, vocab, report)
    doc = sentences.doc
    for name in ("id", "docid"):
        doc.user_data[name] = str(record.get(name, str | int, ""))
    places: list[TokenRange] = []
    spans: list[Span] = []
    for role in ("subj", "obj"):
        first, last = record.get(f"{role}_start", int), record.get(f"{role}_end", int)
        place = sentences.place(record, f"{role!r}", first, last + 1)
        if place is None:
            record.fail(f"all tokens of {role!r} are empty")
        places.append(place)
        spans.append(Span(doc, *place, label=record.label(f"{role}_type")))
    set_entities(doc, spans, report, record.short)
    label = record.get("relation", str, "")
    if not label:
        report.unlabelled.add(record.short)
    else:
        facts = [] if label == UNRELATED else [(places[0], places[1], label)]
        write_relations(doc, facts, report, record.short)
    return doc
