"""A step of training `luke_ner`: forward, backward, AdamW; beside `LukeForEntitySpanClassification` in padded batches.

Ours is all of `update`, from Docs; the other side gets its tensors ready-made. Both must have the same loss before and
after their first steps, without dropout; with dropout of 0.1 they are timed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Adam, Optimizer

from ..compare import Other, Outcome, Sides, compare
from ..models import LABELS, random_luke, read_vocab
from ..options import Options
from ..rows import Row
from ..sides import Padding, Transformers, ours, precision
from ..texts import all_sentences, equal_sentences, sentences, with_mentions
from .ner import HEAD, SETTINGS, TASK, candidates, given

RATE, CLIP, DROPOUT = 1e-4, 1.0, 0.1
TOLERANCE = 1e-3  # of the losses, which are about 1


def measure(options: Options) -> list[Row]:
    """Rows of equal and of natural lengths, of half of the sentences."""
    texts = sentences(options)
    checkpoint = random_luke(options.folder / "luke", options.size, all_sentences(options))
    equal = equal_sentences(texts, read_vocab(checkpoint))
    texts = texts[: max(options.batch_size, len(texts) // 2)]
    return [
        *_rows("steps, equal lengths", equal, checkpoint, options, target=1.0),
        *_rows("steps, natural lengths", texts, checkpoint, options, target=0.8, per_padding=True),
    ]


def _rows(case: str, texts: Sequence[str], checkpoint: Path, options: Options, **goal: Any) -> list[Row]:
    def make(precise: bool) -> Sides:
        drop = 0.0 if precise else DROPOUT
        nlp = ours(checkpoint, options, precise, **SETTINGS)
        pipe: Any = nlp.get_pipe("luke_ner")
        gold = with_mentions(nlp, texts)
        batches = [gold[i : i + options.batch_size] for i in range(0, len(gold), options.batch_size)]
        adam = Adam(RATE, L2=0.0, grad_clip=CLIP, use_averages=False)

        def run() -> Outcome:
            return Outcome([_update(pipe, docs, drop, adam) for docs in batches])

        spans = [candidates(nlp, docs) for docs in batches]
        trained = _Training(checkpoint, options, precise, drop, list(zip(batches, spans, strict=True)))
        other = Other(case, trained, **goal)
        return Sides(run, [other], len(batches), "steps/s")

    return compare("training", make, _differ, options, remake=True)


def _update(pipe: Any, docs: Sequence[Doc], drop: float, adam: Optimizer) -> float:
    examples = [Example(_bare(doc), doc) for doc in docs]
    losses: dict[str, float] = pipe.update(examples, drop=drop, sgd=adam)
    return losses[pipe.name]


def _bare(doc: Doc) -> Doc:
    bare = doc.copy()
    bare.set_ents([])
    return bare


class _Training:
    """transformers' side: padded batches, and the usual loop."""

    def __init__(self, checkpoint: Path, options: Options, precise: bool, drop: float, batches: list[Any]):
        reference = Transformers(checkpoint, HEAD, options, True, task=TASK)
        self.model = reference.model.train()
        for module in self.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = drop
        self.autocast = precision(options, precise) == "bfloat16"
        self.device = options.device
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=RATE, weight_decay=0.0, fused=True)
        self.padding = Padding()
        self.batches = []
        for docs, spans in batches:
            batch = reference.tokenize(given(docs, spans))
            self.padding.count(batch)
            batch["labels"] = _labels(docs, spans)
            self.batches.append(batch.to(options.device))

    def __call__(self) -> Outcome:
        return Outcome([self._step(batch) for batch in self.batches], self.padding.factor)

    def _step(self, batch: Any) -> float:
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.autocast):
            loss = self.model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())


def _labels(docs: Sequence[Doc], spans: Sequence[np.ndarray]) -> torch.Tensor:
    """The label of each candidate, -100 for padding. *Shape:* (docs, candidates)"""
    labels = torch.full((len(docs), max(map(len, spans))), -100)
    for row, doc, doc_spans in zip(labels, docs, spans, strict=True):
        gold = {(ent.start, ent.end): LABELS.index(ent.label_) for ent in doc.ents}
        row[: len(doc_spans)] = torch.tensor([gold.get(tuple(span), 0) for span in doc_spans.tolist()])
    return labels


def _differ(ours: Sequence[float], other: Sequence[float]) -> list[bool]:
    return [not abs(a - b) < TOLERANCE for a, b in zip(ours, other, strict=True)]
