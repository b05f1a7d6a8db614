"""Measure a pipeline's entities on .spacy files: any pipeline with `ner`, `luke_ner` or `luke_token_classifier`.

    python -m scripts.evaluate_ner training/mini/model-best corpus/dev --output metrics/mini.json

The pipeline gets the tokens and the sentence boundaries of the gold documents, and nothing else of them, so that all
models are compared on the same words.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.scorer import get_ner_prf
from spacy.tokens import Doc
from spacy.training import Example

from spacy_luke.converters import read_docbin
from spacy_luke.files import write_file

FACTORIES = ("ner", "luke_ner", "luke_token_classifier")


def bare(gold: Doc) -> Doc:
    """The document's words, spaces and, where it has them, sentence boundaries."""
    words = [token.text for token in gold]
    spaces = [bool(token.whitespace_) for token in gold]
    starts = [bool(token.is_sent_start) for token in gold] if gold.has_annotation("SENT_START") else None
    return Doc(gold.vocab, words=words, spaces=spaces, sent_starts=starts)


def evenly(docs: list[Doc], limit: int | None) -> list[Doc]:
    """At most `limit` of the documents, evenly spaced, so that all parts of a corpus are among them."""
    if limit is None or limit >= len(docs):
        return docs
    return [docs[i * len(docs) // limit] for i in range(limit)]


def evaluate(nlp: Language, gold: Sequence[Doc]) -> tuple[dict[str, Any], list[Example]]:
    """Scores (fractions of 1) and speed, tokens a second of wall time."""
    docs = [bare(doc) for doc in gold]
    words = sum(map(len, docs))
    start = time.perf_counter()
    predicted = list(nlp.pipe(docs))
    seconds = time.perf_counter() - start
    examples = [Example(x, y) for x, y in zip(predicted, gold, strict=True)]
    result = {"docs": len(docs), "words": words, "entities": sum(len(doc.ents) for doc in gold)}
    return {**result, **scores(examples), "words_per_second": round(words / seconds) if words else 0}, examples


def scores(examples: Sequence[Example]) -> dict[str, Any]:
    found = get_ner_prf(examples)
    return {name: found[name] for name in ("ents_p", "ents_r", "ents_f", "ents_per_type")}


def show(name: str, result: dict[str, Any]) -> None:
    def percent(value: float | None) -> str:
        return f"{100 * (value or 0):6.2f}"

    types = "  ".join(f"{label} {percent(prf['f'])}" for label, prf in sorted((result["ents_per_type"] or {}).items()))
    overall = " ".join(percent(result[key]) for key in ("ents_p", "ents_r", "ents_f"))
    speed = f"{result['words_per_second']:8,}" if "words_per_second" in result else " " * 8
    print(f"{name:16} {overall} {speed}   {types}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder or package name of the pipeline")
    parser.add_argument("corpus", type=Path, help="a .spacy file, or a folder of them")
    parser.add_argument("--output", type=Path, help="JSON file for the numbers")
    parser.add_argument("--gpu", type=int, default=-1, help="number of the GPU; without it, the CPU is used")
    parser.add_argument("--limit", type=int, help="only so many documents of each file, evenly spaced")
    args = parser.parse_args()

    files = sorted(args.corpus.glob("*.spacy")) if args.corpus.is_dir() else [args.corpus]
    if not files:
        parser.error(f"no .spacy file in {args.corpus}")
    if args.gpu >= 0:
        spacy.require_gpu(args.gpu)
    nlp = spacy.load(args.model)
    factories = [nlp.get_pipe_meta(name).factory for name in nlp.pipe_names]
    if not any(factory in FACTORIES for factory in factories):
        parser.error(f"{args.model} has no component of {', '.join(FACTORIES)}, but {', '.join(factories) or 'none'}")
    list(nlp.pipe([nlp.make_doc("Anna lives in Berlin.")] * 8))  # what the first call sets up is not measured

    print(f"{'':16} {'P':>6} {'R':>6} {'F':>6} {'words/s':>8}   F per type")
    sets: dict[str, dict[str, Any]] = {}
    together: list[Example] = []
    for file in files:
        gold = evenly(read_docbin(file, nlp.vocab), args.limit)
        sets[file.stem], examples = evaluate(nlp, gold)
        together.extend(examples)
        show(file.stem, sets[file.stem])
    mean = sum(result["ents_f"] or 0.0 for result in sets.values()) / len(sets)
    overall = {**scores(together), "mean_ents_f": mean}
    show("all documents", overall)
    print(f"{'mean of the sets':16} {'':6} {'':6} {100 * mean:6.2f}")
    if args.output:
        write_file(args.output, json.dumps({"model": args.model, "sets": sets, "all": overall}, indent=2) + "\n")


if __name__ == "__main__":
    main()
