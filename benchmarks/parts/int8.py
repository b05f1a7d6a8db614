"""`luke_ner` with `precision = "int8"`, beside float32: the answers are not quite the same, so only time is told."""

from __future__ import annotations

from ..compare import Other, Sides, compare
from ..models import random_luke
from ..options import Options
from ..rows import Row, Skipped
from ..sides import Transformers, by_size, ours
from ..texts import all_sentences, one_sentence, sentences
from .ner import HEAD, SETTINGS, TASK, by_pipeline, by_transformers, candidates, given


def measure(options: Options) -> list[Row]:
    """Rows of sentences of natural lengths."""
    if options.device != "cpu":
        raise Skipped("int8 is for CPUs")
    texts = sentences(options)
    checkpoint = random_luke(options.folder / "luke", options.size, all_sentences(options))

    def make(precise: bool) -> Sides:
        exact = ours(checkpoint, options, True, **SETTINGS)
        int8 = ours(checkpoint, options, True, low="int8", **SETTINGS)
        docs = [one_sentence(exact.make_doc(text)) for text in texts]
        inputs = given(docs, candidates(exact, docs))
        reference = Transformers(checkpoint, HEAD, options, True, task=TASK)
        in_order, by_length = (by_transformers(reference, inputs, order) for order in (None, by_size(inputs)))
        others = [
            Other("sentences, transformers in float32, arrival order", in_order, 2.5, same=False),
            Other("sentences, transformers in float32, sorted by length", by_length, same=False),
            Other("sentences", by_pipeline(exact, texts), against="ours in float32", same=False),
        ]
        return Sides(by_pipeline(int8, texts), others, sum(map(len, docs)), "words/s")

    return compare("int8", make, lambda mine, other: [], options)
