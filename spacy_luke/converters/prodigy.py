"""Prodigy: examples with tokens, spans, relations between them and choices.

Format: https://prodi.gy/docs/api-interfaces, an example a line. `token_end`, `head` and `child` are the last token:

    {"text": "…", "tokens": [{"text": "Ann", "start": 0, "end": 3, "id": 0, "ws": true}, …], "answer": "accept",
     "spans": [{"start": 0, "end": 3, "token_start": 0, "token_end": 0, "label": "PER"}, …],
     "relations": [{"head": 0, "child": 4, "label": "works_for", "head_span": {…}, "child_span": {…}}, …],
     "options": [{"id": "friendly", "text": "friendly"}, …], "accept": ["friendly"],
     "meta": {…}, "_input_hash": 1, "_annotator_id": "ner-ann"}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spacy.tokens import Doc
from spacy.vocab import Vocab

from ..annotations.store import Characters
from ..checks import require_one_of
from ..errors import LukeError
from ..files import write_file
from ..progress import track
from .annotated_text import AnnotatedText, TextMention, TextRelation, read_annotations, write_annotations
from .records import Record, read_records
from .rel_component import ACCEPTED, read_place, read_tokens
from .report import CHOSEN_FROM, ConversionReport
from .texts import TextTokenizer
from .tools import RESULTS, Results, dump_json, read_score

ANNOTATORS = ("_annotator_id", "_session_id")


def read_prodigy(
    path: str | Path, *, annotator: str | None = None, spans_key: str | None = None, vocab: Vocab | None = None
) -> tuple[list[Doc], ConversionReport]:
    """Prodigy (JSON lines): spans, relations and choices of texts, as of ner, spans and rel recipes.

    A Doc is an example, with the tokens of the file, or those of spaCy's tokenizer if it has none, and without sentence
    boundaries. Relations go from head to child; an example without a list of them is not annotated with relations.
    Categories are the options of an example: 1 for those that were accepted, 0 for the others. Examples that are not
    answered with "accept" are left out. `doc.user_data["id"]` is the `id` of the example's `meta`, `["meta"]` the rest.

    Of several examples with the same `_input_hash`, which are the same text annotated by several people or again, the
    last is read.

    annotator: `_annotator_id` or `_session_id` of whose examples are read; None = anybody's.
    spans_key: Key of `doc.spans`, where spans may overlap; None = `doc.ents`.
    vocab: Vocabulary of the Docs, by default a new one.
    """
    path = Path(path)
    tokenizer = TextTokenizer(vocab)
    report = ConversionReport(files=[f"{path}: Prodigy"])
    accepted: dict[object, Record] = {}
    for record in read_records(path):
        answer = record.get("answer", str, ACCEPTED)
        if annotator is not None and annotator not in (record.values.get(name) for name in ANNOTATORS):
            continue
        if answer != ACCEPTED:
            report.rejected.add(f"{record.short} {answer}")
            continue
        number = record.values.get("_input_hash")
        key = number if isinstance(number, int) else record.place
        if key in accepted:
            report.several_annotators.add(record.short)
        accepted[key] = record
    if not accepted:
        who = "" if annotator is None else f" by {annotator!r}"
        raise LukeError("L060", path=path, line=1, reason=f"no example is answered with {ACCEPTED!r}{who}")
    docs = [make_doc(record, tokenizer, report, spans_key) for record in track(accepted.values(), path.name, "Docs")]
    report.count(docs)
    return docs, report


def make_doc(record: Record, tokenizer: TextTokenizer, report: ConversionReport, spans_key: str | None) -> Doc:
    tokens = bool(record.values.get("tokens"))
    doc = read_tokens(record, tokenizer.vocab) if tokens else tokenizer(record.get("text", str))
    content = AnnotatedText(doc.text, meta=dict(record.get("meta", dict, {})))
    if isinstance(content.meta.get("id"), str | int):
        content.name = str(content.meta.pop("id"))
    characters = Characters(doc)
    by_place: dict[tuple[int, int, str | None], str] = {}
    for number, item in enumerate(record.inner("spans") if record.values.get("spans") else ()):
        if not tokens:
            start, end = item.get("start", int), item.get("end", int)
            if not 0 <= start < end <= len(content.text):
                item.fail(f"there are no characters {start} to {end} in a text of {len(content.text)}")
        else:
            span = doc[slice(*read_place(item, characters))]
            start, end = span.start_char, span.end_char
        kb_id, label = item.get("kb_id", str, ""), item.label("label")
        mention = TextMention(str(number), start, end, label, kb_id, read_score(item, report))
        content.mentions.append(mention)
        by_place.setdefault((start, end, label), mention.id)
        by_place.setdefault((start, end, None), mention.id)
    if "relations" in record.values:
        relations = record.inner("relations")
        if relations and not tokens:
            record.fail("it has relations, which are of tokens, and no 'tokens'")
        ends = Ends(content, by_place, characters)
        content.relations = []
        for item in relations:
            head, tail = (ends.find(item, role) for role in ("head", "child"))
            content.relations.append(TextRelation(head, tail, item.label("label"), read_score(item, report)))
    else:
        report.unlabelled.add(record.short)
    content.cats = read_options(record, report)
    scores = scores_of(content)
    if scores and content.meta.get("score") == min(scores):  # as `make_example` writes it
        del content.meta["score"]
    return write_annotations(doc, content, report, record.short, spans_key=spans_key)


class Ends:
    """Finds the mention that is the head or the child of a relation: "" if none is."""

    def __init__(
        self, content: AnnotatedText, by_place: Mapping[tuple[int, int, str | None], str], characters: Characters
    ):
        self.by_place, self.characters = by_place, characters
        doc = characters.doc
        self._ending: dict[int, str] = {}
        self._holding: dict[int, str] = {}
        for mention in content.mentions:
            span = characters.span(mention.start, mention.end)
            assert span is not None  # of whole tokens
            self._ending.setdefault(span.end - 1, mention.id)
            for token in doc[span.start : span.end]:
                self._holding.setdefault(token.i, mention.id)

    def find(self, item: Record, role: str) -> str:
        name = f"{role}_span"
        given = item.values.get(name)
        if isinstance(given, Mapping):
            place = read_place(Record(item.path, f"{item.place}.{name}", given), self.characters)
            span = self.characters.doc[slice(*place)]
            label = given.get("label")
            exact = (span.start_char, span.end_char, label if isinstance(label, str) else None)
            return self.by_place.get(exact) or self.by_place.get((span.start_char, span.end_char, None), "")
        index = item.get(role, int)
        return self._ending.get(index) or self._holding.get(index, "")


def read_options(record: Record, report: ConversionReport) -> dict[str, float] | None:
    if "options" not in record.values or "accept" not in record.values:
        if isinstance(record.values.get("label"), str):
            report.not_carried["labels of whole texts"] += 1
        return None
    options = [str(item.get("id", str | int)) for item in record.inner("options")]
    accepted = {str(name) for name in record.get("accept", list)}
    if unknown := accepted - set(options):
        record.fail(f"'accept' has {', '.join(sorted(unknown))}, which 'options' has not")
    return {name: float(name in accepted) for name in options}


def scores_of(content: AnnotatedText) -> list[float]:
    return [item.score for item in [*content.mentions, *(content.relations or ())] if item.score is not None]


def write_prodigy(
    docs: Iterable[Doc], path: str | Path, *, results: Results = "annotations", spans_key: str | None = None
) -> ConversionReport:
    """Prodigy (JSON lines): examples with tokens, spans, relations and categories.

    Spans and relations that were predicted have a `score`, and the `meta` of such an example the least of them, which
    Prodigy shows. Links are the `kb_id` of spans.

    results: "annotations", answered with "accept", or "predictions", to be answered.
    spans_key: Key of `doc.spans`, whose spans are written; None = `doc.ents`.
    """
    require_one_of(RESULTS, results=results)
    path = Path(path)
    report = ConversionReport(files=[f"{path}: {results} for Prodigy"])
    lines = []
    for number, doc in enumerate(docs, start=1):
        place = f"Doc {number}"
        holds = frozenset({"cats", "links", "meta", "scores"})
        content = read_annotations(doc, report, place, spans_key=spans_key, holds=holds)
        lines.append(dump_json(make_example(doc, content, results, report), place) + "\n")
    write_file(path, "".join(lines))
    return report


def make_example(doc: Doc, content: AnnotatedText, results: Results, report: ConversionReport) -> dict[str, Any]:
    characters = Characters(doc)
    spans: dict[str, dict[str, Any]] = {}
    for mention in content.mentions:
        span = characters.span(mention.start, mention.end)
        assert span is not None  # of whole tokens
        spans[mention.id] = {
            "start": mention.start,
            "end": mention.end,
            "token_start": span.start,
            "token_end": span.end - 1,
            "label": mention.label,
            **({"kb_id": mention.kb_id} if mention.kb_id else {}),
            **({} if mention.score is None else {"score": mention.score}),
        }
    example: dict[str, Any] = {
        "text": content.text,
        "tokens": [
            {"text": t.text, "start": t.idx, "end": t.idx + len(t), "id": t.i, "ws": bool(t.whitespace_)} for t in doc
        ],
        "spans": list(spans.values()),
    }
    if content.relations is not None:
        example["relations"] = [
            {
                "head": spans[relation.head]["token_end"],
                "child": spans[relation.tail]["token_end"],
                "head_span": spans[relation.head],
                "child_span": spans[relation.tail],
                "label": relation.label,
                **({} if relation.score is None else {"score": relation.score}),
            }
            for relation in content.relations
        ]
    if content.cats is not None:
        example["options"] = [{"id": label, "text": label} for label in content.cats]
        example["accept"] = [label for label, value in content.cats.items() if value >= CHOSEN_FROM]
        if lost := sum(0 < value < 1 for value in content.cats.values()):
            report.not_carried["scores of categories"] += lost
    meta = dict(content.meta)
    scores = scores_of(content)
    if scores and results == "predictions":
        if "score" in meta:
            report.not_carried["meta"] += 1
        meta["score"] = min(scores)
    if content.name:
        meta["id"] = content.name
    if meta:
        example["meta"] = meta
    if results == "annotations":
        example["answer"] = ACCEPTED
    return example
