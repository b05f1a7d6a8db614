"""Corpora in assets/ -> DocBins in corpus/ for the small English model: entities PER, ORG, LOC.

    python -m scripts.prepare_mini assets corpus

writes corpus/train/NAME.spacy and corpus/dev/NAME.spacy for each corpus, and corpus/train.spacy and corpus/dev.spacy,
which hold them together. `doc.user_data["corpus"]` names the corpus of each Doc.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_luke.converters import ConversionReport, read_iob, write_docbin

LABELS = ("PER", "ORG", "LOC")
SEED = 0
DEV_SHARE = 0.25  # of the documents of a corpus that comes as one file
MERGED_DEV_DOCS = 500  # at most, of each corpus: the merged file chooses checkpoints, so every corpus counts alike

# Types of the corpora that are one of ours; all their other types are left out.
WNUT17 = {"person": "PER", "location": "LOC", "corporation": "ORG", "group": "ORG"}
CROSSNER = {
    **dict.fromkeys(("person", "researcher", "politician", "writer", "scientist", "musicalartist"), "PER"),
    **dict.fromkeys(("organisation", "university", "politicalparty", "band"), "ORG"),
    **dict.fromkeys(("country", "location"), "LOC"),
}
CROSSNER_DOMAINS = ("ai", "literature", "music", "politics", "science")


@dataclass(frozen=True, kw_only=True)
class Source:
    """One corpus: its files below assets/ner, and how its types are called."""

    train: Sequence[str]
    dev: Sequence[str] = ()  # empty: a share of the documents of `train`
    types: Mapping[str, str] | None = None
    max_dev: int | None = None


SOURCES: Mapping[str, Source] = {
    "wnut17": Source(train=["wnut17/train.conll"], dev=["wnut17/dev.conll"], types=WNUT17),
    "crossner": Source(
        train=[f"crossner/{domain}/train.conll" for domain in CROSSNER_DOMAINS],
        dev=[f"crossner/{domain}/dev.conll" for domain in CROSSNER_DOMAINS],
        types=CROSSNER,
    ),
    "broad_twitter": Source(train=["broad_twitter/train.conll"], dev=["broad_twitter/dev.conll"]),
    "uner_ewt": Source(train=["uner_ewt/dev.iob2"]),
    "wikiann": Source(train=["wikiann_en/train.conllu"], dev=["wikiann_en/dev.conllu"], max_dev=2500),
}


def read(
    name: str, source: Source, files: Sequence[str], assets: Path, vocab: Vocab, labels: Sequence[str] = LABELS
) -> list[Doc]:
    docs: list[Doc] = []
    report = ConversionReport()
    for file in files:
        read_docs, counts = read_iob(assets / "ner" / file, types=source.types, only=labels, vocab=vocab)
        docs.extend(read_docs)
        report.extend(counts)
    for doc in docs:
        doc.user_data["corpus"] = name
    print(f"{report}\n")
    return docs


def split(docs: Sequence[Doc], share: float) -> tuple[list[Doc], list[Doc]]:
    """Train and dev: a random `share` of the documents is dev; both keep the order of the file."""
    order = list(range(len(docs)))
    random.Random(SEED).shuffle(order)
    dev = set(order[: round(share * len(docs))])
    return [doc for i, doc in enumerate(docs) if i not in dev], [doc for i, doc in enumerate(docs) if i in dev]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("assets", type=Path, help="folder with ner/wnut17/train.conll and so on (see project.yml)")
    parser.add_argument("corpus", type=Path, help="folder to write")
    args = parser.parse_args()

    vocab = Vocab()
    merged: dict[str, list[Doc]] = {"train": [], "dev": []}
    for name, source in SOURCES.items():
        train = read(name, source, source.train, args.assets, vocab)
        if source.dev:
            dev = read(name, source, source.dev, args.assets, vocab)[: source.max_dev]
        else:
            train, dev = split(train, DEV_SHARE)
        write_docbin(train, args.corpus / "train" / f"{name}.spacy")
        write_docbin(dev, args.corpus / "dev" / f"{name}.spacy")
        print(f"{name}: {len(train)} train, {len(dev)} dev documents\n")
        merged["train"].extend(train)
        merged["dev"].extend(random.Random(SEED).sample(dev, min(len(dev), MERGED_DEV_DOCS)))
    for part, docs in merged.items():
        random.Random(SEED).shuffle(docs)
        write_docbin(docs, args.corpus / f"{part}.spacy")
        print(f"{args.corpus / part}.spacy: {len(docs)} documents, {sum(map(len, docs))} tokens")


if __name__ == "__main__":
    main()
