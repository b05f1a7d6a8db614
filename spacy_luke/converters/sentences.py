"""Sentences that a corpus has as lists of tokens -> a Doc, and places in them -> spans of the Doc."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from ..errors import LukeError
from .records import Record, read_object
from .report import ConversionReport
from .texts import Fact, Place
from .words import Spaces, find_spaces, plain_word


@dataclass(frozen=True)
class Sentences:
    """A Doc, and which of its tokens the tokens of the corpus are.

    Some corpora have tokens of white space only; a Doc is written without them, so that places move:

        corpus   New  York   _  is      kept  0 1 2 2 3
        doc      New  York      is      New York _ = (0, 3) -> doc[0:2]

    kept: for each sentence of the corpus, the index in the Doc of each of its tokens, or of the next one that was
        kept; one more for its end.
    """

    doc: Doc
    kept: list[list[int]]

    def place(self, record: Record, role: str, start: int, end: int, *, sentence: int = 0) -> Place | None:
        """The tokens of the Doc for those of a sentence; None if all are empty. L064 if they are not in it."""
        if not 0 <= sentence < len(self.kept):
            record.fail(f"{role} is in sentence {sentence} of {len(self.kept)}")
        kept = self.kept[sentence]
        if not 0 <= start < end < len(kept):
            record.fail(f"{role} is the tokens {start} to {end - 1} of a sentence of {len(kept) - 1}")
        return (kept[start], kept[end]) if kept[start] < kept[end] else None


def read_sentences(
    record: Record, sentences: Iterable[Sequence[str]], spaces: Spaces, vocab: Vocab, report: ConversionReport
) -> Sentences:
    """One Doc of all the sentences, with their starts and without escapes of treebanks; a space between sentences."""
    words: list[str] = []
    after: list[bool] = []
    starts: list[bool | int | None] = []
    kept: list[list[int]] = []
    for number, sentence in enumerate(sentences):
        full = [word for word in sentence if word.strip()]
        kept.append(list(accumulate((bool(word.strip()) for word in sentence), initial=len(words))))
        for index, word in enumerate(sentence):
            if not word.strip():
                report.empty_tokens.add(f"{record.short} sentence {number} token {index}")
        words += [plain_word(word) for word in full]
        after += [*find_spaces(full, spaces)[:-1], True] if full else []
        starts += [index == 0 for index in range(len(full))]
    if not words:
        record.fail("all its tokens are empty")
    after[-1] = False
    return Sentences(Doc(vocab, words=words, spaces=after, sent_starts=starts), kept)


def pair_mentions(heads: Iterable[Place], tails: Iterable[Place], doc: Doc, label: str) -> tuple[list[Fact], bool]:
    """The pairs of mentions that say a relation of two entities, and whether they are in the same sentences.

    All pairs of mentions within a sentence; if there are none, the nearest pair of all, the first of several.
    """
    pairs = [(head, tail) for head in heads for tail in tails if head != tail]
    together = [(h, t) for h, t in pairs if doc[h[0]].sent.start == doc[t[0]].sent.start]
    if together or not pairs:
        return [(head, tail, label) for head, tail in together], True
    head, tail = min(pairs, key=lambda pair: max(pair[0][0], pair[1][0]) - min(pair[0][1], pair[1][1]))
    return [(head, tail, label)], False


def label_spans(doc: Doc, places: Mapping[Place, tuple[str, str, str]]) -> list[Span]:
    """Spans for places with their label, knowledge base id and entity number."""
    return [
        Span(doc, start, end, label=label, kb_id=kb_id, span_id=number)
        for (start, end), (label, kb_id, number) in places.items()
    ]


@dataclass(frozen=True)
class Names:
    """Names of relations that a corpus numbers (P177), from a JSON file {id: name} or {id: [name, description]}."""

    names: Mapping[str, str] | None
    path: Path | None = None

    def find(self, record: Record, relation: str) -> str:
        """The name of a relation; without a file, the relation itself. L064 if the file does not have it."""
        if self.names is None:
            return relation
        if relation not in self.names:
            record.fail(f"{self.path} has no name for its relation {relation!r}")
        return self.names[relation]


def read_names(path: str | Path | None) -> Names:
    if path is None:
        return Names(None)
    path = Path(path)
    if not path.is_file():
        raise LukeError("L061", path=path)
    content = read_object(path)
    names: dict[str, str] = {}
    for relation, value in content.values.items():
        name = value[0] if isinstance(value, list) and value else value
        if not isinstance(name, str) or not name:
            raise LukeError("L064", path=path, place=relation, reason="its value is no name, nor a list that begins so")
        names[relation] = name
    return Names(names, path)
