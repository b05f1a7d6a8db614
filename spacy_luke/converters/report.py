"""Report of a conversion: nothing is dropped or changed without a line here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from spacy.tokens import Doc

from ..annotations import RELATIONS, get_answers, get_entity_types, get_questions, get_relations, has_annotation
from ..annotations import typed_spans as get_typed_spans
from ..errors import warn

# ruff: noqa: RUF009 - `noted` makes a dataclass field, no value that objects share
SHOWN = 5
SHOWN_LABELS = 25
# From which probability on a category is that of the text.
CHOSEN_FROM = 0.5


@dataclass(kw_only=True)
class Noted:
    """Count of an event, with the first places where it happened."""

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


def noted(title: str) -> Any:
    """A field of `ConversionReport` that is shown under this title, with the first places where it happened."""
    return field(default_factory=Noted, metadata={"title": title})


@dataclass(kw_only=True)
class ConversionReport:
    """Counts of one or several converted files; places are `file:line` or `file:record`."""

    files: list[str] = field(default_factory=list)  # one description each, e.g. with scheme and columns
    documents: int = 0
    sentences: int = 0
    tokens: int = 0
    comments: int = 0
    # What was written
    entities: Counter[str] = field(default_factory=Counter)
    spans: Counter[str] = field(default_factory=Counter)  # in `doc.spans`
    linked: Counter[str] = field(default_factory=Counter)  # links of entities, by their `kb_id_`
    relations: Counter[str] = field(default_factory=Counter)
    unrelated: int = 0  # documents that are annotated with having no relation
    entity_relations: int = 0  # relations between entities of several mentions; `relations` counts pairs of mentions
    cats: Counter[str] = field(default_factory=Counter)  # categories that a document has
    typed_spans: int = 0
    entity_types: Counter[str] = field(default_factory=Counter)
    questions: int = 0
    answered: int = 0  # questions with an answer in their Doc
    answers: int = 0  # alternatives count each
    unanswerable: int = 0  # questions whose Doc says that it has no answer
    # What was not, by the label in the file
    renamed: Counter[tuple[str, str]] = field(default_factory=Counter)  # labels in the file, and as chosen; not shown
    dropped: Counter[str] = field(default_factory=Counter)
    dropped_relations: Counter[str] = field(default_factory=Counter)
    not_carried: Counter[str] = field(default_factory=Counter)  # kinds of annotation that the other side cannot hold
    # Columns
    repaired_tags: Noted = noted("Tags repaired")  # read, but not as written (I- without B-)
    bad_tags: Noted = noted("Not a tag, read as O")
    bad_lines: Noted = noted("Lines without all columns")  # or a multi-word line: left out or read as O
    split_lines: Noted = noted("Lines with blanks where the file has tabs, split there")
    split_misc: Noted = noted("MISC columns whose parts are not separated by '|', read all the same")
    bad_misc: Noted = noted("Parts of MISC that are not NAME=VALUE and may be entities, left out")
    empty_tokens: Noted = noted("Empty tokens left out")  # no token but whitespace
    unaligned_texts: Noted = noted("'# text' is not the tokens, whose own spaces are written instead")
    merged_words: Noted = noted("Words of a multi-word token, written as the one token of the text")
    empty_nodes: Noted = noted("Empty nodes left out")
    # Entities and relations
    expanded_spans: Noted = noted("Spans with an edge inside a token, expanded to whole tokens")
    overlapping_entities: Noted = noted("Entities left out, because they overlap a longer one or one in the same place")
    repeated_mentions: Noted = noted("Mentions that are there more than once, written once")
    empty_entities: Noted = noted("Entities left out, because all their tokens are empty")
    broken_entities: Noted = noted("Entities left out, because they have gaps, or no start or no end")
    other_names: Noted = noted("Entities whose tokens are not the name that the file gives them")
    ambiguous_ids: Noted = noted("Entities with several ids, of which the first is written")
    repeated_relations: Noted = noted("Relations that are there more than once, written once")
    lost_relations: Noted = noted("Relations left out, because an entity of theirs is, or both are the same")
    nearest_mentions: Noted = noted(
        "Relations of entities that are together in no sentence, written between the nearest mentions"
    )
    other_pages: Noted = noted("Pages that are no articles (redirects, other namespaces), left out")
    untyped: Noted = noted("Mentions that the file gives no type to")
    rejected: Noted = noted("Examples that are not answered with 'accept', left out")
    unlabelled: Noted = noted("Sentences without a label, not annotated with relations")
    # Annotation tools
    unknown_ends: Noted = noted("Relations left out, because they name an annotation that is not one of the mentions")
    nameless_relations: Noted = noted("Relations without a label, left out")
    discontinuous: Noted = noted("Mentions of several parts with text between them, left out")
    cancelled: Noted = noted("Annotations that were skipped by their annotator, left out")
    several_annotators: Noted = noted("Texts with several annotations, of which one is taken")
    unannotated_texts: Noted = noted("Texts without annotation, left out")
    utf16_texts: Noted = noted("Texts whose mentions are found by UTF-16 code units, and are read so")
    renamed_labels: Noted = noted("Labels and ids with white space, which is written as '_'")
    # Questions and answers
    repeated_questions: Noted = noted("Questions asked more than once about a text, written once with all answers")
    unannotated_questions: Noted = noted("Questions that the file gives no answer to, written without")
    moved_answers: Noted = noted("Answers found elsewhere than the file says")
    lost_answers: Noted = noted(
        "Answers left out, because their text is not where the file says, nor in one other place"
    )
    denied_answers: Noted = noted("Answers left out, because their question is said to have none")
    lost_questions: Noted = noted("Questions left out, because all their answers are")
    filled_answers: Noted = noted("Answers with small gaps, which were filled")
    cut_answers: Noted = noted("Answers with large gaps, cut to their longest part")

    def count(self, docs: Iterable[Doc]) -> None:
        """Add what was written into these Docs."""
        for doc in docs:
            self.documents += 1
            self.tokens += len(doc)
            self.sentences += len(list(doc.sents)) if doc.has_annotation("SENT_START") else 0
            self.entities.update(span.label_ for span in doc.ents)
            self.linked.update(span.kb_id_ for span in doc.ents if span.kb_id_)
            self.spans.update(span.label_ for group in doc.spans.values() for span in group)
            relations = get_relations(doc)
            self.relations.update(relation.label for relation in relations)
            self.unrelated += has_annotation(doc, RELATIONS) and not relations
            self.cats.update(label for label, value in doc.cats.items() if value >= CHOSEN_FROM)
            for span in get_typed_spans(doc):
                self.typed_spans += 1
                self.entity_types.update(get_entity_types(span))
            answers = get_answers(doc)
            answered = {answer.question for answer in answers if answer.span is not None}
            self.questions += len(get_questions(doc))
            self.answered += len(answered)
            self.answers += sum(answer.span is not None for answer in answers)
            self.unanswerable += len({answer.question for answer in answers} - answered)

    def check_types(self, types: Collection[str] | None, only: Collection[str] | None) -> None:
        """W046 for types to rename, or to keep, that no entity has that was read."""
        old = {before for before, _ in self.renamed}
        new = {after for _, after in self.renamed if after}
        for option, wanted, known in (("types", types, old), ("only", only, new)):
            if missing := [name for name in wanted or () if name not in known]:
                names = ", ".join(sorted(known)) or "none"
                warn("W046", option=option, missing=", ".join(map(repr, missing)), known=names)

    def extend(self, other: ConversionReport) -> None:
        """Add the counts of `other`, for a whole folder's report."""
        for item in fields(self):
            mine, more = getattr(self, item.name), getattr(other, item.name)
            if isinstance(mine, int):
                setattr(self, item.name, mine + more)
            elif isinstance(mine, Counter):
                mine.update(more)
            else:
                mine.extend(more)

    def __str__(self) -> str:
        shown = self.files[:SHOWN]
        if len(self.files) > SHOWN:
            shown.append(f"… and {len(self.files) - SHOWN} more files")
        sentences = f"{self.sentences} sentences, " if self.sentences else ""
        lines = [*shown, f"{self.documents} documents, {sentences}{self.tokens} tokens"]
        if self.spans:
            lines.append(f"Spans: {by_type(self.spans)}")
        if self.entities or not (self.spans or self.relations or self.unrelated or self.typed_spans or self.questions):
            lines.append(f"Entities: {by_type(self.entities)}")
        if self.linked:
            lines.append(f"Linked entities: {self.linked.total()}, to {len(self.linked)} different ids")
        if self.relations or self.unrelated:
            lines.append(f"Relations: {by_type(self.relations)}; {self.unrelated} documents without any")
        if self.entity_relations:
            lines.append(
                f"Relations between entities: {self.entity_relations}; written as pairs of mentions, see above"
            )
        if self.cats:
            lines.append(f"Categories: {by_type(self.cats)}")
        if self.typed_spans:
            lines.append(f"Typed entities: {self.typed_spans}; types: {by_type(self.entity_types)}")
        if self.questions:
            lines.append(
                f"Questions: {self.questions}, of which {self.answered} have {self.answers} different answers and "
                f"{self.unanswerable} have none in their text"
            )
        if self.dropped:
            lines.append(f"Entities left out: {by_type(self.dropped)}")
        if self.dropped_relations:
            lines.append(f"Relations left out: {by_type(self.dropped_relations)}")
        if self.not_carried:
            lines.append(f"Not carried over, for lack of a place: {by_type(self.not_carried)}")
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Noted) and value.count:
                lines.append(f"{item.metadata['title']}: {value}")
        if self.comments:
            lines.append(f"Comment lines: {self.comments}")
        return "\n".join(lines)


def by_type(counts: Counter[str]) -> str:
    types = [f"{label} {count}" for label, count in counts.most_common(SHOWN_LABELS)]
    if len(counts) > SHOWN_LABELS:
        types.append(f"… and {len(counts) - SHOWN_LABELS} more")
    return f"{counts.total()}" + (f" ({', '.join(types)})" if types else "")
