"""Compare ways to link the gold entities of a .spacy file, with the same candidates: the prior of the alias alone,
spaCy's own entity_linker, luke_entity_linker with local and with global decoding.

    python -m scripts.evaluate_linking corpus/linking/dev.spacy corpus/linking/kb --luke training/linking/model-last
        --spacy training/linking_spacy/model-last --output metrics/linking.json

Accuracy is the share of right links among the entities with a gold link: all of them, those whose gold link is among
the candidates of their mention, and of these the ones with several candidates.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import spacy
from spacy.kb import KnowledgeBase
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from spacy_luke.files import write_file
from spacy_luke.knowledge_base import NIL, build_candidates, load_kb
from spacy_luke.training.corpus import build_gold_mentions_corpus

DECODINGS = ("local", "global")
# Of each Doc, the link of each entity.
Links = list[list[str]]


def read(data: Path, nlp: Language, limit: int) -> list[Example]:
    """Examples whose predicted Docs have the entities without their links."""
    return list(build_gold_mentions_corpus(data, mentions=True, links=False, limit=limit)(nlp))


def by_prior(docs: Iterable[Doc], kb: KnowledgeBase) -> Links:
    """The candidate with the largest prior."""
    find = build_candidates()

    def best(candidates: Sequence[Any]) -> str:
        return max(candidates, key=lambda c: c.prior_prob).entity_ if candidates else NIL

    return [[best(list(find(kb, ent))) for ent in doc.ents] for doc in docs]


def by_pipeline(docs: Iterable[Doc], nlp: Language) -> Links:
    """Annotations that the components of a pipeline write."""
    found = []
    for doc in docs:
        for _, pipe in nlp.pipeline:
            doc = pipe(doc)
        found.append([ent.kb_id_ for ent in doc.ents])
    return found


def measure(examples: Sequence[Example], kb: KnowledgeBase, link: Callable[[list[Doc]], Links]) -> dict[str, Any]:
    find = build_candidates()
    started = time.perf_counter()
    links = link([example.predicted for example in examples])
    seconds = time.perf_counter() - started
    right: dict[str, list[bool]] = {"all": [], "gold_is_candidate": [], "ambiguous": []}
    for example, doc_links in zip(examples, links, strict=True):
        gold = {(ent.start_char, ent.end_char): ent.kb_id_ for ent in example.reference.ents}
        for ent, kb_id in zip(example.predicted.ents, doc_links, strict=True):
            wanted = gold.get((ent.start_char, ent.end_char), "")
            if wanted in ("", NIL):
                continue
            candidates = {candidate.entity_ for candidate in find(kb, ent)}
            kinds = ["all"]
            if wanted in candidates:
                kinds += ["gold_is_candidate", "ambiguous"] if len(candidates) > 1 else ["gold_is_candidate"]
            for kind in kinds:
                right[kind].append(kb_id == wanted)
    words = sum(len(example.reference) for example in examples)
    return {
        **{kind: {"accuracy": sum(of) / len(of) if of else None, "entities": len(of)} for kind, of in right.items()},
        "words_per_second": round(words / seconds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a .spacy file whose entities have a kb_id_")
    parser.add_argument("kb", type=Path, help="folder of the knowledge base that all are given")
    parser.add_argument("--luke", help="folder of a pipeline with luke_entity_linker")
    parser.add_argument("--spacy", help="folder of a pipeline with entity_linker")
    parser.add_argument("--any", action="store_true", help="also link among all entities of the vocabulary, without kb")
    parser.add_argument("--decoding", choices=DECODINGS, action="append", help="of ours; default: both")
    parser.add_argument("--mentions-per-pass", type=int, default=1, help="of global decoding; 1 in the paper")
    parser.add_argument("--limit", type=int, default=0, help="most Docs to read; 0 = all")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    args = parser.parse_args()

    blank = spacy.blank("en")
    kb = load_kb(args.kb, blank.vocab, "prior")
    found = {"prior": measure(read(args.data, blank, args.limit), kb, lambda docs: by_prior(docs, kb))}
    if args.spacy:
        nlp = spacy.load(args.spacy)
        examples = read(args.data, nlp, args.limit)
        kb = load_kb(args.kb, nlp.vocab, "entity_linker")
        found["spacy"] = measure(examples, kb, lambda docs: by_pipeline(docs, nlp))
    if args.luke:
        nlp = spacy.load(args.luke)
        pipe: Any = nlp.get_pipe("luke_entity_linker")
        pipe.set_kb(args.kb)
        pipe.mentions_per_pass = args.mentions_per_pass
        for decoding in args.decoding or DECODINGS:
            pipe.decoding = decoding
            examples = read(args.data, nlp, args.limit)
            found[f"luke_{decoding}"] = measure(examples, pipe.kb, lambda docs: by_pipeline(docs, nlp))
        if args.any:
            kb, pipe.decoding = pipe.kb, "local"
            pipe.set_kb(None)
            examples = read(args.data, nlp, args.limit)
            found["luke_any"] = measure(examples, kb, lambda docs: by_pipeline(docs, nlp))
    text = json.dumps(found, indent=2)
    print(text)
    if args.output:
        write_file(args.output, text + "\n")


if __name__ == "__main__":
    main()
