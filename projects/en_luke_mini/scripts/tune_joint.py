"""Set on dev data what training does not: thresholds, and how sure the scores are.

    python -m scripts.tune_joint training/en_luke_mini/model-last corpus/joint/dev training/en_luke_mini/tuned

"No entity" gets the bias, and luke_ner the decoding, with the best mean F1 of the corpora; the span filter the
highest threshold whose F1 is at most 0.1 points below the best; luke_relations, luke_entity_typer and luke_qa the
threshold with the best F1, and luke_entity_linker the weight of the prior with the best accuracy. The heads of
luke_ner, luke_relations and luke_entity_typer are divided by the temperature (Guo et al. 2017, "On Calibration of
Modern Neural Networks", section 4.2) with the least expected calibration error: this changes their scores and, but
for joint decoding, hardly their answers.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import spacy
import torch
from spacy.language import Language
from spacy.training import Example

from spacy_luke.cli.saving import save_pipeline
from spacy_luke.converters import read_docbin
from spacy_luke.pipeline.base.entities import DECODINGS
from spacy_luke.pipeline.ner.tune_filter import choose_threshold, measure_filter

from .evaluate_joint import NOT_TRAINED_ON, given
from .evaluate_ner import bare, evenly

F1_LOSS = 0.001
TEMPERATURES = [step / 20 for step in range(8, 61)]
PRIOR_WEIGHTS = (1.0, 0.5, 2.0, 4.0)
BIASES = [step / 5 for step in range(-15, 16)]


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


@dataclass(frozen=True)
class Tuned:
    """What was chosen for a component.

    settings: of its config.
    temperature: what its raw scores are divided by.
    bias: added before to the one of its negative label.
    """

    settings: Mapping[str, Any]
    temperature: float
    bias: float = 0.0

    def change_head(self, pipe: Any) -> None:
        with torch.no_grad():
            if self.bias:
                pipe._module.classifier.bias[pipe.logit_labels.index(pipe.negative_label)] += self.bias
            if self.temperature != 1:
                for parameter in pipe._module.classifier.parameters():
                    parameter.div_(self.temperature)


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


def entities(nlp: Language, folder: Path, limit: int) -> list[list[Example]]:
    """Of each file so many Docs, evenly spaced; not of the corpus that is to show the transfer."""
    files = [path for path in sorted(folder.glob("*.spacy")) if path.stem != NOT_TRAINED_ON]
    gold = [evenly(read_docbin(file, nlp.vocab), limit) for file in files]
    return [[Example(bare(doc), doc) for doc in docs] for docs in gold]


def rescored(pipe: Any, examples: Sequence[Example], scores: Sequence[Any], temperature: float = 1.0) -> dict[str, Any]:
    """The component's own scores of what it makes of raw scores."""
    if temperature != 1:
        scores = [replace(of_doc, logits=of_doc.logits / temperature) for of_doc in scores]
    pipe.set_annotations([example.predicted for example in examples], scores)
    found: dict[str, Any] = pipe.score(examples)
    return found


def calibrated(pipe: Any, examples: Sequence[Example], scores: Sequence[Any], ece: str) -> float:
    """The temperature with the least calibration error."""
    return min(TEMPERATURES, key=lambda t: rescored(pipe, examples, scores, t)[ece])


