"""Corpora in corpus/ and assets/ -> DocBins in corpus/joint for en_luke_mini, which learns several tasks at once.

    python -m scripts.prepare_joint assets corpus

needs what prepare_mini.py, prepare_tasks.py and prepare_linking.py have written, and writes corpus/joint/train and
corpus/joint/dev with

entities     PER, ORG, LOC, and MISC where the corpus has it (WNUT 2017, CrossNER); dev/entities/NAME.spacy by corpus.
             dev/entities/redocred.spacy is of a corpus that is not trained on
relations    KnowledgeNet; the mentions are in doc.spans["mentions"]
types        CrossNER's 39 types, and the nine of Open Entity that follow from them, in doc.spans["mentions"]
questions    QAMR and half of SQuAD 2.0's dev set, at most three questions a Doc
links        passages of linked text; entities whose article has a telling category have types, too

A Doc that is not for luke_ner says so (`set_entity_labels`).
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from spacy.lang.en import English
from spacy.tokens import Doc, Span, SpanGroup
from spacy.vocab import Vocab

from spacy_luke.annotations import (
    Relation,
    get_answers,
    get_entity_types,
    get_questions,
    get_relations,
    set_answers,
    set_entity_labels,
    set_entity_types,
    set_questions,
    typed_spans,
)
from spacy_luke.converters import read_docbin, write_docbin

from .prepare_mini import CROSSNER, DEV_SHARE, SOURCES, WNUT17, split
from .prepare_mini import LABELS as FLAT
from .prepare_mini import read as read_entities
from .prepare_tasks import MENTIONS

SEED = 0
MISC = "MISC"
QUESTIONS_PER_DOC = 3
PASSAGE_TOKENS = 100
DEV_PASSAGES = 500
DEV_REDOCRED = 100

# Types of the corpora that are MISC: names of works, events and products. What is no name in CoNLL's sense (fields,
# tasks, genres, compounds) stays nothing.
WNUT17_MISC = {**WNUT17, **dict.fromkeys(("creative-work", "product"), MISC)}
CROSSNER_MISC = {
    **CROSSNER,
    **dict.fromkeys(
        [
            "misc",
            "product",
            "programlang",
            "event",
            "election",
            "award",
            "academicjournal",
            "magazine",
            "book",
            "poem",
            "song",
            "album",
        ],
        MISC,
    ),
}

# CrossNER's types -> those of Open Entity (Choi et al. 2018, the nine general types).
OPEN_ENTITY: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(
        ("person", "researcher", "politician", "writer", "scientist", "musicalartist"),
        ("person",),
    ),
    **dict.fromkeys(("organisation", "university", "politicalparty", "band"), ("organization", "group")),
    **dict.fromkeys(("country", "location"), ("location", "place")),
    **dict.fromkeys(("event", "election"), ("event",)),
    **dict.fromkeys(
        [
            "product",
            "programlang",
            "academicjournal",
            "magazine",
            "book",
            "poem",
            "song",
            "album",
            "award",
            "musicalinstrument",
            "astronomicalobject",
            "chemicalelement",
            "chemicalcompound",
            "enzyme",
            "protein",
        ],
        ("object",),
    ),
    **dict.fromkeys(
        [
            "field",
            "task",
            "algorithm",
            "metrics",
            "conference",
            "discipline",
            "theory",
            "musicgenre",
            "literarygenre",
            "misc",
        ],
        ("entity",),
    ),
}
# Those of CrossNER that are one of Open Entity's, or say nothing more.
NOT_FINE = {"person", "organisation", "location", "event", "misc"}

# Beginnings of the categories of the Wikipedia Selection for schools -> types. Those left out have articles of many
# kinds.
CATEGORIES: Mapping[str, Sequence[str]] = {
    "subject.People.Political_People": ("person", "politician"),
    "subject.People.USA_Presidents": ("person", "politician"),
    "subject.People.Writers_and_critics": ("person", "writer"),
    "subject.People.Performers_and_composers": ("person", "musicalartist"),
    "subject.People.Astronomers_and_physicists": ("person", "scientist"),
    "subject.People.Chemists": ("person", "scientist"),
    "subject.People.Mathematicians": ("person", "scientist"),
    "subject.People.Human_Scientists": ("person", "scientist"),
    "subject.People": ("person",),
    "subject.Countries": ("location", "place", "country"),
    "subject.Business_Studies.Companies": ("organization", "group"),
    "subject.Everyday_life.Sports_teams": ("organization", "group"),
    "subject.Everyday_life.Sports_events": ("event",),
    "subject.Geography.Storms": ("event",),
    "subject.Geography.Natural_Disasters": ("event",),
    "subject.Geography.Antarctica": ("location", "place"),
    "subject.Geography.Geography_of_Great_Britain": ("location", "place"),
    "subject.Language_and_literature.Novels": ("object", "book"),
    "subject.Music.Musical_Instruments": ("object", "musicalinstrument"),
    "subject.Music.Musical_Recordings_and_compositions": ("object",),
    "subject.Science.Chemistry.Chemical_elements": ("object", "chemicalelement"),
    "subject.Science.Chemistry.Chemical_compounds": ("object", "chemicalcompound"),
    "subject.Science.Physics.The_Planets": ("object", "astronomicalobject"),
}
# Relation of KnowledgeNet -> Open Entity types of its head and of its tail.
ROLES: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "DATE_OF_BIRTH": (("person",), ("time",)),
    "DATE_OF_DEATH": (("person",), ("time",)),
    "DATE_FOUNDED": (("organization", "group"), ("time",)),
    "PLACE_OF_BIRTH": (("person",), ("location", "place")),
    "PLACE_OF_RESIDENCE": (("person",), ("location", "place")),
    "SPOUSE": (("person",), ("person",)),
    "CHILD_OF": (("person",), ("person",)),
    "HEADQUARTERS": (("organization", "group"), ("location", "place")),
    "SUBSIDIARY_OF": (("organization", "group"), ("organization", "group")),
}


def entities(assets: Path, vocab: Vocab) -> tuple[list[Doc], dict[str, list[Doc]]]:
    """The corpora of prepare_mini.py, with MISC where they have it."""
    train: list[Doc] = []
    dev: dict[str, list[Doc]] = {}
    for name, plain in SOURCES.items():
        types = {"wnut17": WNUT17_MISC, "crossner": CROSSNER_MISC}.get(name)
        labels = (*FLAT, MISC) if types else FLAT
        source = replace(plain, types=types or plain.types)
        train_docs = read_entities(name, source, source.train, assets, vocab, labels)
        if source.dev:
            dev[name] = read_entities(name, source, source.dev, assets, vocab, labels)[: source.max_dev]
        else:
            train_docs, dev[name] = split(train_docs, DEV_SHARE)
        for doc in (*train_docs, *dev[name]):
            set_entity_labels(doc, labels)
        train += train_docs
    return train, dev


def left_out(path: Path, vocab: Vocab) -> list[Doc]:
    """Documents of Re-DocRED with their persons, organisations and locations."""
    docs = read_docbin(path, vocab)[:DEV_REDOCRED]
    for doc in docs:
        doc.set_ents([ent for ent in doc.ents if ent.label_ in FLAT])
        doc.user_data.clear()
        set_entity_labels(doc, FLAT)
    return docs


def for_other_components(doc: Doc) -> Doc:
    """A Doc without entities: they become `doc.spans["mentions"]`."""
    if MENTIONS not in doc.spans:
        doc.spans[MENTIONS] = SpanGroup(doc, name=MENTIONS, spans=list(doc.ents))
    doc.set_ents([], default="missing")
    set_entity_labels(doc, ())
    return doc


def relations(docs: Iterable[Doc]) -> list[Doc]:
    """KnowledgeNet, with the types that follow from the roles of names and dates."""
    found = []
    for doc in docs:
        by_place: dict[tuple[int, int], tuple[Span, list[str]]] = {}
        for relation in get_relations(doc):
            for span, types in _roles(relation):
                if span.text[:1].isupper() or span.text[:1].isdigit():
                    by_place.setdefault((span.start, span.end), (span, []))[1].extend(types)
        for span, types in by_place.values():
            set_entity_types(span, types)
        found.append(for_other_components(doc))
    return found


def _roles(relation: Relation) -> Iterator[tuple[Span, Sequence[str]]]:
    if relation.label in ROLES:
        yield from zip((relation.head, relation.tail), ROLES[relation.label], strict=True)


def types(docs: Iterable[Doc]) -> list[Doc]:
    """CrossNER's mentions with Open Entity's types beside their own."""
    found = []
    for doc in docs:
        for span in typed_spans(doc):
            own = get_entity_types(span)
            general = [label for label in own for label in OPEN_ENTITY[label]]
            set_entity_types(span, [*general, *(label for label in own if label not in NOT_FINE)])
        found.append(for_other_components(doc))
    return found


def questions(docs: Iterable[Doc]) -> list[Doc]:
    """Docs with a few questions each."""
    found = []
    for doc in docs:
        asked = get_questions(doc)
        answers = get_answers(doc)
        for start in range(0, len(asked), QUESTIONS_PER_DOC):
            part = doc.copy()
            chosen = asked[start : start + QUESTIONS_PER_DOC]
            set_questions(part, chosen)
            part_answers = [answer for answer in answers if answer.question in chosen]
            spans = [None if a.span is None else part[a.span.start : a.span.end] for a in part_answers]
            set_answers(part, [replace(a, span=span) for a, span in zip(part_answers, spans, strict=True)])
            part.set_ents([], default="missing")
            set_entity_labels(part, ())
            found.append(part)
    return found


def types_of_titles(path: Path) -> dict[str, list[str]]:
    """Titles of the articles with a telling category -> types."""
    found = {}
    with gzip.open(path, "rt", encoding="utf8") as file:
        for line in file:
            record = json.loads(line)
            known = {
                label
                for category in record["categories"]
                for begin, labels in CATEGORIES.items()
                if category.startswith(begin)
                for label in labels
            }
            if "person" in known and len({"person", "location", "organization", "event", "object"} & known) > 1:
                continue  # an article about a person and something else
            if known:
                found[record["title"]] = sorted(known)
    return found


def passages(
    docs: Iterable[Doc], titles: Mapping[str, Sequence[str]], share: float = 1.0, seed: int = SEED
) -> Iterator[Doc]:
    """Linked text in parts of some sentences, a random share of those that have links."""
    draw = random.Random(seed)
    sentencizer = English().add_pipe("sentencizer")
    for doc in docs:
        if not doc.has_annotation("SENT_START"):
            sentencizer(doc)
        start = 0
        for sentence in doc.sents:
            if sentence.end - start < PASSAGE_TOKENS and sentence.end < len(doc):
                continue
            span, start = doc[start : sentence.end], sentence.end
            if len(span) > 4 * PASSAGE_TOKENS or not span.ents or draw.random() >= share:
                continue
            part = span.as_doc()
            for ent in part.ents:
                if ent.kb_id_ in titles:
                    set_entity_types(ent, titles[ent.kb_id_])
            set_entity_labels(part, ())
            yield part


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("assets", type=Path, help="folder with ner/ and linking/ (see project.yml)")
    parser.add_argument(
        "corpus", type=Path, help="folder with what the other scripts have written, and to write joint/"
    )
    parser.add_argument("--share", type=float, default=0.2, help="of the passages of linked text, to train on")
    args = parser.parse_args()

    vocab, corpus = Vocab(), args.corpus
    train, dev = entities(args.assets, vocab)
    random.Random(SEED).shuffle(train)
    parts = {"train/entities": train, **{f"dev/entities/{name}": docs for name, docs in dev.items()}}
    parts["dev/entities/redocred"] = left_out(corpus / "redocred" / "dev.spacy", vocab)
    for part in ("train", "dev"):
        parts[f"{part}/relations"] = relations(read_docbin(corpus / "knowledgenet" / f"{part}.spacy", vocab))
        parts[f"{part}/types"] = types(read_docbin(corpus / "typing" / f"{part}.spacy", vocab))
        parts[f"{part}/questions"] = questions(read_docbin(corpus / "qa" / f"{part}.spacy", vocab))
    titles = types_of_titles(args.assets / "linking" / "wikipedia_schools" / "train.jsonl.gz")
    linked = corpus / "linking"
    parts["train/links"] = [
        passage
        for number, file in enumerate(sorted((linked / "train").glob("*.spacy")))
        for passage in passages(read_docbin(file, vocab), titles, args.share, seed=number)
    ]
    parts["dev/links"] = list(passages(read_docbin(linked / "dev.spacy", vocab), titles))[:DEV_PASSAGES]
    for name, docs in parts.items():
        write_docbin(docs, corpus / "joint" / f"{name}.spacy")
        print(f"{name}: {len(docs)} Docs, {sum(map(len, docs))} tokens")


if __name__ == "__main__":
    main()
