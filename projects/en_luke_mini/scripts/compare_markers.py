"""Train luke_relations and luke_entity_typer with and without markers in the text, from the same encoder, on the same
data, seeds and steps, and compare them.

    python -m scripts.compare_markers corpus training/markers --seeds 0 1 2
    python -m scripts.compare_markers corpus training/markers --training-speed

needs corpus/redocred, corpus/knowledgenet and corpus/typing of prepare_tasks. What is finished is not done again, so a
killed run goes on where it was. Training starts from the encoder of the bundled model, which was trained with markers,
or from another checkpoint. Each model is measured twice on the dev part: on gold entities, and on those that luke_ner
of the bundled model finds. The second command measures training steps of luke_ner, luke_entity_typer and luke_relations
on one encoder, on the same documents, in turns; it needs no trained model.

Seconds are those of the CPU, of all threads together.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import random
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.util import fix_random_seed, load_config, registry
from spacy.vocab import Vocab

from spacy_luke.annotations import set_entity_types
from spacy_luke.converters import read_docbin, write_docbin
from spacy_luke.default_model import bundled_pipeline
from spacy_luke.files import write_file
from spacy_luke.pipeline.base.component import TaskComponent
from spacy_luke.training.corpus import build_gold_mentions_corpus

from . import LIBRARY_CONFIGS, RECIPE_CONFIGS
from .evaluate_ner import bare, evenly
from .prepare_tasks import MENTIONS

JOINED = {"@misc": "spacy-luke.joined_sentences.v1", "max_pieces": 510, "joined_pieces": 256}
# Name -> settings of the component.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "markers": {"markers": True},
    "no markers": {"markers": False},
    "no markers, joined sentences": {"markers": False, "windows": JOINED},
}
TRAINED = ("markers", "no markers")
RATE = 0.0003
HEAD_RATE = 3.0
DROPOUT = 0.1
SPEED_STEPS = 4
ALONE, SHARED = "no markers, pieces encoded by each component", "no markers, pieces encoded once"
FINDS_ENTITIES = ("sentencizer", "luke_encoder", "luke_ner", "entity_ruler")


@dataclass(frozen=True)
class Task:
    """A component, its data below the folder of the corpora, a training, and the score that counts.

    docs: of a step. limit: most Docs of the dev part, evenly spaced; 0 = all.
    spans_key: where the component looks for its spans; None = it looks at the entities.
    labels: of entities -> how the bundled model calls these.
    """

    component: str
    config: Path
    data: str
    steps: int
    docs: int
    limit: int
    score: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    spans_key: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


TASKS: Mapping[str, Task] = {
    "Re-DocRED": Task(
        "luke_relations",
        LIBRARY_CONFIGS / "relations.cfg",
        "redocred",
        200,
        2,
        0,
        "rel_micro_f",
        {"directed_labels": True, "max_negatives": 12},
        labels={"TIME": "DATE"},
    ),
    "KnowledgeNet": Task(
        "luke_relations",
        LIBRARY_CONFIGS / "relations.cfg",
        "knowledgenet",
        237,
        8,
        500,
        "rel_micro_f",
        {"directed_labels": True},
    ),
    "entity types": Task(
        "luke_entity_typer",
        LIBRARY_CONFIGS / "entity_typer.cfg",
        "typing",
        176,
        8,
        500,
        "types_micro_f",
        {"multi_label": False, "threshold": 0.0, "spans_key": MENTIONS},
        spans_key=MENTIONS,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="folder with redocred, knowledgenet and typing")
    parser.add_argument("output", type=Path, help="folder for scores")
    parser.add_argument("--checkpoint", help="to start from; default: the encoder of the bundled model")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--task", choices=TASKS, action="append", help="one of the tasks; may be repeated")
    parser.add_argument("--variant", choices=VARIANTS, action="append", help=f"may be repeated; default: {TRAINED}")
    parser.add_argument("--steps", type=int, help="training steps; default: those of the task")
    parser.add_argument("--limit", type=int, help="most Docs of the dev part, evenly spaced; default: that of the task")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--training-speed", action="store_true", help="measure the time of training steps instead")
    args = parser.parse_args()
    if args.training_speed:
        print(training_speed_table(args))
        return
    names = args.variant or TRAINED
    for seed, task, name in itertools.product(args.seeds, args.task or TASKS, names):
        file = scores_file(task, name, seed, args)
        if not file.exists():
            found = run(TASKS[task], VARIANTS[name], seed, args)
            write_file(file, json.dumps(found, indent=2) + "\n")
            print(file.stem, found, flush=True)
    print(table(args, names))


def scores_file(task: str, name: str, seed: int, args: argparse.Namespace) -> Path:
    steps = args.steps or TASKS[task].steps
    return args.output / f"{task}-{name}-{steps}-{seed}.json".replace(", ", "_").replace(" ", "_")


def run(task: Task, settings: Mapping[str, Any], seed: int, args: argparse.Namespace) -> dict[str, float]:
    """Train and measure one model. RETURNS: F1 in percent, and CPU seconds."""
    steps = args.steps or task.steps
    data = data_of(task, args)
    config = load_config(
        task.config,
        {
            "paths.train": str(data / "train.spacy"),
            "paths.dev": str(data / "dev.spacy"),
            "paths.checkpoint": args.checkpoint,
            "system.seed": seed,
            "training.optimizer.learn_rate.initial_rate": RATE,
            "training.optimizer.learn_rate.warmup_steps": max(steps // 10, 1),
            "training.optimizer.learn_rate.total_steps": steps,
            "training.optimizer.grad_clip": 1.0,
        },
    )
    component = config["components"][task.component]
    component.update({**task.settings, **settings})
    component["model"]["head_rate"] = HEAD_RATE
    component["model"]["encoder"].update(entity_attention="independent", precision=args.precision)
    for reader in config["corpora"].values():
        reader["spans_key"] = task.spans_key
    nlp = init_nlp(config)
    readers = registry.resolve(nlp.config.interpolate()["corpora"])
    train, dev = (list(readers[part](nlp)) for part in ("train", "dev"))
    spent = list(steps_of(nlp, list(batches(train, task.docs, steps, seed))))
    limit = args.limit or task.limit or None
    dev = evenly(dev, limit)
    pipe: Any = nlp.get_pipe(task.component)
    start = time.process_time()
    gold = scored(pipe, dev)[task.score]
    predicting = time.process_time() - start
    others = with_entities_of(found_entities(data / "dev.spacy", limit), dev, task.spans_key)
    found = scored(pipe, others)[task.score]
    return {
        "gold entities": 100 * gold,
        "end to end": 100 * found,
        "seconds a step": statistics.mean(spent),
        "seconds of prediction": predicting,
    }


def data_of(task: Task, args: argparse.Namespace) -> Path:
    """The folder with the parts of a corpus, its entities called as the bundled model does."""
    folder, renamed = args.corpus / task.data, args.output / task.data
    if not task.labels:
        return folder
    for part in ("train.spacy", "dev.spacy"):
        if not (renamed / part).exists():
            docs = read_docbin(folder / part, Vocab())
            for doc in docs:
                doc.set_ents([Span(doc, e.start, e.end, label=task.labels.get(e.label_, e.label_)) for e in doc.ents])
            write_docbin(docs, renamed / part)
    return renamed


def batches(examples: Sequence[Example], size: int, steps: int, seed: int) -> Iterator[list[Example]]:
    """As many batches as there are steps, epoch after epoch in a random order."""
    draw = random.Random(seed)
    waiting: list[Example] = []
    for _ in range(steps):
        if len(waiting) < size:
            waiting = draw.sample(examples, len(examples))
        yield [waiting.pop() for _ in range(size)]


def steps_of(nlp: Language, some: Sequence[list[Example]]) -> Iterator[float]:
    """CPU seconds of the training steps on some batches."""
    optimizer = nlp.create_optimizer()
    for examples in some:
        start = time.process_time()
        nlp.update(examples, sgd=optimizer, drop=DROPOUT)
        yield time.process_time() - start
        optimizer.step_schedules()


def scored(pipe: Any, examples: Sequence[Example]) -> dict[str, Any]:
    """Scores of a component on Docs with entities."""
    copies = [Example(example.predicted.copy(), example.reference) for example in examples]
    list(pipe.pipe([example.predicted for example in copies]))
    return pipe.score(copies)


@functools.cache
def found_entities(file: Path, limit: int | None) -> list[Doc]:
    """The Docs of a dev part with the entities that the bundled model finds."""
    nlp = spacy.load(bundled_pipeline(), enable=FINDS_ENTITIES)
    examples = build_gold_mentions_corpus(file)(nlp)
    return list(nlp.pipe(evenly([example.predicted for example in examples], limit)))


def with_entities_of(docs: Sequence[Doc], examples: Sequence[Example], spans_key: str | None) -> list[Example]:
    """The same Docs with the entities of others in place of the gold ones."""
    given = []
    for doc, example in zip(docs, examples, strict=True):
        predicted = bare(example.predicted)
        predicted.set_ents([Span(predicted, ent.start, ent.end, label=ent.label_) for ent in doc.ents])
        if spans_key is not None:
            predicted.spans[spans_key] = SpanGroup(predicted, name=spans_key, spans=list(predicted.ents))
        given.append(Example(predicted, example.reference))
    return given


def table(args: argparse.Namespace, names: Sequence[str]) -> str:
    """Mean over the seeds, and each of them."""
    lines = []
    for task, name in itertools.product(args.task or TASKS, names):
        files = [scores_file(task, name, seed, args) for seed in args.seeds]
        found = [json.loads(file.read_text(encoding="utf8")) for file in files if file.exists()]
        if found and not lines:
            lines = [f"| | | {' | '.join(found[0])} |", f"|---|---|{'---|' * len(found[0])}"]
        if found:
            cells = []
            for key in found[0]:
                digits = 3 if key == "seconds a step" else 1
                each = ", ".join(f"{one[key]:.{digits}f}" for one in found)
                cells.append(f"{statistics.mean(one[key] for one in found):.{digits}f} ({each})")
            lines.append(f"| {task} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def training_speed_table(args: argparse.Namespace) -> str:
    """CPU seconds of a training step of luke_ner, luke_entity_typer and luke_relations on one encoder, and the share of
    that with markers: medians on the same documents, in turns. The first step, which is longer, is left out."""
    pipelines = {
        (way, bound): joint_pipeline(args.corpus / "redocred" / "train.spacy", markers=markers, bound=bound)
        for bound in (1.0, None)
        for way, markers in (("markers", True), (ALONE, False), (SHARED, False))
    }
    optimizers = {way: nlp.create_optimizer() for way, (nlp, _) in pipelines.items()}
    seconds: dict[tuple[str, float | None], list[float]] = {way: [] for way in pipelines}
    for number in range(SPEED_STEPS):
        for way, (nlp, examples) in pipelines.items():
            fix_random_seed(number)  # which negative pairs are drawn
            shares = way[0] != ALONE
            start = time.process_time()
            with nullcontext() if shares else patch.object(TaskComponent, "reads_pieces", new=False):
                nlp.update(examples[number : number + 1], sgd=optimizers[way], drop=DROPOUT)
            nlp.get_pipe("luke_encoder").flush_step()
            seconds[way].append(time.process_time() - start)
    lines = ["| | component_grad_clip | seconds a step | times faster than with markers |", "|---|---|---:|---:|"]
    for (way, bound), each in seconds.items():
        slowest = statistics.median(seconds["markers", bound][1:])
        found = statistics.median(each[1:])
        lines.append(f"| {way} | {bound or 'null'} | {found:.2f} | {slowest / found:.2f} |")
    return "\n".join(lines)


def joint_pipeline(file: Path, *, markers: bool, bound: float | None) -> tuple[Language, list[Example]]:
    """Three components on one encoder, with the settings of the bundled model, and documents with annotation for all.

    bound: largest norm of the gradient of a component; null = any.
    """
    config = load_config(RECIPE_CONFIGS / "en_luke_mini.cfg")
    names = ["sentencizer", "luke_encoder", "luke_ner", "luke_entity_typer", "luke_relations"]
    config["nlp"]["pipeline"] = names
    config["components"] = {name: config["components"][name] for name in names}
    for name in names[3:]:
        config["components"][name]["markers"] = markers
    config["components"]["luke_encoder"]["component_grad_clip"] = bound
    reader = {"@readers": "spacy-luke.gold_mentions_corpus.v1", "path": str(file), "mentions": True}
    config["corpora"] = {"train": {**reader, "limit": SPEED_STEPS}, "dev": reader}
    # Entities are typed below, after they have been read.
    config["initialize"]["components"] = {"luke_entity_typer": {"labels": ["LOC", "MISC", "NUM", "ORG", "PER", "TIME"]}}
    nlp = init_nlp(config)
    examples = list(registry.resolve(nlp.config.interpolate()["corpora"])["train"](nlp))
    for example in examples:
        for ent in example.reference.ents:
            set_entity_types(ent, [ent.label_])
    return nlp, examples


if __name__ == "__main__":
    main()
