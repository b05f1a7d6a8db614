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
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.training import Example

from spacy_luke.cli.saving import save_pipeline
from spacy_luke.converters import read_docbin
from spacy_luke.pipeline.base.entities import DECODINGS
from spacy_luke.pipeline.tuning import Tuning, tune

from .evaluate_joint import NOT_TRAINED_ON, given
from .evaluate_ner import bare, evenly

PRIOR_WEIGHTS = (1.0, 0.5, 2.0, 4.0)
# Component -> its file below the dev folder, and settings of the reader.
TASKS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "luke_relations": ("relations", {"ents_key": "mentions"}),
    "luke_entity_typer": ("types", {"ents_key": "mentions"}),
    "luke_qa": ("questions", {"questions": True}),
}


def entities(nlp: Language, folder: Path, limit: int) -> list[list[Example]]:
    """Draw so many Docs of each file, evenly spaced; none of the corpus that is to show the transfer."""
    files = [path for path in sorted(folder.glob("*.spacy")) if path.stem != NOT_TRAINED_ON]
    gold = [evenly(read_docbin(file, nlp.vocab), limit) for file in files]
    return [[Example(bare(doc), doc) for doc in docs] for docs in gold]


def tune_ner(pipe: Any, corpora: Sequence[Sequence[Example]]) -> Tuning:
    f1 = {}
    for pipe.decoding in DECODINGS:
        found = pipe.find_calibration(corpora)
        f1[pipe.decoding] = found.f1
        print(f"luke_ner: {pipe.decoding} decoding, bias {found.bias:+.1f}, mean F1 {found.f1:.2%}")
    pipe.decoding = max(f1, key=f1.__getitem__)
    tuned = tune(pipe, corpora)
    return Tuning({"decoding": pipe.decoding, **tuned.settings}, tuned.calibration, tuned.f1)


def tune_linker(pipe: Any, examples: Sequence[Example]) -> Tuning:
    def accuracy(weight: float) -> float:
        pipe.prior_weight = weight
        list(pipe.pipe([example.predicted for example in examples]))
        found: float = pipe.score(examples)["nel_acc"]
        return found

    found = {weight: accuracy(weight) for weight in PRIOR_WEIGHTS}
    chosen = max(found, key=found.__getitem__)
    print(f"luke_entity_linker: prior_weight {chosen}, accuracy {found[chosen]:.2%}")
    return Tuning({"prior_weight": chosen})


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
    for name, (data, reader) in TASKS.items():
        examples = given(nlp, args.dev / f"{data}.spacy", args.limit, **reader)
        tuned[name] = tune(nlp.get_pipe(name), [examples])
    nlp = spacy.load(args.model, config={"components": {name: made.settings for name, made in tuned.items()}})
    for name, made in tuned.items():
        print(f"{name}: {made.settings}, {made.calibration}")
        nlp.get_pipe(name).apply_calibration(made.calibration)
    save_pipeline(nlp, args.output)


if __name__ == "__main__":
    main()
