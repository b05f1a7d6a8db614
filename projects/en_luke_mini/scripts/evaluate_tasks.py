"""Measure a pipeline on a .spacy file whose Docs have relations, entity types, categories or questions.

    python -m scripts.evaluate_tasks training/semeval/model-best corpus/semeval/dev.spacy --output metrics/semeval.json

The pipeline gets the sentence boundaries, entities, spans and questions of the gold Docs, and nothing else of them.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import spacy
from spacy.util import import_file

from spacy_luke.files import write_file
from spacy_luke.training.corpus import build_gold_mentions_corpus

WANTED = ("nel_", "rel_", "types_", "qa_", "choice_", "cats_", "spans_")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder or name of a pipeline")
    parser.add_argument("data", type=Path, help="a .spacy file")
    parser.add_argument("--spans-key", help="also give the gold spans under this key of doc.spans")
    parser.add_argument("--no-mentions", action="store_true", help="do not give the gold entities: end-to-end scores")
    parser.add_argument("--limit", type=int, default=0, help="measure on the first Docs alone; 0 = all")
    parser.add_argument(
        "--override",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the pipeline's config, as components.luke_qa.n_best=3; the value is JSON",
    )
    parser.add_argument("--code", type=Path, help="Python file to import first, as for spacy train")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    args = parser.parse_args()

    if args.code:
        import_file("code", args.code)
    overrides = {name: json.loads(value) for name, _, value in (given.partition("=") for given in args.override)}
    nlp = spacy.load(args.model, config=overrides)
    read = build_gold_mentions_corpus(
        args.data, mentions=not args.no_mentions, spans_key=args.spans_key, questions=True, limit=args.limit
    )
    examples = list(read(nlp))
    started = time.perf_counter()
    scores = nlp.evaluate(examples)
    seconds = time.perf_counter() - started
    result: dict[str, Any] = {name: value for name, value in scores.items() if name.startswith(WANTED)}
    result.update(docs=len(examples), words_per_second=round(sum(len(e.reference) for e in examples) / seconds))
    text = json.dumps(result, indent=2)
    print(text)
    if args.output:
        write_file(args.output, text + "\n")


if __name__ == "__main__":
    main()
