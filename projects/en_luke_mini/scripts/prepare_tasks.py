"""Corpora in assets/ -> DocBins in corpus/ for relations, entity types and questions.

    python -m scripts.prepare_tasks assets corpus

writes corpus/NAME/train.spacy and corpus/NAME/dev.spacy for

semeval       relations of SemEval-2010 Task 8; a tenth of its training sentences is dev
knowledgenet  relations of KnowledgeNet; folds 1 and 2 train, fold 3 dev
typing        the 39 entity types of CrossNER, on its own train and dev parts; the entities are in doc.spans["mentions"]
squad         questions of half of SQuAD 2.0's dev set: 13 articles train, 3 articles dev
qamr          questions of QAMR's dev set on single sentences; a tenth of the sentences is dev
qa            both together
litbank       nested mentions of LitBank's 80 beginnings of novels, in doc.spans["luke_ner"]; a fifth of them is dev
redocred      relations of Re-DocRED's dev set of 500 documents; a fifth of them is dev
squad_long    answerable questions of squad, on texts of eight paragraphs of an article
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from spacy.tokens import Doc, Span, SpanGroup
from spacy.vocab import Vocab

from spacy_luke.annotations import Answer, get_answers, get_questions, set_answers, set_entity_types, set_questions
from spacy_luke.converters import (
    ConversionReport,
    read_docred,
    read_iob,
    read_knowledgenet,
    read_nested_iob,
    read_qamr,
    read_semeval2010,
    read_squad,
    write_docbin,
)
from spacy_luke.converters.texts import TextTokenizer

SEED = 0
DEV_SHARE = 0.1
DEV_SHARE_OF_DOCUMENTS = 0.2
PARAGRAPHS = 8
BETWEEN_PARAGRAPHS = "\n\n"
DEV_FOLD = 3
CROSSNER_DOMAINS = ("ai", "literature", "music", "politics", "science")
MENTIONS = "mentions"

Parts = tuple[list[Doc], list[Doc]]  # train and dev


def split(docs: Sequence[Doc], dev_share: float = DEV_SHARE) -> Parts:
    """A random part is dev; both keep the order of the file."""
    chosen = set(random.Random(SEED).sample(range(len(docs)), round(dev_share * len(docs))))
    return [d for i, d in enumerate(docs) if i not in chosen], [d for i, d in enumerate(docs) if i in chosen]


def semeval(assets: Path, vocab: Vocab) -> Parts:
    """Sentences with two entities and the relation between them, or none."""
    docs, report = read_semeval2010(assets / "relations" / "semeval2010_task8" / "train.txt", vocab=vocab)
    print(f"{report}\n")
    return split(docs)


def knowledgenet(assets: Path, vocab: Vocab) -> Parts:
    """Sentences with all their facts."""
    docs, report = read_knowledgenet(assets / "relations" / "knowledgenet" / "train.jsonl", vocab=vocab)
    print(f"{report}\n")
    return [d for d in docs if d.user_data["fold"] != DEV_FOLD], [d for d in docs if d.user_data["fold"] == DEV_FOLD]


def squad(assets: Path, vocab: Vocab) -> Parts:
    """Paragraphs with questions, some of which they do not answer."""
    (train, train_report), (dev, dev_report) = (
        read_squad(assets / "qa" / "squad2_half" / f"{part}.json", vocab=vocab) for part in ("train", "dev")
    )
    print(f"{train_report}\n{dev_report}\n")
    return train, dev


def qamr(assets: Path, vocab: Vocab) -> Parts:
    """Sentences with all their questions."""
    docs, report = read_qamr(assets / "qa" / "qamr" / "dev.tsv", vocab=vocab)
    print(f"{report}\n")
    return split(docs)


def qa(assets: Path, vocab: Vocab) -> Parts:
    """Both corpora of questions together, shuffled."""
    parts = zip(squad(assets, vocab), qamr(assets, vocab), strict=True)
    train, dev = ([*a, *b] for a, b in parts)
    for docs in (train, dev):
        random.Random(SEED).shuffle(docs)
    return train, dev


def typing(assets: Path, vocab: Vocab) -> Parts:
    """CrossNER's entities as mentions without label, with their labels as types."""

    def read(part: str) -> list[Doc]:
        docs: list[Doc] = []
        report = ConversionReport()
        for domain in CROSSNER_DOMAINS:
            read_docs, counts = read_iob(assets / "ner" / "crossner" / domain / f"{part}.conll", vocab=vocab)
            docs.extend(read_docs)
            report.extend(counts)
        for doc in docs:
            spans = [Span(doc, ent.start, ent.end, label=ent.label_) for ent in doc.ents]
            doc.spans[MENTIONS] = SpanGroup(doc, name=MENTIONS, spans=spans)
            for span in spans:
                set_entity_types(span, [span.label_])
        print(f"{report}\n")
        return docs

    return read("train"), read("dev")


