"""Measure a pipeline as it is used, from plain text: relations, types, questions, links.

    python -m scripts.evaluate_documents training/en_luke_mini/bundled assets corpus --output metrics/documents.json

relations   documents of Re-DocRED that were not trained on, as text. A predicted relation is right if its label holds
            between the entities whose mentions head and tail are, to the character; said of several mentions of two
            entities, it counts once. Gold are all relations of a document with one of our labels, whether or not one
            sentence has both. By default the second half of the documents: thresholds are chosen on the first
types       CrossNER and GUM; a type is right if a gold mention of the same characters has it
questions   paragraphs with as many questions that another paragraph answers as of their own
links       GUM's mentions with a Wikipedia title; what the linker says of other spans is not counted
"""

from __future__ import annotations

import argparse
import json
import urllib.parse
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from spacy_luke.annotations import (
    get_answers,
    get_entity_type_scores,
    get_entity_types,
    get_link,
    get_questions,
    get_relations,
)
from spacy_luke.converters import read_docbin
from spacy_luke.converters.records import read_records
from spacy_luke.files import write_file
from spacy_luke.model_card import percent
from spacy_luke.pipeline.base.scoring import calibration_error

from .evaluate_joint import given
from .evaluate_ner import evenly
from .prepare_documents import PROPERTIES
from .prepare_tasks import MENTIONS

QUESTION_SETS = {
    "squad": "SQuAD 2.0's paragraphs, held out",
    "new_wiki": "SQuADShifts, six articles held out",
    "tydi": "TyDi QA, English, held out",
    "snippets": "one to three sentences of these",
}
# What a fact is about: numbers of two entities and a label.
Fact = tuple[str, str, str]


@dataclass
class Counts:
    """Predicted and gold facts of a label, or of all.

    in_sentence, right_in_sentence: those of which a sentence has a mention of both entities.
    confidence: score of each predicted one, and whether it is right.
    """

    right: int = 0
    predicted: int = 0
    gold: int = 0
    in_sentence: int = 0
    right_in_sentence: int = 0
    confidence: list[tuple[float, bool]] = field(default_factory=list)

    def scores(self, prefix: str = "") -> dict[str, float | None]:
        return {
            f"{prefix}p": self.right / self.predicted if self.predicted else None,
            f"{prefix}r": self.right / self.gold if self.gold else None,
            f"{prefix}f": 2 * self.right / (self.predicted + self.gold) if self.gold else None,
        }


def gold_facts(doc: Doc) -> dict[str, set[Fact]]:
    """Label -> facts of a document of Re-DocRED, between the numbers of its entities."""
    number = {(ent.start, ent.end): ent.id_ for ent in doc.ents}
    found: dict[str, set[Fact]] = defaultdict(set)
    for relation in get_relations(doc):
        if relation.label in PROPERTIES:
            label, swapped = PROPERTIES[relation.label]
            pair = [number[span.start, span.end] for span in (relation.head, relation.tail)]
            head, tail = reversed(pair) if swapped else pair
            found[label].add((head, tail, label))
    return found


def relations(nlp: Language, gold: Sequence[Doc], labels: Iterable[str]) -> dict[str, Counts]:
    """Counts by label, and of all under "all"."""
    counts: dict[str, Counts] = defaultdict(Counts)
    kept = set(labels)
    for doc, found in zip(gold, nlp.pipe([doc.text for doc in gold]), strict=True):
        entity = {(ent.start_char, ent.end_char): ent.id_ for ent in doc.ents}
        facts = gold_facts(doc)
        together = {(a.id_, b.id_) for sentence in doc.sents for a in sentence.ents for b in sentence.ents}
        said: dict[tuple[str, str, str], float] = {}
        for relation in get_relations(found):
            names = [entity.get((s.start_char, s.end_char), s.text) for s in (relation.head, relation.tail)]
            key = (names[0], names[1], relation.label)
            said[key] = max(said.get(key, 0.0), relation.score)
        for label in kept:
            mine = {key: score for key, score in said.items() if key[2] == label}
            for name in (label, "all"):
                counts[name].gold += len(facts[label])
                counts[name].predicted += len(mine)
                counts[name].right += sum(key in facts[label] for key in mine)
                near = {key for key in facts[label] if key[:2] in together}
                counts[name].in_sentence += len(near)
                counts[name].right_in_sentence += len(near & mine.keys())
                counts[name].confidence += [(score, key in facts[label]) for key, score in mine.items()]
    return counts