def tune_ner(pipe: Any, corpora: Sequence[Sequence[Example]]) -> Tuned:
    pipe.overwrite = True  # the same Docs again and again
    examples = [example for corpus in corpora for example in corpus]
    docs = [example.predicted for example in examples]
    scores = pipe.predict(docs)
    negative = pipe.logit_labels.index(pipe.negative_label)

    def f1(decoding: str, bias: float, temperature: float) -> float:
        pipe.decoding = decoding
        changed = biased(scores, negative, bias)
        pipe.set_annotations(docs, [replace(one, logits=one.logits / temperature) for one in changed])
        return sum(pipe.score(corpus)["ents_f"] or 0.0 for corpus in corpora) / len(corpora)

    def best(decoding: str, temperature: float) -> float:
        """The bias with the best F1."""
        return max(BIASES, key=lambda bias: f1(decoding, bias, temperature))

    # What is the most probable together depends on the temperature, which the bias changes little.
    chosen = {}
    for decoding in DECODINGS:
        pipe.decoding, bias = decoding, best(decoding, 1.0)
        temperature = calibrated(pipe, examples, biased(scores, negative, bias), "ents_ece")
        bias = best(decoding, temperature)
        mean = f1(decoding, bias, temperature)
        chosen[mean] = decoding, bias, temperature
        print(f"luke_ner: {decoding} decoding, bias {bias:+.1f} of {pipe.negative_label}, mean F1 {mean:.2%}")
    pipe.decoding, bias, temperature = chosen[max(chosen)]
    Tuned({}, temperature, bias).change_head(pipe)
    point = choose_threshold(measure_filter(pipe, examples), recall=1.0, f1_loss=F1_LOSS)
    print(f"luke_ner: filter {point.threshold}, recall {point.recall:.2%}, kept {point.kept:.2%}, F1 {point.f:.2%}")
    pipe.span_filter.settings = replace(pipe.span_filter.settings, threshold=point.threshold)
    return Tuned({"decoding": pipe.decoding, "span_filter": {"threshold": point.threshold}}, temperature, bias)


def biased(scores: Sequence[Any], label: int, bias: float) -> list[Any]:
    """Raw scores with a bias added to those of one label."""
    made = []
    for of_doc in scores:
        logits = of_doc.logits.copy()
        logits[:, label] += bias
        made.append(replace(of_doc, logits=logits))
    return made


def tune(pipe: Any, examples: Sequence[Example], task: Task) -> Tuned:
    scores = pipe.predict([example.predicted for example in examples])
    temperature = calibrated(pipe, examples, scores, task.ece) if task.ece else 1.0

    def f1(threshold: float) -> float:
        setattr(pipe, task.setting, threshold)
        return rescored(pipe, examples, scores, temperature)[task.f1] or 0.0

    chosen = max(task.thresholds, key=f1)
    print(f"{task.component}: {task.setting} {chosen}, {task.f1} {f1(chosen):.2%}")
    return Tuned({task.setting: chosen}, temperature)


def tune_linker(pipe: Any, examples: Sequence[Example]) -> Tuned:
    def accuracy(weight: float) -> float:
        pipe.prior_weight = weight
        list(pipe.pipe([example.predicted for example in examples]))
        found: float = pipe.score(examples)["nel_acc"]
        return found

    found = {weight: accuracy(weight) for weight in PRIOR_WEIGHTS}
    chosen = max(found, key=found.__getitem__)
    print(f"luke_entity_linker: prior_weight {chosen}, accuracy {found[chosen]:.2%}")
    return Tuned({"prior_weight": chosen}, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of the pipeline")
    parser.add_argument("dev", type=Path, help="folder dev that prepare_joint.py has written")
    parser.add_argument("output", type=Path, help="folder to save the pipeline to")
    parser.add_argument("--limit", type=int, default=400, help="most Docs of each file")
    args = parser.parse_args()

    nlp = spacy.load(args.model)
    tuned = {"luke_ner": tune_ner(nlp.get_pipe("luke_ner"), entities(nlp, args.dev / "entities", args.limit))}
    examples = given(nlp, args.dev / "links.spacy", args.limit, mentions=True, links=False)
    tuned["luke_entity_linker"] = tune_linker(nlp.get_pipe("luke_entity_linker"), examples)
    for task in TASKS:
        examples = given(nlp, args.dev / f"{task.data}.spacy", args.limit, **task.reader)
        tuned[task.component] = tune(nlp.get_pipe(task.component), examples, task)
    nlp = spacy.load(args.model, config={"components": {name: made.settings for name, made in tuned.items()}})
    for name, made in tuned.items():
        print(f"{name}: temperature {made.temperature}")
        made.change_head(nlp.get_pipe(name))
    save_pipeline(nlp, args.output)


if __name__ == "__main__":
    main()
