"""Corpora in assets/ -> DocBins in corpus/ for relations, entity types and questions.

    python scripts/prepare_tasks.py assets corpus

writes corpus/NAME/train.spacy and corpus/NAME/dev.spacy for

semeval       relations of SemEval-2010 Task 8; a tenth of its training sentences is dev
knowledgenet  relations of KnowledgeNet; folds 1 and 2 train, fold 3 dev
typing        the 39 entity types of CrossNER, on its own train and dev parts; the entities are in doc.spans["mentions"]
squad         questions of half of SQuAD 2.0's dev set: 13 articles train, 3 articles dev
qamr          questions of QAMR's dev set on single sentences; a tenth of the sentences is dev
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from spacy.tokens import Doc, Span, SpanGroup
from spacy.vocab import Vocab

from spacy_luke.annotations import set_entity_types
from spacy_luke.converters import ConversionReport, read_iob, write_docbin

SEED = 0
DEV_SHARE = 0.1
CROSSNER_DOMAINS = ("ai", "literature", "music", "politics", "science")
MENTIONS = "mentions"

Parts = tuple[list[Doc], list[Doc]]  # train and dev


def split(docs: Sequence[Doc]) -> Parts:
    """A random tenth is dev; both keep the order of the file."""
    chosen = set(random.Random(SEED).sample(range(len(docs)), round(DEV_SHARE * len(docs))))
    return [d for i, d in enumerate(docs) if i not in chosen], [d for i, d in enumerate(docs) if i in chosen]


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


TASKS: Mapping[str, Callable[[Path, Vocab], Parts]] = {"typing": typing}


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
