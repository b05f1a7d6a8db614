"""From logits of tokens to entities."""

from __future__ import annotations

import numpy as np
import pytest

from spacy_luke.pipeline.token_classifier.decoding import TokenLogits, tagged_spans
from spacy_luke.pipeline.token_classifier.tag_scheme import TagScheme

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
SCHEME = TagScheme.find(LABELS)


def scored(tags: list[str], tokens: list[int], sentences: list[int]) -> TokenLogits:
    """The tag of each token has the logit 2, the first other one 1."""
    logits = np.zeros((len(tags), len(LABELS)), dtype=np.float32)
    for i, tag in enumerate(tags):
        logits[i, LABELS.index(tag)] = 2.0
    return TokenLogits(np.array(tokens, dtype=np.int64), np.array(sentences, dtype=np.int64), logits)


SHARE = np.exp(2) / (np.exp(2) + 4)


def test_entities_are_those_of_the_most_probable_tags_of_each_sentence() -> None:
    tags = ["B-PER", "I-PER", "O", "B-LOC", "I-LOC", "B-LOC"]
    tokens = [0, 2, 3, 4, 5, 6]  # token 1 is white space
    found = tagged_spans(scored(tags, tokens, [0, 0, 0, 0, 3, 3]), SCHEME, 0.0)
    assert found.spans.tolist() == [[0, 3], [4, 5], [5, 6], [6, 7]], "a sentence ends between 4 and 5"
    types = [SCHEME.types[i] for i in found.labels.tolist()]
    assert types == ["PER", "LOC", "LOC", "LOC"]
    assert found.probabilities == pytest.approx([SHARE**2, SHARE, SHARE, SHARE])
    assert found.logits == pytest.approx(np.log(found.probabilities))


def test_entities_below_the_threshold_are_left_out() -> None:
    found = scored(["B-PER", "I-PER", "B-LOC"], [0, 1, 2], [0, 0, 0])
    assert tagged_spans(found, SCHEME, SHARE**2 + 1e-6).spans.tolist() == [[2, 3]]
    assert tagged_spans(found, SCHEME, SHARE + 1e-6).spans.tolist() == []
    exact = tagged_spans(found, SCHEME, 0.0).probabilities[0]
    assert tagged_spans(found, SCHEME, exact).spans.tolist() == [[0, 2], [2, 3]]


def test_no_tokens_have_no_entities() -> None:
    found = tagged_spans(scored([], [], []), SCHEME, 0.5)
    assert (found.spans.shape, found.labels.shape, found.probabilities.shape) == ((0, 2), (0,), (0,))
