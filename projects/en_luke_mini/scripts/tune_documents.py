"""Set on dev data what training does not: thresholds, and how sure the scores are.

    python -m scripts.tune_documents training/en_luke_mini/last corpus training/en_luke_mini/tuned

"No entity" gets the bias with the best mean F1 of the corpora, the span filter the highest threshold whose F1 is at
most 0.1 points below the best. luke_relations reads documents of Re-DocRED as text, with the entities that the pipeline
finds there, and annotated sentences with theirs: the threshold has the best mean F1 of those with a mean precision of
at least --min-precision. luke_qa gets paragraphs of which half the questions are another's, and questions about
another name than the text. A part of the documents and paragraphs is left to `evaluate_documents`. Heads are divided
by the temperature (Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2) with the least expected
calibration error. The bias of "no answer" with the best F1 is printed, and --no-answer-bias taken: which is best hangs
on how many questions about another name one expects. What is saved computes in float32.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.training import Example

from spacy_luke.cli.saving import save_pipeline
from spacy_luke.converters import read_docbin
from spacy_luke.pipeline.tuning import Tuning, tune

from .evaluate_documents import QUESTION_SETS
from .evaluate_joint import NOT_TRAINED_ON, given
from .evaluate_ner import bare, evenly

FINDS_ENTITIES = ("sentencizer", "luke_encoder", "luke_ner", "luke_dates")


def entities(nlp: Language, corpus: Path, limit: int) -> list[list[Example]]:
    """Draw so many Docs of each file, evenly spaced; none of the corpus that is to show the transfer."""
    files = [path for path in sorted(corpus.glob("*/dev/entities/*.spacy")) if path.stem != NOT_TRAINED_ON]
    gold = [evenly(read_docbin(file, nlp.vocab), limit) for file in files]
    return [[Example(bare(doc), doc) for doc in docs] for docs in gold]


def documents(nlp: Language, path: Path) -> list[Example]:
    """The first half of the documents, as text with the entities that are found."""
    gold = read_docbin(path, nlp.vocab)
    gold = gold[: len(gold) // 2]
    with nlp.select_pipes(enable=list(FINDS_ENTITIES)):
        found = list(nlp.pipe([doc.text for doc in gold]))
    return [Example(x, y) for x, y in zip(found, gold, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of the pipeline")
    parser.add_argument("corpus", type=Path, help="folder with joint/ and documents/")
    parser.add_argument("output", type=Path, help="folder to save the pipeline to")
    parser.add_argument("--limit", type=int, default=300, help="most Docs of each file of entities and types")
    parser.add_argument("--skip", type=int, default=150, help="paragraphs of each set of questions that are left out")
    parser.add_argument("--min-precision", type=float, default=0.65, help="of relations, mean of the two")
    parser.add_argument(
        "--no-answer-bias", type=float, default=0.0, help="of luke_qa, instead of the one with the best F1"
    )
    args = parser.parse_args()

    nlp = spacy.load(args.model)
    dev = args.corpus / "documents" / "dev"
    tuned = {}

    def report(name: str, made: Tuning) -> None:
        tuned[name] = made
        print(f"{name}: {made.settings}, {made.calibration}, F1 {made.f1:.2%}", flush=True)

    corpora = entities(nlp, args.corpus, args.limit)
    report("luke_ner", tune(nlp.get_pipe("luke_ner"), corpora))
    typed = given(nlp, dev / "types.spacy", args.limit, ents_key="mentions")
    report("luke_entity_typer", tune(nlp.get_pipe("luke_entity_typer"), [typed]))
    related = [documents(nlp, dev / "relations.spacy"), given(nlp, dev / "annotated.spacy", 0, ents_key="mentions")]
    tuning = tune(nlp.get_pipe("luke_relations"), related, min_precision=args.min_precision)
    report("luke_relations", tuning)
    files = [dev / "questions" / f"{name}.spacy" for name in QUESTION_SETS]
    asked = [given(nlp, file, 0, questions=True)[args.skip :] for file in files]
    asked.append(given(nlp, dev / "renamed.spacy", 0, questions=True))
    report("luke_qa", tune(nlp.get_pipe("luke_qa"), asked))

    settings: dict[str, Any] = {name: made.settings for name, made in tuned.items()}
    settings["luke_qa"] = {"no_answer_bias": args.no_answer_bias}
    settings["luke_encoder"] = {"model": {"precision": "float32"}}
    nlp = spacy.load(args.model, config={"components": settings})
    for name, made in tuned.items():
        component: Any = nlp.get_pipe(name)
        component.apply_calibration(made.calibration)
    save_pipeline(nlp, args.output)


if __name__ == "__main__":
    main()
