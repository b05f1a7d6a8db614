"""Open Entity and UFET: mentions in sentences, each with types.

Formats: the release of Choi et al. (2018), https://homes.cs.washington.edu/~eunsol/open_entity.html, a mention a line;
and the JSON list that ERNIE (Zhang et al. 2019, https://github.com/thunlp/ERNIE) and LUKE (Yamada et al. 2020) are
evaluated on, with characters:

    {"annot_id": "…", "left_context_token": ["He", "met"], "mention_span": "Ann Lee", "right_context_token": ["."],
     "y_str": ["person", "woman"]}
    [{"sent": "He met Ann Lee.", "start": 7, "end": 14, "labels": ["person"], "ents": […]}, …]
"""

from __future__ import annotations

from pathlib import Path

from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from ..annotations import set_entity_types
from ..progress import track
from .records import Record, read_records
from .report import ConversionReport
from .sentences import read_sentences
from .texts import ENTITY, TextTokenizer, char_span, mark_one_sentence, set_entities
from .words import Spaces

MENTIONS = "mentions"


def read_entity_typing(
    path: str | Path, *, spaces: Spaces = "text", vocab: Vocab | None = None
) -> tuple[list[Doc], ConversionReport]:
    """Open Entity and UFET (JSON or JSON lines): mentions with their types.

    A Doc is a sentence with one mention, whose types are `span._.entity_types`; no types = annotated with having none.
    The mention is in `doc.ents`, labelled "ENTITY", and in `doc.spans["mentions"]`. `doc.user_data["id"]` is its
    `annot_id`, where the file has one. Other mentions of the sentence are other Docs.

    spaces: Where the file has tokens: "text" = spaces between them are guessed as in English text; "all" = there is
        one after every token.
    vocab: Vocabulary of the Docs, by default a new one.
    """
    path = Path(path)
    tokenizer = TextTokenizer(vocab)
    report = ConversionReport(files=[f"{path}: entity typing"])
    docs = [make_doc(record, spaces, tokenizer, report) for record in track(read_records(path), path.name, "records")]
    report.count(docs)
    return docs, report


def make_doc(record: Record, spaces: Spaces, tokenizer: TextTokenizer, report: ConversionReport) -> Doc:
    if "sent" in record.values:
        span, types = read_characters(record, tokenizer, report), read_types(record, "labels")
    else:
        span, types = read_tokens(record, spaces, tokenizer.vocab, report), read_types(record, "y_str")
    doc = span.doc
    set_entities(doc, [span], report, record.short)
    doc.spans[MENTIONS] = [span]
    set_entity_types(span, types)
    if not types:
        report.untyped.add(record.short)
    if "annot_id" in record.values:
        doc.user_data["id"] = str(record.get("annot_id", str | int))
    return doc


def read_characters(record: Record, tokenizer: TextTokenizer, report: ConversionReport) -> Span:
    """The mention in the text `sent`."""
    text = record.get("sent", str)
    doc = mark_one_sentence(tokenizer(text))
    start, end = record.get("start", int), record.get("end", int)
    span = char_span(doc, start, end, report, record.short)
    if span is None:
        record.fail(f"there is no mention at the characters {start} to {end} of a text of {len(text)}")
    return span


def read_tokens(record: Record, spaces: Spaces, vocab: Vocab, report: ConversionReport) -> Span:
    """The mention between the tokens of its left and right context; its own tokens are between its spaces."""
    left, right = read_words(record, "left_context_token"), read_words(record, "right_context_token")
    mention = record.get("mention_span", str).split()
    if not mention:
        record.fail("'mention_span' is empty")
    sentences = read_sentences(record, [[*left, *mention, *right]], spaces, vocab, report)
    place = sentences.place(record, "'mention_span'", len(left), len(left) + len(mention))
    assert place is not None  # its words are not empty
    return Span(sentences.doc, *place, label=ENTITY)


def read_words(record: Record, name: str) -> list[str]:
    return record.words(name) if record.get(name, list) else []


def read_types(record: Record, name: str) -> list[str]:
    types = record.get(name, list)
    if not all(isinstance(label, str) and label for label in types):
        record.fail(f"{name!r} is not a list of types")
    return types
