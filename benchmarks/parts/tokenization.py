"""Tensors of sentences and all their candidate spans, made by `luke_ner` and by `LukeTokenizer`.

Both start from words and spans that are known, and both have seen the sentences before. All sentences of the text are
taken: a few of them would be ready in thousandths of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..compare import Other, Outcome, Sides, compare
from ..models import random_luke
from ..options import Options
from ..rows import Row
from ..sides import Transformers, ours
from ..texts import all_sentences, one_sentence
from .ner import HEAD, SETTINGS, TASK, candidates, given

# Pieces that LukeTokenizer lists as the positions of an entity.
_POSITIONS = 30
# The tensors of one sentence.
Tensors = list[np.ndarray]


def measure(options: Options) -> list[Row]:
    """One row."""
    texts = all_sentences(options)
    checkpoint = random_luke(options.folder / "luke", options.size, texts)

    def make(precise: bool) -> Sides:
        nlp = ours(checkpoint, options, precise, **SETTINGS)
        pipe: Any = nlp.get_pipe("luke_ner")
        docs = [one_sentence(nlp.make_doc(text)) for text in texts]
        inputs = given(docs, candidates(nlp, docs))
        reference = Transformers(checkpoint, HEAD, options, precise, task=TASK)

        def run() -> Outcome:
            encoded = pipe._encode(docs)
            everything = [np.arange(len(found.mentions)) for found in encoded.candidates]
            return Outcome(list(pipe._batches(docs, encoded, everything)))

        def other() -> Outcome:
            size = options.batch_size
            return Outcome([reference.tokenize(inputs[i : i + size]) for i in range(0, len(inputs), size)])

        case = f"{sum(len(one['entity_spans']) for one in inputs):,} spans of sentences"
        return Sides(run, [Other(case, other, 25.0)], sum(map(len, docs)), "words/s")

    return compare("tokenization", make, _differ, options)


def _differ(ours: Any, other: Any) -> list[bool]:
    expected, found = _our_tensors(ours), _their_tensors(other)
    return [
        any(not np.array_equal(a, b) for a, b in zip(*pair, strict=True)) for pair in zip(expected, found, strict=True)
    ]


def _our_tensors(batches: Sequence[Any]) -> list[Tensors]:
    """Tensors in the order of the sentences, without padding; ranges as the lists of positions that they stand for."""
    found: dict[int, Tensors] = {}
    for rows, batch in batches:
        for i, row in enumerate(rows):
            spans = batch.entity_spans[i][batch.entity_mask[i]]
            start, end = spans.unbind(-1)
            positions = start[:, None] + torch.arange(_POSITIONS)
            positions = positions.where(positions < end[:, None], -1)
            ids = [batch.piece_ids[i][batch.piece_mask[i]], batch.entity_ids[i][batch.entity_mask[i]]]
            found[row.doc] = [tensor.numpy() for tensor in (*ids, positions, start, end - 1)]
    return [found[doc] for doc in sorted(found)]


def _their_tensors(batches: Sequence[Any]) -> list[Tensors]:
    entity_tensors = ("entity_ids", "entity_position_ids", "entity_start_positions", "entity_end_positions")
    found = []
    for batch in batches:
        for i, mask in enumerate(batch["entity_attention_mask"].bool()):
            ids = batch["input_ids"][i][batch["attention_mask"][i].bool()]
            found.append([tensor.numpy() for tensor in (ids, *(batch[name][i][mask] for name in entity_tensors))])
    return found
