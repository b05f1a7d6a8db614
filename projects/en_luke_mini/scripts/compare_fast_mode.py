"""Train luke_ner in its modes, and a token classifier, on the same encoder, data, seeds and steps, and compare them.

    python -m scripts.compare_fast_mode training/encoder corpus training/fast --steps 250 --seeds 0 1 2
    python -m scripts.compare_fast_mode training/encoder corpus training/fast --steps 250 --seeds 0 1 2 --speed
    python -m scripts.compare_fast_mode training/encoder corpus training/fast --training-speed

What is finished is not done again, so a killed run goes on where it was. Each model is trained on corpus/train.spacy
for a fixed number of steps, the last one is taken, and measured on every file of corpus/dev. The threshold of the span
filter is chosen on corpus/dev.spacy. The second command measures the time of the models of the first seed, in turns;
the third that of training steps on the same sentences, in turns, and needs no trained model.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import spacy
import torch
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.util import minibatch

from spacy_luke.converters import read_docbin

from . import LIBRARY_CONFIGS, RECIPE_CONFIGS
from .evaluate_ner import bare, evenly

# Name -> config and what is changed in it.
VARIANTS: Mapping[str, tuple[Path, Mapping[str, Any]]] = {
    "full attention": (RECIPE_CONFIGS / "mini.cfg", {}),
    "full attention, all candidates": (RECIPE_CONFIGS / "mini.cfg", {"components.luke_ner.max_negatives": "null"}),
    "independent, span filter": (LIBRARY_CONFIGS / "ner_fast.cfg", {}),
    "token classifier": (
        LIBRARY_CONFIGS / "token_classifier.cfg",
        {
            "components.luke_token_classifier.windows.context": "none",
            "components.luke_token_classifier.max_batch_pieces": 2048,
            "training.max_epochs": 0,
            "training.optimizer.beta2": 0.98,
        },
    ),
}
FILTERED = "independent, span filter"
RATE = 0.0003
BATCH = 32  # sentences of a step
F1_LOSS = 0.002


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder", type=Path, help="checkpoint to start from")
    parser.add_argument("corpus", type=Path, help="folder with train.spacy, dev.spacy and dev/*.spacy")
    parser.add_argument("output", type=Path, help="folder for models and scores")
    parser.add_argument("--steps", type=int, default=250, help="training steps of 32 sentences")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", choices=VARIANTS, action="append", help="one of the variants; may be repeated")
    parser.add_argument("--limit", type=int, default=500, help="most Docs of each dev file, evenly spaced")
    parser.add_argument("--gpu-id", type=int, default=-1)
    parser.add_argument("--speed", action="store_true", help="measure the time of the trained models instead")
    parser.add_argument("--training-speed", action="store_true", help="measure the time of training steps instead")
    args = parser.parse_args()
    if args.speed:
        print(speed_table(args))
        return
    if args.training_speed:
        print(training_speed_table(args))
        return
    for seed, name in itertools.product(args.seeds, args.only or VARIANTS):
        run(name, seed, args)
    print(table(args))


def folder(name: str, seed: int, args: argparse.Namespace) -> Path:
    return args.output / f"{name.replace(', ', '_').replace(' ', '_')}-{args.steps}-{seed}"


def run(name: str, seed: int, args: argparse.Namespace) -> None:
    """Train and measure one model, as far as that is not done."""
    target = folder(name, seed, args)
    config, changes = VARIANTS[name]
    if not (target / "model-last" / "meta.json").exists():
        train(config, target, paths_of(args), args.steps, seed, args.gpu_id, changes)
    model = target / "model-last"
    if name == FILTERED:
        model = target / "tuned"
        if not (model / "meta.json").exists():
            options = ["--f1-loss", F1_LOSS, "--limit", 500, "--output", model]
            python("-m", "spacy", "luke", "tune-filter", target / "model-last", args.corpus / "dev.spacy", *options)
    if not (target / "scores.json").exists():
        options = ["--limit", args.limit, "--output", target / "scores.json"]
        python("-m", "scripts.evaluate_ner", model, args.corpus / "dev", *options)


def paths_of(args: argparse.Namespace) -> dict[str, Path]:
    """The block [paths] of every config."""
    return {"train": args.corpus / "train.spacy", "dev": args.corpus / "dev.spacy", "checkpoint": args.encoder}


def train(
    config: Path,
    target: Path,
    paths: Mapping[str, Path],
    steps: int,
    seed: int,
    gpu_id: int,
    changes: Mapping[str, Any],
) -> None:
    """Train one model: the same rate, falling over all steps, for all that are compared.

    paths: of the block [paths]; changes: in other settings of the config.
    """
    changed = {**overrides(paths, steps, seed), **changes}
    options = [str(part) for item in changed.items() for part in (f"--{item[0]}", item[1])]
    python("-m", "spacy", "train", config, "--output", target, "--gpu-id", gpu_id, *options)


def overrides(paths: Mapping[str, Path], steps: int, seed: int) -> dict[str, Any]:
    """Settings that every config shares."""
    return {
        **{f"paths.{name}": str(path) for name, path in paths.items()},
        "system.seed": seed,
        "corpora.dev.limit": 100,  # the scores that count are measured afterwards
        "training.max_steps": steps,
        "training.eval_frequency": steps,
        "training.optimizer.learn_rate.initial_rate": RATE,
        "training.optimizer.learn_rate.warmup_steps": max(steps // 16, 1),
        "training.optimizer.learn_rate.total_steps": steps,
    }


def python(*arguments: Any) -> None:
    subprocess.run([sys.executable, *map(str, arguments)], check=True)


def table(args: argparse.Namespace) -> str:
    """F1 in percent: mean over the seeds, lowest and highest."""
    lines = []
    for name in VARIANTS:
        files = [folder(name, seed, args) / "scores.json" for seed in args.seeds]
        found = [json.loads(file.read_text()) for file in files if file.exists()]
        if not found:
            continue
        sets = {key: [one["sets"][key]["ents_f"] for one in found] for key in found[0]["sets"]}
        sets["mean"] = [one["all"]["mean_ents_f"] for one in found]
        if not lines:
            lines = [f"| | seeds | {' | '.join(sets)} |", f"|---|---:|{'---:|' * len(sets)}"]
        cells = [f"{100 * statistics.mean(v):.1f} ({100 * min(v):.1f}-{100 * max(v):.1f})" for v in sets.values()]
        lines.append(f"| {name} | {len(found)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def speed_table(args: argparse.Namespace) -> str:
    """Words per second through nlp.pipe, medians of five turns, on 200 Docs of each dev file."""
    names = [name for name in VARIANTS if (folder(name, args.seeds[0], args) / "scores.json").exists()]
    models = {}
    for name in names:
        target = folder(name, args.seeds[0], args)
        models[name] = spacy.load(target / ("tuned" if name == FILTERED else "model-last"))
    lines = [f"| | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    for file in sorted((args.corpus / "dev").glob("*.spacy")):
        gold = evenly(read_docbin(file, next(iter(models.values())).vocab), 200)
        seconds: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(5):
            for name, nlp in models.items():
                docs = [bare(doc) for doc in gold]
                start = time.perf_counter()
                list(nlp.pipe(docs))
                seconds[name].append(time.perf_counter() - start)
        words = sum(map(len, gold))
        lines.append(
            f"| {file.stem} | {' | '.join(f'{words / statistics.median(v):,.0f}' for v in seconds.values())} |"
        )
    return "\n".join(lines)


def training_speed_table(args: argparse.Namespace) -> str:
    """Seconds of a training step, medians of five on the same sentences, the first, which is longer, left out."""
    names = args.only or list(VARIANTS)
    pipelines, optimizers = {}, {}
    for name in names:
        config, changes = VARIANTS[name]
        changes = {key: None if value == "null" else value for key, value in changes.items()}
        changed = {**overrides(paths_of(args), args.steps, args.seeds[0]), **changes}
        pipelines[name] = init_nlp(spacy.util.load_config(config, changed), use_gpu=args.gpu_id)
        optimizers[name] = pipelines[name].create_optimizer()
    gold = evenly(read_docbin(args.corpus / "train.spacy", next(iter(pipelines.values())).vocab), 6 * BATCH)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for docs in minibatch(gold, BATCH):
        for name, nlp in pipelines.items():
            examples = [Example(bare(doc), doc) for doc in docs]
            training = nlp.config["training"]
            annotates = training["annotating_components"]
            start = time.perf_counter()
            nlp.update(examples, sgd=optimizers[name], drop=training["dropout"], annotates=annotates)
            if args.gpu_id >= 0:
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - start)
    lines = ["| | seconds a step |", "|---|---:|"]
    return "\n".join(lines + [f"| {name} | {statistics.median(v[1:]):.2f} |" for name, v in seconds.items()])


if __name__ == "__main__":
    main()
