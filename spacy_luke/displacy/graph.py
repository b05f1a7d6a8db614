"""Spans and relations of one Doc, without spaCy, and the blocks of text in which they are drawn."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import check
from .options import Options
from .text import one_line

STYLE = "relations"


@dataclass(frozen=True)
class Mark:
    """A span of tokens [start, end).

    note: shown while the pointer is over it.
    url: address of what it is linked to.
    """

    start: int
    end: int
    label: str
    note: str = ""
    url: str = ""


@dataclass(frozen=True)
class Arc:
    """A relation between two marks, which are given by their numbers.

    name: the label as it is drawn; default: as it is.
    """

    head: int
    tail: int
    label: str
    score: float | None
    name: str = ""


@dataclass(frozen=True)
class Block:
    """Consecutive sentences that are drawn together.

    sentences: number of the first sentence, counted from 0, and the number after the last.
    breaks: the tokens with which a sentence starts.
    marks, arcs: their numbers in the graph.
    """

    start: int
    end: int
    sentences: tuple[int, int]
    breaks: tuple[int, ...]
    marks: tuple[int, ...]
    arcs: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """Spans and relations of a Doc, as `parse_relations` finds them.

    sents: the first token of each sentence; the first one is token 0.
    hidden: relations that the options leave out.
    """

    tokens: tuple[str, ...]
    spaces: tuple[bool, ...]
    sents: tuple[int, ...]
    marks: tuple[Mark, ...]
    arcs: tuple[Arc, ...]
    hidden: int = 0

    @classmethod
    def read(cls, parsed: Mapping[str, Any]) -> Graph:
        """Check a parsed dict."""
        tokens = check.items(STYLE, parsed, "tokens", str)
        spaces = check.items(STYLE, parsed, "spaces", int) if "spaces" in parsed else [True] * len(tokens)
        starts = {0, *check.items(STYLE, parsed, "sents", int)} if "sents" in parsed else {0}
        marks = [
            Mark(
                *check.ends(STYLE, span, "start_token", "end_token", len(tokens), "tokens"),
                *(str(span.get(key) or "") for key in ("label", "note", "url")),
            )
            for span in check.items(STYLE, parsed, "spans")
        ]
        arcs = [
            Arc(
                check.index(STYLE, relation, "head", len(marks), "spans"),
                check.index(STYLE, relation, "tail", len(marks), "spans"),
                check.string(STYLE, relation, "label"),
                check.score(STYLE, relation),
            )
            for relation in check.items(STYLE, parsed, "relations")
        ]
        spaces = [*map(bool, spaces), *[True] * len(tokens)][: len(tokens)]
        sents = sorted(start for start in starts if 0 <= start < len(tokens))
        return cls(tuple(tokens), tuple(spaces), tuple(sents), tuple(marks), tuple(arcs))

    def shown(self, options: Options) -> Graph:
        """Keep the relations and entities that the options let through."""
        arcs = [arc for arc in self.arcs if options.shows(arc.label, arc.score)]
        used = {number for arc in arcs for number in (arc.head, arc.tail)}
        kept = [
            number
            for number, mark in enumerate(self.marks)
            if number in used or options.ents is None or mark.label in options.ents
        ]
        new = {number: i for i, number in enumerate(kept)}
        return replace(
            self,
            marks=tuple(self.marks[number] for number in kept),
            arcs=tuple(replace(arc, head=new[arc.head], tail=new[arc.tail]) for arc in arcs),
            hidden=len(self.arcs) - len(arcs),
        )

    def text(self, number: int) -> str:
        """The words of a mark, on one line."""
        return self.words(self.marks[number].start, self.marks[number].end)

    def words(self, start: int, end: int) -> str:
        """The words of the tokens [start, end), on one line."""
        return one_line("".join(self.tokens[i] + " " * self.spaces[i] for i in range(start, end)))

    def sentence(self, token: int) -> int:
        """Number of a token's sentence."""
        return bisect_right(self.sents, token) - 1

    def sentences_of(self, *numbers: int) -> tuple[int, int]:
        """The first and the last sentence that marks touch."""
        marks = [self.marks[number] for number in numbers]
        return min(self.sentence(m.start) for m in marks), max(self.sentence(m.end - 1) for m in marks)

    def near(self, arc: Arc, distance: int) -> bool:
        """Whether an arc crosses at most `distance` boundaries of sentences from mark to mark."""
        (_, end), (start, _) = sorted((self.sentences_of(arc.head), self.sentences_of(arc.tail)))
        return start - end <= distance

    def blocks(self, distance: int) -> list[Block]:
        """One per sentence, but one for all sentences that marks and near arcs hold together."""
        together = [self.sentences_of(number) for number in range(len(self.marks))]
        near = [number for number, arc in enumerate(self.arcs) if self.near(arc, distance)]
        together += [self.sentences_of(self.arcs[number].head, self.arcs[number].tail) for number in near]
        reach = list(range(len(self.sents)))
        for first, last in together:
            reach[first] = max(reach[first], last)
        blocks = []
        first = 0
        while first < len(self.sents):
            last, i = reach[first], first
            while i <= last:
                last, i = max(last, reach[i]), i + 1
            blocks.append(self._block(first, last + 1, near))
            first = last + 1
        return blocks

    def flow(self) -> list[Block]:
        """One block for all sentences, which follow each other on a line up to a line end of the text."""
        ends = [i for i, token in enumerate(self.tokens) if "\n" in token]
        breaks = tuple(sorted({end + 1 for end in ends} - {end for end in ends} - {len(self.tokens)}))
        marks, arcs = tuple(range(len(self.marks))), tuple(range(len(self.arcs)))
        return [Block(0, len(self.tokens), (0, len(self.sents)), breaks, marks, arcs)] if self.tokens else []

    def _block(self, first: int, after: int, near: list[int]) -> Block:
        bounds = (*self.sents, len(self.tokens))
        start, end = bounds[first], bounds[after]
        marks = tuple(i for i, mark in enumerate(self.marks) if start <= mark.start < end)
        arcs = tuple(i for i in near if start <= self.marks[self.arcs[i].head].start < end)
        return Block(start, end, (first, after), self.sents[first + 1 : after], marks, arcs)