def litbank(assets: Path, vocab: Vocab) -> Parts:
    """Documents of about 2,000 tokens with mentions in mentions."""
    docs: list[Doc] = []
    report = ConversionReport()
    for path in sorted((assets / "ner" / "litbank").glob("*.tsv")):
        read_docs, counts = read_nested_iob(path, vocab=vocab)
        docs.extend(read_docs)
        report.extend(counts)
    print(f"{report}\n")
    return split(docs, DEV_SHARE_OF_DOCUMENTS)


def redocred(assets: Path, vocab: Vocab) -> Parts:
    """Documents with relations between all their entities."""
    docs, report = read_docred(assets / "relations" / "redocred" / "dev.json", vocab=vocab)
    print(f"{report}\n")
    return split(docs, DEV_SHARE_OF_DOCUMENTS)


def squad_long(assets: Path, vocab: Vocab) -> Parts:
    """Neighbouring paragraphs of an article as one text. Questions without an answer are left out: they were written
    for one paragraph, and another may answer them."""

    def join(docs: Sequence[Doc]) -> list[Doc]:
        by_title: dict[str, list[Doc]] = {}
        for doc in docs:
            by_title.setdefault(doc.user_data["title"], []).append(doc)
        groups = [group[i : i + PARAGRAPHS] for group in by_title.values() for i in range(0, len(group), PARAGRAPHS)]
        return [doc for group in groups if get_questions(doc := joined(group))]

    train, dev = squad(assets, vocab)
    return join(train), join(dev)


def joined(docs: Sequence[Doc]) -> Doc:
    """One Doc of several, with those of their questions that have an answer."""
    texts = [doc.text for doc in docs]
    doc = TextTokenizer(docs[0].vocab)(BETWEEN_PARAGRAPHS.join(texts))
    answers: list[Answer] = []
    offset = 0
    for part, text in zip(docs, texts, strict=True):
        for answer in get_answers(part):
            if answer.span is not None:
                start = offset + answer.start_char
                span = doc.char_span(start, start + len(answer.text), alignment_mode="expand")
                answers.append(Answer(answer.question, span, answer.text, start_char=start))
        offset += len(text) + len(BETWEEN_PARAGRAPHS)
    set_questions(doc, list(dict.fromkeys(answer.question for answer in answers)))
    set_answers(doc, answers)
    return doc


TASKS: Mapping[str, Callable[[Path, Vocab], Parts]] = {
    "semeval": semeval,
    "knowledgenet": knowledgenet,
    "typing": typing,
    "squad": squad,
    "qamr": qamr,
    "qa": qa,
    "litbank": litbank,
    "redocred": redocred,
    "squad_long": squad_long,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("assets", type=Path, help="folder with relations/, ner/ and qa/ (see project.yml)")
    parser.add_argument("corpus", type=Path, help="folder to write")
    parser.add_argument("--only", choices=TASKS, action="append", help="one of the tasks; may be repeated")
    args = parser.parse_args()

    for name in args.only or TASKS:
        for part, docs in zip(("train", "dev"), TASKS[name](args.assets, Vocab()), strict=True):
            write_docbin(docs, args.corpus / name / f"{part}.spacy")
            print(f"{name}: {len(docs)} {part} Docs")


if __name__ == "__main__":
    main()
