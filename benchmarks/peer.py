"""transformers' own LUKE pipeline for named entities, as the official notebook writes it, but batched."""

from __future__ import annotations

from pathlib import Path

import torch
from spacy.tokens import Span
from transformers import LukeForEntitySpanClassification, LukeTokenizer

Entity = tuple[int, int, str]


class TransformersNER:
    """LukeTokenizer and LukeForEntitySpanClassification over sentences, in arrival order, in padded batches."""

    def __init__(self, checkpoint: Path, batch_size: int, max_pieces: int = 16):
        self.tokenizer = LukeTokenizer.from_pretrained(checkpoint, task="entity_span_classification")
        self.model = LukeForEntitySpanClassification.from_pretrained(checkpoint).eval()
        self.batch_size = batch_size
        self.max_pieces = max_pieces

    def __call__(self, sentences: list[Span]) -> list[list[Entity]]:
        found: list[list[Entity]] = []
        for start in range(0, len(sentences), self.batch_size):
            found += self._batch(sentences[start : start + self.batch_size])
        return found

    def _batch(self, sentences: list[Span]) -> list[list[Entity]]:
        spans = [self._candidates(sentence) for sentence in sentences]
        chars = [
            [(s.doc[a].idx - s.start_char, s.doc[b - 1].idx + len(s.doc[b - 1]) - s.start_char) for a, b in of]
            for s, of in zip(sentences, spans, strict=True)
        ]
        inputs = self.tokenizer(
            [s.text for s in sentences], entity_spans=chars, padding=True, return_tensors="pt", max_entity_length=4096
        )
        with torch.inference_mode():
            logits = self.model(**inputs).logits
        return [self._decode(of, logits[i, : len(of)]) for i, of in enumerate(spans)]

    def _candidates(self, sentence: Span) -> list[tuple[int, int]]:
        """Word spans of at most `max_pieces` pieces, each word tokenised with the space before it."""
        sizes = []
        for token in sentence:
            before = " " if token.i > sentence.start and token.nbor(-1).whitespace_ else ""
            sizes.append(len(self.tokenizer.tokenize(before + token.text)))
        return [
            (sentence.start + a, sentence.start + b)
            for a in range(len(sizes))
            for b in range(a + 1, len(sizes) + 1)
            if sum(sizes[a:b]) <= self.max_pieces and not sentence[a].is_space and not sentence[b - 1].is_space
        ]

    def _decode(self, spans: list[tuple[int, int]], logits: torch.Tensor) -> list[Entity]:
        labels = self.model.config.id2label
        scores, classes = logits.max(-1)
        taken: set[int] = set()
        entities = []
        for i in torch.argsort(scores, descending=True, stable=True).tolist():
            start, end = spans[i]
            label = labels[int(classes[i])]
            if label != "NIL" and taken.isdisjoint(range(start, end)):
                taken.update(range(start, end))
                entities.append((start, end, label))
        return sorted(entities)
