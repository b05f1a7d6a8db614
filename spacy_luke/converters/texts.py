"""Texts with characters -> Docs with entities and relations on whole tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from spacy.lang.en import English
from spacy.tokens import Doc, Span
from spacy.util import filter_spans
from spacy.vocab import Vocab

from ..annotations import Relation, set_relations
from ..annotations.store import Characters
from .report import ConversionReport

# The label of entities in a corpus that does not say what they are.
ENTITY = "ENTITY"
MAX_SHOWN = 80
# Most characters without white space that spaCy's tokenizer gets at once; the longest in the corpora that this was
# tried on, an address, has 155.
MAX_RUN = 300
LONG_RUN = re.compile(rf"\S{{{MAX_RUN + 1},}}")

# Half-open token range
TokenRange = tuple[int, int]


class Mention(NamedTuple):
    """An entity by its tokens, half-open. number: the same for all mentions of an entity."""

    start: int
    end: int
    label: str
    kb_id: str = ""
    number: str = ""


# Head, tail, label
Fact = tuple[TokenRange, TokenRange, str]


@lru_cache(maxsize=1)
def _english(vocab: Vocab) -> English:
    """spaCy takes a quarter of a second to make one, which counts for a folder of many short files."""
    return English(vocab=vocab)


class TextTokenizer:
    """The tokenizer of `spacy.blank("en")` for texts of any kind.

    spaCy's takes time that grows with the square of the characters between two spaces: seconds for 5 KB of "=", so many
    minutes for 100 KB. More than `MAX_RUN` of them are tokenized in parts.
    """

    def __init__(self, vocab: Vocab | None = None):
        nlp = English(vocab=True) if vocab is None else _english(vocab)
        self._tokenizer, self.vocab = nlp.tokenizer, nlp.vocab

    def __call__(self, text: str) -> Doc:
        cuts = [cut for run in LONG_RUN.finditer(text) for cut in range(run.start() + MAX_RUN, run.end(), MAX_RUN)]
        parts = [text[start:end] for start, end in pairwise([0, *cuts, len(text)])]
        docs = [self._tokenizer(part) for part in parts]
        return docs[0] if len(docs) == 1 else Doc.from_docs(docs, ensure_whitespace=False, attrs=["NORM"])


def mark_one_sentence(doc: Doc) -> Doc:
    # All at once: setting `token.is_sent_start` looks at every token of the Doc each time.
    starts: Any = np.full((len(doc), 1), -1, dtype="int64")
    starts[:1] = 1
    return doc.from_array(["SENT_START"], starts.astype("uint64"))


def char_span(
    doc: Doc | Characters,
    start: int,
    end: int,
    report: ConversionReport,
    place: str,
    *,
    label: str = ENTITY,
    kb_id: str = "",
) -> Span | None:
    """The tokens that the characters touch, without white space at the edges; None if there are none.

    doc: for many spans of a long Doc, its `Characters`.
    """
    characters = doc if isinstance(doc, Characters) else Characters(doc)
    text = characters.text[start:end] if 0 <= start < end <= len(characters.text) else ""
    start, end = start + len(text) - len(text.lstrip()), start + len(text.rstrip())
    found = characters.span(start, end)
    if found is None:
        return None
    if (found.start_char, found.end_char) != (start, end):
        whole = shown(characters.text[found.start_char : found.end_char])
        report.expanded_spans.add(f"{place} {shown(text.strip())!r} in {whole!r}")
    return Span(characters.doc, found.start, found.end, label=label, kb_id=kb_id)


def shown(text: str) -> str:
    """A text as reports have it, cut if it is long."""
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def set_entities(doc: Doc, spans: Iterable[Span], report: ConversionReport, place: str) -> None:
    """Write `doc.ents`; of spans that overlap, the longest is kept, and of those in the same place the first.

    All other tokens are outside entities.
    """
    spans = list(spans)
    kept = filter_spans(spans)
    doc.set_ents(kept, default="outside")
    written = {(span.start, span.end) for span in kept}
    labels = {(span.start, span.end, span.label_, span.kb_id_, span.id_) for span in kept}
    text = doc.text
    for span in spans:
        key = (span.start, span.end, span.label_, span.kb_id_, span.id_)
        if key not in labels:  # the same entity twice is no loss
            labels.add(key)
            other = " of another kind" if key[:2] in written else ""
            report.overlapping_entities.add(f"{place} {shown(text[span.start_char : span.end_char])!r}{other}")


def write_relations(doc: Doc, facts: Sequence[Fact], report: ConversionReport, place: str) -> None:
    """Write `doc._.relations`; only those between entities of the Doc, and each once.

    Where there are facts and none of them can be written, the Doc stays without annotation: it does have relations.
    """
    entities = {(span.start, span.end): span for span in doc.ents}
    relations = []
    seen: set[Fact] = set()
    for fact in facts:
        head, tail, label = fact
        if fact in seen:
            report.repeated_relations.add(place)
        elif head not in entities or tail not in entities or head == tail:
            report.dropped_relations[label] += 1
            report.lost_relations.add(place)
        else:
            relations.append(Relation(entities[head], entities[tail], label))
        seen.add(fact)
    if relations or not facts:
        set_relations(doc, relations)
