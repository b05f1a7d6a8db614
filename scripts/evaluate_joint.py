"""Measure en_luke_mini on every task beside plain baselines, for its model card.

    python scripts/evaluate_joint.py training/en_luke_mini/model-last corpus/joint
        --ner "spaCy's ner=training/baseline/model-best" --ner "the model before=spacy_luke/en_luke_mini"
        --output metrics/en_luke_mini.json

Entities are found in bare text with gold tokens and sentences; types, relations and links are given to gold entities.
The baselines of the other tasks need no training: the types that a mention has in the training data, the most frequent
relation of pairs with the same three words before the later one, the prior of an alias, and the words that stand
nearest to those of a question.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import spacy
from evaluate_linking import by_prior
from evaluate_ner import bare, evenly
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example

from spacy_luke.annotations import (
    Answer,
    get_entity_types,
    get_questions,
    get_relations,
    set_answers,
    set_entity_labels,
    set_entity_types,
    set_relations,
    typed_spans,
)
from spacy_luke.training.corpus import build_gold_mentions_corpus
from spacy_luke.training.entity_linker_scorer import build_entity_linker_scorer
from spacy_luke.training.entity_typer_scorer import build_entity_typer_scorer
from spacy_luke.training.ner_scorer import build_ner_scorer
from spacy_luke.training.qa_scorer import build_qa_scorer
from spacy_luke.training.relations_scorer import build_relations_scorer

FLAT = ("PER", "ORG", "LOC")
ENTITIES = {
    "broad_twitter": ("Broad Twitter Corpus, dev", "GateNLP/broad_twitter_corpus"),
    "crossner": ("CrossNER, dev", "DFKI-SLT/cross_ner"),
    "redocred": ("Re-DocRED, 100 documents", "tonytan48/Re-DocRED"),
    "uner_ewt": ("Universal NER, English Web Treebank, held out", "universalner/universal_ner"),
    "wikiann": ("WikiANN, dev", "unimelb-nlp/wikiann"),
    "wnut17": ("WNUT 2017, dev", "leondz/wnut_17"),
}
NOT_TRAINED_ON = "redocred"
WITH_MISC = ("crossner", "wnut17")
Scores = dict[str, Any]
TOKENIZER = spacy.blank("en").tokenizer


def entities(nlp: Language, gold: Sequence[Doc], labels: Sequence[str] | None) -> Scores:
    """Scores of the entities of a pipeline. labels: those that count; None = all."""
    found = list(nlp.pipe([bare(doc) for doc in gold]))
    references = [doc.copy() for doc in gold]
    for doc in references:
        if labels is not None:
            doc.set_ents([ent for ent in doc.ents if ent.label_ in labels])
        set_entity_labels(doc, labels)
    return build_ner_scorer()([Example(x, y) for x, y in zip(found, references, strict=True)])


def rows_of_entities(nlp: Language, others: Mapping[str, Language], folder: Path, limit: int) -> list[dict[str, Any]]:
    rows = []
    for file in sorted(folder.glob("*.spacy")):
        name, hub_id = ENTITIES[file.stem]
        gold = evenly(list(DocBin().from_disk(file).get_docs(nlp.vocab)), limit or None)
        row = {"docs": len(gold), "hub_id": hub_id, "metrics": ["ents_ece", "ents_p", "ents_r", "ents_f"]}
        note = "not trained on" if file.stem == NOT_TRAINED_ON else ""
        baselines = {key: entities(other, gold, FLAT)["ents_f"] for key, other in others.items()}
        scores = entities(nlp, gold, FLAT)
        rows.append(
            {**row, "task": "Entities", "dataset": name, "scores": scores, "baselines": baselines, "note": note}
        )
        if file.stem in WITH_MISC:
            scores = entities(nlp, gold, (*FLAT, "MISC"))
            rows.append({**row, "task": "Entities, with MISC", "dataset": name, "scores": scores})
    return rows


def given(nlp: Language, file: Path, limit: int, **settings: Any) -> list[Example]:
    return list(build_gold_mentions_corpus(file, limit=limit, **settings)(nlp))


def run(examples: Sequence[Example], pipe: Callable[[Doc], Doc]) -> Sequence[Example]:
    for example in examples:
        example.predicted = pipe(example.predicted)
    return examples


def types_in_training(file: Path, nlp: Language) -> Callable[[Doc], Doc]:
    """Gives a mention the types that its text, or else its last word, has most often."""
    seen: defaultdict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    for doc in DocBin().from_disk(file).get_docs(nlp.vocab):
        for span in typed_spans(doc):
            for key in (span.text, span[-1].lower_, ""):
                seen[key][get_entity_types(span)] += 1

    def annotate(doc: Doc) -> Doc:
        for ent in doc.ents:
            key = next(key for key in (ent.text, ent[-1].lower_, "") if key in seen)
            set_entity_types(ent, seen[key].most_common(1)[0][0])
        return doc

    return annotate


def relation_between(file: Path, nlp: Language) -> Callable[[Doc], Doc]:
    """Gives a pair the most frequent relation of pairs in its order and with its last three words between them."""
    seen: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)

    def between(head: Any, tail: Any) -> tuple[str, ...]:
        start, end = sorted((head, tail), key=lambda span: span.start)
        order = "head first" if head.start <= tail.start else "tail first"
        return (order, *(t.lower_ for t in head.doc[start.end : end.start][-3:]))

    for doc in DocBin().from_disk(file).get_docs(nlp.vocab):
        labels = {(r.head.start, r.head.end, r.tail.start, r.tail.end): r.label for r in get_relations(doc)}
        for head, tail in pairs(list(doc.spans["mentions"])):
            label = labels.get((head.start, head.end, tail.start, tail.end), "")
            seen[between(head, tail)][label] += 1

    def annotate(doc: Doc) -> Doc:
        found = []
        for head, tail in pairs(doc.ents):
            counts = seen.get(between(head, tail))
            label = counts.most_common(1)[0][0] if counts else ""
            if label:
                found.append((head, tail, label))
        set_relations(doc, found)
        return doc

    return annotate


def pairs(spans: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
    return ((a, b) for a in spans for b in spans if (a.start, a.end) != (b.start, b.end))


def nearest_words(doc: Doc) -> Doc:
    """Answers a question with the content words that stand nearest to those of the question."""
    answers = []
    for question in get_questions(doc):
        asked = {t.lower_ for t in TOKENIZER(question)}
        hits = [t.i for t in doc if t.lower_ in asked and not t.is_stop and not t.is_punct]
        free = [t.i for t in doc if t.lower_ not in asked and not t.is_stop and not t.is_punct and not t.is_space]
        if not free:
            continue
        best = min(free, key=lambda i: sum(min(abs(i - hit), 10) for hit in hits))
        start = end = best
        while start - 1 in free:
            start -= 1
        while end + 1 in free:
            end += 1
        answers.append(Answer(question, doc[start : end + 1]))
    set_answers(doc, answers)
    return doc


def prior(nlp: Language) -> Callable[[Doc], Doc]:
    pipe: Any = nlp.get_pipe("luke_entity_linker")

    def annotate(doc: Doc) -> Doc:
        [links] = by_prior([doc], pipe.kb)
        for ent, kb_id in zip(list(doc.ents), links, strict=True):
            for token in ent:
                token.ent_kb_id_ = kb_id
        return doc

    return annotate


def rows_of_tasks(nlp: Language, train: Path, dev: Path, limit: int) -> list[dict[str, Any]]:
    """Types, relations, links and questions."""
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
            "luke_entity_linker",
            {"task": "Links", "dataset": "Wikipedia articles, held out"},
            {"mentions": True, "links": False},
            "links",
            build_entity_linker_scorer(),
            ("prior of the alias", prior(nlp)),
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
        "links": ["nel_acc"],
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
    """Words a second of the whole pipeline and of luke_ner alone, and seconds to load; medians of three."""
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
    code = f"import time, spacy; t = time.perf_counter(); spacy.load({model!r}); print(time.perf_counter() - t)"
    loads = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout)
        for _ in range(3)
    ]
    rows = [
        {"what": f"{what}, {machine}", "value": round(sorted(times)[1]), "unit": "words/s"}
        for what, times in found.items()
    ]
    return [*rows, {"what": f"spacy.load, {machine}", "value": round(sorted(loads)[1], 2), "unit": "s"}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of the pipeline")
    parser.add_argument("corpus", type=Path, help="folder that prepare_joint.py has written")
    parser.add_argument("--ner", action="append", default=[], metavar="NAME=MODEL", help="a pipeline to compare with")
    parser.add_argument("--limit", type=int, default=0, help="most Docs of each file; 0 = all")
    parser.add_argument("--machine", help="what it runs on: measures the speed, too, on an idle machine")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    args = parser.parse_args()

    nlp = spacy.load(args.model)
    others = {name: spacy.load(path) for name, _, path in (given.partition("=") for given in args.ner)}
    dev = args.corpus / "dev"
    results = rows_of_entities(nlp, others, dev / "entities", args.limit)
    results += rows_of_tasks(nlp, args.corpus / "train", dev, args.limit)
    evaluation: dict[str, Any] = {"results": results}
    if args.machine:
        gold = [
            d
            for file in sorted((dev / "entities").glob("*.spacy"))
            for d in DocBin().from_disk(file).get_docs(nlp.vocab)
        ]
        evaluation["speed"] = speed(args.model, nlp, evenly(gold, 500), args.machine)
    for row in results:
        shown = "  ".join(f"{name} {100 * (row['scores'][name] or 0):.1f}" for name in row["metrics"])
        beside = "  ".join(f"{name} {100 * (value or 0):.1f}" for name, value in row.get("baselines", {}).items())
        print(f"{row['task']:20} {row['dataset']:45} {shown}   beside {beside or 'nothing'}")
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(json.dumps(evaluation, indent=2) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
