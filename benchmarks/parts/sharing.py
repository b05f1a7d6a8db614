"""A pipeline of four components on one encoder, and on an encoder each: size on disk, time and memory of loading."""

from __future__ import annotations

import statistics
from pathlib import Path

from ..child import in_own_process
from ..models import random_luke
from ..options import Options
from ..rows import Row
from ..texts import all_sentences
from .loading import load

TASKS = ("luke_ner", "luke_relations", "luke_entity_typer", "luke_qa")


def measure(options: Options) -> list[Row]:
    """Rows of the size on disk, and of the time and the memory of loading."""
    checkpoint = random_luke(options.folder / "luke", options.size, all_sentences(options), head="LukeModel")
    shared, apart = options.folder / "shared", options.folder / "apart"
    in_own_process(save, str(checkpoint), str(shared), str(apart))
    measured = {
        folder: [in_own_process(load, str(folder), options.threads) for _ in range(options.rounds)]
        for folder in (shared, apart)
    }
    seconds = {folder: statistics.median(s for s, _ in runs) for folder, runs in measured.items()}
    memory = {folder: max(m for _, m in runs) for folder, runs in measured.items()}
    return [
        _row("size on disk", _megabytes(shared), _megabytes(apart), "MB"),
        _row("peak memory of spacy.load", memory[shared], memory[apart], "MB"),
        _row("time of spacy.load", seconds[shared], seconds[apart], "s"),
    ]


def _row(what: str, shared: float, apart: float, unit: str) -> Row:
    return Row("sharing", f"4 components, {what}", shared, apart, unit, "an encoder each", shared / apart, at_most=True)


def _megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20


def save(checkpoint: str, shared: str, apart: str) -> None:
    """Save both pipelines: new heads on the encoder of a checkpoint."""
    import spacy
    from spacy.training import Example

    from spacy_luke.annotations import set_relations

    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.add_pipe("luke_encoder", config={"set_vectors": False})
    for task in TASKS:
        nlp.add_pipe(task, config={"model": {"encoder": {"@architectures": "spacy-luke.SharedEncoder.v1"}}})
    nlp.config["initialize"]["components"] = {"luke_encoder": {"checkpoint": checkpoint}}
    doc = nlp.make_doc("Ada Lovelace met Charles Babbage in London.")
    doc.ents = [doc.char_span(0, 12, "PER"), doc.char_span(17, 32, "PER"), doc.char_span(36, 42, "LOC")]
    set_relations(doc, [(doc.ents[0], doc.ents[1], "met")])
    doc.ents[0]._.entity_types = ["person"]
    nlp.initialize(lambda: [Example(doc.copy(), doc)])
    nlp.to_disk(shared)
    for task in TASKS:
        nlp.replace_listeners("luke_encoder", task, ["model.encoder"])
    nlp.remove_pipe("luke_encoder")
    nlp.to_disk(apart)
