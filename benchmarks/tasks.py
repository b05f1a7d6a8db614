"""Measure `luke_relations`, `luke_entity_typer` and `luke_qa` beside transformers' classes, in one run.

    python -m benchmarks.tasks [--size base] [--text FILE] [--sentences 25] [--threads 2] [--rounds 3] [--output FOLDER]

Same weights, same pairs, spans and questions, with natural lengths. Both sides must give the same logits (within 1e-3)
before anything is timed. The sides alternate; figures are medians. Writes tasks.json and tasks.md.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import spacy
import torch
from spacy.tokens import Doc, Span
from transformers import (
    LukeForEntityClassification,
    LukeForEntityPairClassification,
    LukeForQuestionAnswering,
    LukeTokenizer,
)

import spacy_luke
from spacy_luke.box import box_pipeline

from .models import SIZES, random_luke

SAMPLE = Path(__file__).parents[1] / "scripts" / "demo_text.txt"
SENTENCES_OF_A_PASSAGE = 5
Run = Callable[[], list[np.ndarray]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tasks", description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=sorted(SIZES), default="base", help="size of the random LUKE")
    parser.add_argument("--text", type=Path, default=SAMPLE, help="a text file; default: the sample in the repository")
    parser.add_argument("--sentences", type=int, default=25, help="how many sentences of it")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each side")
    parser.add_argument("--batch-size", type=int, default=8, help="inputs in a batch of transformers")
    parser.add_argument("--output", type=Path, default=Path("metrics"), help="folder for the results")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    docs = sentences(options.text, options.sentences)
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(task, docs, options, Path(folder) / task) for task in TASKS]
    results = {
        "machine": f"{platform.machine()}, {options.threads} threads",
        "torch": torch.__version__,
        "dtype": "float32",
        "allocator": "default malloc",
        "model": f"random LUKE, size {options.size}",
        "tasks": rows,
    }
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "tasks.json").write_text(json.dumps(results, indent=1), encoding="utf8")
    (options.output / "tasks.md").write_text(table(results), encoding="utf8")
    print(table(results))


def sentences(text: Path, count: int) -> list[Doc]:
    """A Doc for each sentence, with the entities that the model in the box finds."""
    doc = spacy.load(box_pipeline())(text.read_text(encoding="utf8"))
    return [sentence.as_doc() for sentence in list(doc.sents)[:count]]


def measure(task: str, docs: Sequence[Doc], options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Items per second of both sides on the items of one task."""
    head, kind, make = TASKS[task]
    checkpoint = random_luke(folder, options.size, [doc.text for doc in docs], head=head.__name__)
    tokenizer = LukeTokenizer.from_pretrained(checkpoint, **({"task": kind} if kind else {}))
    ours, inputs = make(spacy_luke.from_checkpoint(checkpoint, sentences=None), docs)
    model = head.from_pretrained(checkpoint).eval()

    def theirs(order: Sequence[int]) -> list[np.ndarray]:
        found: dict[int, np.ndarray] = {}
        for start in range(0, len(order), options.batch_size):
            some = order[start : start + options.batch_size]
            batch = tokenizer(**_columns([inputs[i] for i in some]), padding=True, return_tensors="pt")
            with torch.inference_mode():
                output = model(**batch)
            for row, i in enumerate(some):
                found[i] = _logits(output, row, int(batch["attention_mask"][row].sum()))
        return [found[i] for i in range(len(inputs))]

    arrival = range(len(inputs))
    by_length = sorted(arrival, key=lambda i: len(inputs[i]["text"]) + len(inputs[i].get("text_pair", "")))
    differing = sum(np.abs(a - b).max() > 1e-3 for a, b in zip(ours(), theirs(arrival), strict=True))
    if differing:
        raise SystemExit(f"The sides differ on {differing} of {len(inputs)} {task}; nothing was measured.")
    sides: dict[str, Run] = {
        "ours": ours,
        "transformers": lambda: theirs(arrival),
        "transformers, sorted": lambda: theirs(by_length),
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(options.rounds):
        for side, run in sides.items():
            start = time.perf_counter()
            run()
            seconds[side].append(time.perf_counter() - start)
    medians = {side: statistics.median(values) for side, values in seconds.items()}
    return {
        "task": task,
        "items": len(inputs),
        "items_per_second": {side: len(inputs) / s for side, s in medians.items()},
        "ratio": {side: s / medians["ours"] for side, s in medians.items()},
    }


def pairs(nlp: spacy.Language, docs: Sequence[Doc]) -> tuple[Run, list[dict[str, Any]]]:
    """All ordered pairs of entities in a sentence."""
    pipe = nlp.get_pipe("luke_relations")
    items = [item for found, _ in pipe.logits(docs) for item in found]
    return lambda: _flat(pipe.logits(docs)), [_marked(item) for item in items]


def spans(nlp: spacy.Language, docs: Sequence[Doc]) -> tuple[Run, list[dict[str, Any]]]:
    """All entities."""
    pipe = nlp.get_pipe("luke_entity_typer")
    return lambda: _flat(pipe.logits(docs)), [_marked((ent,)) for doc in docs for ent in doc.ents]


def questions(nlp: spacy.Language, docs: Sequence[Doc]) -> tuple[Run, list[dict[str, Any]]]:
    """A question for each entity of a passage of a few sentences, which is one window."""
    pipe = nlp.get_pipe("luke_qa")
    passages = []
    inputs = []
    for start in range(0, len(docs), SENTENCES_OF_A_PASSAGE):
        some = docs[start : start + SENTENCES_OF_A_PASSAGE]
        passage = nlp.make_doc(" ".join(doc.text.strip() for doc in some))
        asked = list(dict.fromkeys(f"What is said of {ent.text}?" for doc in some for ent in doc.ents))
        passage._.questions = asked
        passages.append(passage)
        inputs += [{"text": question, "text_pair": passage.text} for question in asked]
    return lambda: [array for _, arrays in pipe.logits(passages) for array in arrays], inputs


TASKS: dict[str, tuple[Any, str | None, Callable[..., tuple[Run, list[dict[str, Any]]]]]] = {
    "pairs": (LukeForEntityPairClassification, "entity_pair_classification", pairs),
    "spans": (LukeForEntityClassification, "entity_classification", spans),
    "questions": (LukeForQuestionAnswering, None, questions),
}


def _flat(scored: list[tuple[list[Any], np.ndarray]]) -> list[np.ndarray]:
    return [row for _, logits in scored for row in logits]


def _marked(item: Sequence[Span]) -> dict[str, Any]:
    return {"text": item[0].doc.text, "entity_spans": [(span.start_char, span.end_char) for span in item]}


def _columns(inputs: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [i[name] for i in inputs] for name in inputs[0]}


def _logits(output: Any, row: int, pieces: int) -> np.ndarray:
    if hasattr(output, "start_logits"):
        return torch.stack([output.start_logits[row, :pieces], output.end_logits[row, :pieces]], dim=-1).numpy()
    return output.logits[row].numpy()


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""

    def lines() -> Iterator[str]:
        yield (
            f"{results['model']}, {results['dtype']}; {results['machine']}; torch {results['torch']}; "
            f"{results['allocator']}; medians of alternating runs; both sides gave the same logits."
        )
        yield from ("", "| items | side | items per second | time relative to ours |", "|---|---|---|---|")
        for row in results["tasks"]:
            for side, rate in row["items_per_second"].items():
                yield f"| {row['items']} {row['task']} | {side} | {rate:.1f} | {row['ratio'][side]:.2f} |"
        yield ""

    return "\n".join(lines())


if __name__ == "__main__":
    main()
