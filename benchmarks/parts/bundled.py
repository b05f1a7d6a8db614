"""The bundled pipeline without questions, whose components share what they encode, beside the previous way, in which
items are marked in the text and every component encodes its own input, and beside spaCy's `ner`.

Entities are those that the bundled model finds in the text, given to all sides, so that both ways classify the same
items. Weights are of the same sizes, those of the heads for types and relations random. Each list of names is measured
in a process of its own.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from spacy.language import Language
from spacy.tokens import Doc

from ..child import PeakMemory, in_own_process
from ..compare import Other, Outcome, Run, Sides, alternate, check
from ..options import Options
from ..pipelines import (
    ENCODER,
    ITEMS,
    SENTENCES,
    TASKS,
    bundled,
    find_entities,
    list_of_names,
    spacy_ner,
    with_entities_of,
)
from ..rows import Row, Skipped
from ..texts import passages

PART = "bundled"
ALL, NER = "all components", "luke_ner"
PREVIOUS, SPACY = "with markers, nothing shared", "spacy"
LISTS = {10: None, 60: 1.0, 250: 5.0}  # names -> most CPU seconds
FLAT = 1.25  # most memory of the longest list, as a multiple of that of the next: batches are of a bounded size


@dataclass(frozen=True)
class Cost:
    """Medians of the runs of a side: processor time of all threads, and time that passed; in seconds."""

    cpu: float
    passed: float


def measure(options: Options) -> list[Row]:
    """Rows of each component alone and of all together, with one thread and with all; and of lists of names."""
    if options.device != "cpu":
        raise Skipped("it measures processor time")
    ways = {markers: bundled(markers=markers) for markers in (False, True)}
    return [*_text_rows(ways, options), *_list_rows(ways, options)]


def _text_rows(ways: Mapping[bool, Language], options: Options) -> list[Row]:
    found = find_entities(passages(options))
    words = sum(map(len, found))
    docs = {markers: with_entities_of(nlp, found) for markers, nlp in ways.items()}
    _check(ways, docs)
    kind, ner = spacy_ner()
    runs: dict[Any, Run] = {SPACY: _run(ner, with_entities_of(ner, found), ner.pipe_names)}
    for name, enabled in {**{task: [task] for task in TASKS}, ALL: list(TASKS)}.items():
        for markers, nlp in ways.items():
            runs[name, markers] = _run(nlp, docs[markers], [SENTENCES, ENCODER, *enabled])
    one = _costs(runs, options, threads=1)
    rows = [_in_cpu_seconds(name, one[name, False], one[name, True]) for name in (*TASKS, ALL)]
    whole, alone = one[ALL, False].cpu, one[NER, False].cpu
    case = f"{words:,} words, {ALL}, 1 thread"
    rows.append(Row(PART, case, whole, alone, "CPU s", f"{NER} alone", whole / alone, target=1.35, at_most=True))
    costs = {1: one} if options.threads == 1 else {1: one, options.threads: _costs(runs, options, options.threads)}
    for threads, cost in costs.items():
        pairs = [(name, (name, True), PREVIOUS) for name in (*TASKS, ALL)] + [(n, SPACY, kind) for n in (NER, ALL)]
        for name, other, against in pairs:
            case = f"{name}, {threads} thread{'s' if threads > 1 else ''}"
            rows.append(_in_words(case, words / cost[name, False].passed, words / cost[other].passed, against))
    return rows


def _in_cpu_seconds(name: str, ours: Cost, other: Cost) -> Row:
    target = 3.0 if name == ALL else None
    return Row(PART, f"{name}, 1 thread", ours.cpu, other.cpu, "CPU s", PREVIOUS, other.cpu / ours.cpu, target=target)


def _in_words(case: str, ours: float, other: float, against: str) -> Row:
    return Row(PART, case, ours, other, "words/s", against, ours / other)


def _run(nlp: Language, docs: Sequence[Doc], enabled: Sequence[str]) -> Run:
    def run() -> Outcome:
        with nlp.select_pipes(enable=list(enabled)):
            return Outcome(list(nlp.pipe([doc.copy() for doc in docs])))

    return run


def _costs(runs: Mapping[Any, Run], options: Options, threads: int) -> dict[Any, Cost]:
    spent: dict[Any, list[float]] = {name: [] for name in runs}

    def timed(name: Any) -> Callable[[], None]:
        def run() -> None:
            started = time.process_time()
            runs[name]()
            spent[name].append(time.process_time() - started)

        return run

    torch.set_num_threads(threads)
    try:
        passed, _ = alternate({name: timed(name) for name in runs}, options)
    finally:
        torch.set_num_threads(options.threads)
    return {name: Cost(statistics.median(spent[name]), passed[name]) for name in runs}


# The same answers, whatever is kept; the same items in both ways


def _check(ways: Mapping[bool, Language], docs: Mapping[bool, Sequence[Doc]]) -> None:
    everything = [SENTENCES, ENCODER, *TASKS]
    runs = {markers: _run(nlp, docs[markers], everything) for markers, nlp in ways.items()}
    store = ways[False].get_pipe(ENCODER).piece_store  # type: ignore[attr-defined]

    def again() -> Outcome:
        most, store.max_bytes = store.max_bytes, 0
        try:
            return _annotations(runs[False]())
        finally:
            store.max_bytes = most

    others = [Other("encoded again for each component", again)]
    check(PART, Sides(lambda: _annotations(runs[False]()), others, 0, ""), _differ)
    marked = Other(PREVIOUS, lambda: _items(ways[True], runs[True]()))
    check(PART, Sides(lambda: _items(ways[False], runs[False]()), [marked], 0, ""), _differ)


def _annotations(outcome: Outcome) -> Outcome:
    return Outcome([doc.to_bytes() for doc in outcome.answers])


def _items(nlp: Language, outcome: Outcome) -> Outcome:
    """For each Doc, what the components classified, and under which labels."""
    pipes: list[Any] = [nlp.get_pipe(name) for name in ITEMS]
    return Outcome(
        [
            [
                [(span.start, span.end, span.label_) for span in item]
                for pipe in pipes
                for item in pipe._items(doc, pipe._layout())
            ]
            for doc in outcome.answers
        ]
    )


def _differ(ours: Sequence[Any], other: Sequence[Any]) -> list[bool]:
    """Nothing to compare if there are no items at all."""
    return [a != b for a, b in zip(ours, other, strict=True)] if any(ours) else []


# Lists of names


def _list_rows(ways: Mapping[bool, Language], options: Options) -> list[Row]:
    folders = {markers: options.folder / ("previous" if markers else "shared") for markers in ways}
    for markers, nlp in ways.items():
        nlp.to_disk(folders[markers])
    rows, peaks = [], []
    for count, target in LISTS.items():
        seconds, memory, pairs = in_own_process(list_cost, str(folders[False]), count)
        their_seconds, their_memory, their_pairs = in_own_process(list_cost, str(folders[True]), count)
        case = f"a list of {count} names, {pairs:,} pairs"
        if pairs != their_pairs:
            case += f" ({their_pairs:,} {PREVIOUS})"
        limit: dict[str, Any] = {} if target is None else {"target": target, "at_most": True}
        rows += [
            Row(PART, case, seconds, their_seconds, "CPU s", PREVIOUS, seconds, "CPU s", size=count, **limit),
            Row(PART, f"{case}, peak memory", memory, their_memory, "MB", PREVIOUS, size=count),
        ]
        peaks.append(memory)
    (*_, shorter, longer), (*_, less, more) = LISTS, peaks
    case, against = f"a list of {longer} names, peak memory", f"a list of {shorter}"
    return [*rows, Row(PART, case, more, less, "MB", against, more / less, target=FLAT, at_most=True)]


def list_cost(folder: str, count: int) -> tuple[float, float, int]:
    """Processor seconds and megabytes of a list of names with one thread, after a short one that warms up; and the
    number of pairs that were classified."""
    import spacy

    torch.set_num_threads(1)
    nlp = spacy.load(Path(folder))
    nlp(list_of_names(nlp, 3))
    relations: Any = nlp.get_pipe("luke_relations")
    predict, scored = relations.predict, []

    def counted(docs: Any) -> Any:
        found = predict(docs)
        scored.extend(found)
        return found

    relations.predict = counted
    doc = list_of_names(nlp, count)
    memory = PeakMemory("cpu")
    started = time.process_time()
    nlp(doc)
    return time.process_time() - started, memory.megabytes(), sum(len(one.items) for one in scored)
