"""Train components from an encoder before and after pretraining, on the same data, seeds and steps, and compare them.

    python -m scripts.compare_pretraining training/encoder training/pretrained/model-best corpus training/ablation

What is finished is not done again, so a killed run goes on where it was. The last model of each training is taken and
measured on the dev part: luke_ner on every file of corpus/dev, the others on that of their corpus.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import LIBRARY_CONFIGS
from .compare_fast_mode import python, train

STARTS = ("without", "with")


@dataclass(frozen=True)
class Task:
    """A component, its data below the folder of the corpora, and the score that counts."""

    config: Path
    data: str
    steps: int
    score: str
    changes: Mapping[str, Any] = field(default_factory=dict)


TASKS: Mapping[str, Task] = {
    "entities": Task(LIBRARY_CONFIGS / "ner_fast.cfg", ".", 250, "mean_ents_f"),
    "entity types": Task(
        LIBRARY_CONFIGS / "entity_typer.cfg",
        "typing",
        176,
        "types_micro_f",
        {
            "components.luke_entity_typer.multi_label": "false",
            "components.luke_entity_typer.threshold": 0.0,
            "components.luke_entity_typer.spans_key": "mentions",
            "corpora.train.spans_key": "mentions",
            "corpora.dev.spans_key": "mentions",
            "training.batcher.size": 8,
            "training.max_epochs": 0,
        },
    ),
    "relations": Task(
        LIBRARY_CONFIGS / "relations.cfg",
        "knowledgenet",
        237,
        "rel_micro_f",
        {
            "components.luke_relations.directed_labels": "true",
            "components.luke_relations.pairs.both_directions": "false",
            "training.batcher.size": 8,
            "training.max_epochs": 0,
        },
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="checkpoint before pretraining")
    parser.add_argument("after", type=Path, help="checkpoint after it")
    parser.add_argument("corpus", type=Path, help="folder with train.spacy, dev/*.spacy, typing and knowledgenet")
    parser.add_argument("output", type=Path, help="folder for models and scores")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", choices=TASKS, action="append", help="one of the tasks; may be repeated")
    parser.add_argument("--limit", type=int, default=500, help="most Docs of each dev file of luke_ner")
    parser.add_argument("--gpu-id", type=int, default=-1)
    args = parser.parse_args()
    for seed, task, start in itertools.product(args.seeds, args.only or TASKS, STARTS):
        run(task, start, seed, args)
    print(table(args))


def folder(task: str, start: str, seed: int, args: argparse.Namespace) -> Path:
    return args.output / f"{task.replace(' ', '_')}-{start}-{seed}"


def run(name: str, start: str, seed: int, args: argparse.Namespace) -> None:
    """Train and measure one model, as far as that is not done."""
    task, target = TASKS[name], folder(name, start, seed, args)
    data = args.corpus / task.data
    if not (target / "model-last" / "meta.json").exists():
        checkpoint = args.after if start == "with" else args.before
        paths = {"train": data / "train.spacy", "dev": data / "dev.spacy", "checkpoint": checkpoint}
        train(task.config, target, paths, task.steps, seed, args.gpu_id, task.changes)
    if not (target / "scores.json").exists():
        model, scores = target / "model-last", ("--output", target / "scores.json")
        if name == "entities":
            python("-m", "scripts.evaluate_ner", model, args.corpus / "dev", "--limit", args.limit, *scores)
        else:
            given = ("--gold-entities", "--gold-sentences")
            python("-m", "spacy", "luke", "evaluate", model, data / "dev.spacy", *given, *scores)


def table(args: argparse.Namespace) -> str:
    """F1 in percent: mean over the seeds, lowest and highest."""
    lines = ["| | seeds | without | with | difference |", "|---|---:|---:|---:|---:|"]
    for name, task in TASKS.items():
        files = {start: [folder(name, start, seed, args) / "scores.json" for seed in args.seeds] for start in STARTS}
        found = {start: [_score(file, task) for file in files[start] if file.exists()] for start in STARTS}
        if all(found.values()):
            cells = [f"{statistics.mean(v):.1f} ({min(v):.1f}-{max(v):.1f})" for v in found.values()]
            gain = statistics.mean(found["with"]) - statistics.mean(found["without"])
            lines.append(f"| {name} | {len(found['with'])} | {' | '.join(cells)} | {gain:+.1f} |")
    return "\n".join(lines)


def _score(file: Path, task: Task) -> float:
    found = json.loads(file.read_text(encoding="utf8"))
    scores = found["all"] if "all" in found else found["results"][0]["scores"]  # of evaluate_ner, of luke evaluate
    return 100 * scores[task.score]


if __name__ == "__main__":
    main()
