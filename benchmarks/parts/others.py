"""Other pipelines on the same sentences: words per second through `nlp.pipe`.

They are other models with other weights, so there is nothing to compare but speed: no ratio, no target.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import spacy
from spacy.language import Language
from spacy.training import Example

from spacy_luke.default_model import bundled_pipeline

from ..compare import Outcome, alternate
from ..models import LABELS, random_luke, random_roberta
from ..options import Options
from ..rows import Row, Skipped
from ..sides import ours
from ..texts import all_sentences, sentences
from .ner import SETTINGS

ENTITIES = ["sentencizer", "luke_encoder", "luke_ner"]
NONE = "other weights, not compared"


def measure(options: Options) -> list[Row]:
    """A row for each pipeline."""
    if find_spec("spacy_transformers") is None:
        raise Skipped("it needs spacy-transformers: pip install '.[test]'")
    texts = sentences(options)
    pipelines: dict[str, Language] = {
        f"luke_ner, size {options.size}": _luke(options),
        "en_luke_mini, the bundled model: entities": spacy.load(bundled_pipeline(), enable=ENTITIES),
        "en_luke_mini, the bundled model: all components": spacy.load(bundled_pipeline()),
        f"spacy-transformers: transformer, a RoBERTa of size {options.size}": _transformer(options),
        "spaCy's ner, default configuration for CPUs": _spacy_ner(),
    }
    words = sum(len(doc) for doc in spacy.blank("en").pipe(texts))
    runs = {name: _run(nlp, texts) for name, nlp in pipelines.items()}
    for run in runs.values():  # warm up: nothing is checked here
        run()
    seconds, _ = alternate(runs, options)
    return [
        Row("others", name, words / side_seconds, None, "words/s", against=NONE)
        for name, side_seconds in seconds.items()
    ]


def _run(nlp: Language, texts: list[str]) -> Callable[[], Outcome]:
    return lambda: Outcome(sum(len(doc) for doc in nlp.pipe(texts)))


def _luke(options: Options) -> Language:
    checkpoint = random_luke(options.folder / "luke", options.size, all_sentences(options))
    return ours(checkpoint, options, precise=False, **SETTINGS)


def _transformer(options: Options) -> Language:
    folder = random_roberta(options.folder / "roberta", options.size, all_sentences(options))
    nlp = spacy.blank("en")
    settings: dict[str, Any] = {"@architectures": "spacy-transformers.TransformerModel.v3", "name": str(folder)}
    nlp.add_pipe("transformer", config={"model": settings})
    nlp.initialize()
    return nlp


def _spacy_ner() -> Language:
    nlp = spacy.blank("en")
    pipe: Any = nlp.add_pipe("ner")
    for label in LABELS[1:]:
        pipe.add_label(label)
    example = Example.from_dict(nlp.make_doc("Ada lives in Paris."), {"entities": [(0, 3, "PER"), (13, 18, "LOC")]})
    nlp.initialize(lambda: [example])
    return nlp