def types(nlp: Language, gold: Sequence[Doc]) -> dict[str, Any]:
    """Precision and recall of pairs of a mention and one of its types, and their calibration error."""
    confidence: list[tuple[float, bool]] = []
    wanted = 0
    for doc, found in zip(gold, nlp.pipe([doc.text for doc in gold]), strict=True):
        right = {(s.start_char, s.end_char, label) for s in doc.spans[MENTIONS] for label in get_entity_types(s)}
        wanted += len(right)
        for ent in found.ents:
            for label in get_entity_types(ent):
                score = get_entity_type_scores(ent)[label]
                confidence.append((score, (ent.start_char, ent.end_char, label) in right))
    hits = sum(right for _, right in confidence)
    return {
        "types_ece": calibration_error(confidence),
        "types_micro_p": hits / len(confidence) if confidence else None,
        "types_micro_r": hits / wanted,
        "types_micro_f": 2 * hits / (len(confidence) + wanted),
    }


def questions(nlp: Language, examples: Sequence[Example]) -> dict[str, Any]:
    """F1 on what is answered there, silence on the rest, and how well the best answer's score tells them apart."""
    pipe: Any = nlp.get_pipe("luke_qa")
    docs = [example.predicted for example in examples]
    raw = pipe.predict(docs)
    pipe.set_annotations(docs, raw)
    scores = pipe.score(examples)
    margins: dict[bool, list[float]] = {True: [], False: []}
    for example, found in zip(examples, raw, strict=True):
        answered = {answer.question for answer in get_answers(example.reference) if answer.span is not None}
        for question, answers in zip(get_questions(example.predicted), found, strict=True):
            best = float(answers.logits[0]) if len(answers.logits) else -np.inf
            margins[question in answered].append(best - answers.no_answer)
    return {**scores, "qa_auc": area_under_curve(margins[True], margins[False])}


def area_under_curve(high: Sequence[float], low: Sequence[float]) -> float:
    """Share of the pairs of one of `high` and one of `low` that are in order; equal ones count half."""
    sorted_low = np.sort(low)
    below = np.searchsorted(sorted_low, high, side="left")
    not_above = np.searchsorted(sorted_low, high, side="right")
    return float((below + not_above).mean() / 2 / len(low))


