"""Set on dev data what training does not: thresholds, and how sure the scores are.

    python scripts/tune_joint.py training/en_luke_mini/model-last corpus/joint/dev training/en_luke_mini/tuned

The span filter gets the highest threshold whose F1 is at most 0.2 points below the best; luke_relations,
luke_entity_typer and luke_qa the threshold with the best F1. The heads of the first three are divided by the
temperature (Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2) with the least expected
calibration error: this changes their scores, hardly their answers.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import spacy
import torch
from evaluate_joint import NOT_TRAINED_ON, given
from evaluate_ner import bare, evenly
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.training import Example

from spacy_luke.pipeline.filter_recall import choose_threshold, measure_filter

F1_LOSS = 0.002
TEMPERATURES = [step / 20 for step in range(8, 61)]


@dataclass(frozen=True)
class Task:
    """What is tuned of a component: the best of `thresholds` for the setting, by `f1`.

    data, reader: file below the dev folder, and settings of its reader.
    ece: score of the calibration error; "" = its scores are no probabilities.
    """

    component: str
    data: str
    reader: Mapping[str, Any]
    setting: str
    thresholds: Sequence[float]
    f1: str
    ece: str = ""


PROBABILITIES = [step / 20 for step in range(19)]
GIVEN = {"ents_key": "mentions"}
TASKS = (
    Task("luke_relations", "relations", GIVEN, "threshold", PROBABILITIES, "rel_micro_f", "rel_ece"),
    Task("luke_entity_typer", "types", GIVEN, "threshold", PROBABILITIES[4:], "types_micro_f", "types_ece"),
    Task(
        "luke_qa",
        "questions",
        {"questions": True},
        "no_answer_threshold",
        [step / 2 for step in range(-10, 21)],
        "qa_f1",
    ),
)


def entities(nlp: Language, folder: Path, limit: int) -> list[Example]:
    """Of each file so many Docs, evenly spaced; not of the corpus that is to show the transfer."""
    found = []
    for file in sorted(path for path in folder.glob("*.spacy") if path.stem != NOT_TRAINED_ON):
        gold = evenly(list(DocBin().from_disk(file).get_docs(nlp.vocab)), limit)
        found += [Example(bare(doc), doc) for doc in gold]
    return found


def rescored(pipe: Any, examples: Sequence[Example], scores: Sequence[Any], temperature: float = 1.0) -> dict[str, Any]:
    """The component's own scores of what it makes of raw scores."""
    docs = [example.predicted for example in examples]
    if temperature != 1:
        scores = [replace(of_doc, logits=of_doc.logits / temperature) for of_doc in scores]
    pipe.set_annotations(docs, scores)
    found: dict[str, Any] = pipe.score(examples)
    return found


def calibrated(pipe: Any, examples: Sequence[Example], scores: Sequence[Any], ece: str) -> float:
    """The temperature with the least calibration error."""
    return min(TEMPERATURES, key=lambda t: rescored(pipe, examples, scores, t)[ece] or 0.0)


def tune_ner(pipe: Any, examples: Sequence[Example]) -> tuple[dict[str, Any], float]:
    """RETURNS: settings and temperature."""
    point = choose_threshold(measure_filter(pipe, examples), recall=1.0, f1_loss=F1_LOSS)
    print(f"luke_ner: filter {point.threshold}, recall {point.recall:.2%}, kept {point.kept:.2%}, F1 {point.f:.2%}")
    pipe.span_filter.settings = replace(pipe.span_filter.settings, threshold=point.threshold)
    scores = pipe.predict([example.predicted for example in examples])
    return {"span_filter": {"threshold": point.threshold}}, calibrated(pipe, examples, scores, "ents_ece")


def tune(pipe: Any, examples: Sequence[Example], task: Task) -> tuple[dict[str, Any], float]:
    """RETURNS: settings and temperature."""
    scores = pipe.predict([example.predicted for example in examples])
    temperature = calibrated(pipe, examples, scores, task.ece) if task.ece else 1.0

    def f1(threshold: float) -> float:
        setattr(pipe, task.setting, threshold)
        return rescored(pipe, examples, scores, temperature)[task.f1] or 0.0

    chosen = max(task.thresholds, key=f1)
    print(f"{task.component}: {task.setting} {chosen}, {task.f1} {f1(chosen):.2%}")
    return {task.setting: chosen}, temperature


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of the pipeline")
    parser.add_argument("dev", type=Path, help="folder dev that prepare_joint.py has written")
    parser.add_argument("output", type=Path, help="folder to save the pipeline to")
    parser.add_argument("--limit", type=int, default=400, help="most Docs of each file")
    args = parser.parse_args()

    nlp = spacy.load(args.model)
    tuned = {"luke_ner": tune_ner(nlp.get_pipe("luke_ner"), entities(nlp, args.dev / "entities", args.limit))}
    for task in TASKS:
        examples = given(nlp, args.dev / f"{task.data}.spacy", args.limit, **task.reader)
        tuned[task.component] = tune(nlp.get_pipe(task.component), examples, task)
    nlp = spacy.load(args.model, config={"components": {name: settings for name, (settings, _) in tuned.items()}})
    for name, (_, temperature) in tuned.items():
        if temperature != 1:
            print(f"{name}: temperature {temperature}")
            pipe: Any = nlp.get_pipe(name)
            with torch.no_grad():
                for parameter in pipe._module.classifier.parameters():
                    parameter.div_(temperature)
    nlp.to_disk(args.output)


if __name__ == "__main__":
    main()
