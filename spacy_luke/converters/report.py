"""What a conversion did: nothing is dropped or changed without a line here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

SHOWN = 5


@dataclass(kw_only=True)
class Noted:
    """How often something happened, and where first."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, place: str) -> None:
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(place)

    def extend(self, other: Noted) -> None:
        self.count += other.count
        self.first = [*self.first, *other.first][:SHOWN]

    def __str__(self) -> str:
        more = ", …" if self.count > len(self.first) else ""
        return f"{self.count}" + (f" ({', '.join(self.first)}{more})" if self.first else "")


@dataclass(kw_only=True)
class ConversionReport:
    """Counts of one or several converted files; places are `file:line`."""

    files: list[str] = field(default_factory=list)  # one description each, with scheme and columns
    documents: int = 0
    sentences: int = 0
    tokens: int = 0
    entities: Counter[str] = field(default_factory=Counter)  # by the type written
    dropped: Counter[str] = field(default_factory=Counter)  # by the type in the file
    repaired_tags: Noted = field(default_factory=Noted)  # read, but not as written (I- without B-)
    bad_tags: Noted = field(default_factory=Noted)  # not a tag: read as O
    bad_lines: Noted = field(default_factory=Noted)  # a column is missing, or a multi-word line: left out or read as O
    empty_tokens: Noted = field(default_factory=Noted)  # no token but whitespace: left out
    unaligned_texts: Noted = field(default_factory=Noted)  # '# text' lines that are not the tokens
    comments: int = 0

    def extend(self, other: ConversionReport) -> None:
        """Add the counts of `other`, for a whole folder's report."""
        self.files.extend(other.files)
        self.documents += other.documents
        self.sentences += other.sentences
        self.tokens += other.tokens
        self.entities.update(other.entities)
        self.dropped.update(other.dropped)
        self.comments += other.comments
        for name in ("repaired_tags", "bad_tags", "bad_lines", "empty_tokens", "unaligned_texts"):
            getattr(self, name).extend(getattr(other, name))

    def __str__(self) -> str:
        shown = self.files[:SHOWN]
        if len(self.files) > SHOWN:
            shown.append(f"… and {len(self.files) - SHOWN} more files")
        lines = [
            *shown,
            f"{self.documents} documents, {self.sentences} sentences, {self.tokens} tokens",
            f"Entities: {by_type(self.entities)}",
        ]
        optional = {
            "Entities left out": by_type(self.dropped) if self.dropped else "",
            "Tags repaired": self.repaired_tags,
            "Not a tag, read as O": self.bad_tags,
            "Lines without all columns": self.bad_lines,
            "Empty tokens left out": self.empty_tokens,
            "'# text' is not the tokens; a space after every token instead": self.unaligned_texts,
        }
        for title, value in optional.items():
            if value.count if isinstance(value, Noted) else value:
                lines.append(f"{title}: {value}")
        if self.comments:
            lines.append(f"Comment lines: {self.comments}")
        return "\n".join(lines)


def by_type(counts: Counter[str]) -> str:
    types = ", ".join(f"{label} {count}" for label, count in counts.most_common())
    return f"{counts.total()}" + (f" ({types})" if types else "")
