"""A tiny corpus with linked entities, and runs on it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import spacy
import torch
from safetensors.torch import load_file
from spacy.tokens import Doc, Span
from spacy.util import load_config
from thinc.api import Config

from spacy_luke.converters import write_docbin
from spacy_luke.training.pretraining.run import Report, Run
from tests.util import write_byte_bpe

CONFIG = Path(__file__).parents[3] / "configs" / "pretrain.cfg"
PEOPLE = ["Ada Lovelace", "Charles Babbage", "Élodie O'Neil"]
PLACES = ["London", "São Paulo", "北京"]
ENCODER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}


# As `config_of` wants them.
STAGE_1, STAGE_2 = "stages__1_entities", "stages__2_all"
RATE = "optimizer__learn_rate__initial_rate"


def make_doc(sentences: Sequence[Sequence[str]], *, bounds: bool = True) -> Doc:
    """A Doc of sentences that are given as parts; every other part, from the second on, is a linked entity."""
    nlp = spacy.blank("en")
    words: list[str] = []
    starts: list[bool] = []
    ents: list[tuple[int, int, str]] = []
    for parts in sentences:
        first = len(words)
        for i, part in enumerate(parts):
            tokens = [token.text for token in nlp.make_doc(part)]
            if i % 2:
                ents.append((len(words), len(words) + len(tokens), part))
            words += tokens
        starts += [i == first for i in range(first, len(words))]
    doc = Doc(nlp.vocab, words=words, sent_starts=starts if bounds else None)  # type: ignore[arg-type]
    doc.set_ents([Span(doc, start, end, "ENTITY", kb_id=title) for start, end, title in ents])
    return doc


def make_docs(count: int, *, seed: int = 0, bounds: bool = True) -> list[Doc]:
    """Docs in which people live in the same places: what stands behind a mask can be learned."""
    numbers = random.Random(seed)
    docs = []
    for _ in range(count):
        pairs = [(person, PLACES[i]) for i, person in enumerate(PEOPLE)]
        told = [numbers.choice(pairs) for _ in range(numbers.randint(2, 5))]
        sentences = [["They say that", person, "met us in", place, "on a day."] for person, place in told]
        docs.append(make_doc(sentences, bounds=bounds))
    return docs


def write_corpus(folder: Path, train: int = 12, dev: int = 3) -> None:
    """train.spacy and dev.spacy."""
    write_docbin(make_docs(train), folder / "train.spacy")
    write_docbin(make_docs(dev, seed=1), folder / "dev.spacy")


def write_files(folder: Path) -> Path:
    """A tiny corpus and a tokenizer."""
    write_byte_bpe(folder)
    write_corpus(folder)
    return folder


def config_of(folder: Path, **changes: Any) -> Config:
    """configs/pretrain.cfg for a model from scratch on the corpus in `folder`: four steps in each of the two stages.

    changes: settings below [pretraining], with two underscores for a dot.
    """
    stages = {
        f"pretraining.stages.{name}": 4
        for stage in ("1_entities", "2_all")
        for name in (f"{stage}.steps", f"{stage}.optimizer.learn_rate.total_steps")
    }
    warmup = {f"pretraining.stages.{name}.optimizer.learn_rate.warmup_steps": 1 for name in ("1_entities", "2_all")}
    overrides: dict[str, Any] = {
        "paths.train": str(folder / "train.spacy"),
        "paths.dev": str(folder / "dev.spacy"),
        "paths.tokenizer": str(folder),
        "pretraining.batch_size": 400,
        "pretraining.accumulate_gradient": 2,
        "pretraining.eval_frequency": 3,
        **{f"pretraining.model.sizes.{name}": value for name, value in ENCODER.items()},
        **stages,
        **warmup,
        **{f"pretraining.{name.replace('__', '.')}": value for name, value in changes.items()},
    }
    return load_config(CONFIG, overrides=overrides, interpolate=True)


def run(folder: Path, out: str = "out", *, resume: bool = False, **changes: Any) -> tuple[Run, list[Report]]:
    """A run to its end."""
    output = folder / out
    output.mkdir(exist_ok=True)
    made = Run(config_of(folder, **changes), output, resume=resume)
    return made, list(made.steps())


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The weights in a checkpoint folder."""
    return load_file(path / "model.safetensors")
