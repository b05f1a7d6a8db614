"""Corpus readers that hand gold annotation to the predicted Docs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from spacy.errors import Errors
from spacy.language import Language
from spacy.training import Corpus, Example


def build_gold_mentions_corpus(
    path: str | Path | None, sentences: bool = True, mentions: bool = False, limit: int = 0
) -> Callable[[Language], Iterator[Example]]:
    """Read DocBins, as `spacy-luke.gold_mentions_corpus.v1`.

    path: a .spacy file or a folder of them.
    sentences: predicted Docs start with the sentence boundaries of their references, as evaluations on corpora that
        come sentence by sentence do; components that split sentences then leave them alone.
    mentions: predicted Docs start with the entities of their references, for components that classify given mentions.
    limit: most Docs to read; 0 = all.
    """
    if path is None:
        raise ValueError(Errors.E913)
    corpus = Corpus(path, limit=limit)

    def read(nlp: Language) -> Iterator[Example]:
        for example in corpus(nlp):
            give_gold(example, sentences=sentences, mentions=mentions)
            yield example

    return read


def give_gold(example: Example, *, sentences: bool, mentions: bool) -> None:
    """Copy sentence boundaries and entities of the reference to the predicted Doc, as far as their tokens align."""
    reference, predicted = example.reference, example.predicted
    if sentences and reference.has_annotation("SENT_START"):
        for starts, token in zip(example.get_aligned_sent_starts(), predicted, strict=True):
            token.is_sent_start = bool(starts)
    if mentions:
        predicted.set_ents(example.get_aligned_spans_y2x(reference.ents))
