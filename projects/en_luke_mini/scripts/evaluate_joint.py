"""Measure en_luke_mini on every task beside plain baselines, for its model card.

    python -m scripts.evaluate_joint training/mini/model-best corpus --entities --output metrics/alone.json
    python -m scripts.evaluate_joint training/en_luke_mini/bundled corpus --output metrics/en_luke_mini.json
        --ner "spaCy's ner=training/baseline/model-best" --ner "luke_ner alone=metrics/alone.json"

Entities are found in bare text with gold tokens and sentences; types and relations are given to gold entities.
The baselines of the other tasks are those of plain_baselines.py.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from spacy_luke.annotations import set_entity_labels
from spacy_luke.converters import read_docbin
from spacy_luke.files import write_file
from spacy_luke.pipeline.entity_typer.scorer import build_entity_typer_scorer
from spacy_luke.pipeline.ner.scorer import build_ner_scorer
from spacy_luke.pipeline.qa.scorer import build_qa_scorer
from spacy_luke.pipeline.relations.scorer import build_relations_scorer
from spacy_luke.training.corpus import build_gold_mentions_corpus

from .evaluate_ner import bare, evenly
from .plain_baselines import nearest_words, relation_between, types_in_training

FLAT = ("PER", "ORG", "LOC")
ENTITIES = {
    "broad_twitter": ("Broad Twitter Corpus, dev", "GateNLP/broad_twitter_corpus"),
    "crossner": ("CrossNER, dev", "DFKI-SLT/cross_ner"),
    "gum": ("GUM, 12 documents held out", "gum"),
    "re3d": ("re3d, 88 documents", "dstl/re3d"),
    "redocred": ("Re-DocRED, 100 documents", "tonytan48/Re-DocRED"),
    "uner_ewt": ("Universal NER, English Web Treebank, held out", "universalner/universal_ner"),
    "wikiann": ("WikiANN, dev", "unimelb-nlp/wikiann"),
    "wnut17": ("WNUT 2017, dev", "leondz/wnut_17"),
}
NOT_TRAINED_ON = "re3d"
WITH_MISC = ("crossner", "wnut17")
OTHER_TASKS = ("luke_entity_typer", "luke_relations", "luke_entity_linker", "luke_qa")
Scores = dict[str, Any]


def find_entities(nlp: Language, gold: Sequence[Doc]) -> list[Doc]:
    """The Docs with the entities of a pipeline, whose components for other tasks rest."""
    with nlp.select_pipes(disable=[name for name in nlp.pipe_names if name in OTHER_TASKS]):
        return list(nlp.pipe([bare(doc) for doc in gold]))


def score_entities(found: Sequence[Doc], gold: Sequence[Doc], labels: Sequence[str]) -> Scores:
    """Scores of entities. labels: those that count."""
    references = [doc.copy() for doc in gold]
    for doc in references:
        doc.set_ents([ent for ent in doc.ents if ent.label_ in labels])
        set_entity_labels(doc, labels)
    return build_ner_scorer()([Example(x, y) for x, y in zip(found, references, strict=True)])


def rows_of_entities(nlp: Language, others: Mapping[str, str], folder: Path, limit: int) -> list[dict[str, Any]]:
    """others: pipelines to compare with, or files that this script wrote of them, by name. folder: with joint/ and
    documents/."""
    rows = []
    beside = {name: score_other(other, folder, limit) for name, other in others.items()}
    for file in sorted(folder.glob("*/dev/entities/*.spacy")):
        name, hub_id = ENTITIES[file.stem]
        gold = evenly(read_docbin(file, nlp.vocab), limit or None)
        row = {"docs": len(gold), "hub_id": hub_id, "metrics": ["ents_ece", "ents_p", "ents_r", "ents_f"]}
        note = "not trained on" if file.stem == NOT_TRAINED_ON else ""
        baselines = {key: scores.get(name) for key, scores in beside.items()}
        found = find_entities(nlp, gold)
        scores = score_entities(found, gold, FLAT)
        rows.append(
            {**row, "task": "Entities", "dataset": name, "scores": scores, "baselines": baselines, "note": note}
        )
        if file.stem in WITH_MISC:
            scores = score_entities(found, gold, (*FLAT, "MISC"))
            rows.append({**row, "task": "Entities, with MISC", "dataset": name, "scores": scores})
    return rows


def score_other(model: str, folder: Path, limit: int) -> dict[str, float | None]:
    """Dataset -> F1 of another pipeline, or as a file of this script has it."""
    if model.endswith(".json"):
        rows = json.loads(Path(model).read_text(encoding="utf8"))["results"]
    else:
        rows = rows_of_entities(spacy.load(model), {}, folder, limit)
    return {row["dataset"]: row["scores"]["ents_f"] for row in rows if row["task"] == "Entities"}


def given(nlp: Language, file: Path, limit: int, **settings: Any) -> list[Example]:
    return list(build_gold_mentions_corpus(file, limit=limit, **settings)(nlp))


def run(examples: Sequence[Example], pipe: Callable[[Doc], Doc]) -> Sequence[Example]:
    for example in examples:
        example.predicted = pipe(example.predicted)
    return examples


def rows_of_tasks(nlp: Language, train: Path, dev: Path, limit: int) -> list[dict[str, Any]]:
    """Types, relations and questions; links are measured on plain text alone (`evaluate_documents`)."""
    tasks: list[tuple[str, dict[str, Any], dict[str, Any], str, Callable[..., Scores], Any]] = [
        (
            "luke_entity_typer",
            {"task": "Entity types", "dataset": "CrossNER, dev", "hub_id": "DFKI-SLT/cross_ner"},
            {"ents_key": "mentions"},
            "types",
            build_entity_typer_scorer(),
            ("types in training", types_in_training(train / "types.spacy", nlp)),
        ),
        (
            "luke_relations",
            {"task": "Relations", "dataset": "KnowledgeNet, fold 3"},
            {"ents_key": "mentions"},
            "relations",
            build_relations_scorer(),
            ("words between", relation_between(train / "relations.spacy", nlp)),
        ),
        (
            "luke_qa",
            {"task": "Questions", "dataset": "SQuAD 2.0 and QAMR, held out", "hub_task": "question-answering"},
            {"questions": True},
            "questions",
            build_qa_scorer(),
            ("nearest words", nearest_words),
        ),
    ]
    metrics = {
        "types": ["types_ece", "types_micro_p", "types_micro_r", "types_micro_f"],
        "relations": ["rel_ece", "rel_micro_p", "rel_micro_r", "rel_micro_f"],
        "questions": ["qa_em", "qa_f1"],
    }
    rows = []
    for component, row, settings, name, score, (baseline, annotate) in tasks:
        file, shown = dev / f"{name}.spacy", metrics[name]
        examples = given(nlp, file, limit, **settings)
        scores = score(run(examples, nlp.get_pipe(component)))
        plain = score(run(given(nlp, file, limit, **settings), annotate))
        rows.append(
            {
                **row,
                "docs": len(examples),
                "metrics": shown,
                "scores": scores,
                "baselines": {baseline: plain[shown[-1]]},
            }
        )
    return rows


def speed(model: str, nlp: Language, gold: Sequence[Doc], machine: str) -> list[dict[str, Any]]:
    """Words a second of the whole pipeline and of luke_ner alone, and seconds to load; medians of three.

    `luke_ner alone` runs without the components for the other tasks.
    """
    words = sum(map(len, gold))
    found: dict[str, list[float]] = {"whole pipeline": [], "luke_ner alone": []}
    for _ in range(3):
        for what, times in found.items():
            docs = [bare(doc) for doc in gold]
            kept = nlp.pipe_names if what == "whole pipeline" else ["sentencizer", "luke_ner"]
            with nlp.select_pipes(enable=kept):
                start = time.perf_counter()
                list(nlp.pipe(docs))
                times.append(words / (time.perf_counter() - start))
    imports = "import time, spacy, torch; spacy.blank('en')"  # which imports the plugins that are installed
    code = f"{imports}; t = time.perf_counter(); spacy.load({model!r}); print(time.perf_counter() - t)"
    loads = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout)
        for _ in range(3)
    ]
    rows = [
        {"what": f"{what}, {machine}", "value": round(sorted(times)[1]), "unit": "words/s"}
        for what, times in found.items()
    ]
    return [
        *rows,
        {
            "what": f"spacy.load after the imports, {machine}",
            "value": round(sorted(loads)[1], 2),
            "unit": "s",
        },
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of the pipeline")
    parser.add_argument("corpus", type=Path, help="folder with joint/ and documents/")
    parser.add_argument("--ner", action="append", default=[], metavar="NAME=MODEL", help="to compare with")
    parser.add_argument("--entities", action="store_true", help="entities only: for a pipeline without the other tasks")
    parser.add_argument("--limit", type=int, default=0, help="most Docs of each file; 0 = all")
    parser.add_argument("--machine", help="what it runs on: measures the speed, too, on an idle machine")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    args = parser.parse_args()

    nlp = spacy.load(args.model)
    others = {name: path for name, _, path in (given.partition("=") for given in args.ner)}
    dev = args.corpus / "joint" / "dev"
    results = rows_of_entities(nlp, others, args.corpus, args.limit)
    if not args.entities:
        results += rows_of_tasks(nlp, args.corpus / "joint" / "train", dev, args.limit)
    evaluation: dict[str, Any] = {"results": results}
    if args.machine:
        gold = [d for file in sorted((dev / "entities").glob("*.spacy")) for d in read_docbin(file, nlp.vocab)]
        evaluation["speed"] = speed(args.model, nlp, evenly(gold, 500), args.machine)
    for row in results:
        shown = "  ".join(f"{name} {100 * (row['scores'][name] or 0):.1f}" for name in row["metrics"])
        beside = "  ".join(f"{name} {100 * (value or 0):.1f}" for name, value in row.get("baselines", {}).items())
        print(f"{row['task']:20} {row['dataset']:45} {shown}   beside {beside or 'nothing'}")
    if args.output:
        write_file(args.output, json.dumps(evaluation, indent=2) + "\n")


if __name__ == "__main__":
    main()
