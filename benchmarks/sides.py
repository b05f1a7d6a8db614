"""The two sides on one checkpoint: a spaCy pipeline of ours, and a class of transformers with its tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from spacy.language import Language

import spacy_luke

from .compare import Outcome
from .options import Options

# One input: keyword arguments of LukeTokenizer, or what it made of them.
Given = Mapping[str, Any]
_MOST_ENTITIES = 4096
# Logits of both sides that differ by more are not the same; what is seen is below 1e-5.
TOLERANCE = 1e-3


def precision(options: Options, precise: bool) -> str:
    """Precision to compute in: answers are compared in float32 whatever is measured."""
    return "float32" if precise else options.dtype


def ours(checkpoint: Path, options: Options, precise: bool, *, low: str | None = None, **settings: Any) -> Language:
    """A pipeline with the component of a checkpoint. low: another precision than that of the options."""
    config = {**settings, "model": {"encoder": {"precision": low or precision(options, precise)}}}
    return spacy_luke.from_checkpoint(checkpoint, sentences=None, config=config)


class Transformers:
    """A class of transformers over inputs in padded batches, as one writes it with `LukeTokenizer`."""

    def __init__(self, checkpoint: Path, head: str, options: Options, precise: bool, *, task: str | None = None):
        import transformers

        dtype = getattr(torch, precision(options, precise))
        settings: dict[str, Any] = {"task": task} if task else {}
        self.tokenizer: Any = transformers.LukeTokenizer.from_pretrained(checkpoint, **settings)
        model: Any = getattr(transformers, head).from_pretrained(checkpoint)
        self.model = model.eval().to(options.device, dtype)
        self.batch_size = options.batch_size
        self.device = options.device

    def tokenize(self, inputs: Sequence[Given]) -> Any:
        """A padded batch of texts."""
        columns = {name: [one[name] for one in inputs] for name in inputs[0]}
        return self.tokenizer(**columns, padding=True, return_tensors="pt", max_entity_length=_MOST_ENTITIES)

    def pad(self, inputs: Sequence[Given]) -> Any:
        """A padded batch of inputs that the tokenizer has made already."""
        return self.tokenizer.pad(list(inputs), return_tensors="pt")

    def logits(
        self,
        inputs: Sequence[Given],
        order: Iterable[int] | None = None,
        collate: Callable[[Sequence[Given]], Any] | None = None,
    ) -> Outcome:
        """The logits of each input, in the order of the inputs whatever the order of work.

        collate: makes a batch; default: `tokenize`.
        """
        todo = list(range(len(inputs)) if order is None else order)
        collate = collate or self.tokenize
        found: dict[int, np.ndarray] = {}
        padding = Padding()
        for start in range(0, len(todo), self.batch_size):
            some = todo[start : start + self.batch_size]
            batch = collate([inputs[i] for i in some])
            padding.count(batch)
            with torch.inference_mode():
                output = self.model(**batch.to(self.device))
            found.update(zip(some, _rows(output, batch), strict=True))
        return Outcome([found[i] for i in range(len(inputs))], padding.factor)


class Padding:
    """Counts positions of padded batches."""

    def __init__(self) -> None:
        self._all = self._real = 0

    def count(self, batch: Given) -> None:
        """Add a batch of transformers, pieces and entities."""
        for name in ("attention_mask", "entity_attention_mask"):
            if name in batch:
                self._all += batch[name].numel()
                self._real += int(batch[name].sum())

    @property
    def factor(self) -> float:
        return self._all / max(self._real, 1)


def _rows(output: Any, batch: Given) -> list[np.ndarray]:
    """The logits of each row, without those of padding where there may be any."""
    if hasattr(output, "start_logits"):
        logits, mask = torch.stack([output.start_logits, output.end_logits], dim=-1), batch["attention_mask"]
    else:
        logits, mask = output.logits, batch["entity_attention_mask"]
    per_row = logits.float().cpu().numpy()
    if per_row.ndim == 2:  # one item a row
        return list(per_row)
    return [row[:real] for row, real in zip(per_row, mask.sum(dim=1).tolist(), strict=True)]


def logits_differ(ours: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> list[bool]:
    """Whether the sides disagree, for each input; all of them, if their numbers are not the same."""
    if len(ours) != len(other):
        return [True] * max(len(ours), len(other))
    pairs = zip(ours, other, strict=True)
    return [a.shape != b.shape or not np.allclose(a, b, rtol=0, atol=TOLERANCE) for a, b in pairs]


def by_size(inputs: Sequence[Given]) -> list[int]:
    """The order of inputs sorted by the length of their texts, as one sorts them by hand."""
    return sorted(range(len(inputs)), key=lambda i: len(inputs[i]["text"]))
