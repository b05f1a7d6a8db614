"""`luke_ner` through `nlp.pipe`, beside `LukeForEntitySpanClassification` on the same candidate spans.

transformers gets the candidates for nothing: neither enumerating nor aligning them is in its time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc

from ..compare import Other, Outcome, Sides, compare
from ..models import LABELS, random_luke, read_vocab
from ..options import Options
from ..rows import Row
from ..sides import TOLERANCE, Given, Transformers, by_size, ours
from ..texts import all_sentences, characters, equal_sentences, one_sentence, sentences

HEAD, TASK = "LukeForEntitySpanClassification", "entity_span_classification"
# All candidates of a sentence together, as `LukeTokenizer` gives them.
SETTINGS = {"windows": {"@misc": "spacy-luke.sentence_windows.v1", "context": "none"}, "chunk_size": 4096}
Entity = tuple[int, int, str]


@dataclass(frozen=True)
class Decoded:
    """Entities, and what they were decoded from."""

    entities: list[Entity]
    spans: Sequence[tuple[int, int]]
    logits: np.ndarray

    @classmethod
    def from_logits(cls, spans: Sequence[tuple[int, int]], logits: np.ndarray) -> Decoded:
        """Decode logits."""
        return cls(_decode(spans, logits), spans, logits)

    def allows(self, entities: list[Entity]) -> bool:
        """Whether these are the entities, or would be if no logit were other by more than `TOLERANCE`: of two spans
        that are as good as each other, rounding decides.
        """
        if self.entities == entities:
            return True
        labels = {(start, end): LABELS.index(label) for start, end, label in entities}
        nudged = self.logits.copy()
        nudged[range(len(nudged)), [labels.get(span, 0) for span in self.spans]] += TOLERANCE
        return _decode(self.spans, nudged) == entities


def measure(options: Options) -> list[Row]:
    """Rows of sentences of natural and of equal lengths."""
    texts = sentences(options)
    checkpoint = random_luke(options.folder / "luke", options.size, all_sentences(options))
    equal = equal_sentences(texts, read_vocab(checkpoint))
    sorted_by_hand: list[tuple[str, Callable[..., Any], float | None]] = [
        ("sentences, transformers in arrival order", lambda inputs: None, 3.0),
        ("sentences, transformers sorted by length", by_size, 1.8),
    ]
    return [
        *_rows(texts, checkpoint, sorted_by_hand, options),
        *_rows(equal, checkpoint, [("sentences of equal length", lambda inputs: None, 1.2)], options),
    ]


def _rows(texts: Sequence[str], checkpoint: Path, cases: Sequence[Any], options: Options) -> list[Row]:
    def make(precise: bool) -> Sides:
        nlp = ours(checkpoint, options, precise, **SETTINGS)
        docs = [one_sentence(nlp.make_doc(text)) for text in texts]
        spans = candidates(nlp, docs)
        inputs = given(docs, spans)
        reference = Transformers(checkpoint, HEAD, options, precise, task=TASK)
        others = [
            Other(case, by_transformers(reference, inputs, order(inputs)), target) for case, order, target in cases
        ]
        return Sides(by_pipeline(nlp, texts), others, sum(map(len, docs)), "words/s")

    return compare("ner", make, _differ, options)


def by_pipeline(nlp: Language, texts: Sequence[str]) -> Callable[[], Outcome]:
    """Our side: the entities of the texts."""
    return lambda: Outcome([_entities(doc) for doc in nlp.pipe(texts)])


def by_transformers(
    reference: Transformers, inputs: Sequence[Given], order: Sequence[int] | None = None
) -> Callable[[], Outcome]:
    """The other side: the entities of the inputs, in batches in some order."""

    def run() -> Outcome:
        found = reference.logits(inputs, order)
        answers = zip(inputs, found.answers, strict=True)
        return Outcome([Decoded.from_logits(one["entity_spans"], logits) for one, logits in answers], found.padding)

    return run


def candidates(nlp: Language, docs: Sequence[Doc]) -> list[np.ndarray]:
    """The token ranges of the candidates of each Doc. *Shape:* (candidates, 2)"""
    pipe: Any = nlp.get_pipe("luke_ner")
    return [found.spans for found in pipe._encode(list(docs)).candidates]


def given(docs: Sequence[Doc], spans: Sequence[np.ndarray]) -> list[Given]:
    """The arguments of LukeTokenizer."""
    return [
        {"text": doc.text, "entity_spans": characters(doc[start:end] for start, end in doc_spans.tolist())}
        for doc, doc_spans in zip(docs, spans, strict=True)
    ]


def _entities(doc: Doc) -> list[Entity]:
    return [(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents]


def _decode(spans: Sequence[tuple[int, int]], logits: np.ndarray) -> list[Entity]:
    """The best spans that do not overlap, as the paper's code takes them."""
    scores, labels = logits.max(axis=1), logits.argmax(axis=1)
    found: list[Entity] = []
    for i in np.argsort(-scores, kind="stable").tolist():
        start, end = spans[i]
        if labels[i] and all(end <= a or b <= start for a, b, _ in found):
            found.append((start, end, LABELS[labels[i]]))
    return sorted(found)


def _differ(ours: Sequence[list[Entity]], other: Sequence[Decoded]) -> list[bool]:
    """Whether the entities of each sentence differ; nothing to compare if there are no entities at all."""
    return [not b.allows(a) for a, b in zip(ours, other, strict=True)] if any(ours) else []