def links(nlp: Language, path: Path) -> dict[str, Any]:
    """Precision of the links of mentions with a gold title, and recall of all of these."""
    records = [record.values for record in read_records(path)]
    linked = right = total = 0
    wrong: Counter[tuple[str, str, str]] = Counter()
    for values, doc in zip(records, nlp.pipe([values["text"] for values in records]), strict=True):
        gold = {(item["start"], item["end"]): item["link"] for item in values["entities"] if item["named"]}
        total += sum(link is not None for link in gold.values())
        for ent in doc.ents:
            title = gold.get((ent.start_char, ent.end_char))
            if title is None:
                continue
            said = get_link(ent)
            if said:
                linked += 1
                title = urllib.parse.unquote(title).replace("_", " ")
                right += said == title
                if said != title:
                    wrong[ent.text, said, title] += 1
    print("links that are wrong:", wrong.most_common(20))
    return {"nel_micro_p": right / linked if linked else None, "nel_micro_r": right / total}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of the pipeline")
    parser.add_argument("assets", type=Path, help="folder with ner/gum")
    parser.add_argument("corpus", type=Path, help="folder with documents/ and redocred/")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    parser.add_argument("--documents", choices=("first", "second", "all"), default="second", help="half of Re-DocRED's")
    parser.add_argument("--types", type=int, default=400, help="most Docs with types")
    parser.add_argument("--limit", type=int, default=150, help="most paragraphs of each set of questions")
    args = parser.parse_args()

    nlp = spacy.load(args.model)
    gold = read_docbin(args.corpus / "redocred" / "dev.spacy", nlp.vocab)
    half = len(gold) // 2
    gold = {"first": gold[:half], "second": gold[half:], "all": gold}[args.documents]
    known: Any = nlp.get_pipe("luke_relations")
    ours = sorted(set(known.labels) & {label for label, _ in PROPERTIES.values()})
    rest = ("luke_qa", "luke_entity_linker")
    with nlp.select_pipes(disable=[name for name in rest if name in nlp.pipe_names]):
        counts = relations(nlp, gold, ours)
    everything = counts["all"]
    near = everything.right_in_sentence / everything.in_sentence
    results = [
        {
            "task": "Relations, from plain text",
            "dataset": f"Re-DocRED, {len(gold)} documents",
            "hub_id": "tonytan48/Re-DocRED",
            "hub_task": "text-classification",
            "docs": len(gold),
            "metrics": ["rel_ece", "rel_micro_p", "rel_micro_r", "rel_micro_f"],
            "scores": {
                **everything.scores("rel_micro_"),
                "rel_ece": calibration_error(everything.confidence),
                "rel_per_type": {label: counts[label].scores() for label in ours},
            },
            "note": f"recall {percent(near)} of the {everything.in_sentence} facts with both entities in one sentence",
        }
    ]
    typed = read_docbin(args.corpus / "documents" / "dev" / "types.spacy", nlp.vocab)
    with nlp.select_pipes(disable=[name for name in (*rest, "luke_relations") if name in nlp.pipe_names]):
        scores = types(nlp, evenly(typed, args.types))
    results.append(
        {
            "task": "Entity types, from plain text",
            "dataset": "CrossNER and GUM, held out",
            "hub_id": "DFKI-SLT/cross_ner",
            "docs": min(args.types, len(typed)),
            "metrics": list(scores),
            "scores": scores,
        }
    )
    folder = args.corpus / "documents" / "dev" / "questions"
    for name, dataset in QUESTION_SETS.items():
        examples = given(nlp, folder / f"{name}.spacy", 0, questions=True)[: args.limit]
        results.append(
            {
                "task": "Questions, half of them unanswerable",
                "dataset": dataset,
                "hub_task": "question-answering",
                "docs": len(examples),
                "metrics": ["qa_ece", "qa_auc", "qa_no_answer_em", "qa_has_answer_f1"],
                "scores": questions(nlp, examples),
            }
        )
    if "luke_entity_linker" in nlp.pipe_names:
        other = ("luke_qa", "luke_relations", "luke_entity_typer")
        with nlp.select_pipes(disable=[name for name in other if name in nlp.pipe_names]):
            found = links(nlp, args.assets / "ner" / "gum" / "train.jsonl")
        row = {
            "task": "Links, from plain text",
            "dataset": "GUM, 84 documents",
            "metrics": list(found),
            "scores": found,
        }
        results.append(row)
    for row in results:
        scores = "  ".join(f"{name} {percent(row['scores'][name])}" for name in row["metrics"])
        print(f"{row['task']:38} {row['dataset']:40} {scores}  {row.get('note', '')}")
    for label in ours:
        count = counts[label]
        shown = "  ".join(f"{key} {percent(value):>5}" for key, value in count.scores().items())
        print(f"{label:26} {shown}  {count.right} right of {count.predicted}, {count.gold} gold")
    if args.output:
        write_file(args.output, json.dumps({"results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
