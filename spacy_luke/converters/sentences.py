"""Sentences that a corpus has as lists of tokens -> a Doc, and places in them -> spans of the Doc."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from ..errors import LukeError
from .records import Record, read_object
from .report import ConversionReport
from .texts import Fact, TokenRange, shown
from .words import Spaces, find_spaces, plain_word

# Characters, with a blank and some to spare, that one character of a name may have in the tokens: "-LRB-".
LONGEST_ESCAPE = 10


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

    def place(self, record: Record, role: str, start: int, end: int, *, sentence: int = 0) -> TokenRange | None:
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


class NamedRange(NamedTuple):
    """Tokens of a sentence that a file says, half-open, and the name that it says these are; "" for none."""

    name: str
    sentence: int
    start: int
    end: int


def check_names(
    record: Record, sentences: Sequence[Sequence[str]], places: Sequence[NamedRange], report: ConversionReport
) -> None:
    """Compare the tokens of entities with their names, but for blanks and case.

    L150 if there would be more names at these positions, were they counted in another way. Otherwise, names that are
    not at their tokens are reported: a corpus may give the name of an entity that a text calls by another one.
    """
    named = [place for place in places if place.name]
    wrong = [place for place in named if not has_name(sentences, place)]
    if not wrong:
        return
    offsets = list(accumulate(map(len, sentences), initial=0))

    def shift(
        place: NamedRange, *, sentence: int = 0, start: int = 0, end: int = 0, document: bool = False
    ) -> NamedRange:
        offset = offsets[place.sentence] if document and 0 <= place.sentence < len(sentences) else 0
        return NamedRange(place.name, place.sentence + sentence, place.start + start - offset, place.end + end - offset)

    ways: Mapping[str, Mapping[str, Any]] = {
        "counted from 1": {"start": -1, "end": -1},
        "counted from 1 with the last token, not the end": {"start": -1},
        "those of the last token, not of the end": {"end": 1},
        "counted over the document": {"document": True},
        "counted over the document, from 1": {"document": True, "start": -1, "end": -1},
        "counted over the document, with the last token, not the end": {"document": True, "end": 1},
        "in sentences that are counted from 1": {"sentence": -1},
        "one too low": {"start": 1, "end": 1},
    }
    fits = {way: sum(has_name(sentences, shift(place, **by)) for place in named) for way, by in ways.items()}
    way = max(fits, key=lambda name: fits[name])
    first = wrong[0]
    if fits[way] > len(named) - len(wrong):
        raise LukeError(
            "L150",
            path=record.path,
            place=record.place,
            wrong=len(wrong),
            total=len(named),
            first=f"{shown(first.name)!r} at {shown(tokens_of(sentences, first))!r}",
            fits=fits[way],
            way=way,
        )
    for place in wrong:
        report.other_names.add(f"{record.short} {shown(place.name)!r} at {shown(tokens_of(sentences, place))!r}")


def tokens_of(sentences: Sequence[Sequence[str]], place: NamedRange) -> str:
    if not 0 <= place.sentence < len(sentences) or place.start < 0:
        return ""
    return " ".join(sentences[place.sentence][place.start : place.end])


def has_name(sentences: Sequence[Sequence[str]], place: NamedRange) -> bool:
    """Whether the tokens are the name, but for blanks, case and escapes of treebanks."""
    written = tokens_of(sentences, place)
    if len(written) > LONGEST_ESCAPE * (len(place.name) + 1):
        return False
    plain = " ".join(map(plain_word, written.split(" ")))
    return bare(place.name) in (bare(written), bare(plain))


def bare(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def sentence_numbers(doc: Doc) -> list[int]:
    """Number of the sentence of each token."""
    return list(accumulate(int(token.is_sent_start is True) for token in doc))


def pair_mentions(
    heads: Sequence[TokenRange], tails: Sequence[TokenRange], numbers: Sequence[int], label: str
) -> tuple[list[Fact], bool]:
    """The pairs of mentions that say a relation of two entities, and whether they are in the same sentences.

    All pairs of mentions within a sentence; if there are none, the nearest pair of all, the first of several.

    numbers: of each token, the number of its sentence.
    """
    by_sentence: dict[int, list[TokenRange]] = {}
    for tail in tails:
        by_sentence.setdefault(numbers[tail[0]], []).append(tail)
    together = [(head, tail, label) for head in heads for tail in by_sentence.get(numbers[head[0]], ()) if head != tail]
    if together:
        return together, True
    pairs = []
    ordered = sorted(tails)
    for head in heads:  # the nearest tail is the last before it, or the first after it
        after = bisect_left(ordered, head)
        pairs += [(head, tail) for tail in ordered[max(after - 1, 0) : after + 1] if head != tail]
    if not pairs:
        return [], True
    head, tail = min(pairs, key=lambda pair: max(pair[0][0], pair[1][0]) - min(pair[0][1], pair[1][1]))
    return [(head, tail, label)], False


def label_spans(doc: Doc, places: Mapping[TokenRange, tuple[str, str, str]]) -> list[Span]:
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
            raise LukeError("L064", path=path, place=relation, reason="its value is no name, nor a list that starts so")
        names[relation] = name
    return Names(names, path)
