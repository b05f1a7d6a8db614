"""Linked text in assets/ -> DocBins, a knowledge base and entity titles in corpus/linking, for luke_entity_linker.

    python -m scripts.prepare_linking assets corpus/linking --encoder training/encoder

writes

train/*.spacy     articles of a part of the English Wikipedia, whose links are its own; and of the Wikipedia Selection
                  for schools, whose links are weak: found by matching titles, so nearly every alias has one meaning
dev.spacy         other articles of the latter
dev_schools.spacy other articles of the former
kb                spaCy knowledge base: what each alias may be, with priors
kb_vectors        the same with a vector for each entity, for spaCy's own entity_linker
entities.json     its entities, most frequent first

The split is by article. Priors are counted in the training articles. Which entities an alias may be at all is, as in
corpora with given candidates, what it is linked to anywhere, in dev too (each such pair counts once more); with
--candidates train only in the training articles, and most of what the dev articles link to is then unknown.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_luke.checkpoints.reader import open_checkpoint
from spacy_luke.checkpoints.source import locate
from spacy_luke.cli.saving import save_kb
from spacy_luke.converters import ConversionReport, read_mediawiki, write_docbin
from spacy_luke.converters.linked_text import make_doc
from spacy_luke.converters.records import Record, read_records
from spacy_luke.converters.texts import TextTokenizer
from spacy_luke.files import write_file
from spacy_luke.knowledge_base import NIL, AliasTable, alias_of

DEV_SHARE = 0.2
DEV_SCHOOLS = 100
DOCS_PER_FILE = 200


def split(count: int, dev: int, seed: int) -> tuple[list[int], list[int]]:
    """Indices of training and of dev articles."""
    order = list(range(count))
    random.Random(seed).shuffle(order)
    return sorted(order[dev:]), sorted(order[:dev])


def batched(items: Iterable[Doc], size: int) -> Iterator[list[Doc]]:
    iterator = iter(items)
    while part := list(islice(iterator, size)):
        yield part


def school_docs(records: Sequence[Record], report: ConversionReport) -> Iterator[Doc]:
    """The articles of some lines, one at a time: all of them would take gigabytes."""
    tokenizer = TextTokenizer(Vocab())
    for record in records:
        yield make_doc(record, tokenizer, report)


def add_pairs(table: AliasTable, docs: Iterable[Doc]) -> None:
    """Count each alias with each of its entities once more."""
    seen = Counter((alias_of(ent), ent.kb_id_) for doc in docs for ent in doc.ents if ent.kb_id_ not in ("", NIL))
    for alias, entity in seen:
        table.counts.setdefault(alias, Counter())[entity] += 1


def title_vectors(encoder: str, titles: Iterable[str]) -> dict[str, list[float]]:
    """The mean of the piece embeddings of each title, of length 1."""
    checkpoint = open_checkpoint(locate(encoder))
    table = checkpoint.load_encoder("special").embeddings.word.weight.detach().numpy()
    vectors = {}
    for title in titles:
        ids = checkpoint.tokenizer.encode_text(title, []).ids
        mean = table[ids].mean(axis=0) if len(ids) else np.ones(table.shape[1])
        vectors[title] = (mean / np.linalg.norm(mean)).tolist()
    return vectors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("assets", type=Path, help="folder with linking/ (see project.yml)")
    parser.add_argument("corpus", type=Path, help="folder to write")
    parser.add_argument("--encoder", help="checkpoint whose piece embeddings give the vectors of kb_vectors")
    parser.add_argument("--schools", type=int, help="most articles of the schools' selection to read")
    parser.add_argument("--articles", type=int, help="most articles of the English Wikipedia to read")
    parser.add_argument("--candidates", choices=("all", "train"), default="all", help="see above")
    parser.add_argument("--min-entity-count", type=int, default=1, help="least links to an entity")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    articles, report = read_mediawiki(args.assets / "linking" / "enwiki_shortened" / "pages.xml.bz2")
    print(f"{report}\n")
    articles = articles[: args.articles]
    train, dev = split(len(articles), round(DEV_SHARE * len(articles)), args.seed)
    records = read_records(args.assets / "linking" / "wikipedia_schools" / "train.jsonl.gz")[: args.schools]
    train_schools, dev_schools = split(len(records), min(DEV_SCHOOLS, len(records) // 10), args.seed)
    report = ConversionReport(files=["linking/wikipedia_schools"])

    table = AliasTable()
    paired = AliasTable()
    number = 0
    for docs in (
        [articles[i] for i in train],
        school_docs([records[i] for i in train_schools], report),
    ):
        for part in batched(docs, DOCS_PER_FILE):
            write_docbin(part, args.corpus / "train" / f"{number:03}.spacy")
            report.count(part)
            add_pairs(paired, part)
            for doc in part:
                table.add(doc)
            number += 1
    parts = {
        "dev": [articles[i] for i in dev],
        "dev_schools": list(school_docs([records[i] for i in dev_schools], report)),
    }
    for name, docs in parts.items():
        write_docbin(docs, args.corpus / f"{name}.spacy")
        print(f"{name}: {len(docs)} Docs, {sum(len(doc.ents) for doc in docs)} linked entities")
        add_pairs(paired, docs)
    print(f"train: {report}\n")
    if args.candidates == "all":
        for alias, counts in paired.counts.items():
            for entity in counts:
                table.counts.setdefault(alias, Counter())[entity] += 1

    limit = {"min_entity_count": args.min_entity_count}
    kb = table.to_kb(Vocab(), **limit)
    save_kb(kb, args.corpus / "kb")
    titles = [title for title, _ in table.entities.most_common() if kb.contains_entity(title)]
    write_file(args.corpus / "entities.json", json.dumps(titles, ensure_ascii=False, indent=0))
    print(f"kb: {kb.get_size_aliases()} aliases of {len(titles)} entities")
    if args.encoder:
        vectors = title_vectors(args.encoder, titles)
        save_kb(table.to_kb(Vocab(), **limit, vectors=vectors), args.corpus / "kb_vectors")


if __name__ == "__main__":
    main()
